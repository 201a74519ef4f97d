"""The one reader of the event streams: from Redis into PostgreSQL, then to the web.

Redis may forget and PostgreSQL may go away. An entry is acknowledged after the commit that holds it, a commit
holds an event once by its id, and a spool forgets only what `campus:mark:<source>` covers. So whatever is killed, and in
whatever order, every event is stored, applied and told exactly once. Several consumers may run, on one host or many.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg
import redis
import structlog
from psycopg import errors

from data.core import clock, db, events, queries, schedule, stream
from data.core.settings import Settings
from data.ingest import deadlines, handlers, push

HEARTBEAT = "ingest"
BATCH = 100  # ordinary events of one transaction; a panic event waits for at most one of them
PANIC_BATCH = 10  # a press is alone in its commit unless others wait with it
BLOCK_MS = 500  # how long a stop may take while nothing comes
RECLAIM_IDLE_MS = 5_000  # another consumer that has not acknowledged for so long is dead or stuck
LOOK_S = 1.0  # how often we look whether Redis is another one and whether others' entries wait
SWEEP_IDLE_MS = 3_600_000  # a consumer that was not heard for so long and owes nothing is forgotten
LOCK_TIMEOUT_MS, STATEMENT_TIMEOUT_MS = 10_000, 30_000
MOST_BREAKS = 5  # of the connection by the same work; PostgreSQL being killed does not hit one batch so often
HEARTBEAT_TTL_S = 10

# The database is there but not ours to use yet: a migration is under way. Waiting is right, dead letters would be wrong.
_NOT_READY = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.UndefinedFunction,
    errors.InsufficientPrivilege,
    errors.ReadOnlySqlTransaction,
)
_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, *_NOT_READY)

T = TypeVar("T")
_LOG = structlog.get_logger(__name__)
_SQL = queries.load("spine")


@dataclass(slots=True)
class _Batch:
    """Entries of one transaction with what they say."""

    entries: list[stream.Entry] = field(default_factory=list)
    events: list[events.Event] = field(default_factory=list)
    seen: dict[str, list[int]] = field(default_factory=dict)  # numbers by source
    to_remove: list[stream.Entry] = field(default_factory=list)

    @classmethod
    def of(cls, entry: stream.Entry, event: events.Event) -> _Batch:
        batch = cls()
        batch.add(entry, event)
        return batch

    def add(self, entry: stream.Entry, event: events.Event) -> None:
        self.entries.append(entry)
        self.events.append(event)
        if event.seq > 0:  # 0: it never was in a spool
            self.seen.setdefault(event.source, []).append(event.seq)
        if handlers.has_transient(event):
            self.to_remove.append(entry)


class _Breaks(Exception):
    """The same work broke the connection, or ran out of time, again and again while the database was there: it is the work."""


class Consumer:
    """Reads, stores, acknowledges, until `stop`. One thread, one database connection, one Redis client.

    Args:
        name: of this consumer in the group. A process that takes over the name of a dead one takes over its entries
            at once; those of other names after `RECLAIM_IDLE_MS`.
        check: called every second; what it raises ends the loop.
    """

    def __init__(self, settings: Settings, name: str, *, check: Callable[[], object] = lambda: None) -> None:
        self._dsn, self._name, self._check = settings.app_dsn, name, check
        self._limits = {
            "lock_ms": str(LOCK_TIMEOUT_MS),
            "statement_ms": str(STATEMENT_TIMEOUT_MS),
            "candidate_minutes": str(settings.candidate_minutes),
        }
        self._redis = stream.connect(settings.redis)
        self._reader = stream.Reader(self._redis, name)
        self._conn: db.Connection | None = None
        self._stop = threading.Event()
        self._run_id = ""
        self._look_at = 0.0
        self._marks: dict[str, int] = {}
        self.stored = 0

    def stop(self) -> None:
        """Ask the loop to end; safe from any thread and signal handler, more than once."""
        self._stop.set()

    def run(self) -> None:
        """Consume until `stop`; what is at hand is finished first if the database answers."""
        tries = 0
        try:
            while not self._stop.is_set():
                try:
                    if time.monotonic() >= self._look_at:
                        self._look()
                    self._take(self._reader.read(BATCH, BLOCK_MS))
                    if tries:
                        _LOG.info("redis answers again")
                    tries = 0
                except redis.RedisError as err:
                    if tries == 0:
                        _LOG.warning("redis does not answer", error=str(err))
                    self._run_id, self._look_at = "", 0.0
                    self._stop.wait(schedule.pause_s(tries))
                    tries += 1
        finally:
            self._drop()
            self._redis.close()

    def _look(self) -> None:
        """Every second: greet a new Redis, say that we live, take over what others left undone."""
        self._check()
        run_id = stream.run_id(self._redis)
        if run_id != self._run_id:
            self._greet()
            self._run_id = run_id
        self._lift_marks()
        beat = {"source": "ingest", "at": clock.iso(clock.now()), "pid": os.getpid(), "stored": self.stored, "waiting": self._reader.lag()}
        self._redis.set(f"campus:worker:{HEARTBEAT}", json.dumps(beat), ex=HEARTBEAT_TTL_S)
        self._take(self._reader.reclaim(RECLAIM_IDLE_MS, BATCH))
        self._look_at = time.monotonic() + LOOK_S

    def _greet(self) -> None:
        """A Redis we do not know, or do not know to have kept everything: groups, marks, and our own unfinished entries."""
        self._reader.ensure_groups()
        self._reader.sweep(SWEEP_IDLE_MS)
        self._marks = self._persist(lambda conn: {row["source"]: row["seq"] for row in conn.execute(_SQL["marks"])}) or {}
        push.write_marks(self._redis, self._marks)
        while not self._stop.is_set():
            mine = self._reader.pending_of_mine(BATCH)
            if not mine:
                return
            self._take(mine)

    def _lift_marks(self) -> None:
        """Close gaps that can never be filled: a spool says below which number it holds nothing (a restored database asks for more)."""
        floors = stream.floors(self._redis, self._marks)
        for source, floor in floors.items():
            if floor > self._marks[source]:
                lifted = self._persist(lambda conn, source=source, floor=floor: _mark(conn, {source: []}, floor))
                self._marks.update(lifted or {})
                push.write_marks(self._redis, lifted or {})

    # From entries to commits

    def _take(self, entries: Sequence[stream.Entry]) -> None:
        """Store entries, panic first and a few at a time, the rest together; whatever cannot be stored is buried."""
        panic, ordinary = _Batch(), _Batch()
        for entry in entries:
            event = self._read(entry)
            if event is None:
                continue
            if entry.stream != stream.PANIC:
                ordinary.add(entry, event)
                continue
            panic.add(entry, event)
            if len(panic.entries) == PANIC_BATCH:
                self._commit(panic)
                panic = _Batch()
        for batch in (panic, ordinary):
            if batch.entries:
                self._commit(batch)

    def _read(self, entry: stream.Entry) -> events.Event | None:
        """The event of an entry; None for one that is buried, or that was trimmed while it was pending."""
        if entry.body is None:
            self._reader.ack([entry])
            return None
        try:
            return events.decode(entry.body)
        except events.MalformedEvent as err:
            self._bury(entry, err)
            return None

    def _commit(self, batch: _Batch) -> None:
        """Store a batch in one transaction; if one of its events is poison, each in its own."""

        def work(conn: db.Connection) -> tuple[handlers.Stored, dict[str, int]]:
            return handlers.store(conn, batch.events), _mark(conn, batch.seen)

        try:
            done = self._persist(work)
        except (*handlers.POISON, _Breaks) as err:
            if len(batch.entries) == 1:
                self._bury(batch.entries[0], err)
            else:
                for entry, event in zip(batch.entries, batch.events, strict=True):
                    self._commit(_Batch.of(entry, event))
            return
        if done is not None:
            stored, marks = done
            self.stored += stored.new
            self._tell(stored, marks, batch.entries, batch.to_remove)

    def _bury(self, entry: stream.Entry, err: Exception) -> None:
        body, reason = entry.body or b"", handlers.reason_of(err)
        seen = _numbers(body)

        def work(conn: db.Connection) -> tuple[int, dict[str, int]]:
            return handlers.bury(conn, entry.stream, entry.entry_id, body, reason), _mark(conn, seen)

        _LOG.warning("dead letter", stream=entry.stream, entry=entry.entry_id, reason=reason)
        done = self._persist(work)
        if done is not None:
            self._tell(handlers.Stored(0, done[0]), done[1], [entry], [entry])

    def _tell(
        self, stored: handlers.Stored, marks: dict[str, int], entries: Sequence[stream.Entry], to_remove: Sequence[stream.Entry]
    ) -> None:
        self._marks.update(marks)
        push.after_commit(
            self._redis, self._reader, outbox_seq=stored.outbox_seq, marks=marks, entries=entries, to_remove=to_remove, moved=stored.moved
        )

    # The database, there or not

    def _persist(self, work: Callable[[db.Connection], T]) -> T | None:
        """Run `work` in one transaction until it is committed: entries stay pending while the database is away.

        Returns:
            What `work` gave; None when we were stopped before it could be done.
        Raises:
            One of `handlers.POISON`, or `_Breaks`: rolled back, and trying again is no use.
        """
        tries = breaks = 0
        while True:
            try:
                conn = self._database()
                try:
                    with db.scoped(conn, db.CITY) as scoped:
                        done = work(scoped)
                except psycopg.OperationalError as err:
                    breaks += conn.broken or isinstance(err, errors.QueryCanceled)
                    raise
                if tries:
                    _LOG.info("the database answers again", tries=tries)
                return done
            except _AWAY as err:
                self._drop()
                if tries == 0:
                    _LOG.warning("the database does not take it; entries wait", error=f"{type(err).__name__}: {str(err).strip()}")
                if breaks >= MOST_BREAKS:
                    raise _Breaks(f"broke the connection {breaks} times: {err}") from err
                if self._stop.wait(schedule.pause_s(tries)):
                    return None
                tries += 1

    def _database(self) -> db.Connection:
        if self._conn is None or self._conn.closed:
            self._conn = db.connect(self._dsn)
            self._conn.autocommit = True
            self._conn.execute(_SQL["wait_at_most"], self._limits)
        return self._conn

    def _drop(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None


def _mark(conn: db.Connection, seen: dict[str, list[int]], floor: int = 0) -> dict[str, int]:
    marks: dict[str, int] = {}
    for source, seqs in sorted(seen.items()):
        row = conn.execute(_SQL["mark_source"], {"source": source, "seqs": seqs, "floor": floor}).fetchone()
        assert row is not None
        marks[source] = row["mark"]
    return marks


def _numbers(body: bytes) -> dict[str, list[int]]:
    """Source and number of an event we cannot read, if they can be read all the same: its spool may forget it once it is buried."""
    try:
        raw = json.loads(body)
        source, seq = raw["source"], raw["seq"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    is_number = isinstance(seq, int) and not isinstance(seq, bool) and 0 < seq < 2**63
    return {source: [seq]} if isinstance(source, str) and "\x00" not in source and is_number else {}


def run(settings: Settings) -> None:
    """The role `ingest`: consume and do the timed jobs until SIGTERM or SIGINT."""
    timed = deadlines.schedules_of(settings)

    def check() -> None:
        if not all(jobs.is_alive for jobs in timed):
            raise RuntimeError("timed jobs have ended")  # a side task that dies ends the process, visibly

    consumer = Consumer(settings, f"ingest-{socket.gethostname()}", check=check)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: consumer.stop())
    for jobs in timed:
        jobs.start()
    try:
        consumer.run()
    finally:
        for jobs in timed:
            jobs.stop()
