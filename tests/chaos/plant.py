"""The plant under attack: emitter, two consumers, Redis and PostgreSQL, each a process of its own that can be killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.rows import dict_row

from data.core import embedded
from data.core.events import event_id_of
from data.core.settings import Settings

ROOT = Path(__file__).parents[2]
CONSUMERS = ("one", "two")


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What came of what was emitted: `lost` events, `doubled` effects, `waiting` in the spool."""

    emitted: int
    stored: int
    lost: int
    doubled: int
    waiting: int


class Plant:
    """Starts, kills and counts. Every kill takes the real process id and proves that another one runs afterwards."""

    def __init__(self, settings: Settings, *, rate: float = 60.0, is_replayed: bool = True) -> None:
        self.settings, self.rate, self.is_replayed = settings, rate, is_replayed
        self.servers = embedded.Servers(settings)
        self.spool_dir = settings.data_dir / "chaos"
        self.spool_dir.mkdir(exist_ok=True)
        self.kills: dict[str, int] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._log = (settings.data_dir / "log" / "chaos.log").open("ab")

    def start(self, name: str) -> int:
        """Start one part if it does not run; gives its process id."""
        if name in ("redis", "postgres"):
            self.servers.start()
            pid = self.servers.pid(name)
            assert pid is not None
            return pid
        running = self._processes.get(name)
        if running is None or running.poll() is not None:
            words = {
                "emitter": ["tests.chaos.emitter", str(self.spool_dir), self.settings.redis, str(self.rate), str(int(self.is_replayed))]
            }.get(name, ["tests.chaos.consume", name])
            env = {**os.environ, "DATA_DIR": str(self.settings.data_dir), "DEMO": "0"}
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", *words], cwd=ROOT, env=env, stdout=self._log, stderr=subprocess.STDOUT
            )
        return self._processes[name].pid

    def pid(self, name: str) -> int | None:
        if name in ("redis", "postgres"):
            return self.servers.pid(name)
        running = self._processes.get(name)
        return running.pid if running is not None and running.poll() is None else None

    def kill(self, name: str) -> int:
        """kill -9, without a chance to tidy up; PostgreSQL with all its children. Gives the process id that is gone."""
        pid = self.pid(name)
        assert pid is not None, f"{name} does not run: there is nothing to kill"
        family = [psutil.Process(pid)]
        if name == "postgres":
            family += family[0].children(recursive=True)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        if name in self._processes:
            self._processes.pop(name).wait(5)
        until = time.monotonic() + 5
        while any(embedded.alive(process.pid) for process in family):
            assert time.monotonic() < until, f"{name} survived kill -9"
            time.sleep(0.01)
        self.kills[name] = self.kills.get(name, 0) + 1
        return pid

    def restart(self, name: str, was: int) -> None:
        """Start it again and prove that this is another process."""
        assert self.start(name) != was

    def end(self, name: str) -> None:
        """Ask a process to end and wait for it."""
        process = self._processes.pop(name, None)
        if process is not None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close(self) -> None:
        for name in list(self._processes):
            self.end(name)
        self.servers.stop()
        self._log.close()

    # Redis and its memory

    def aof(self) -> Path:
        """The part of Redis' append-only file that is being written."""
        return max((self.settings.data_dir / "redis" / "appendonlydir").glob("*.incr.aof"), key=lambda path: path.name)

    def cut_tail(self, size: int) -> int:
        """Take up to `size` bytes off the end of the append-only file of a dead Redis: what a power cut does. Gives how many."""
        path = self.aof()
        cut = min(size, path.stat().st_size)
        os.truncate(path, path.stat().st_size - cut)
        return cut

    def forget_all(self) -> None:
        """The whole data directory of a dead Redis is gone."""
        shutil.rmtree(self.settings.data_dir / "redis")

    # What came of it

    def emitted(self) -> int:
        """The number of the last event that is safe in the spool."""
        return self._spool("select coalesce(max(value), '0') from baseline where key = 'number'")

    def _spool(self, query: str, *values: object) -> int:
        with contextlib.closing(sqlite3.connect(self.spool_dir / "emitter.sqlite", timeout=5)) as spool:
            return int(spool.execute(query, values).fetchone()[0])

    def ask(self, query: Any) -> dict[str, Any]:
        with psycopg.connect(self.settings.owner_dsn, row_factory=dict_row, autocommit=True) as conn:
            row: Any = conn.execute(query).fetchone()
        return row

    def drain(self, *, patience_s: float = 30.0) -> None:
        """Let everything run in peace until all is stored and forgotten, or nothing has moved for `patience_s`."""
        self.end("emitter")  # it flushes; what is left, the next life sends
        wanted = self.emitted()
        for name in ("redis", "postgres", *CONSUMERS):
            self.start(name)
        self.rate = 0.001
        self.start("emitter")
        seen, until = (-1, -1), time.monotonic() + patience_s
        while time.monotonic() < until:
            now = (self.ask("select count(*) as n from event")["n"], self._spool("select count(*) from event where seq > 0"))
            if now == (wanted, 0):
                break
            if now != seen:
                seen, until = now, time.monotonic() + patience_s
            time.sleep(0.1)
        self.end("emitter")

    def count(self) -> Count:
        """Compare what was emitted with what PostgreSQL holds and what it has done because of it."""
        emitted = self.emitted()
        with psycopg.connect(self.settings.owner_dsn, autocommit=True) as conn:
            stored = {row[0] for row in conn.execute("select event_id from event")}
            effects = conn.execute("""
                select (select count(*) from event where kind = 'alarm.raised'),
                       (select coalesce(sum(presses), 0)::bigint from alarm),
                       (select count(*) from alarm_step where act in ('raised', 'pressed')),
                       (select count(*) from outbox where kind = 'alarm.changed'),
                       (select count(*) from (select from alarm where state <> 'closed' group by point_id having count(*) > 1) twice)
            """).fetchone()
        assert effects is not None
        presses, counted, steps, told, twice = effects
        wanted = {event_id_of("chaos", number) for number in range(1, emitted + 1)}
        waiting = self._spool("select count(*) from event")
        doubled = abs(counted - presses) + abs(steps - presses) + abs(told - presses) + twice + len(stored - wanted)
        return Count(emitted=emitted, stored=len(stored), lost=len(wanted - stored), doubled=doubled, waiting=waiting)
