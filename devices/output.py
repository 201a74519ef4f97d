"""Outputs: a command is written, read back within a second, and confirmed or failed; nothing stays on longer than allowed.

The end of an on-time is stored before the output is switched on, so a worker that is killed meanwhile still switches it
off when it starts again. A switch-on that was not confirmed is taken back at the next chance: it may have worked.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from data.core.events import Event, Kind, event_id_of
from devices.link import LinkError, ModbusLink
from devices.plan import Output, Plan

_LOG = structlog.get_logger(__name__)

READ_BACK_S, READ_BACK_EVERY_S = 1.0, 0.1
STORE_S = 0.3  # a full disk must not keep a siren from sounding
DEFAULT_PULSE_S = 1.0
STUCK_EVERY_S = 1.0  # how often an output that will not go off is told to

Store = Callable[[Sequence[Event], Mapping[str, str]], asyncio.Future[None]]


@dataclass(frozen=True, slots=True)
class Running:
    """An output that is on, or may be."""

    command_id: str
    until: datetime  # UTC
    reason: str  # why it goes off then: on_over (its time), max_on (the limit) or unconfirmed
    is_failed_off: bool = False  # told once that it would not go off

    def encode(self) -> str:
        return json.dumps({"command_id": self.command_id, "until": self.until.isoformat(), "reason": self.reason})

    @classmethod
    def decode(cls, text: str) -> Running | None:
        """None for an output that is off."""
        try:
            raw = json.loads(text) if text else None
            return cls(raw["command_id"], datetime.fromisoformat(raw["until"]), raw["reason"]) if raw else None
        except (ValueError, KeyError, TypeError):
            return None


class Outputs:
    """The outputs of one module. All methods run in that module's task, so a write never meets a poll on the socket."""

    def __init__(self, plan: Plan, source: str, store: Store, now: Callable[[], datetime], stored: Mapping[str, str]) -> None:
        self._plan, self._source, self._store, self._now = plan, source, store, now
        self._outputs: dict[int, Output] = {output.channel: output for output in plan.outputs}
        self._running: dict[int, Running] = {}
        for channel in self._outputs:
            running = Running.decode(stored.get(self._key(channel), ""))
            if running:
                # A clock that went back must not prolong a siren.
                latest = now() + timedelta(seconds=self._outputs[channel].max_on_s)
                self._running[channel] = Running(running.command_id, min(running.until, latest), running.reason)

    def _key(self, channel: int) -> str:
        return f"output:{self._plan.device}/{channel}"

    @property
    def next_off_at(self) -> datetime | None:
        """When the next output must go off, UTC; None when none is on."""
        if not self._running:
            return None
        return min((running.until for running in self._running.values()), default=None)

    async def obey(self, link: ModbusLink, command: Mapping[str, Any]) -> None:
        """Do one command and store what became of it.

        Raises:
            LinkError: the link broke while doing so; the failure is stored.
        """
        started = self._now()
        refusal = self._refusal(command)
        if refusal:
            await self.answer(command, started, refusal)
            return
        output, act = self._outputs[command["channel"]], command["act"]
        if act == "off":
            reason = await self._switch(link, output.channel, is_on=False)
            if not reason:
                await self._forget(output.channel)
            await self.answer(command, started, reason, state="off")
            return
        limit_s = min(output.max_on_s, _seconds(command, "max_on_s", output.max_on_s))
        asked_s = _seconds(command, "on_s", 0.0) or (DEFAULT_PULSE_S if act == "pulse" else limit_s)
        running = Running(
            str(command["command_id"]), started + timedelta(seconds=min(asked_s, limit_s)), "on_over" if asked_s < limit_s else "max_on"
        )
        await self._remember(output.channel, running)
        try:
            reason = await self._switch(link, output.channel, is_on=True)
        except LinkError as err:
            await self._remember(output.channel, Running(running.command_id, started, "unconfirmed"))
            await self.answer(command, started, err.reason)
            raise
        if reason:
            await self._remember(output.channel, Running(running.command_id, started, "unconfirmed"))
        await self.answer(command, started, reason, state="on")

    async def enforce(self, link: ModbusLink) -> None:
        """Switch off what has been on for long enough.

        Raises:
            LinkError: it is tried again with the next connection.
        """
        now = self._now()
        for channel, running in list(self._running.items()):
            if running.until > now:
                continue
            try:
                reason = await self._switch(link, channel, is_on=False)
            except LinkError as err:
                self._tell_stuck(channel, running, err.reason)
                raise
            if reason:
                self._tell_stuck(channel, running, reason)
                continue
            del self._running[channel]
            said = [] if running.reason == "unconfirmed" else [self._event(running.command_id, channel, "off", running.reason, now, "off")]
            self._store(said, {self._key(channel): ""})

    def _tell_stuck(self, channel: int, running: Running, reason: str) -> None:
        again_at = self._now() + timedelta(seconds=STUCK_EVERY_S)
        self._running[channel] = Running(running.command_id, again_at, running.reason, is_failed_off=True)
        if not running.is_failed_off:
            # Without its command: that was answered, this is an output that will not go off.
            _LOG.error("an output will not go off", device=self._plan.device, channel=channel, reason=reason)
            self._store([self._event("", channel, "unknown", "stuck", self._now(), f"stuck {running.until.isoformat()}")], {})

    def _refusal(self, command: Mapping[str, Any]) -> str:
        try:
            is_expired = datetime.fromisoformat(str(command["expires_at"])) <= self._now()
        except (KeyError, ValueError, TypeError):
            return "malformed"
        if command.get("channel") not in self._outputs:
            return "channel_unknown"
        if command.get("act") not in ("on", "off", "pulse"):
            return "malformed"
        return "expired" if is_expired else ""

    async def _switch(self, link: ModbusLink, channel: int, *, is_on: bool) -> str:
        """Write and read back; "" when the module shows it, else the reason. Raises LinkError."""
        write, readback = self._plan.profile.output_write, self._plan.profile.output_readback
        assert write is not None  # a profile with outputs has both
        assert readback is not None
        await link.write(write.fc, write.at(channel), [int(is_on)])
        loop = asyncio.get_running_loop()
        until = loop.time() + READ_BACK_S
        while True:
            if readback.value(await link.read(readback.narrowed([channel])), channel, channel) == int(is_on):
                return ""
            if loop.time() >= until:
                return "readback"
            await asyncio.sleep(READ_BACK_EVERY_S)

    async def _remember(self, channel: int, running: Running) -> None:
        self._running[channel] = running
        await self._stored([], {self._key(channel): running.encode()})

    async def _forget(self, channel: int) -> None:
        self._running.pop(channel, None)
        await self._stored([], {self._key(channel): ""})

    async def answer(self, command: Mapping[str, Any], started: datetime, reason: str, *, state: str = "unknown") -> None:
        """Store the answer to a command: confirmed when `reason` is empty."""
        ms = round((self._now() - started).total_seconds() * 1000)
        channel = command.get("channel")
        event = self._event(
            str(command.get("command_id", "")), channel if isinstance(channel, int) else None, state if not reason else "unknown", reason,
            started, "answer", ms=ms,
        )  # fmt: skip
        await self._stored([event], {})

    async def _stored(self, batch: Sequence[Event], baseline: Mapping[str, str]) -> None:
        await asyncio.wait([self._store(batch, baseline)], timeout=STORE_S)

    def _event(self, command_id: str, channel: int | None, state: str, reason: str, at: datetime, key: str, *, ms: int = 0) -> Event:
        is_confirmed = state != "unknown"
        return Event(
            event_id=event_id_of(self._plan.device, channel, command_id, key),
            kind=Kind.OUTPUT_CONFIRMED if is_confirmed else Kind.OUTPUT_FAILED,
            source=self._source,
            subject=self._plan.device,
            channel=channel,
            event_at=at,
            demo=self._plan.is_demo,
            data={"command_id": command_id, "state": state, "reason": reason, "ms": ms},
        )


def _seconds(command: Mapping[str, Any], key: str, default: float) -> float:
    value = command.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 86_400 else default
