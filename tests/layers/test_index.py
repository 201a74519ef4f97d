"""A tile is found by the spatial index; a scope never turns that into a walk over the table."""

from __future__ import annotations

import json

import pytest

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


@pytest.mark.parametrize("statement", sorted(BY_INDEX))
@pytest.mark.parametrize("who", sorted(WHO))
def test_a_tile_is_found_by_the_spatial_index(small_city, statement, who):
    tile = decode.tile_at(114.06, 22.55, 15)
    with small_city.connect() as conn, db.scoped(conn, WHO[who]):
        # The small city's tables fit a few pages: without this the planner reads them whole, rightly.
        conn.execute("set local enable_seqscan = off")
        row = conn.execute("explain (format json) " + queries.load("layers")[statement], tile.sql).fetchone()
    plan = row["QUERY PLAN"]
    plan = json.loads(plan) if isinstance(plan, str) else plan
    used = {table for table, index in scans(plan[0]["Plan"]) if index.endswith("geom_idx")}
    assert used >= BY_INDEX[statement]
