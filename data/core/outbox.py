"""The outbox: what browsers are told, written in the transaction of what it tells.

Redis only carries the wake-up (`campus:outbox`); a reader that missed it finds the row by its number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import redis
from psycopg.types.json import Jsonb

from data.core import clock, db, queries

WAKE = "campus:outbox"  # pub/sub; the payload is the highest number after a commit

_SQL = queries.load("spine")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return clock.iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def dumps(value: object) -> str:
    """JSON as it leaves the product: times ISO-8601 UTC with microseconds, ids as text.

    Raises:
        TypeError: a value that has no JSON form.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)


def jsonb(value: object) -> Jsonb:
    """A parameter for a `jsonb` column, written by `dumps`."""
    return Jsonb(value, dumps=dumps)


def hold(conn: db.Connection) -> None:
    """Take the one order of outbox and chains until the commit.

    A transaction that locks rows and also writes here calls it first: two that took rows and order
    the other way round would wait for each other.
    """
    conn.execute(_SQL["hold_order"])


def put(
    conn: db.Connection,
    kind: str,
    requires: str,
    body: Mapping[str, Any],
    *,
    district_code: str | None = None,
    street_code: str | None = None,
    school_id: int | None = None,
) -> int:
    """Add one message and give its number, which is also its SSE id.

    Args:
        kind: `<noun>.changed`, one of those the live stream knows.
        requires: the permission a reader needs besides the scope.
        district_code, street_code, school_id: whose it is; all None is for everyone with the permission.
    """
    row = conn.execute(
        _SQL["put_outbox"],
        {
            "kind": kind,
            "requires": requires,
            "body": jsonb(dict(body)),
            "district_code": district_code,
            "street_code": street_code,
            "school_id": school_id,
        },
    ).fetchone()
    assert row is not None
    return int(row["seq"])


def put_many(conn: db.Connection, kind: str, requires: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add many messages of one kind in one statement, numbered in the given order.

    Args:
        rows: each with `body`, `district_code`, `street_code`, `school_id`.
    """
    if rows:
        conn.execute(_SQL["put_outbox_many"], {"kind": kind, "requires": requires, "rows": jsonb(list(rows))})


def wake(client: redis.Redis, seq: int) -> None:
    """Tell the web processes, after the commit, that there is something up to `seq`.

    Raises:
        redis.RedisError: nobody was told; readers find it at their next look all the same.
    """
    client.publish(WAKE, seq)


def trim(conn: db.Connection, *, hours: int) -> int:
    """Remove messages older than `hours`; a browser that was away longer gets a fresh snapshot. Gives how many went."""
    return conn.execute(_SQL["trim_outbox"], {"hours": hours}).rowcount
