"""A thing is drawn where it is: the datum and the order of the axes survive every form a layer travels in."""

from __future__ import annotations

import json
import math
import struct

import pytest

import layers
from data.core import db
from tests import builders
from tests.layers import decode

LON, LAT = 114.0623, 22.5411  # far enough from any symmetry that exchanged axes cannot pass
METRE_DEG = 1 / 111_320


def metres_apart(one, other):
    return math.hypot((one[0] - other[0]) * math.cos(math.radians(other[1])), one[1] - other[1]) / METRE_DEG


@pytest.fixture
def school(conn):
    made = builders.make_school(conn, lon=LON, lat=LAT)
    corner = {"school_id": made["school_id"], "lon": LON, "lat": LAT}
    conn.execute(
        "insert into campus (school_id, district_code, geom, area_m2) values"
        " (%(school_id)s, '440304', st_makeenvelope(%(lon)s, %(lat)s, %(lon)s + 0.001, %(lat)s + 0.001, 4326), 10000)",
        corner,
    )
    conn.execute(
        "insert into cell (school_id, district_code, code, area_m2, geom) select school_id, district_code, 'C1', area_m2, geom from campus"
    )
    conn.execute(
        "insert into route (school_id, district_code, name_zh, name_en, length_m, geom)"
        " select school_id, district_code, 'R', 'R', 100, st_exteriorring(geom) from campus"
    )
    builders.make_camera(conn, made)
    builders.make_device(conn, made["school_id"])
    return made


def test_a_school_is_where_it_is_in_geojson(conn, school):
    feature = json.loads(layers.get("schools").read(conn, None))["features"][0]
    assert feature["id"] == school["school_id"]
    assert metres_apart(feature["geometry"]["coordinates"], (LON, LAT)) < 0.1


@pytest.mark.parametrize("layer_id", ["cameras", "devices"])
@pytest.mark.parametrize(("zoom", "within_m"), [(12, 0.2), (15, 0.03)])
def test_a_packed_point_is_where_it_is(conn, school, layer_id, zoom, within_m):
    tile = decode.tile_at(LON, LAT, zoom)
    records = decode.packed(layers.get(layer_id).read(conn, tile))[1]
    assert records
    for record in records:
        assert metres_apart(decode.point(record, tile), (LON, LAT)) < within_m


def test_a_camera_keeps_where_it_looks(conn, school):
    conn.execute("update camera set azimuth_deg = 359.5, fov_deg = 87.25, range_m = 41.7")
    record = decode.packed(layers.get("cameras").read(conn, decode.tile_at(LON, LAT, 13)))[1][0]
    azimuth, fov, reach = struct.unpack_from(">hhh", record, 8)
    assert azimuth / 64 == pytest.approx(359.5, abs=0.02)
    assert fov / 64 == pytest.approx(87.25, abs=0.02)
    assert reach / 10 == pytest.approx(41.7, abs=0.1)


def test_a_cell_keeps_its_corners(conn, school):
    body = layers.get("cells").read(conn, decode.tile_at(LON + 0.0005, LAT + 0.0005, 14))
    ring = decode.twkb_ring(decode.packed(body)[1][0][6:])
    assert metres_apart(min(ring), (LON, LAT)) < 0.15
    assert metres_apart(max(ring), (LON + 0.001, LAT + 0.001)) < 0.15


@pytest.mark.parametrize(("layer_id", "part"), [("campuses", "campus"), ("routes", "route")])
def test_a_vector_tile_puts_a_corner_where_it_is(conn, school, layer_id, part):
    tile = decode.tile_at(LON, LAT, 15)
    feature = next(one for one in decode.mvt(layers.get(layer_id).read(conn, tile)) if one.layer == part)
    corners = [decode.lon_lat(tile.x + x / 4096, tile.y + y / 4096, tile.z) for x, y in feature.points]
    assert min(metres_apart(corner, (LON, LAT)) for corner in corners) < 0.3


def test_the_ground_has_the_border_the_district_has(conn):
    builders.make_district(conn, lon=LON, lat=LAT)
    tile = decode.tile_at(LON - 0.05, LAT + 0.05, 12)
    border = next(one for one in decode.mvt(layers.get("basemap").read(conn, tile)) if one.layer == "boundary")
    corners = [decode.lon_lat(tile.x + x / 4096, tile.y + y / 4096, tile.z) for x, y in border.points]
    assert min(metres_apart(corner, (LON - 0.05, LAT + 0.05)) for corner in corners) < 3


@pytest.mark.parametrize("layer_id", ["cameras", "cells", "devices"])
def test_each_thing_is_in_exactly_one_tile(small_city, layer_id):
    """Fans and cells are drawn over tile edges from one record; two would be drawn twice as bright."""
    layer = layers.get(layer_id)
    with small_city.connect() as conn, db.scoped(conn, db.CITY):
        box = conn.execute(decode.CITY_BOX)
        found = [
            struct.unpack_from(">i", record)[0]
            for tile in decode.tiles_of(box.fetchone(), 13)
            for record in decode.packed(layer.read(conn, tile))[1]
        ]
    assert len(found) == len(set(found)) > 100
