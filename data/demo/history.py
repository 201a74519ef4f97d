"""Thirteen weeks of history behind the demo city, ending yesterday; everything marked demo.

Alarms, hazards and outages are kept one by one, shifts and patrols for four weeks, positions for two days, and the
numbers of every school and day for all of it. The history of the alarms goes into the hash chain: the database writes
the steps itself from the closed alarms (`demo_alarm_history`), which it does once, into an empty chain only.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, tzinfo
from typing import Any

import numpy as np
import psycopg
import shapely

from data.core import queries
from data.demo import packed, past_alarms, past_duty, past_hazards, past_outages, past_tracks, people, rhythm, tables
from data.demo.city import City
from data.demo.packed import Column
from data.demo.rhythm import DAYS, HOUR_US, Past

MOST_ROWS = 1_500_000


def write(conn: psycopg.Connection[Any], city: City, *, seed: int, today: date, tz: tzinfo, say: Callable[[str], None]) -> int:
    """Write the history of the days before `today` into the caller's transaction; returns the number of rows."""
    school, post = city.tables["school"], city.tables["post"]
    past = rhythm.past(seed, today, tz, city.ground.codes, city.sites.district)
    now_us = int(datetime.combine(today, datetime.min.time(), tz).timestamp()) * rhythm.SECOND_US + 6 * HOUR_US
    alarms, alarms_a_day = past_alarms.tables(seed, past, school, city.tables["point"])
    rows = sum(tables.copy(conn, table) for table in alarms)
    steps = conn.execute(queries.load("demo")["write_alarm_history"]).fetchone()
    rows += steps["written"] if steps else 0
    hazard, opened, closed = past_hazards.table(seed, past, school, city.cells, now_us)
    rows += tables.copy(conn, hazard)
    say(f"alarms and hazards: {rows} rows")
    outage, uptime = past_outages.write(conn, seed, past, city.tables["camera"])
    rows += tables.copy(conn, outage) + uptime
    say(f"outages and uptime: {uptime} rows")
    duty, patrols, duty_rows = past_duty.write(conn, seed, past, post, shapely.length(city.routes))
    tables.draw_numbers(conn, "patrol", "patrol_id", len(patrols.school))
    say(f"shifts and patrols: {duty_rows} rows")
    units = shapely.get_coordinates(np.asarray(city.tables["unit"].columns["geom"], dtype=object)[: people.MOVING_UNITS])
    tracks = past_tracks.write(conn, seed, past, patrols, city.routes, city.ground, units)
    say(f"positions: {tracks} rows")
    rows += duty_rows + tracks + _school_days(conn, past, alarms_a_day, opened, closed, duty)
    if rows > MOST_ROWS:
        raise ValueError(f"{rows} rows of history, at most {MOST_ROWS} are meant")
    return rows


def _school_days(
    conn: psycopg.Connection[Any], past: Past, alarms: np.ndarray, opened: np.ndarray, closed: np.ndarray, duty: past_duty.DutyDays
) -> int:
    """One row a school and day; a day without a patrol has no share."""
    numbers = {
        "alarms": alarms,
        "hazards_opened": opened,
        "hazards_closed": closed,
        "shifts": duty.shifts,
        "shifts_missed": duty.missed,
        "patrols": duty.patrols,
    }
    written = 0
    has_share = duty.patrols > 0
    for mask in (has_share, ~has_share):
        school, day = np.nonzero(mask)
        columns = {
            "day": Column("date", past.days[day]),
            "school_id": Column("int4", school + 1),
            **{name: Column("int4", values[school, day]) for name, values in numbers.items()},
            "demo": Column("bool", np.ones(len(school), dtype=bool)),
        }
        if mask is has_share:
            columns["patrol_share"] = Column("float4", duty.share[school, day])
        written += packed.copy(conn, "school_day", columns)
    assert written == past.schools * DAYS
    return written
