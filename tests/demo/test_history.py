"""The thirteen weeks behind the demo city: how long, how much, how it hangs together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from data.core import audit, db
from data.demo import city as drawing
from data.demo import files, history, load, people, tables
from devices.demo import modules_file
from tests.city import SMALL
from tests.conftest import Database

SETTLED = people.Passwords(
    told="told", thrown_away="thrown away", tokens={f"unit-{number:03d}": str(number) for number in range(1, 41)} | {"recorder": "r"}
)


@pytest.fixture(scope="module")
def past(city: Database) -> Iterator[db.Connection]:
    with city.connect() as conn:
        conn.autocommit = True  # a statement that fails must fail one test only
        yield conn


def one(conn: db.Connection, statement: LiteralString | sql.Composed) -> Any:
    return next(iter((conn.execute(statement).fetchone() or {}).values()))


def test_the_same_seed_draws_the_same_bytes() -> None:
    first, second = (tables.digest(drawing.build(7, known=SETTLED, schools=SMALL).tables) for _ in range(2))
    assert first == second
    assert first != tables.digest(drawing.build(8, known=SETTLED, schools=SMALL).tables)


def test_the_same_seed_and_day_give_the_same_history(small_city: Database, database: Database) -> None:
    assert load.load(database.settings, schools=SMALL, say=lambda text: None)
    columns: dict[str, LiteralString] = {
        "alarm": "select * from alarm order by alarm_id",
        "hazard": "select * from hazard order by hazard_id",
        "shift": "select * from shift order by shift_id",
        "patrol": "select * from patrol order by patrol_id",
        "outage": "select * from outage order by outage_id",
        "fix": "select * from fix order by fix_id",
        "school_day": "select * from school_day order by school_id, day",
        "alarm_step": "select * from alarm_step order by seq",
    }
    with small_city.connect() as left, database.connect() as right:
        for name, statement in columns.items():
            assert left.execute(statement).fetchall() == right.execute(statement).fetchall(), name


def test_a_second_load_touches_nothing(small_city: Database) -> None:
    assert not load.load(small_city.settings, schools=SMALL, say=lambda text: None)


def test_a_load_that_breaks_off_leaves_an_empty_database(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_ROWS", 0)
    with pytest.raises(ValueError, match="rows of history"):
        load.load(database.settings, schools=SMALL, say=lambda text: None)
    with database.connect() as conn:
        assert one(conn, "select count(*) from school") == one(conn, "select count(*) from alarm_step") == 0
    monkeypatch.undo()
    assert load.load(database.settings, schools=SMALL, say=lambda text: None)


def test_the_history_is_thirteen_weeks_and_ends_yesterday(past: db.Connection, city: Database) -> None:
    days = past.execute("select min(day) as first, max(day) as last, count(distinct day) as days from school_day").fetchone() or {}
    today = datetime.now(city.settings.tz).date()
    assert days["last"] in (today - timedelta(days=1), today - timedelta(days=2))  # midnight may pass during the run
    assert days["days"] == 91
    assert (days["last"] - days["first"]).days == 90
    assert one(past, "select max(closed_at) from alarm") < datetime.now(UTC)
    assert one(past, "select max(at) - min(at) from fix") < timedelta(days=2)


def test_the_history_stays_within_its_rows(past: db.Connection) -> None:
    parts = ("alarm", "alarm_step", "event", "hazard", "shift", "patrol", "fix", "outage", "uptime_day", "school_day")
    counts = {name: one(past, sql.SQL("select count(*) from {}").format(sql.Identifier(name))) for name in parts}
    assert 800_000 < sum(counts.values()) <= history.MOST_ROWS
    assert all(counts.values())


def test_the_chain_of_the_alarms_holds(past: db.Connection) -> None:
    held = audit.verify(past)
    assert held["alarm_step"] == one(past, "select count(*) from alarm_step") > 10_000


def test_nobody_can_write_the_alarm_history_a_second_time(small_city: Database) -> None:
    with small_city.connect() as conn, pytest.raises(psycopg.errors.RaiseException, match="empty database only"):
        conn.execute("select demo_alarm_history()")


def test_no_alarm_is_left_open_and_steps_follow_each_other(past: db.Connection) -> None:
    assert one(past, "select count(*) from alarm where state <> 'closed'") == 0
    backwards = "select count(*) from alarm where acknowledged_at < raised_at or closed_at < acknowledged_at"
    assert one(past, backwards) == 0
    assert one(past, "select count(*) from outage where until is null") == 0
    assert one(past, "select count(*) from event where source <> 'demo-history'") == 0


def test_uptime_is_what_the_outages_leave(past: db.Connection) -> None:
    wrong = """
        select count(*) from uptime_day u cross join lateral (
          select coalesce(sum(extract(epoch from least(o.until, high) - greatest(o.since, low)))
                          filter (where o.outage_id is not null), 0) as down_s
          from (select u.day::timestamp at time zone 'Asia/Shanghai' as low,
                       (u.day + 1)::timestamp at time zone 'Asia/Shanghai' as high) as span
          left join outage o on o.school_id = u.school_id and (o.device_id is not null) = (u.kind = 'device')
                                and o.since < high and o.until > low
        ) as found
        where u.school_id % 40 = 0 and abs(u.up_share - (1 - found.down_s / 86400.0 / u.total)) > 1e-5"""
    assert one(past, wrong) == 0
    assert 0.98 < one(past, "select avg(up_share) from uptime_day") < 0.9999


def test_hazards_lie_in_their_cell_and_some_are_overdue(past: db.Connection) -> None:
    outside = "select count(*) from hazard h join cell c using (cell_id) where not ST_Covers(c.geom, h.geom) or h.school_id <> c.school_id"
    assert one(past, outside) == 0
    states = {row["state"] for row in past.execute("select distinct state from hazard").fetchall()}
    assert {"assigned", "rectified", "verified", "closed", "rejected"} <= states
    assert one(past, "select count(*) from hazard where due_at < now() and state not in ('closed', 'verified', 'rejected')") > 20


def test_days_count_what_the_rows_say(past: db.Connection) -> None:
    missed = """
        select count(*) from school_day d where day > (select max(day) - 7 from school_day) and school_id % 50 = 0 and (
          d.patrols <> (select count(*) from patrol p where p.school_id = d.school_id
                        and (coalesce(p.planned_at, p.started_at) at time zone 'Asia/Shanghai')::date = d.day)
          or d.shifts <> (select count(*) from shift s where s.school_id = d.school_id
                          and (s.starts_at at time zone 'Asia/Shanghai')::date = d.day)
          or d.alarms <> (select count(*) from alarm a where a.school_id = d.school_id
                          and (a.event_at at time zone 'Asia/Shanghai')::date = d.day))"""
    assert one(past, missed) == 0


def test_weeks_and_districts_differ_so_that_a_trend_shows_something(past: db.Connection) -> None:
    rows = past.execute(
        "select district_code, sum(shifts_missed)::float / sum(shifts) as missed from school_day join school using (school_id) group by 1"
    ).fetchall()
    missed = [row["missed"] for row in rows]
    assert max(missed) > 2.5 * min(missed)
    busy = one(past, "select sum(alarms) from school_day where extract(isodow from day) <= 5")
    quiet = one(past, "select sum(alarms) from school_day where extract(isodow from day) > 5")
    assert busy > 10 * quiet


def test_the_players_find_their_modules_and_their_tokens(small_city: Database) -> None:
    tokens = files.tokens_file(small_city.settings)
    assert tokens.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(tokens.read_text())) == {"recorder", *(f"unit-{number:03d}" for number in range(1, people.MOVING_UNITS + 1))}
    modules = json.loads(modules_file(small_city.settings.data_dir).read_text())
    with small_city.connect() as conn:
        stored = conn.execute("select code, host, port, profile, unit from device where kind = 'module' order by device_id").fetchall()
    assert [{key: module[key] for key in ("code", "host", "port", "profile", "unit")} for module in modules] == stored
