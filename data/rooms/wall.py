"""What the commanders' wall reads across the rooms: how busy the day was, how fast people answered, one school at a glance."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from data.core import clock, db, queries
from data.core.db import Row

STEP_S = 600
DAY = timedelta(days=1)
WEEKS = 13

_SQL = queries.load("wall")


def day_of_alarms(conn: db.Connection, now: datetime) -> Row:
    """The last 24 hours for the strip, the figures beside it, and what the empty queue says.

    Args:
        now: aware; the newest step holds it, so that a press of this moment has a bar.
    Returns:
        `step_s`, `buckets` (144 of `at`, `critical`, `high`, `attention`), `acknowledged`, `median_ack_ms` (None
        without any), `last_alarm_at`, `last_proof_at` (None: never), `cameras_unknown`; ready for JSON.
    """
    step_s = int(STEP_S)
    until = datetime.fromtimestamp((int(now.timestamp()) // step_s + 1) * step_s, UTC)
    period = {"since": until - DAY, "until": until, "step_s": step_s}
    buckets = [{**row, "at": clock.iso(row["at"])} for row in conn.execute(_SQL["alarm_histogram"], period)]
    answers = conn.execute(_SQL["alarm_answers"], {"since": until - DAY, "until": until}).fetchone()
    signs = conn.execute(_SQL["last_signs"]).fetchone()
    assert answers is not None
    assert signs is not None
    times = {key: clock.iso(signs[key]) for key in ("last_alarm_at", "last_proof_at")}
    return {"step_s": step_s, "buckets": buckets, **answers, **times, "cameras_unknown": signs["cameras_unknown"]}


def extent(conn: db.Connection) -> tuple[float, float, float, float] | None:
    """West, south, east, north of the visible schools in degrees, EPSG:4326; None where there is no school yet."""
    row = conn.execute(_SQL["visible_extent"]).fetchone()
    if row is None or row["west"] is None:
        return None
    return row["west"], row["south"], row["east"], row["north"]


def school_card(conn: db.Connection, school_id: int) -> Row | None:
    """One visible school at a glance; None for one that is not there or not this person's."""
    return conn.execute(_SQL["school_card"], {"school_id": school_id}).fetchone()


def school_weeks(conn: db.Connection, school_id: int, today: date) -> list[dict[str, Any]]:
    """Alarms and new hazards of a visible school per week (`week` is its Monday), the last 13 weeks that have stored days."""
    since = today - timedelta(weeks=WEEKS)
    return conn.execute(_SQL["school_weeks"], {"school_id": school_id, "since": since}).fetchall()
