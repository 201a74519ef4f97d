"""The pipe from workers to ingest: two Redis streams and one consumer group.

Redis is fast and may be lost at any moment: whoever publishes keeps the event until
`campus:mark:<source>` says that PostgreSQL has it, whoever reads acknowledges after its commit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import redis
import redis.backoff
import redis.retry

PANIC, EVENT = "campus:panic", "campus:event"  # the first is read before every batch of the second
STREAMS = (PANIC, EVENT)
GROUP = "ingest"
FIELD = "b"
MAX_LENGTH = 1_000_000  # a last resort; ingest removes what it has stored long before
SOCKET_TIMEOUT_S = 10.0  # longer than any block, or redis-py takes waiting for an answer as a dead server (redis-py#3138)
LONGEST_BLOCK_MS = 5_000


def mark_key(source: str) -> str:
    """Where ingest writes the number up to which PostgreSQL has everything of this source."""
    return f"campus:mark:{source}"


def floor_key(source: str) -> str:
    """Where a spool writes the number up to which it has forgotten: nothing at or below can come again."""
    return f"campus:floor:{source}"


def connect(url: str) -> redis.Redis:
    """A client with its own pool; answers are bytes.

    One repetition covers a connection that a restart has closed. Waiting longer is the caller's
    decision: a worker spools, a page says what it does not know.

    Raises:
        redis.RedisError: at the first command, when the server does not answer.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=2.0,
        health_check_interval=15,
        retry=redis.retry.Retry(redis.backoff.NoBackoff(), 1),
    )


def publish(client: redis.Redis, body: bytes, *, is_panic: bool) -> str:
    """Append one encoded event; on a pipeline the id is not known yet and "" is returned."""
    answer: Any = client.xadd(PANIC if is_panic else EVENT, {FIELD: body}, maxlen=MAX_LENGTH, approximate=True)
    return answer.decode() if isinstance(answer, bytes) else ""


def run_id(client: redis.Redis) -> str:
    """Which life of the server this is: another one may have lost what the last one acknowledged."""
    server: Any = client.info("server")
    return str(server["run_id"])


def floors(client: redis.Redis, sources: Iterable[str]) -> dict[str, int]:
    """The floors of those sources that have written one."""
    names = list(sources)
    found: Any = client.mget([floor_key(name) for name in names]) if names else []
    return {name: int(value) for name, value in zip(names, found, strict=True) if value is not None}


@dataclass(frozen=True, slots=True)
class Entry:
    """One stream entry as it came. `body` is None where the entry was trimmed while it was pending."""

    stream: str
    entry_id: str
    body: bytes | None


class Reader:
    """One consumer of the group. Not for several threads."""

    def __init__(self, client: redis.Redis, consumer: str, group: str = GROUP) -> None:
        self._redis, self._consumer, self._group = client, consumer, group
        self._is_rests_turn = False

    def ensure_groups(self) -> None:
        """Make streams and group where they are missing, from the beginning of the stream: nothing written before is skipped."""
        for name in STREAMS:
            try:
                self._redis.xgroup_create(name, self._group, id="0", mkstream=True)
            except redis.ResponseError as err:
                if "BUSYGROUP" not in str(err):
                    raise

    def read(self, max_count: int, block_ms: int) -> list[Entry]:
        """New entries, oldest first: panic alone when there is any, else up to `max_count` of the rest.

        Waits up to `block_ms` for the first one. Where more panic waits than one read gives, every second read gives
        the rest its turn: its events fill the gaps below the panic ones. An emptied Redis is met by making the group again.

        Raises:
            redis.RedisError: the server does not answer.
        """
        if not self._is_rests_turn:
            panic = self._read({PANIC: ">"}, max_count, None)
            self._is_rests_turn = len(panic) == max_count
            if panic:
                return panic
        self._is_rests_turn = False
        ordinary = self._read({EVENT: ">"}, max_count, None)
        if ordinary:
            return ordinary
        found = self._read({PANIC: ">", EVENT: ">"}, max_count, min(block_ms, LONGEST_BLOCK_MS)) if block_ms > 0 else []
        return sorted(found, key=lambda entry: entry.stream != PANIC)

    def _read(self, streams: dict[Any, Any], max_count: int, block_ms: int | None) -> list[Entry]:
        try:
            answer: Any = self._redis.xreadgroup(self._group, self._consumer, streams, count=max_count, block=block_ms)
        except redis.ResponseError as err:
            if "NOGROUP" not in str(err) and "UNBLOCKED" not in str(err):
                raise
            self.ensure_groups()
            answer = self._redis.xreadgroup(self._group, self._consumer, streams, count=max_count)
        pairs = answer.items() if isinstance(answer, dict) else answer or []
        return [entry for name, entries in pairs for entry in _entries(name, entries)]

    def pending_of_mine(self, max_count: int) -> list[Entry]:
        """What this consumer was given and has not acknowledged, panic first."""
        return [entry for name in STREAMS for entry in self._read({name: "0"}, max_count, None)]

    def reclaim(self, idle_ms: int, max_count: int = 500) -> list[Entry]:
        """Take over what any consumer was given more than `idle_ms` ago and did not acknowledge, panic first.

        Raises:
            redis.RedisError: the server does not answer.
        """
        found: list[Entry] = []
        for name in STREAMS:
            try:
                answer: Any = self._redis.xautoclaim(name, self._group, self._consumer, idle_ms, count=max_count)
            except redis.ResponseError as err:
                if "NOGROUP" not in str(err):
                    raise
                self.ensure_groups()
                continue
            found += _entries(name, answer[1])
        return found

    def ack(self, entries: Iterable[Entry], *, on: Any = None) -> None:
        """Acknowledge; `on` may be a pipeline to do it in."""
        by_stream: dict[str, list[str]] = {}
        for entry in entries:
            by_stream.setdefault(entry.stream, []).append(entry.entry_id)
        for name, ids in by_stream.items():
            (on or self._redis).xack(name, self._group, *ids)

    def sweep(self, idle_ms: int) -> None:
        """Forget consumers that were not heard for `idle_ms` and owe nothing (one with entries must stay: they would be lost)."""
        for name in STREAMS:
            consumers: Any = self._redis.xinfo_consumers(name, self._group)
            for consumer in consumers:
                if consumer["pending"] == 0 and consumer["idle"] > idle_ms:
                    self._redis.xgroup_delconsumer(name, self._group, consumer["name"])

    def lag(self) -> dict[str, int]:
        """How many entries of each stream are not acknowledged yet, given out or not; 0 where there is no group."""
        found: dict[str, int] = dict.fromkeys(STREAMS, 0)
        for name in STREAMS:
            try:
                groups: Any = self._redis.xinfo_groups(name)
            except redis.ResponseError:
                continue  # no such stream yet
            for group in groups:
                if group["name"] == self._group.encode():
                    found[name] = int(group["pending"]) + int(group.get("lag") or 0)
        return found

    def trim(self, older_than_ms: int) -> int:
        """Remove entries that are both acknowledged and older than `older_than_ms`; returns how many went."""
        gone = 0
        for name in STREAMS:
            try:
                groups: Any = self._redis.xinfo_groups(name)
            except redis.ResponseError:
                continue
            mine = [group for group in groups if group["name"] == self._group.encode()]
            if len(groups) != 1 or not mine:
                continue  # another group still reads: it decides for itself
            bound = _key(mine[0]["last-delivered-id"])
            if mine[0]["pending"]:
                pending: Any = self._redis.xpending(name, self._group)
                bound = min(bound, _key(pending["min"]))
            seconds: Any = self._redis.time()
            bound = min(bound, (seconds[0] * 1000 - older_than_ms, 0))
            gone += int(self._redis.xtrim(name, minid=f"{bound[0]}-{bound[1]}", approximate=True))  # pyright: ignore[reportArgumentType]
        return gone


def _key(entry_id: Any) -> tuple[int, int]:
    head, _, tail = (entry_id.decode() if isinstance(entry_id, bytes) else str(entry_id)).partition("-")
    return int(head), int(tail or 0)


def _entries(name: Any, entries: Any) -> list[Entry]:
    stream = name.decode() if isinstance(name, bytes) else str(name)
    return [
        Entry(stream, entry_id.decode(), (fields or {}).get(FIELD.encode()) if fields is not None else None) for entry_id, fields in entries
    ]
