"""The reading side of the outbox and of the audit chain, and the numbers of the status bar."""

from __future__ import annotations

from dataclasses import dataclass

from data.core import db, queries
from data.core.access import Scope

_SUMMED = ("devices_total", "devices_up", "cameras_total", "cameras_ok", "cameras_unknown")

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


class Figures:
    """The status bar's counts of one moment, for any scope: read once, summed for each reader."""

    def __init__(self, conn: db.Connection) -> None:
        """Read them; about 20 ms for 2,600 schools with 30,000 cameras."""
        self._schools = conn.execute(_SQL["school_figures"]).fetchall()
        self._alarms = conn.execute(_SQL["open_alarm_stamps"]).fetchall()
        self._city = conn.execute(_SQL["city_figures"]).fetchone() or {}

    def of(self, scope: Scope) -> db.Row:
        """Counts of what `scope` covers.

        Returns:
            schools_total, schools_online, devices_total, devices_up, cameras_total, cameras_ok, cameras_unknown, open_alarms (all that are
            not closed), unassigned (events of a day), dead_letters (those that wait).
        """
        seen = [row for row in self._schools if _covers(scope, row)]
        sums = {name: sum(row[name] for row in seen) for name in _SUMMED}
        online = sum(1 for row in seen if row["devices_up"])
        alarms = sum(1 for row in self._alarms if _covers(scope, row))
        return {"schools_total": len(seen), "schools_online": online, **sums, "open_alarms": alarms, **self._city}


def _covers(scope: Scope, row: db.Row) -> bool:
    return scope.covers(district_code=row["district_code"], street_code=row["street_code"], school_id=row["school_id"])


def audit_page(conn: db.Connection, *, before: int | None = None, limit: int = 100) -> list[db.Row]:
    """Acts of people, the newest first: seq, at, act, object, reason, data (JSON text), login, names of who did it."""
    return conn.execute(_SQL["audit_page"], {"before": before, "limit": limit}).fetchall()
