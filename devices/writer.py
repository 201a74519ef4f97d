"""The thread that makes events durable, so that the poll loop never waits for a disk.

What arrives while a commit runs goes into the next one: one fsync for all of it. When the disk is full, events stay in
memory and are tried again every second, panic is published at once without a spool (its id makes the later copy
harmless), and `spool.filled` is told on the same way.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import redis
import structlog

from data.core import events, stream
from data.core.events import Event, Kind
from data.core.spool import Spool, SpoolFull

_LOG = structlog.get_logger(__name__)

RETRY_S = 1.0


@dataclass(slots=True)
class _Job:
    events: Sequence[Event]
    baseline: Mapping[str, str]
    done: asyncio.Future[None] | None


class Writer:
    """Stores events and baselines in their order; safe to call from the event loop only.

    Args:
        client: for panic while the disk is full.
        now: UTC for `spool.filled`.
    """

    def __init__(self, spool: Spool, client: redis.Redis, loop: asyncio.AbstractEventLoop, now: Callable[[], datetime]) -> None:
        self._spool, self._redis, self._loop, self._now = spool, client, loop, now
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="spool-writer", daemon=True)
        self._stopping = threading.Event()
        self.is_full = False
        self._published: set[str] = set()
        self.held = 0  # events in memory because the disk is full

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 3.0) -> None:
        """Store what was put, then end."""
        self._stopping.set()
        self._queue.put(None)
        self._thread.join(timeout_s)

    def put(self, batch: Sequence[Event], baseline: Mapping[str, str]) -> asyncio.Future[None]:
        """Done when events and baseline are durable, together."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._queue.put(_Job(batch, baseline, done))
        return done

    def _run(self) -> None:
        jobs: list[_Job] = []
        while True:
            is_last = self._collect(jobs)
            if jobs and self._store(jobs):
                self._settle(jobs)
                jobs = []
            if is_last:
                return

    def _collect(self, jobs: list[_Job]) -> bool:
        """Wait for something to do; True when the worker stops."""
        try:
            job = self._queue.get(timeout=RETRY_S) if jobs else self._queue.get()
            while True:
                if job is None:
                    return True
                jobs.append(job)
                job = self._queue.get_nowait()
        except queue.Empty:
            return self._stopping.is_set() and self.is_full

    def _store(self, jobs: list[_Job]) -> bool:
        batch = [event for job in jobs for event in job.events]
        baseline = {key: value for job in jobs for key, value in job.baseline.items()}
        try:
            if self.is_full:
                batch.append(self._filled(is_over=True))
            self._spool.extend(batch, baseline=baseline)
        except (SpoolFull, sqlite3.Error) as err:
            self._while_full(jobs, err)
            return False
        if self.is_full:
            _LOG.warning("the spool has room again")
        self.is_full, self.held = False, 0
        self._published.clear()
        return True

    def _while_full(self, jobs: list[_Job], err: Exception) -> None:
        panic = [event for job in jobs for event in job.events if event.kind in events.PANIC_KINDS]
        urgent = [event for event in panic if event.event_id not in self._published]
        if not self.is_full:
            _LOG.error("events cannot be stored", error=str(err))
            urgent.append(self._filled(is_over=False))
        self.is_full, self.held = True, sum(len(job.events) for job in jobs)
        try:
            for event in urgent:
                stream.publish(self._redis, events.encode(event), is_panic=event.kind in events.PANIC_KINDS)
                self._published.add(event.event_id)
        except redis.RedisError:
            _LOG.error("neither disk nor redis take events")
        told = _Job([event for job in jobs for event in job.events], {k: v for job in jobs for k, v in job.baseline.items()}, None)
        waiting = [job.done for job in jobs if job.done]
        jobs[:] = [told, *(_Job((), {}, done) for done in waiting)]

    def _filled(self, *, is_over: bool) -> Event:
        at = self._now()
        return Event(
            event_id=events.event_id_of(self._spool.source, Kind.SPOOL_FILLED.value, at.isoformat()),
            kind=Kind.SPOOL_FILLED,
            source=self._spool.source,
            event_at=at,
            data={"is_over": is_over, "held": self.held},
        )

    def _settle(self, jobs: list[_Job]) -> None:
        done = [job.done for job in jobs if job.done]
        if done:
            self._loop.call_soon_threadsafe(_resolve, done)


def _resolve(done: list[asyncio.Future[None]]) -> None:
    for future in done:
        if not future.done():
            future.set_result(None)
