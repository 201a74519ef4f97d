"""Timed jobs of one process, on a connection and in a thread of their own.

Nothing is remembered between two runs: what is due follows from the times in the database, so a
restart, a second process or a missed run changes nothing. A job may also be woken by NOTIFY.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg
import redis
import structlog
from psycopg import sql

from data.core import db

LOOK_S = 0.2  # how long a stop may take
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 1.0  # a press may wait behind it: knocking once a second costs nothing

_LOG = structlog.get_logger(__name__)


def pause_s(tries: int) -> float:
    """How long to wait before the next try, in seconds: doubling, capped, with ±25 % so that processes do not knock together."""
    return min(FIRST_PAUSE_S * 2 ** min(tries, 10), LONGEST_PAUSE_S) * random.uniform(0.75, 1.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to do again and again.

    Attributes:
        every_s: the longest time between two runs.
        run: gets a connection inside a transaction of CITY scope, which is committed after it; True when there is more to do at once.
        on: NOTIFY channels that make it due at once.
        after_commit: called when the transaction is through.
    """

    name: str
    every_s: float
    run: Callable[[db.Connection], bool | None]
    on: frozenset[str] = frozenset()
    after_commit: Callable[[], object] = lambda: None


class Schedule:
    """Runs jobs one after the other. A job that fails is logged and tried again at its next time; the others go on."""

    def __init__(self, dsn: str, jobs: Sequence[Job], *, name: str = "schedule") -> None:
        self._dsn, self._jobs = dsn, jobs
        self._due = dict.fromkeys((job.name for job in jobs), 0.0)
        self._stop = threading.Event()
        self._failing: set[str] = set()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end and wait for the job at hand; safe more than once."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(3.0)

    def _run(self) -> None:
        tries = 0
        while not self._stop.is_set():
            try:
                with db.connect(self._dsn) as conn:
                    conn.autocommit = True
                    for channel in sorted({channel for job in self._jobs for channel in job.on}):
                        conn.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
                    self._due = dict.fromkeys(self._due, 0.0)  # what was said while nobody listened
                    while not self._stop.is_set():
                        self._run_due(conn)
                        tries = 0
                        self._listen(conn)
            except psycopg.OperationalError as err:
                if tries == 0:
                    _LOG.warning("timed jobs wait for the database", error=str(err).strip())
                self._stop.wait(pause_s(tries))
                tries += 1

    def _run_due(self, conn: db.Connection) -> None:
        for job in self._jobs:
            if self._stop.is_set() or time.monotonic() < self._due[job.name]:
                continue
            self._due[job.name] = time.monotonic() + job.every_s
            try:
                with db.scoped(conn, db.CITY) as scoped:
                    is_more = job.run(scoped)
                job.after_commit()
                if is_more:
                    self._due[job.name] = 0.0  # after the others had their turn
                self._failing.discard(job.name)
            except (psycopg.Error, redis.RedisError, OSError) as err:
                if conn.closed:
                    raise
                if job.name not in self._failing:
                    _LOG.warning("timed job failed", job=job.name, error=f"{type(err).__name__}: {err}")
                self._failing.add(job.name)

    def _listen(self, conn: db.Connection) -> None:
        wait_s = min(LOOK_S, max(0.0, min(self._due.values()) - time.monotonic()))
        for notice in conn.notifies(timeout=wait_s, stop_after=1):
            for job in self._jobs:
                if notice.channel in job.on:
                    self._due[job.name] = 0.0
