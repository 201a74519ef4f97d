"""What ingest does by the clock: commands and configurations down, evidence that ages, data that has to go.

Every job finds what is due in the database, so it survives any restart and may run in two processes.
"""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import redis
import structlog

from data.core import clock, db, desired, outbox, queries, seal, stream
from data.core.schedule import Job, Schedule
from data.core.settings import Settings
from data.rooms import monitor, warning

TRAIL_DAYS = 30  # a named trail lives no longer (docs/reference/privacy.md)
OUTBOX_HOURS = 48  # a browser that was away longer gets a snapshot
STREAM_KEPT_MS = 600_000
REGISTER_KEPT_S = 900  # a worker forgets a register that nobody renews; so does Redis
REDIS_AWAY_SILENT_S = 60.0  # without Redis nobody can be heard; after this nothing is vouched for any more

_LOG = structlog.get_logger(__name__)
_SQL = queries.load("spine")


class Deadlines:
    """The jobs with what they share: a Redis client and the key that signs what workers shall do."""

    def __init__(self, settings: Settings) -> None:
        self._tz = settings.tz
        self._redis = stream.connect(settings.redis)
        self._reader = stream.Reader(self._redis, "deadlines")
        self._signer = desired.Signer.load_or_make(settings.secret_dir)
        self._key = seal.master_key(settings.master_key_file)
        self._answers_since: float | None = None  # since when Redis has answered without a break
        self._away_since = time.monotonic()

    def prompt_jobs(self) -> list[Job]:
        """What people or workers wait for: how often at least, and on which NOTIFY at once."""
        commands, configurations = frozenset({"campus_command"}), frozenset({"campus_desired"})
        return [
            self._job("commands", 1.0, self.send_commands, on=commands),
            self._job("expired-commands", 1.0, monitor.expire_commands),
            self._job("desired", 30.0, lambda conn: len(monitor.refresh_desired(conn)), on=configurations, is_told=False),
            self._job("published", 2.0, self.publish_desired, on=configurations, is_told=False),
            self._job("candidates", 2.0, warning.expire_candidates),
            self._job("entries", 10.0, lambda conn: len(warning.expire_entries(conn))),
            self._job("register", 60.0, self.publish_register, on=configurations, is_told=False),
            self._job("workers", 2.0, self.hear_workers, is_told=False),
            self._job("vouched", 2.0, monitor.follow_workers),
        ]

    def slow_jobs(self) -> list[Job]:
        """What may take its time; it must not hold up a siren."""
        return [
            self._job("cameras", 30.0, monitor.age_cameras),
            self._job("uptime", 3600.0, self.roll_uptime),
            self._job("trails", 3600.0, self.keep_trails),
            self._job("outbox", 600.0, lambda conn: outbox.trim(conn, hours=OUTBOX_HOURS), is_told=False),
            self._job("streams", 60.0, lambda conn: self._reader.trim(STREAM_KEPT_MS), is_told=False),
        ]

    def _job(self, name: str, every_s: float, run: Any, *, on: frozenset[str] = frozenset(), is_told: bool = True) -> Job:
        """A job whose truthy result means that browsers have something to read, a large one that there is more to do."""
        told = [False]

        def first(conn: db.Connection) -> bool:
            count = int(run(conn))
            told[0] = count > 0 and is_told
            return is_told and count >= monitor.AT_ONCE

        def then() -> None:
            if told[0]:
                outbox.wake(self._redis, 0)

        return Job(name=name, every_s=every_s, run=first, on=on, after_commit=then)

    def send_commands(self, conn: db.Connection) -> int:
        """Sign and send what nobody has sent. A crash before the commit sends it again under its number, which the worker refuses."""
        rows = monitor.commands_to_send(conn)
        for row in rows:
            worker = row.pop("worker")
            self._signer.command(self._redis, worker, row)
        if rows:
            monitor.mark_sent(conn, [row["command_id"] for row in rows])
        return len(rows)

    def publish_desired(self, conn: db.Connection) -> int:
        """Put every configuration in force that Redis does not hold in its present version."""
        for row in monitor.desired_versions(conn):
            held: Any = self._redis.hget(f"campus:desired:{row['worker']}", "version")
            if held is None or int(held) != row["version"]:
                self._signer.publish(self._redis, row["worker"], monitor.desired_body(conn, row["worker"]), row["version"])
        return 0

    def publish_register(self, conn: db.Connection) -> int:
        """Give every vision worker the register it may compare with now, sealed for it alone; a minute old at most."""
        for row in monitor.desired_versions(conn):
            if row["has_cameras"]:
                sealed = warning.sealed_register(conn, row["worker"], self._key)
                self._redis.set(f"campus:register:{row['worker']}", sealed, ex=REGISTER_KEPT_S)
        return 0

    def hear_workers(self, conn: db.Connection) -> int:
        """Take the heartbeats; workers that are not heard vouch for nothing."""
        names = [row["worker"] for row in monitor.desired_versions(conn)]
        try:
            said: Any = self._redis.mget([f"campus:worker:{name}" for name in names]) if names else []
        except redis.RedisError:
            if self._answers_since is not None:
                self._answers_since, self._away_since = None, time.monotonic()
            if time.monotonic() - self._away_since < REDIS_AWAY_SILENT_S:
                return 0
            return len(monitor.miss_workers(conn, [], silent_s=REDIS_AWAY_SILENT_S))
        self._answers_since = self._answers_since or time.monotonic()
        heard = {name: _beat(value) for name, value in zip(names, said, strict=True) if value is not None}
        for name, beat in heard.items():
            monitor.hear_worker(conn, name, beat)
        if time.monotonic() - self._answers_since >= monitor.SILENT_S:  # after a start or a break everybody gets the time to speak
            return len(monitor.miss_workers(conn, heard, silent_s=monitor.SILENT_S))
        return 0

    def roll_uptime(self, conn: db.Connection) -> int:
        """Count yesterday to its end and today so far."""
        today = clock.now().astimezone(self._tz).date()
        for day in (today - timedelta(days=1), today):
            monitor.roll_uptime(conn, day, self._tz.key)
        return 0

    def keep_trails(self, conn: db.Connection) -> int:
        """Make the months of positions that come; drop every trail older than `TRAIL_DAYS`."""
        conn.execute(_SQL["keep_fix_months"], {"keep_days": TRAIL_DAYS})
        gone = conn.execute(_SQL["forget_old_fixes"], {"keep_days": TRAIL_DAYS}).rowcount
        if gone:
            _LOG.info("old trails deleted", fixes=gone)
        return 0


def _beat(said: bytes) -> dict[str, Any]:
    try:
        beat = json.loads(said)
    except ValueError:
        return {}
    return beat if isinstance(beat, dict) else {}


def schedules_of(settings: Settings) -> list[Schedule]:
    """The timed jobs of the role `ingest`, not yet started: the prompt ones and the slow ones, each on a thread of its own."""
    work = Deadlines(settings)
    return [Schedule(settings.app_dsn, work.prompt_jobs(), name="prompt"), Schedule(settings.app_dsn, work.slow_jobs(), name="slow")]
