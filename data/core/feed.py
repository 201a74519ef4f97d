"""The reading side of the outbox and of the audit chain, and the numbers of the status bar."""

from __future__ import annotations

from dataclasses import dataclass

from data.core import db, queries

_SQL = queries.load("feed")


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of the outbox.

    Attributes:
        seq: its number, which is also its SSE id.
        requires: the permission a reader needs besides the scope.
        body: JSON text, as it goes out.
        age_ms: from the writer's statement to this reading, by PostgreSQL's clock.
    """

    seq: int
    kind: str
    requires: str
    district_code: str | None
    street_code: str | None
    school_id: int | None
    body: str
    age_ms: float


def after(conn: db.Connection, seq: int, *, limit: int = 1000) -> list[Entry]:
    """Messages above `seq` in their order, at most `limit`. None is ever inserted below one that was read (`hold_order`)."""
    return [Entry(**row) for row in conn.execute(_SQL["outbox_after"], {"after": seq, "limit": limit})]


def bounds(conn: db.Connection) -> tuple[int, int]:
    """The first and the last number there is; (0, 0) for an empty outbox."""
    row = conn.execute(_SQL["outbox_bounds"]).fetchone()
    assert row is not None
    return int(row["first_seq"]), int(row["last_seq"])


def figures(conn: db.Connection) -> db.Row:
    """The status bar's counts for the scope of `conn` (from `db.scoped`); `open_alarms` are those that are not closed."""
    row = conn.execute(_SQL["figures"]).fetchone()
    assert row is not None
    return row


def audit_page(conn: db.Connection, *, before: int | None = None, limit: int = 100) -> list[db.Row]:
    """Acts of people, the newest first: seq, at, act, object, reason, data (JSON text), login, names of who did it."""
    return conn.execute(_SQL["audit_page"], {"before": before, "limit": limit}).fetchall()
