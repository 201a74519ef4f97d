"""The demo city as it lies in the database: what a map, a route or a score may rely on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import shapely
from psycopg import sql
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from data.core import db
from data.core.access import ROLES
from data.demo.gate import MJPEG_PORT, RTSP_PORT
from tests.conftest import Database

GB2260 = {"440303", "440304", "440305", "440306", "440307", "440308", "440309", "440310", "440311"}


@dataclass(frozen=True)
class Reader:
    """Reads the city: geometries come in metres (EPSG:4547)."""

    conn: db.Connection

    def column(self, table: str, column: str) -> np.ndarray:
        statement = sql.SQL("select {} as it from {} order by 1").format(*map(sql.Identifier, (column, table)))
        return np.array([row["it"] for row in self.conn.execute(statement)])

    def shapes(self, table: str, key: str, *columns: str, geom: str = "geom") -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Shapes in metres in order of `key`, and the other columns."""
        names = sql.SQL(", ").join(map(sql.Identifier, (key, *columns)))
        statement = sql.SQL("select {}, ST_AsBinary(ST_Transform({}, 4547)) as shape from {} order by {}").format(
            names, sql.Identifier(geom), sql.Identifier(table), sql.Identifier(key)
        )
        rows = self.conn.execute(statement).fetchall()
        return shapely.from_wkb([row["shape"] for row in rows]), {name: np.array([row[name] for row in rows]) for name in (key, *columns)}

    def one(self, statement: Any) -> Any:
        return next(iter((self.conn.execute(statement).fetchone() or {}).values()))


@pytest.fixture(scope="module")
def read(city: Database) -> Iterator[Reader]:
    with city.connect() as conn:
        yield Reader(conn)


@pytest.fixture(scope="module")
def campus(read: Reader) -> np.ndarray:
    """Campus outlines in metres; the row is the school's id less one."""
    return read.shapes("campus", "school_id")[0]


def _overlaps_m2(shapes: np.ndarray) -> float:
    left, right = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pairs = left < right
    return float(shapely.area(shapely.intersection(shapes[left[pairs]], shapes[right[pairs]])).sum())


def test_the_city_has_the_numbers_the_plan_speaks_of(read: Reader) -> None:
    counts = {
        table: read.one(sql.SQL("select count(*) from {}").format(sql.Identifier(table))) for table in ("school", "camera", "cell", "unit")
    }
    assert counts["school"] == 2600
    assert counts["camera"] == 30_000
    assert 25_500 <= counts["cell"] <= 26_500
    assert 390 <= counts["unit"] <= 410
    assert read.one("select count(*) from school where ownership = 'municipal'") == 38
    assert read.one("select count(*) from device where kind = 'module' and school_id is not null") == 2600
    assert 0.55 <= read.one("select avg((kind = 'kindergarten')::int) from school") <= 0.65


def test_ten_districts_tile_the_land_and_dapeng_has_a_code_of_our_own(read: Reader) -> None:
    shapes, columns = read.shapes("district", "district_code", "is_gb2260", "demo")
    assert set(columns["district_code"][columns["is_gb2260"]]) == GB2260
    assert len(shapes) == 10
    assert shapely.is_valid(shapes).all()
    assert _overlaps_m2(shapes) < 1.0
    degrees = read.one("select ST_Extent(geom)::geometry from district")
    west, south, east, north = shapely.from_wkb(degrees).bounds
    assert shapely.box(113.75, 22.44, 114.63, 22.87).contains(shapely.box(west, south, east, north))
    assert (east - west) * (north - south) > 0.8 * 0.35


def test_streets_lie_in_their_districts_and_schools_in_their_streets(read: Reader) -> None:
    outside = "select count(*) from street join district d using (district_code) where not ST_Covers(ST_Buffer(d.geom, 1e-6), street.geom)"
    assert read.one(outside) == 0
    wrong = """
        select count(*) from school s join street t using (street_code)
        where t.district_code <> s.district_code or not ST_Covers(t.geom, s.geom)"""
    assert read.one(wrong) == 0


def test_campuses_do_not_overlap_and_lie_in_one_district(read: Reader, campus: np.ndarray) -> None:
    assert shapely.is_valid(campus).all()
    left, right = shapely.STRtree(campus).query(campus, predicate="intersects")
    assert (left == right).all()
    assert read.one("select count(*) from campus c join district d using (district_code) where not ST_Covers(d.geom, c.geom)") == 0


def test_buildings_lie_in_their_campus_and_neighbours_outside_of_all(read: Reader, campus: np.ndarray) -> None:
    shapes, columns = read.shapes("building", "building_id", "school_id")
    own = columns["school_id"] != None  # noqa: E711  (an array)
    assert shapely.contains_properly(campus[columns["school_id"][own].astype(int) - 1], shapes[own]).all()
    assert (~own).sum() > 10 * 2600
    assert len(shapely.STRtree(campus).query(shapes[~own], predicate="intersects")[0]) == 0
    assert _overlaps_m2(shapes[own]) == 0.0


def test_cells_tile_each_campus_exactly(read: Reader, campus: np.ndarray) -> None:
    shapes, columns = read.shapes("cell", "cell_id", "school_id", "area_m2")
    area = np.bincount(columns["school_id"].astype(int) - 1, shapely.area(shapes), minlength=len(campus))
    assert np.abs(area / shapely.area(campus) - 1).max() < 1e-6
    assert _overlaps_m2(shapes) < 1e-6 * shapely.area(campus).sum()
    grown = shapely.buffer(campus[columns["school_id"].astype(int) - 1], 0.01)
    assert shapely.covers(grown, shapes).all()
    assert columns["area_m2"].min() > 400
    assert (
        read.one("select count(*) from cell where not exists (select from cell_owner o where o.cell_id = cell.cell_id and until is null)")
        == 0
    )


def test_gates_stand_on_the_boundary_and_every_school_has_one_main_gate(read: Reader, campus: np.ndarray) -> None:
    shapes, columns = read.shapes("gate", "gate_id", "school_id", "is_main")
    gap = shapely.distance(shapes, shapely.boundary(campus[columns["school_id"].astype(int) - 1]))
    assert gap.max() < 0.01
    assert np.bincount(columns["school_id"][columns["is_main"].astype(bool)].astype(int))[1:].tolist() == [1] * 2600


def test_cameras_stand_on_something_and_look_into_the_campus(read: Reader, campus: np.ndarray) -> None:
    place, columns = read.shapes("camera", "camera_id", "school_id", "mount", "azimuth_deg", "fov_deg", "range_m", "height_m")
    school = columns["school_id"].astype(int) - 1
    azimuth, range_m = np.radians(columns["azimuth_deg"].astype(float)), columns["range_m"].astype(float)
    building, of = read.shapes("building", "building_id", "school_id")
    own = building[of["school_id"] != None]  # noqa: E711  (an array)
    point = shapely.get_coordinates(place)
    assert shapely.distance(place, campus[school]).max() < 0.01

    walls = shapely.STRtree(np.concatenate([shapely.boundary(campus), shapely.boundary(own)]))
    on_wall = np.flatnonzero(columns["mount"] == "wall")
    assert walls.query_nearest(place[on_wall], return_distance=True, all_matches=False)[1].max() < 0.3
    at_gate = columns["mount"] == "gate"
    gates = shapely.STRtree(read.shapes("gate", "gate_id")[0])
    assert gates.query_nearest(place[at_gate], return_distance=True, all_matches=False)[1].max() < 5.0
    inside = np.zeros(len(place), dtype=bool)
    inside[shapely.STRtree(own).query(place, predicate="within")[0]] = True
    assert set(columns["mount"][inside]) == {"ceiling"}
    assert inside[columns["mount"] == "ceiling"].all()

    ray = np.column_stack([np.sin(azimuth), np.cos(azimuth)])
    axis = shapely.linestrings(np.stack([point, point + ray * range_m[:, None]], axis=1))
    share = shapely.length(shapely.intersection(axis, campus[school])) / range_m
    assert share[on_wall].min() >= 0.9
    assert share.min() > 0.2  # the others look at their gate, across it
    for name, low, high in (("fov_deg", 50, 110), ("height_m", 2.4, 7.0), ("range_m", 5, 80)):
        assert low <= columns[name].min() <= columns[name].max() <= high


def test_a_camera_is_named_as_gb_t_28181_says(read: Reader) -> None:
    codes = read.column("camera", "code")
    assert len(set(codes.tolist())) == 30_000
    assert all(len(code) == 20 and code.isdigit() and code.startswith("4403") and code[10:13] == "132" for code in codes.tolist())


def test_what_a_camera_sees_is_its_sector_less_the_shadows(read: Reader) -> None:
    view, columns = read.shapes("camera", "camera_id", "fov_deg", "range_m", geom="view_geom")
    place, _ = read.shapes("camera", "camera_id")
    sector_m2 = np.radians(columns["fov_deg"].astype(float)) / 2 * columns["range_m"].astype(float) ** 2
    assert shapely.is_valid(view).all()
    assert (shapely.area(view) <= sector_m2 * 1.001).all()
    assert (shapely.area(view) / sector_m2).mean() < 0.95  # buildings matter
    assert shapely.distance(view, place).max() < 0.01


def test_a_panic_button_is_seen_by_a_camera(read: Reader) -> None:
    blind = """
        select count(*) from point p join device d using (device_id) where p.zone = 'panic' and p.channel = 0
        and not exists (select from camera c where c.school_id = d.school_id and ST_Covers(c.view_geom, p.geom))"""
    assert read.one(blind) == 0


def test_every_school_has_the_places_the_standard_names(read: Reader) -> None:
    kinds = {
        row["kind"]: row["schools"]
        for row in read.conn.execute("select kind, count(distinct school_id) as schools from key_place group by kind").fetchall()
    }
    for kind in ("surroundings", "outside_gate", "perimeter", "main_entrance", "gatehouse", "gathering", "power_room", "office"):
        assert kinds[kind] == 2600, kind
    assert kinds["nursery"] == read.one("select count(*) from school where kind = 'kindergarten'")
    assert kinds["teaching"] == 2600 - kinds["nursery"]
    assert kinds["dormitory"] == read.one("select count(*) from school where boarders > 0")
    assert kinds["canteen"] == read.one("select count(*) from school where has_canteen")
    # Reg. 799 art. 8: nothing may look into a dormitory's rooms; a camera inside one stands in its corridor.
    assert read.one("select count(*) from camera where legal_zone not in ('public', 'teaching', 'nursery')") == 0


def test_the_roads_are_one_graph_and_lead_to_every_school(read: Reader, campus: np.ndarray) -> None:
    nodes, _ = read.shapes("road_node", "road_node_id")
    edges = np.array([(row["from_node"], row["to_node"]) for row in read.conn.execute("select from_node, to_node from road")]) - 1
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(nodes), len(nodes)))
    assert connected_components(graph, directed=False)[0] == 1
    assert shapely.STRtree(nodes).query_nearest(campus, return_distance=True, all_matches=False)[1].max() < 400
    roads, _ = read.shapes("road", "road_id")
    assert len(shapely.STRtree(campus).query(roads[: len(roads)], predicate="intersects")[0]) == 0
    length = read.column("road", "length_m")
    assert np.allclose(np.sort(shapely.length(roads)), length, atol=0.02)


def test_a_patrol_round_stays_in_its_campus_and_crosses_no_building(read: Reader, campus: np.ndarray) -> None:
    lines, _ = read.shapes("route", "school_id", "length_m")
    assert shapely.covers(shapely.buffer(campus, 0.01), lines).all()
    own, of = read.shapes("building", "building_id", "school_id")
    own = own[of["school_id"] != None]  # noqa: E711  (an array)
    assert len(shapely.STRtree(own).query(lines, predicate="intersects")[0]) == 0
    stops, on = read.shapes("checkpoint", "checkpoint_id", "route_id")
    assert shapely.distance(stops, lines[on["route_id"].astype(int) - 1]).max() < 0.01
    assert np.bincount(on["route_id"].astype(int))[1:].min() >= 5


def test_units_of_ten_districts_stand_in_them_and_beats_cover_every_school(read: Reader) -> None:
    assert read.one("select count(*) from unit u join district d using (district_code) where not ST_Covers(d.geom, u.geom)") == 0
    assert read.one("select count(distinct district_code) from unit") == 10
    assert read.one("select count(*) from unit where kind = 'station'") == read.one("select count(*) from street")
    assert read.one("select count(*) from school where (select count(*) from beat_school b where b.school_id = school.school_id) <> 1") == 0


def test_there_is_one_account_to_log_in_with_for_every_role(read: Reader) -> None:
    rows = read.conn.execute("select login, role, is_city, district_codes, school_ids, cell_ids from account where login = role").fetchall()
    of = {row["role"]: row for row in rows}
    assert set(of) == set(ROLES)
    assert {role for role, row in of.items() if row["is_city"]} >= {
        "commander",
        "dispatcher",
        "supervisor",
        "registrar",
        "approver",
        "auditor",
        "admin",
        "assessor",
    }
    assert len(of["district-leader"]["district_codes"]) == 1
    assert len(of["school"]["school_ids"]) == len(of["guard"]["school_ids"]) == 1
    assert 4 <= len(of["officer"]["school_ids"]) <= 14
    assert of["grid-owner"]["school_ids"] == [1]
    assert of["grid-owner"]["cell_ids"]
    assert read.one("select count(*) from api_token t join account a using (account_id) where a.role = 'recorder'") == 1


def test_everything_is_marked_as_demo_and_nobody_can_be_called(read: Reader) -> None:
    tables = read.conn.execute(
        "select table_name from information_schema.columns where table_schema = 'public' and column_name = 'demo'"
    ).fetchall()
    for row in tables:
        unmarked = sql.SQL("select count(*) from {} where not demo").format(sql.Identifier(row["table_name"]))
        assert read.one(unmarked) == 0, row["table_name"]
    assert read.one("select count(*) from school where name_zh not like '%（演示）' or name_en not like '%(demo)'") == 0
    for table, column in (("school", "contact_phone"), ("account", "phone"), ("unit", "phone")):
        phones = read.column(table, column)
        assert all(phone.startswith("000") and len(phone) == 11 for phone in phones.tolist()), table


def test_two_dozen_cameras_stream_and_a_recorder_holds_the_others(read: Reader) -> None:
    urls = read.conn.execute("select stream_url, worker, recorder_id from camera where stream_url <> '' or worker <> ''").fetchall()
    assert len(urls) == 24
    assert {row["worker"] for row in urls} == {"vision-1"}
    assert sum(row["stream_url"].startswith(f"http://127.0.0.1:{MJPEG_PORT}/cam/") for row in urls) == 20
    assert sum(row["stream_url"].startswith(f"rtsp://127.0.0.1:{RTSP_PORT}/cam/") for row in urls) == 4
    assert all(row["recorder_id"] is None for row in urls)
    held = """
        select count(*) from camera c join device d on d.device_id = c.recorder_id
        where d.kind = 'recorder' and d.code = 'NVR-' || c.district_code"""
    assert read.one(held) == 30_000 - 24
    assert read.one("select count(*) from camera where state <> 'unknown'") == 0  # without evidence a camera is never healthy


def test_two_gates_may_check_faces_and_the_drawn_person_is_registered_there(read: Reader) -> None:
    gates = read.conn.execute("select school_id, demo from valid_gate order by school_id").fetchall()
    assert [(row["school_id"], row["demo"]) for row in gates] == [(1, True), (2, True)]
    read.conn.rollback()
    with db.scoped(read.conn, db.CITY):
        assert read.one("select count(*) from register_entry where state = 'active' and demo") == 1
