"""The spool: an event is safe on the worker's disk before anyone else hears of it.

SQLite in WAL mode with synchronous=FULL: when `append` returns, the event and the new baselines (counter values, input
levels) survive a power cut together, so a press is never forgotten and never seen twice. A row is forgotten only when
PostgreSQL is known to have it: ingest writes the highest such number to `campus:mark:<source>` after its commit. Until
then `Sender` sends it again whenever Redis may have lost it (another run_id, its own key gone, a fresh start);
the event id makes the repetition harmless.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
import structlog

from data.core import events, stream

_LOG = structlog.get_logger(__name__)

Baseline = Mapping[str, bytes | str | int]

BATCH = 200  # events of one pipeline; a panic event that arrives meanwhile waits for at most one of them
LOOK_S = 0.2  # how often the mark is read while nothing arrives
RUN_ID_S = 1.0  # how often Redis is asked whether it is still the same process
FORGET_S = 1.0  # at most one checkpoint per second: each is a few fsyncs
LONGEST_PAUSE_S = 2.0

_SCHEMA = """
create table if not exists event (
  seq integer primary key autoincrement,
  event_id text not null unique,
  is_panic integer not null,
  body blob not null
);
create index if not exists event_waiting on event (is_panic, seq);
create table if not exists baseline (key text primary key, value text not null) without rowid;
"""


class SpoolFull(OSError):
    """The disk (or the quota) holds no more events; nothing was stored, polling must go on."""


def _is_full(err: sqlite3.Error) -> bool:
    # A quota or a file size limit shows as an I/O error of the write, a full disk as SQLITE_FULL.
    return (getattr(err, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def _text(value: bytes | str | int) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class Spool:
    """The events of one source that are not yet known to be in PostgreSQL; safe to use from several threads.

    Attributes:
        path: the SQLite file; its folder is made when missing.
        source: the worker, e.g. `devices-1`.
        set_aside: where a damaged spool file was moved at the start, None for a sound one.
        arrived: set whenever something was appended.
    """

    def __init__(self, path: Path, source: str) -> None:
        self.path, self.source = path, source
        self.set_aside: Path | None = None
        self.arrived = threading.Event()
        self._lock = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = self._open()
        except sqlite3.DatabaseError as err:
            if getattr(err, "sqlite_errorcode", 0) not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise
            # A worker must start whatever its disk did; the damaged file is kept for a person to look at.
            self.set_aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
            path.rename(self.set_aside)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5)
        try:
            db.execute("pragma journal_mode = wal")
            db.execute("pragma synchronous = full")
            db.execute("pragma secure_delete = on")  # a forgotten picture leaves the file, not only its index
            if db.execute("pragma quick_check").fetchone()[0] != "ok":
                raise _corrupt()
            db.executescript(_SCHEMA)
        except sqlite3.Error:
            db.close()
            raise
        self.path.chmod(0o600)
        return db

    def close(self) -> None:
        """Close the file; what is in it stays."""
        with self._lock:
            self._db.close()

    def append(self, event: events.Event, *, baseline: Baseline | None = None) -> events.Event:
        """Store one event (and new baselines) durably; see `extend`."""
        return self.extend([event], baseline=baseline)[0]

    def extend(self, batch: Iterable[events.Event], *, baseline: Baseline | None = None) -> list[events.Event]:
        """Store events and baselines in one transaction.

        Returns:
            The events with `seq` and `spooled_at`, in order; for an id already here, the stored event.
        Raises:
            SpoolFull: the disk is full; neither events nor baselines were stored.
        """
        stored: list[events.Event] = []
        with self._lock:
            self._begin()
            try:
                for event in batch:
                    stored.append(self._insert(event))
                self._remember(baseline or {})
                self._db.execute("commit")
            except sqlite3.Error as err:
                self._roll_back()
                if _is_full(err):
                    raise SpoolFull(str(err)) from err
                raise
        if stored:
            self.arrived.set()
        return stored

    def remember(self, baseline: Baseline) -> None:
        """Store baselines without an event (an input that only came to rest).

        Raises:
            SpoolFull: the disk is full.
        """
        self.extend([], baseline=baseline)

    def _begin(self) -> None:
        try:
            self._db.execute("begin immediate")
        except sqlite3.Error as err:
            if _is_full(err):
                raise SpoolFull(str(err)) from err
            raise

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # SQLite has already done it for some errors, SQLITE_FULL among them
            self._db.execute("rollback")

    def _insert(self, event: events.Event) -> events.Event:
        row = self._db.execute("select body from event where event_id = ?", (event.event_id,)).fetchone()
        if row:
            return events.decode(row[0])
        seq = self._next_seq()
        event = replace(event, seq=seq, spooled_at=datetime.now(UTC))
        self._db.execute(
            "insert into event (seq, event_id, is_panic, body) values (?, ?, ?, ?)",
            (seq, event.event_id, event.kind in events.PANIC_KINDS, events.encode(event)),
        )
        return event

    def _next_seq(self) -> int:
        return self._last_seq() + 1

    def _last_seq(self) -> int:
        row = self._db.execute("select seq from sqlite_sequence where name = 'event'").fetchone()
        return row[0] if row else 0

    def _remember(self, baseline: Baseline) -> None:
        self._db.executemany(
            "insert into baseline (key, value) values (?, ?) on conflict (key) do update set value = excluded.value",
            [(key, _text(value)) for key, value in baseline.items()],
        )

    def baseline(self, key: str) -> str | None:
        """The value stored last under `key`, None when there never was one."""
        with self._lock:
            row = self._db.execute("select value from baseline where key = ?", (key,)).fetchone()
        return row[0] if row else None

    def baselines(self, prefix: str) -> dict[str, str]:
        """Every baseline whose key begins with `prefix`."""
        with self._lock:
            rows = self._db.execute("select key, value from baseline where key >= ? and key < ?", (prefix, prefix + "\U0010ffff"))
            return dict(rows.fetchall())

    def unsent(self, after_seq: int, limit: int, *, is_panic: bool | None = None) -> list[tuple[int, bytes]]:
        """(seq, body) of the oldest events above `after_seq`; of both streams unless `is_panic` says which."""
        with self._lock:
            if is_panic is None:
                rows = self._db.execute("select seq, body from event where seq > ? order by seq limit ?", (after_seq, limit))
            else:
                rows = self._db.execute(
                    "select seq, body from event where is_panic = ? and seq > ? order by seq limit ?", (is_panic, after_seq, limit)
                )
            return rows.fetchall()

    def forget(self, through_seq: int) -> None:
        """Drop the events up to `through_seq`: PostgreSQL has them. Their bytes leave the file and its log."""
        with self._lock:
            try:
                self._db.execute("delete from event where seq <= ?", (through_seq,))
                self._db.execute("pragma wal_checkpoint(truncate)").fetchall()
            except sqlite3.Error as err:
                self._roll_back()
                if not _is_full(err):
                    raise
                _LOG.warning("the disk is full: the spool cannot forget yet")

    def adopt(self, mark: int) -> bool:
        """Number everything here above `mark`, once in the life of this file.

        A file that was lost and made anew counts from 1 while PostgreSQL remembers a higher mark of this source: without
        this, new events would be taken for stored ones. Returns True when numbers changed (all must be sent again).
        """
        with self._lock:
            if self.baseline("spool.adopted") is not None:
                return False
            rows = self._db.execute("select seq, body from event order by seq desc").fetchall()
            last = self._last_seq()
            self._begin()
            try:
                for seq, body in rows:  # from the top, so that no number is taken twice
                    moved = replace(events.decode(body), seq=seq + mark)
                    self._db.execute("update event set seq = ?, body = ? where seq = ?", (moved.seq, events.encode(moved), seq))
                self._db.execute("delete from sqlite_sequence where name = 'event'")
                self._db.execute("insert into sqlite_sequence (name, seq) values ('event', ?)", (last + mark,))
                self._remember({"spool.adopted": mark})
                self._db.execute("commit")
            except sqlite3.Error as err:
                self._roll_back()
                if _is_full(err):
                    raise SpoolFull(str(err)) from err
                raise
        return bool(rows) and mark > 0

    @property
    def last_seq(self) -> int:
        """The highest number given so far, 0 for a new spool; it never falls, whatever is forgotten."""
        with self._lock:
            return self._last_seq()

    @property
    def floor(self) -> int:
        """The number up to which everything is forgotten."""
        with self._lock:
            first = self._db.execute("select min(seq) from event").fetchone()[0]
            return first - 1 if first else self._last_seq()

    @property
    def waiting(self) -> int:
        """Events not yet known to be in PostgreSQL."""
        with self._lock:
            return self._db.execute("select count(*) from event").fetchone()[0]


def _corrupt() -> sqlite3.DatabaseError:
    err = sqlite3.DatabaseError("quick_check found damage")
    err.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return err


class Sender:
    """Carries a spool to Redis in a thread of its own, panic first, and again when Redis may have forgotten.

    Args:
        client: a Redis connection pool of its own (`stream.connect`).
        replay: False leaves out the sending again; a test uses it to prove that it is needed.
    """

    def __init__(self, spool: Spool, client: redis.Redis, *, replay: bool = True) -> None:
        self._spool, self._redis, self._replay = spool, client, replay
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._mark_key, self._floor_key = stream.mark_key(spool.source), stream.floor_key(spool.source)
        self._seen_key = f"campus:seen:{spool.source}"  # ours alone: when it is gone, Redis lost its data without a restart
        self._run_id = ""
        self._run_id_at = self._forgot_at = 0.0
        self._forgotten = 0
        self._sent = {is_panic: 0 if replay else int(spool.baseline(f"spool.sent.{is_panic}") or 0) for is_panic in (True, False)}

    def start(self) -> None:
        """Begin sending; everything above the mark goes out again first."""
        self._thread = threading.Thread(target=self._run, name=f"sender-{self._spool.source}", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 3.0) -> None:
        """Send what is waiting if Redis answers, then end; safe to call more than once."""
        self._stopping.set()
        self._spool.arrived.set()
        if self._thread:
            self._thread.join(timeout_s)

    @property
    def is_alive(self) -> bool:
        """False when the thread ended, wanted or not: the worker's heartbeat looks at it."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        pause_s, is_down = 0.05, False
        while True:
            is_last = self._stopping.is_set()
            try:
                self._watch()
                self._send()
                self._forget()
                if is_down:
                    _LOG.info("redis answers again", source=self._spool.source)
                pause_s, is_down = 0.05, False
            except (redis.RedisError, sqlite3.Error, SpoolFull) as err:
                if not is_down:  # once: an hour without Redis must not fill the log
                    _LOG.warning("events wait in the spool", source=self._spool.source, error=str(err))
                is_down = True
                self._run_id_at = 0.0
                self._stopping.wait(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            if is_last:
                return
            if not is_down:
                self._spool.arrived.wait(LOOK_S)
                self._spool.arrived.clear()

    def _watch(self) -> None:
        """Find out whether Redis is the one that got what we sent; if not, begin again at the mark."""
        if time.monotonic() - self._run_id_at < RUN_ID_S:
            return
        run_id = stream.run_id(self._redis)
        is_known = run_id == self._run_id and self._redis.exists(self._seen_key)
        mark = self._mark()
        if mark is not None and self._spool.adopt(mark):
            is_known = False
            self._sent = {is_panic: seq + mark for is_panic, seq in self._sent.items()}
        if not is_known:
            if self._replay:
                self._sent = {True: mark or 0, False: mark or 0}
            self._redis.set(self._floor_key, self._spool.floor)
            self._redis.set(self._seen_key, run_id)
        self._run_id, self._run_id_at = run_id, time.monotonic()

    def _mark(self) -> int | None:
        value: Any = self._redis.get(self._mark_key)
        return int(value) if value is not None else None

    def _send(self) -> None:
        while True:
            is_panic = True
            batch = self._spool.unsent(self._sent[True], BATCH, is_panic=True)
            if not batch:
                is_panic = False
                batch = self._spool.unsent(self._sent[False], BATCH, is_panic=False)
            if not batch:
                return
            pipe = self._redis.pipeline(transaction=False)
            for _, body in batch:
                stream.publish(pipe, body, is_panic=is_panic)
            pipe.execute()
            self._sent[is_panic] = batch[-1][0]
            if not self._replay:
                self._spool.remember({f"spool.sent.{is_panic}": self._sent[is_panic]})

    def _forget(self) -> None:
        if time.monotonic() - self._forgot_at < FORGET_S:
            return
        self._forgot_at = time.monotonic()
        mark = self._mark()
        if mark is None or mark <= self._forgotten or self._spool.baseline("spool.adopted") is None:
            return
        self._spool.forget(mark)
        self._redis.set(self._floor_key, self._spool.floor)
        self._forgotten = mark
