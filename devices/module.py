"""One module: connect, set up, poll, obey, for as long as it is configured. Its own task, its own socket."""

from __future__ import annotations

import asyncio
import random
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pymodbus.framer import FramerType

from data.core.events import Event, Kind, event_id_of
from devices.dialin import DialIn
from devices.health import SUSPECT_PAUSE_S, Health
from devices.link import BadAnswer, Declined, GuardedLink, LinkDown, LinkError
from devices.output import Outputs, Store
from devices.plan import Plan
from devices.point import Memory, Point, Sample, Seen

LEVEL_EVERY_S = 10.0  # the levels of counter and latch inputs are looked at this often, so a dead counter is found
CLEAR_STORE_S = 5.0
SLOT_S = 0.02
PATIENCE = 1.0


class WrongModule(LinkError):
    """Another module lives behind the address, or it does not take its settings: a fault without a second look."""


@dataclass(frozen=True, slots=True)
class Site:
    """What every module task is given by the worker."""

    source: str
    store: Store  # events and baselines, durable together when the future is done
    now: Callable[[], datetime]  # steady UTC
    late: Callable[[float], None]  # how much too late a poll began, as a share of its period
    lag_s: Callable[[], float]  # by how much our own loop is late: who is late himself waits longer for others
    hub: Callable[[int], DialIn]  # the listening port of modules that dial in
    alive_at: datetime | None  # when an earlier worker was last alive


def phase_s(device: str, period_s: float) -> float:
    """Where in the period this module is polled: the same after every restart, spread over all modules.

    In steps of `SLOT_S`: modules that share a moment share the loop's wake-up.
    """
    slots = max(round(period_s / SLOT_S), 1)
    return zlib.crc32(device.encode()) % slots * SLOT_S


class Module:
    """The task of one module; `run` ends only when it is cancelled.

    Args:
        stored: baselines of this module as an earlier worker left them: `point:`, `link:`, `identity:`, `output:`.
    """

    def __init__(self, plan: Plan, site: Site, stored: Mapping[str, str]) -> None:
        self.plan, self._site = plan, site
        device = plan.device
        self.health = Health.restore(device, site.source, plan.is_demo, stored.get(f"link:{device}"))
        self._identity = stored.get(self._identity_key)
        modulus = plan.profile.counter.modulus if plan.profile.counter else 1 << 32
        self._points = [
            Point(
                device,
                site.source,
                config,
                Memory.decode(stored.get(f"point:{device}/{config.channel}")),
                modulus=modulus,
                demo=plan.is_demo,
            )
            for config in plan.inputs
        ]
        self._outputs = Outputs(plan, site.source, site.store, site.now, stored)
        self._commands: deque[Mapping[str, Any]] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._link = self._make_link()
        self._last: tuple[Any, Any] = (None, None)  # counters and levels as they were
        self._is_after_gap = True
        self._good_mono_s: float | None = None
        self._level_due_s = 0.0
        self._firsts = {capture: next((i.channel for i in plan.inputs if i.capture == capture), 0) for capture in ("counter", "latch")} | {
            "level": plan.inputs[0].channel if plan.inputs else 0
        }

    @property
    def _identity_key(self) -> str:
        # With the profile: a site that is told of another type of module meets it anew.
        return f"identity:{self.plan.device}/{self.plan.profile.id}"

    def _make_link(self) -> GuardedLink:
        plan = self.plan
        framer = FramerType.SOCKET if plan.transport == "tcp" else FramerType.RTU
        if plan.transport != "rtu-dial-in":
            return GuardedLink(plan.host, plan.port, unit=plan.unit, timeout_s=plan.timeout_s, framer=framer, on_down=self._ring)
        code = plan.host.encode()
        hub = self._site.hub(plan.port)
        hub.expect(code)
        return GuardedLink(
            "",
            0,
            unit=plan.unit,
            timeout_s=plan.timeout_s,
            framer=framer,
            chatter=code,
            on_down=self._ring,
            accept=lambda: hub.accept(code),
        )

    # Commands

    def command(self, command: Mapping[str, Any]) -> None:
        """Do this before the next poll; answered at once when the module does not answer."""
        self._commands.append(command)
        self._ring()

    def _ring(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _refuse_commands(self, reason: str) -> None:
        while self._commands:
            await self._outputs.answer(self._commands.popleft(), self._site.now(), reason)

    # The loop

    async def run(self) -> None:
        """Poll until cancelled; every failure of the link ends in a pause and a new connection."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    await self._session(loop)
                except LinkError as err:
                    self._bad(err, loop.time())
                    self._link.close()
                if not self.health.is_up and self.health.failures > 1:
                    await self._refuse_commands("link_down")
                pause_s = self.health.next_pause_s(random.random())
                if self._commands:  # they came meanwhile and expire: one more try at once
                    await asyncio.sleep(SUSPECT_PAUSE_S)
                else:
                    await self._sleep_until(loop, loop.time() + pause_s)
        finally:
            self._link.close()

    async def _sleep_until(self, loop: asyncio.AbstractEventLoop, at_s: float) -> None:
        """Sleep, unless a command or the end of the connection rings."""
        self._wake = loop.create_future()
        handle = loop.call_at(at_s, self._ring)
        try:
            await self._wake
        finally:
            handle.cancel()
            self._wake = None

    async def _session(self, loop: asyncio.AbstractEventLoop) -> None:
        """From connect to the first failure."""
        plan, period_s = self.plan, self.plan.period_s
        self._link.timeout_s = plan.timeout_s + PATIENCE * self._site.lag_s()
        await self._link.open()
        await self._set_up()
        phase = phase_s(plan.device, period_s)
        due_s = loop.time()
        is_first = True
        while True:
            while self._commands:
                await self._outputs.obey(self._link, self._commands.popleft())
            off_at = self._outputs.next_off_at
            if off_at is not None and off_at <= self._site.now():
                await self._outputs.enforce(self._link)
            if loop.time() >= due_s:
                if not is_first:
                    self._site.late((time.monotonic() - due_s) / period_s)
                is_first = False
                self._link.timeout_s = plan.timeout_s + PATIENCE * self._site.lag_s()
                try:
                    await self._cycle(loop)
                except Declined as err:
                    self._bad(err, loop.time())
                    if not self.health.is_up:
                        raise
                rounds = int((max(loop.time(), due_s) - phase) / period_s) + 1
                due_s = phase + rounds * period_s
            if self._commands:
                continue
            until_s, off_at = due_s, self._outputs.next_off_at
            if off_at is not None:
                until_s = min(until_s, loop.time() + max((off_at - self._site.now()).total_seconds(), 0.05))
            await self._sleep_until(loop, until_s)
            if not self._link.is_open:
                raise LinkDown("closed")

    async def _set_up(self) -> None:
        """Before the first poll of a connection: is it the right module, set as it must be, its counters running?"""
        profile, link = self.plan.profile, self._link
        if profile.identity:
            answer = list(await link.read(profile.identity))
            if tuple(answer[: len(profile.identity_equals)]) != profile.identity_equals:
                raise WrongModule("identity")
            told = " ".join(map(str, answer))
            if self._identity is None:
                self._identity = told
                self._site.store([], {self._identity_key: told})
            elif told != self._identity:
                raise WrongModule("identity")
        for setup in profile.setups:
            if tuple(await link.read(setup.verify)) != setup.values:
                await link.write(setup.fc, setup.address, setup.values)
                if tuple(await link.read(setup.verify)) != setup.values:
                    raise WrongModule("setup")
        start = profile.counter_start
        if start and self.plan.counter:
            for config in self.plan.inputs:
                if config.capture == "counter":
                    await link.write(start.fc, start.at(config.channel), [start.value or 0])

    async def _cycle(self, loop: asyncio.AbstractEventLoop) -> None:
        """One look at all inputs. Counters and latches before levels: a press between the two is then seen by the level."""
        plan, link = self.plan, self._link
        count = await link.read(plan.counter) if plan.counter else None
        latch = await link.read(plan.latch) if plan.latch else None
        level = None
        mono_s = loop.time()
        if plan.level and (plan.is_level_evidence or mono_s >= self._level_due_s or any(point.wants_level for point in self._points)):
            level = await link.read(plan.level)
            mono_s = loop.time()
            self._level_due_s = mono_s + LEVEL_EVERY_S
        at = self._site.now()
        # A latch that is set is never old news: it was cleared since, or still has to be.
        is_same = count == self._last[0] and not (latch and any(latch)) and (level is None or level == self._last[1])
        fault = ""
        if not is_same or self._is_after_gap or not all(point.is_settled for point in self._points):
            fault = await self._see(count, latch, level, at, mono_s)
            if level is None and plan.level and any(point.wants_level for point in self._points):
                level = await link.read(plan.level)
                mono_s = loop.time()
                await self._see(None, None, level, self._site.now(), mono_s)
        self._last = (count, level if level is not None else self._last[1])
        self._is_after_gap = False
        self._good_mono_s = mono_s
        if fault:
            self._say(self.health.bad(fault, at, mono_s, is_fault=True, is_sure=True))
        elif not self.health.is_up or self.health.failures:
            self._say(self.health.good(at, mono_s))
        else:
            self.health.touch(mono_s)

    def _bad(self, err: LinkError, mono_s: float) -> None:
        is_fault = isinstance(err, BadAnswer | Declined | WrongModule)
        self._say(self.health.bad(err.reason, self._site.now(), mono_s, is_fault=is_fault, is_sure=isinstance(err, WrongModule)))
        if not self.health.is_up:
            self._is_after_gap = True

    def _say(self, event: Event | None) -> None:
        if event is not None:
            self._site.store([event], {f"link:{self.plan.device}": self.health.stored()})

    # From answers to events

    async def _see(self, count: Any, latch: Any, level: Any, at: datetime, mono_s: float) -> str:
        """Show the answers to the points and store what they say; the fault code, "" without one."""
        plan, profile = self.plan, self.plan.profile
        said: list[Event] = []
        changed: dict[str, str] = {}
        to_clear: list[Point] = []
        fault, restarted = "", False
        sample = Sample(at=at, mono_s=mono_s, uncertainty_ms=self._uncertainty_ms(at, mono_s), is_after_gap=self._is_after_gap)
        for point in self._points:
            config, before = point.config, point.memory
            seen: Seen = point.see(
                replace(
                    sample,
                    level=bool(profile.level.value(level, config.channel, self._firsts["level"]))
                    if level is not None and profile.level
                    else None,
                    count=profile.counter.value(count, config.channel, self._firsts["counter"])
                    if count is not None and profile.counter and config.capture == "counter"
                    else None,
                    latch=bool(profile.latch.value(latch, config.channel, self._firsts["latch"]))
                    if latch is not None and profile.latch and config.capture == "latch"
                    else None,
                )
            )
            said += seen.events
            fault, restarted = fault or seen.fault, restarted or seen.is_restarted
            if seen.wants_clear:
                to_clear.append(point)
            if point.memory is not before and point.memory:
                changed[f"point:{plan.device}/{config.channel}"] = point.memory.encode()
        if restarted:
            said.insert(0, self._restarted(at))
        if not said and not changed and not to_clear:
            return fault
        stored = self._site.store(said, changed)
        if to_clear:
            await asyncio.wait([stored], timeout=CLEAR_STORE_S)
            if stored.done():  # else the disk is full: the latch keeps the press until it is stored
                await self._clear(to_clear)
        return fault

    async def _clear(self, points: Sequence[Point]) -> None:
        clear = self.plan.profile.latch_clear
        assert clear is not None  # a profile with latches has it
        for point in points:
            key = f"point:{self.plan.device}/{point.config.channel}"
            point.clearing(self._site.now())
            assert point.memory is not None
            await asyncio.wait([self._site.store([], {key: point.memory.encode()})], timeout=CLEAR_STORE_S)
            try:
                await self._link.write(clear.fc, clear.at(point.config.channel), [clear.value or 0])
                point.cleared()
            except Declined:
                point.not_cleared()
            self._site.store([], {key: point.memory.encode()})

    def _uncertainty_ms(self, at: datetime, mono_s: float) -> int:
        """How long ago the inputs were last seen."""
        if self._good_mono_s is not None:
            return int((mono_s - self._good_mono_s) * 1000)
        since = self.health.since or self._site.alive_at
        return max(int((at - since).total_seconds() * 1000), 0) if since else int(self.plan.period_s * 1000)

    def _restarted(self, at: datetime) -> Event:
        rounds = sum(point.memory.round for point in self._points if point.memory)
        return Event(
            event_id=event_id_of(self.plan.device, Kind.DEVICE_RESTARTED.value, at.isoformat(), rounds),
            kind=Kind.DEVICE_RESTARTED,
            source=self._site.source,
            subject=self.plan.device,
            event_at=at,
            demo=self.plan.is_demo,
            data={"reason": "counter_back"},
        )
