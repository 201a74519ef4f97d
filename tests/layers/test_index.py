"""A tile is found by the spatial index; a scope never turns that into a walk over the table."""

from __future__ import annotations

import json

from data.core import db, queries
from data.core.access import Scope
from tests.layers import decode

# statement -> tables whose GiST index finds the rows of a tile
BY_INDEX = {
    "basemap_tile": {"district", "street", "road", "landuse", "building"},
    "campuses_tile": {"campus"},
    "routes_tile": {"route"},
    "cells_packed": {"cell"},
    "cameras_packed": {"camera"},
    "devices_packed": {"school"},
}
WHO = {
    "city": db.CITY,
    "district": Scope(districts=frozenset({"440304"})),
    "street": Scope(streets=frozenset({"440304001"})),
    "school": Scope(schools=frozenset({7})),
}


def scans(plan):
    """(table, index) of every scan by an index in a plan."""
    if plan["Node Type"] == "Index Scan":
        yield plan["Relation Name"], plan["Index Name"]
    elif plan["Node Type"] == "Bitmap Heap Scan":
        for part in plan["Plans"]:
            for inner in bitmaps(part):
                yield plan["Relation Name"], inner
    for part in plan.get("Plans", []):
        yield from scans(part)


def bitmaps(plan):
    if plan["Node Type"] == "Bitmap Index Scan":
        yield plan["Index Name"]
    for part in plan.get("Plans", []):
        yield from bitmaps(part)


def test_a_tile_is_found_by_the_spatial_index(small_city, subtests):
    tile = decode.tile_at(114.06, 22.55, 15)
    with small_city.connect() as conn:
        # The small city's tables fit a few pages: without this the planner reads them whole, rightly.
        conn.execute("set enable_seqscan = off")
        for statement, tables in BY_INDEX.items():
            for who, scope in WHO.items():
                with subtests.test(statement=statement, who=who), db.scoped(conn, scope):
                    row = conn.execute("explain (format json) " + queries.load("layers")[statement], tile.sql).fetchone()
                    plan = json.loads(row["QUERY PLAN"]) if isinstance(row["QUERY PLAN"], str) else row["QUERY PLAN"]
                    assert {table for table, index in scans(plan[0]["Plan"]) if index.endswith("geom_idx")} >= tables
