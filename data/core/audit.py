"""Who did what: append-only, hash-chained, and the proof that nobody has changed it.

Two chains have the same form: `audit` (acts of people) and `alarm_step` (the history of every
alarm). The database's triggers write the hashes; `verify` computes them again on its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from data.core import db, outbox, queries
from data.core.access import Principal
from data.core.settings import Settings

CHAINS = ("audit", "alarm_step")
_FIRST = b"\x00"

_SQL = queries.load("spine")


@dataclass(frozen=True, slots=True)
class Break:
    """The first place where a chain does not hold.

    Attributes:
        chain: `audit` or `alarm_step`.
        seq: the row, or the one that should have been there.
        reason: `changed` (its text), `missing` (a row before it), `unlinked` (the hash before it), `cut` (rows at the end).
    """

    chain: str
    seq: int
    reason: str


def write(
    conn: db.Connection, principal: Principal | None, act: str, object: str = "", reason: str = "", data: Mapping[str, Any] | None = None
) -> int:
    """Record an act in the caller's transaction and give its number.

    Args:
        principal: who did it; None is the product itself.
        act: `<noun>.<verb>`.
        object: what it was done to, `<table>:<id>`.
        reason: what the person gave as the reason, "" where none was asked.
    """
    row = conn.execute(
        _SQL["write_audit"],
        {
            "account_id": principal.account_id if principal else None,
            "act": act,
            "object": object,
            "reason": reason,
            "data": outbox.jsonb(dict(data or {})),
        },
    ).fetchone()
    assert row is not None
    return int(row["seq"])


def verify(conn: db.Connection) -> dict[str, int | Break]:
    """Compute both chains again, row by row.

    Returns:
        For each chain the number of rows that hold, or its first `Break`.
    """
    return {name: _verify(conn, name) for name in CHAINS}


def _verify(conn: db.Connection, name: str) -> int | Break:
    head = conn.execute(_SQL["chain_head"], {"name": name}).fetchone()  # first: links may be added while we read
    if head is None:
        return Break(name, 1, "cut")
    before, count = _FIRST, 0
    with conn.transaction(), conn.cursor(name=f"verify_{name}") as rows:
        rows.itersize = 5000  # a year of acts does not fit in memory
        rows.execute(_SQL[f"{name}_chain"])
        for row in rows:
            if row["seq"] != count + 1:
                return Break(name, count + 1, "missing")
            if bytes(row["prev_hash"]) != before:
                return Break(name, row["seq"], "unlinked")
            before = hashlib.sha256(before + row["said"].encode()).digest()
            if before != bytes(row["hash"]) or (row["seq"] == head["seq"] and before != bytes(head["hash"])):
                return Break(name, row["seq"], "changed")
            count += 1
    return count if count >= head["seq"] else Break(name, count + 1, "cut")


def verify_main(settings: Settings) -> int:
    """`app.py audit verify`: print one line a chain; 0 when all hold, 1 on a break, 2 when there is no database to ask."""
    try:
        with db.connect(settings.app_dsn) as conn:
            found = verify(conn)
    except psycopg.OperationalError as err:
        print(f"the database does not answer: {str(err).strip().splitlines()[0]}")
        return 2
    for name, result in found.items():
        if isinstance(result, Break):
            print(f"{name}: BROKEN at seq {result.seq} ({result.reason})")
        else:
            print(f"{name}: {result} rows hold")
    return 1 if any(isinstance(result, Break) for result in found.values()) else 0
