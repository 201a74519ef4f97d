"""What is near an alarm: cameras that see it, units that can go, calls for help and positions from phones."""

from __future__ import annotations

import math
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.core import clock, db
from data.core.events import Kind
from data.ingest import handlers
from data.rooms import response
from tests.ingest import town
from tests.ingest.town import happened, person, press


@pytest.fixture
def link(city):
    with city.connect() as conn:
        conn.autocommit = True
        yield conn


def alarm_at_gate(link):
    """The id of the one open alarm, 5 m east of the north school's gate."""
    with db.scoped(link, db.CITY) as conn:
        handlers.store(conn, [press()])
        return response.open_alarms(conn)[0]["alarm_id"]


def linked(link, alarm_id, principal=None, **options):
    with db.scoped(link, (principal or person()).scope) as conn:
        return response.linked_cameras(conn, alarm_id, **options)


def test_cameras_that_see_the_spot_come_first_then_healthy_then_near(link, owner):
    town.camera(owner, 1, 5, -50)  # looks north at the button: sees it
    town.camera(owner, 2, 5, -55, state="lost")  # would see it, but is dead
    town.camera(owner, 3, 5, -10, azimuth_deg=180)  # nearest, looks away
    town.camera(owner, 4, 8, -5, azimuth_deg=180, state="frozen")  # nearer still, looks away, dead
    town.camera(owner, 5, 5, -70)  # looks the right way, its 60 m do not reach
    town.camera(owner, 6, 5, -30, state="unknown")  # sees it, nobody vouches for it
    rows = linked(link, alarm_at_gate(link))
    assert [(row["camera_id"], row["sees"], row["is_healthy"]) for row in rows] == [
        (1, True, True),
        (6, True, False),
        (2, True, False),
        (3, False, True),
        (5, False, True),
        (4, False, False),
    ]
    assert rows[0]["distance_m"] == pytest.approx(50, abs=0.5)
    assert rows[2]["state"] == "lost"


def test_a_line_of_sight_polygon_decides_where_there_is_one(link, owner):
    corners = ((0, -0.0004), (0.00001, -0.0004), (0, -0.0003), (0, -0.0004))
    blind = f"SRID=4326;POLYGON(({', '.join(f'{town.LON + east} {town.LAT + north}' for east, north in corners)}))"
    wide = "SRID=4326;POLYGON((114.0499 22.5499, 114.0502 22.5499, 114.0502 22.5501, 114.0499 22.5501, 114.0499 22.5499))"
    town.camera(owner, 1, 5, -50, view_geom=blind)  # a wall stands between: the sector alone would see it
    town.camera(owner, 2, 5, -10, azimuth_deg=180, view_geom=wide)
    assert [(row["camera_id"], row["sees"]) for row in linked(link, alarm_at_gate(link))] == [(2, True), (1, False)]


def test_no_more_cameras_than_asked_for_and_none_beyond_reach(link, owner):
    for number in range(1, 20):
        town.camera(owner, number, 5, -number)
    town.camera(owner, 30, 0, -900, range_m=500)
    alarm_id = alarm_at_gate(link)
    assert [row["camera_id"] for row in linked(link, alarm_id)] == list(range(1, 16))
    assert 30 not in [row["camera_id"] for row in linked(link, alarm_id, limit=50)]


@given(azimuth=st.integers(0, 359), fov=st.integers(5, 360), bearing=st.integers(0, 359), distance_m=st.integers(1, 120))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_sector_sees_what_its_angle_and_reach_say(link, owner, azimuth, fov, bearing, distance_m):
    turn = abs((bearing - azimuth + 540) % 360 - 180)
    if abs(turn - fov / 2) < 1.5 or abs(distance_m - 60) < 1:
        return  # on the edge, where the grid's own north and the metre-degree factors of the test decide
    alarm_id = alarm_at_gate(link)
    east_m, north_m = 5 - distance_m * math.sin(math.radians(bearing)), -distance_m * math.cos(math.radians(bearing))
    owner.execute("delete from camera")
    town.camera(owner, 1, east_m, north_m, azimuth_deg=azimuth, fov_deg=fov, range_m=60)
    [row] = linked(link, alarm_id)
    assert row["sees"] == (distance_m <= 60 and turn <= fov / 2)


def test_cameras_of_other_schools_are_not_shown_to_a_school(link, owner):
    town.camera(owner, 1, 5, -50)
    town.camera(owner, 2, 5, -40, school_id=town.SOUTH, district_code="440305", street_code="440305001")
    alarm_id = alarm_at_gate(link)
    assert [row["camera_id"] for row in linked(link, alarm_id)] == [2, 1]
    assert [row["camera_id"] for row in linked(link, alarm_id, person(schools=frozenset({town.NORTH})))] == [1]


def test_units_on_duty_come_by_distance_with_the_age_of_their_position(link):
    alarm_id = alarm_at_gate(link)
    with db.scoped(link, db.CITY) as conn:
        rows = response.nearest_units(conn, alarm_id)
    assert [(row["code"], row["is_stale"], row["is_straight_line"]) for row in rows] == [("U2", True, True), ("U1", False, True)]
    assert rows[0]["distance_m"] == pytest.approx(95, abs=2)
    assert rows[1]["age_s"] == pytest.approx(10, abs=5)


def test_units_belong_to_their_district(link):
    alarm_id = alarm_at_gate(link)
    for scope, expected in ((town.NORTHERN, 2), ({"streets": frozenset({"440304001"})}, 2), ({"schools": frozenset({town.NORTH})}, 0)):
        with db.scoped(link, person(**scope).scope) as conn:
            assert len(response.nearest_units(conn, alarm_id)) == expected
    with db.scoped(link, person(**town.SOUTHERN).scope) as conn:
        assert response.units(conn) == []
    with db.scoped(link, person(**town.NORTHERN).scope) as conn:
        assert [row["code"] for row in response.units(conn)] == ["U1", "U2", "U3"]


def sos(link, principal, lon=town.LON, lat=town.LAT, client_id="a"):
    with db.scoped(link, principal.scope) as conn:
        return response.raise_sos(conn, principal, lon, lat, 8.0, client_id)


def test_a_call_for_help_is_an_alarm_at_its_campus_once_for_each_call(link):
    guard = person("guard", schools=frozenset({town.SOUTH}))
    first = sos(link, guard)
    assert (first["kind"], first["priority"], first["school_code"], first["place_en"]) == ("sos", "critical", "N", "Guard")
    assert sos(link, guard)["presses"] == 1, "the same call again"
    again = sos(link, guard, client_id="b")
    assert (again["alarm_id"], again["presses"]) == (first["alarm_id"], 2)
    with db.scoped(link, person(**town.NORTHERN).scope) as conn:
        assert response.acknowledge(conn, person(), first["alarm_id"])["state"] == "acknowledged"
    assert sos(link, guard, client_id="c")["state"] == "open"
    assert link.execute("select count(*) as n from event").fetchone()["n"] == 3


@pytest.mark.parametrize(
    ("lon", "lat", "school", "district"),
    [(None, None, "S", "440305"), (114.05, 22.54, "S", "440305"), (10.0, 10.0, "S", "440305")],
    ids=["no-position", "off-campus", "far-away"],
)
def test_a_call_from_anywhere_belongs_to_the_persons_only_school(link, lon, lat, school, district):
    body = sos(link, person("guard", schools=frozenset({town.SOUTH})), lon, lat)
    assert (body["school_code"], body["district_code"]) == (school, district)
    assert (body["lon"] is None) is False


def test_a_call_of_nobodys_school_is_the_districts_it_comes_from(link):
    body = sos(link, person("car", is_city=True), 114.05, 22.54)
    assert (body["school_id"], body["district_code"]) == (None, "440304")
    nowhere = sos(link, person("guard", is_city=True), 10.0, 10.0)
    assert (nowhere["school_id"], nowhere["district_code"]) == (None, None)


@pytest.mark.parametrize(("lon", "lat"), [(200, 0), (0, 91), (math.nan, 1), (1, math.inf)])
def test_a_position_that_is_nowhere_on_earth_is_refused(link, lon, lat):
    with pytest.raises(response.BadPosition):
        sos(link, person("guard"), lon, lat)


def fix(seconds, east_m=0.0, **fields):
    at = clock.now() - timedelta(minutes=10) + timedelta(seconds=seconds)
    return {
        "client_id": str(uuid4()),
        "at": clock.iso(at),
        "lon": town.LON + east_m * town.M_LON,
        "lat": town.LAT,
        "accuracy_m": 5.0,
        **fields,
    }


def record(link, fixes, principal=None):
    with db.scoped(link, db.CITY) as conn:
        return response.record_positions(conn, principal or person("car"), fixes)


def test_positions_arrive_in_any_order_and_twice_and_the_newest_is_where_the_unit_is(link, owner):
    owner.execute("update unit set position_at = now() - interval '1 hour'")
    batch = [fix(20, 20), fix(10, 10), fix(30, 30)]
    moved = record(link, batch)
    assert moved["code"] == "U1"
    assert moved["lon"] == pytest.approx(town.LON + 30 * town.M_LON)
    assert record(link, batch) is None
    assert record(link, [fix(5, 999)]) is None, "an old one that comes late moves nobody"
    assert link.execute("select count(*) as n, count(distinct unit_id) as units from fix").fetchone() == {"n": 4, "units": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"lon": 999},
        {"lat": "x"},
        {"client_id": "1"},
        {"at": "2026-11-02T12:00:00"},
        {"at": "2999-01-01T00:00:00+00:00"},
        {"accuracy_m": -1},
    ],
    ids=["lon", "lat", "client-id", "no-zone", "to-come", "accuracy"],
)
def test_a_batch_with_an_impossible_position_is_refused_whole(link, wrong):
    with pytest.raises(response.BadPosition):
        record(link, [fix(1), fix(2, **wrong)])
    assert link.execute("select count(*) as n from fix").fetchone()["n"] == 0


def test_a_tracker_moves_its_unit(link, owner):
    owner.execute("update unit set position_at = now() - interval '1 hour'")
    event = happened(Kind.FIX_RECORDED, "U2", None, event_at=clock.now(), data={"lon": 114.1, "lat": 22.6, "accuracy_m": 4})
    with db.scoped(link, db.CITY) as conn:
        handlers.store(conn, [event])
        handlers.store(conn, [event])
        assert next(row for row in response.units(conn) if row["code"] == "U2")["lon"] == pytest.approx(114.1)
        assert conn.execute("select count(*) as n from fix").fetchone()["n"] == 1
        assert conn.execute("select is_assigned from event").fetchone()["is_assigned"]
