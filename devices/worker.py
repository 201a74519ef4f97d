"""The devices worker: one process polls every module, writes to its spool first, and needs neither database nor web.

control (thread)  signed snapshots and commands from Redis, heartbeat
modules (tasks)   one each, with a socket of its own; a task that dies is started again
writer (thread)   events and baselines to disk, one fsync for all that waits
sender (thread)   from the disk to Redis, again when Redis lost it
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
import uvloop

from data.core import clock, stream
from data.core.desired import Refused, Snapshot
from data.core.events import Event, Kind, event_id_of
from data.core.settings import Settings
from data.core.spool import Sender, Spool
from devices import profile as profiles
from devices.control import Control
from devices.dialin import DialIn
from devices.files import raise_file_limit
from devices.module import Module, Site, phase_s
from devices.plan import Plan, Unfit, plan_of
from devices.writer import Writer

_LOG = structlog.get_logger(__name__)

SOURCE = "devices-1"
TICK_S = 1.0
ALIVE_EVERY_S = 10.0
JUDGE_S = 5.0  # time over which lateness is judged
LATE_WINDOW = 200_000  # polls kept for it at most
LATE_LEAST = 100
CALM_SHARE = 0.5  # overloaded ends when the p99 lateness is below this share of a period
STALL_S = 5.0  # a loop that has not ticked for so long is not well
RESTART_PAUSE_S = 1.0
SPREAD_S = 2.0  # over which the first connections are made
LAG_EVERY_S, LAG_KEPT_S = 0.1, 5.0


class Worker:
    """Everything in one event loop; `run` returns after `stop`."""

    def __init__(self, settings: Settings, source: str = SOURCE) -> None:
        self._settings, self.source = settings, source
        self._profiles = profiles.load()
        self._clock = clock.Steady()
        self._stop = asyncio.Event()
        self._plans: dict[str, Plan] = {}
        self._modules: dict[str, Module] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._unfit: set[str] = set()
        self._hubs: dict[int, DialIn] = {}
        self._late: deque[float] = deque(maxlen=LATE_WINDOW)
        self._late_p99 = 0.0
        self._judge_at = 0.0
        self._lag_s = 0.0
        self._is_overloaded = False
        self._tick_at = time.monotonic()
        self._applying = asyncio.Lock()
        self._background: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Ask the worker to end; safe more than once, from its loop."""
        self._stop.set()

    async def run(self) -> None:
        """Poll until `stop`; what was seen is on disk when this returns."""
        loop = asyncio.get_running_loop()
        spool_dir = self._settings.data_dir / "spool"
        self._spool = await asyncio.to_thread(Spool, spool_dir / f"{self.source}.sqlite", self.source)
        self._writer = Writer(self._spool, stream.connect(self._settings.redis), loop, self._clock.now)
        self._sender = Sender(self._spool, stream.connect(self._settings.redis), replay=self._settings.replay_spool)
        alive = self._spool.baseline("worker.alive")
        self._site = Site(
            source=self.source, store=self._writer.put, now=self._clock.now, late=self._late.append, hub=self._hub,
            lag_s=lambda: self._lag_s,
            alive_at=datetime.fromisoformat(alive) if alive else None,
        )  # fmt: skip
        self._control = self._make_control(loop, spool_dir)
        self._writer.start()
        self._sender.start()
        self._started()
        self._control.start()
        try:
            self._in_background(self._feel_lag())
            await self._ticks()
        finally:
            await self._shut_down()

    def _make_control(self, loop: asyncio.AbstractEventLoop, spool_dir: Path) -> Control:
        def in_loop(call: Callable[..., None]) -> Callable[..., None]:
            def from_thread(*given: Any) -> None:
                loop.call_soon_threadsafe(call, *given)

            return from_thread

        return Control(
            stream.connect(self._settings.redis),
            self.source,
            self._settings.secret_dir,
            spool_dir / f"{self.source}.desired",
            fence=int(self._spool.baseline("command.fence") or 0),
            start_id=self._spool.baseline("command.id") or "0",
            on_snapshot=in_loop(self._apply_soon),
            on_command=in_loop(self._command),
            on_refused=in_loop(self._refused),
            beat=self._beat,
        )

    async def _shut_down(self) -> None:
        await asyncio.to_thread(self._control.stop)
        await _cancel([*self._tasks.values(), *self._background])
        for hub in self._hubs.values():
            hub.close()
        await asyncio.to_thread(self._writer.stop)
        await asyncio.to_thread(self._sender.stop)
        self._spool.close()

    # Configuration

    def _apply_soon(self, snapshot: Snapshot) -> None:
        self._in_background(self._apply(snapshot))

    def _in_background(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background_done)

    def _background_done(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception():
            _LOG.error("work of the worker itself failed", exc_info=task.exception())

    async def _apply(self, snapshot: Snapshot) -> None:
        """Start, change and stop modules by the difference; the others are not touched."""
        async with self._applying:
            wanted, unfit = self._wanted(snapshot)
            gone = [device for device, plan in self._plans.items() if wanted.get(device) != plan]
            for device in gone:
                await self._end(device)
            new = [device for device in wanted if device not in self._plans]
            if gone:
                await self._writer.put([], {})  # what the ended ones said is on disk before it is read again
            stored = await asyncio.to_thread(lambda: {device: self._stored(device) for device in new})
            for device in new:
                self._plans[device] = wanted[device]
                self._modules[device] = Module(wanted[device], self._site, stored[device])
                self._begin(device)
            self._tell_unfit(unfit, snapshot)
            # What was just made stays: the collector need not look through 2,600 modules again and again.
            gc.collect()
            gc.freeze()

    def _wanted(self, snapshot: Snapshot) -> tuple[dict[str, Plan], dict[str, tuple[Unfit, bool]]]:
        wanted: dict[str, Plan] = {}
        unfit: dict[str, tuple[Unfit, bool]] = {}
        modules = snapshot.body.get("modules", [])
        for raw in modules if isinstance(modules, list) else []:
            if not isinstance(raw, dict):
                continue
            if raw.get("demo"):
                raw = raw | {"poll_ms": self._settings.demo_poll_ms}  # may differ at every start, the seeded city does not
            try:
                plan = plan_of(raw, self._profiles)
                wanted[plan.device] = plan
            except Unfit as err:
                unfit[str(raw.get("device", ""))] = (err, bool(raw.get("demo", False)))
        return wanted, unfit

    def _tell_unfit(self, unfit: Mapping[str, tuple[Unfit, bool]], snapshot: Snapshot) -> None:
        at = self._clock.now()
        for device, (err, is_demo) in unfit.items():
            event = Event(
                # With the version: the same configuration read again after a restart is not news.
                event_id=event_id_of(device, Kind.DEVICE_FAULTED.value, err.reason, snapshot.version), kind=Kind.DEVICE_FAULTED,
                source=self.source, subject=device, event_at=at, demo=is_demo,
                data={"reason": err.reason, "detail": err.detail, "gap_s": None},
            )  # fmt: skip
            self._writer.put([event], {f"link:{device}": '{"state":"fault"}'})
        self._unfit = set(unfit)

    def _stored(self, device: str) -> dict[str, str]:
        found = {"link": self._spool.baseline(f"link:{device}")}
        kept = {f"link:{device}": found["link"]} if found["link"] else {}
        for kind in ("point", "identity", "output"):
            kept |= self._spool.baselines(f"{kind}:{device}/")
        return kept

    def _hub(self, port: int) -> DialIn:
        """The listening port of modules that dial in; opened with the first of them, on the address the web has."""
        if port not in self._hubs:
            self._hubs[port] = DialIn()
            self._in_background(self._open_hub(port))
        return self._hubs[port]

    async def _open_hub(self, port: int) -> None:
        try:
            await self._hubs[port].listen(self._settings.host, port)
        except OSError as err:
            _LOG.error("cannot listen for modules that dial in", port=port, error=str(err))

    # Tasks

    def _begin(self, device: str, pause_s: float = 0.0) -> None:
        module = self._modules[device]
        delay_s = pause_s or phase_s(device, max(module.plan.period_s, SPREAD_S))
        task = asyncio.get_running_loop().create_task(_after(delay_s, module), name=device)
        self._tasks[device] = task
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        """The supervisor: a module's task never ends by itself; when it does, the fault is told and it begins again."""
        device = task.get_name()
        if self._tasks.get(device) is not task or self._stop.is_set():
            return  # ended on purpose: `_end` takes it out of the table before it cancels
        _LOG.error("the task of a module died", device=device, exc_info=None if task.cancelled() else task.exception())
        module = self._modules[device]
        at = self._clock.now()
        event = module.health.bad("task_died", at, time.monotonic(), is_fault=True, is_sure=True)
        if event:
            self._writer.put([event], {f"link:{device}": module.health.stored()})
        self._begin(device, RESTART_PAUSE_S)

    async def _end(self, device: str) -> None:
        task, plan = self._tasks.pop(device), self._plans.pop(device)
        del self._modules[device]
        await _cancel([task])
        if plan.transport == "rtu-dial-in" and plan.port in self._hubs:
            self._hubs[plan.port].dismiss(plan.host.encode())

    # Commands

    def _command(self, command: Mapping[str, Any], fence: int, entry_id: str) -> None:
        # Before it is done: a command is done once or not at all, a siren must not sound again after a restart.
        self._writer.put([], {"command.fence": str(fence), "command.id": entry_id})
        module = self._modules.get(str(command.get("device")))
        if module is None:
            self._answer(command, "device_unknown")
        else:
            module.command(command)

    def _refused(self, err: Refused) -> None:
        self._answer(err.body, err.reason)

    def _answer(self, command: Mapping[str, Any], reason: str) -> None:
        channel, command_id = command.get("channel"), str(command.get("command_id", ""))
        device = str(command.get("device", ""))
        channel = channel if isinstance(channel, int) else None
        event = Event(
            event_id=event_id_of(device, channel, command_id, "answer"), kind=Kind.OUTPUT_FAILED, source=self.source, subject=device,
            channel=channel, event_at=self._clock.now(), data={"command_id": command_id, "state": "unknown", "reason": reason, "ms": 0},
        )  # fmt: skip
        self._writer.put([event], {})

    # The worker itself

    def _started(self) -> None:
        aside = self._spool.set_aside
        self._say(Kind.WORKER_STARTED, {"spool_set_aside": aside.name if aside else ""})

    def _say(self, kind: Kind, data: Mapping[str, Any]) -> None:
        at = self._clock.now()
        event_id = event_id_of(self.source, kind.value, at.isoformat())
        self._writer.put([Event(event_id=event_id, kind=kind, source=self.source, event_at=at, data=dict(data))], {})

    async def _ticks(self) -> None:
        alive_due = 0.0
        while not self._stop.is_set():
            self._tick_at = time.monotonic()
            step_ms = self._clock.step_ms()
            if step_ms:
                self._say(Kind.CLOCK_STEPPED, {"step_ms": round(step_ms)})
            self._judge_lateness()
            if self._tick_at >= alive_due:
                alive_due = self._tick_at + ALIVE_EVERY_S
                self._writer.put([], {"worker.alive": self._clock.now().isoformat()})
            try:
                await asyncio.wait_for(self._stop.wait(), TICK_S)
            except TimeoutError:
                continue

    async def _feel_lag(self) -> None:
        """Keep `_lag_s`: the worst delay of a timer over the last seconds."""
        felt: deque[float] = deque(maxlen=round(LAG_KEPT_S / LAG_EVERY_S))
        while True:
            before = time.monotonic()
            await asyncio.sleep(LAG_EVERY_S)
            felt.append(max(time.monotonic() - before - LAG_EVERY_S, 0.0))
            self._lag_s = max(felt)

    def _judge_lateness(self) -> None:
        """p99 of how late polls began, in periods: past one period presses are seen too late, and nobody would know."""
        if len(self._late) < LATE_LEAST or self._tick_at < self._judge_at:
            return
        self._judge_at = self._tick_at + JUDGE_S
        ordered = sorted(self._late)
        self._late.clear()
        self._late_p99 = ordered[int(len(ordered) * 0.99)]
        if not self._is_overloaded and self._late_p99 > 1.0:
            self._is_overloaded = True
            self._say(Kind.WORKER_OVERLOADED, {"is_over": False, "late_p99_periods": round(self._late_p99, 2)})
        elif self._is_overloaded and self._late_p99 < CALM_SHARE:
            self._is_overloaded = False
            self._say(Kind.WORKER_OVERLOADED, {"is_over": True, "late_p99_periods": round(self._late_p99, 2)})

    def _beat(self) -> Mapping[str, Any] | None:
        """For the heartbeat; None when the loop stands still or a thread died, so that the worker shows as down."""
        if time.monotonic() - self._tick_at > STALL_S or not self._sender.is_alive:
            return None
        states = [module.health.state for module in list(self._modules.values())]
        period_ms = max((plan.period_s for plan in list(self._plans.values())), default=0.5) * 1000
        return {
            "modules": len(states),
            "up": states.count("up"),
            "lost": states.count("lost"),
            "fault": states.count("fault") + len(self._unfit),
            "late_p99_ms": round(self._late_p99 * period_ms, 1),
            "lag_ms": round(self._lag_s * 1000, 1),
            "spool_waiting": self._spool.waiting + self._writer.held,
            "spool_full": self._writer.is_full,
            "overloaded": self._is_overloaded,
        }


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel until they have ended: a `wait_for` of Python 3.11 may swallow a cancel that meets its result."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.2)


async def _after(delay_s: float, module: Module) -> None:
    """Wait for the module's place in the period, so that 2,600 modules are not polled in one burst."""
    await asyncio.sleep(delay_s)
    await module.run()


def run(settings: Settings) -> int:
    """The role `devices`: until SIGTERM or SIGINT."""
    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # one line per failed poll; device.lost says it once
    raise_file_limit()

    async def main() -> None:
        worker = Worker(settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, worker.stop)
        await worker.run()

    uvloop.run(main())
    return 0
