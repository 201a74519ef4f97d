"""What the wall reads across the rooms: the day's alarms, how fast people answered, one school at a glance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from data.core import db
from data.core.access import Scope
from data.rooms import wall
from tests.ingest import town

NOW = datetime(2026, 11, 2, 12, 3, tzinfo=UTC)
NORTH_ONLY = Scope(districts=frozenset({"440304"}))


@pytest.fixture
def raised(owner, city):
    """raised(school, minutes ago, priority, seconds until somebody acknowledged) stores one closed alarm."""
    count = iter(range(1, 1000))

    def store(school: int, minutes: float, priority: str = "critical", answered_s: float | None = None) -> None:
        at = NOW - timedelta(minutes=minutes)
        event_id = f"wall-{next(count):06d}"
        owner.execute(
            "insert into event (event_id, kind, source, seq, subject, event_at) values (%s, 'alarm.raised', 'test', 0, 'x', %s)",
            (event_id, at),
        )
        owner.execute(
            "insert into alarm (kind, priority, state, school_id, district_code, event_id, event_at, raised_at, last_at,"
            " acknowledged_at, closed_at, cause) values ('panic', %s, 'closed', %s, %s, %s, %s, %s, %s, %s, %s, 'test')",
            (
                priority,
                school,
                "440304" if school == town.NORTH else "440305",
                event_id,
                at,
                at,
                at,
                at + timedelta(seconds=answered_s) if answered_s is not None else None,
                at + timedelta(hours=1),
            ),
        )

    return store


def day(city, scope=db.CITY):
    with city.connect() as conn, db.scoped(conn, scope) as scoped:
        return wall.day_of_alarms(scoped, NOW)


def test_a_day_has_144_steps_of_ten_minutes_and_the_newest_holds_this_moment(city):
    found = day(city)
    assert len(found["buckets"]) == 144
    last = datetime.fromisoformat(found["buckets"][-1]["at"])
    assert last <= NOW < last + timedelta(seconds=found["step_s"])
    assert (found["acknowledged"], found["median_ack_ms"], found["last_alarm_at"]) == (0, None, None)


def test_an_alarm_stands_in_the_step_and_priority_it_was_raised_in(city, raised):
    raised(town.NORTH, 1, "critical")
    raised(town.NORTH, 1, "high")
    raised(town.SOUTH, 61, "attention")
    raised(town.SOUTH, 25 * 60, "critical")  # yesterday
    buckets = day(city)["buckets"]
    assert {key: buckets[-1][key] for key in ("critical", "high", "attention")} == {"critical": 1, "high": 1, "attention": 0}
    assert buckets[-7]["attention"] == 1
    assert sum(one["critical"] + one["high"] + one["attention"] for one in buckets) == 3


def test_the_median_is_of_the_acknowledged_ones(city, raised):
    for seconds in (4, 10, 30):
        raised(town.NORTH, 30, answered_s=seconds)
    raised(town.NORTH, 30)
    found = day(city)
    assert (found["acknowledged"], found["median_ack_ms"]) == (3, 10_000)


def test_another_districts_alarms_count_for_nobody_else(city, raised):
    raised(town.NORTH, 1, answered_s=5)
    raised(town.SOUTH, 1, answered_s=500)
    ours = day(city, NORTH_ONLY)
    assert ours["buckets"][-1]["critical"] == 1
    assert ours["median_ack_ms"] == 5_000
    assert day(city)["buckets"][-1]["critical"] == 2


def test_the_extent_is_that_of_the_schools_in_sight(city):
    with city.connect() as conn:
        with db.scoped(conn, db.CITY) as scoped:
            everywhere = wall.extent(scoped)
        with db.scoped(conn, NORTH_ONLY) as scoped:
            north = wall.extent(scoped)
        with db.scoped(conn, Scope()) as scoped:
            assert wall.extent(scoped) is None
    assert everywhere is not None
    assert north is not None
    assert north[1] > everywhere[1]  # its south edge lies north of the city's


def test_a_school_outside_the_scope_has_no_card_and_no_weeks(city, owner):
    owner.execute(
        "insert into school_day (day, school_id, alarms, hazards_opened) values ('2026-10-26', %s, 2, 1), ('2026-10-28', %s, 1, 0)",
        (town.NORTH, town.NORTH),
    )
    with city.connect() as conn:
        with db.scoped(conn, db.CITY) as scoped:
            card = wall.school_card(scoped, town.NORTH)
            assert card is not None
            assert (card["code"], card["devices"], card["open_alarms"]) == ("N", 1, 0)
            weeks = wall.school_weeks(scoped, town.NORTH, NOW.date())
            assert [(str(row["week"]), row["alarms"], row["hazards"]) for row in weeks] == [("2026-10-26", 3, 1)]
        with db.scoped(conn, Scope(districts=frozenset({"440305"}))) as scoped:
            assert wall.school_card(scoped, town.NORTH) is None
            assert wall.school_weeks(scoped, town.NORTH, NOW.date()) == []
