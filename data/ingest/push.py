"""After a commit: tell the web and the spools. All of it may be lost; the truth is in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import redis

from data.core import outbox, stream

MOVED = "campus:moved"  # pub/sub; positions are a state, not history


def after_commit(
    client: redis.Redis,
    reader: stream.Reader,
    *,
    outbox_seq: int,
    marks: Mapping[str, int],
    entries: Iterable[stream.Entry],
    to_remove: Iterable[stream.Entry],
    moved: Iterable[Mapping[str, Any]] = (),
) -> None:
    """Wake the web first, then the spools, then acknowledge, in one round trip.

    Args:
        outbox_seq: the highest number written, 0 for none.
        marks: for each source the number up to which PostgreSQL has everything.
        entries: what is now stored or buried.
        to_remove: those of them that must not stay in the stream (a face in it).
        moved: units in new places.
    Raises:
        redis.RedisError: Redis is away; the entries come again and change nothing.
    """
    pipe = client.pipeline(transaction=False)
    if outbox_seq:
        pipe.publish(outbox.WAKE, outbox_seq)
    for unit in moved:
        pipe.publish(MOVED, outbox.dumps(unit))
    write_marks(pipe, marks)
    reader.ack(entries, on=pipe)
    for entry in to_remove:
        pipe.xdel(entry.stream, entry.entry_id)
    pipe.execute()


def write_marks(client: redis.Redis, marks: Mapping[str, int]) -> None:
    """Say for each source up to which number its spool may forget."""
    for source, seq in marks.items():
        client.set(stream.mark_key(source), seq)
