"""Whoever sees a part of the city gets that part from every layer, and nothing else."""

from __future__ import annotations

import psycopg
import pytest

import layers
from data.core import db
from data.core.access import Scope
from layers.store import Store, scope_mark
from tests.layers import decode

# What somebody may see of a layer, asked of the tables themselves.
OWN = {
    "schools": "select school_id as id, school_id, district_code, street_code from school",
    "school-states": "select distinct school_id as id, school_id, district_code, street_code from school join device using (school_id)",
    "campuses": "select school_id as id, school_id, district_code, street_code from campus",
    "cells": "select cell_id as id, school_id, district_code, street_code from cell",
    "school-hazards": "select distinct school_id as id, school_id, district_code, street_code from hazard"
    " where state not in ('closed', 'rejected', 'verified')",
    "cell-states": "select distinct cell_id as id, school_id, district_code, street_code from hazard where cell_id is not null"
    " and state not in ('closed', 'rejected', 'verified')",
    "cameras": "select camera_id as id, school_id, district_code, street_code from camera",
    "camera-states": "select camera_id as id, school_id, district_code, street_code from camera",
    "routes": "select route_id as id, school_id, district_code, street_code from route",
    "devices": "select point_id as id, school_id, district_code, street_code from point join device using (device_id)"
    " join school using (school_id)",
    "device-states": "select device_id as id, school_id, district_code, street_code from device join school using (school_id)",
    "units": "select unit_id as id, null::integer as school_id, district_code, street_code from unit",
}
WITH_STATES = (
    "update camera set state = 'ok', state_at = now()",
    "update device set state = 'up', state_at = now()",
    "update hazard set state = 'reported' where hazard_id in"
    " (select min(hazard_id) from hazard where cell_id is not null group by school_id)",
)


@pytest.fixture
def scopes(small_city):
    """One scope of each kind, around one school."""
    with small_city.owner() as owner:
        for statement in WITH_STATES:
            owner.execute(statement)
        found = owner.execute(
            "select school_id, district_code, street_code from school where street_code is not null order by school_id offset 7"
        ).fetchone()
    return {
        "district": Scope(districts=frozenset({found["district_code"]})),
        "street": Scope(streets=frozenset({found["street_code"]})),
        "school": Scope(schools=frozenset({found["school_id"]})),
        "nothing": Scope(),
    }


def test_every_scoped_layer_is_asked_here():
    assert set(OWN) == {layer.id for layer in layers.LAYERS.values() if layer.is_scoped}


def test_a_layer_holds_what_its_reader_may_see_and_nothing_else(scopes, seen, small_city, subtests):
    for layer_id, question in OWN.items():
        with small_city.owner() as owner:
            everything = owner.execute(question).fetchall()
        with subtests.test(layer=layer_id, who="city"):
            assert seen(layer_id, db.CITY) == {row["id"] for row in everything}
        for kind, scope in scopes.items():
            own = {
                row["id"]
                for row in everything
                if row["district_code"] in scope.districts or row["street_code"] in scope.streets or row["school_id"] in scope.schools
            }
            with subtests.test(layer=layer_id, who=kind):
                assert len(own) < len(everything)
                assert own or kind == "nothing" or layer_id == "units"
                assert seen(layer_id, scope) == own


def test_a_cell_owner_sees_the_own_cells_without_seeing_the_schools(seen, small_city):
    with small_city.owner() as owner:
        cell_ids = {row["cell_id"] for row in owner.execute("select cell_id from cell order by cell_id limit 3")}
    scope = Scope(cells=frozenset(cell_ids))
    assert seen("cells", scope) == cell_ids
    assert seen("schools", scope) == set()


def test_a_feature_of_another_district_is_described_to_nobody_else(scopes, small_city, seen, subtests):
    for layer in layers.LAYERS.values():
        if layer.describe is None:
            continue
        inside = seen(layer.id, scopes["district"])
        outside = seen(layer.id, db.CITY) - inside
        with subtests.test(layer=layer.id), small_city.connect() as conn:
            with db.scoped(conn, scopes["district"]):
                assert layer.describe(conn, min(inside)) is not None
                assert all(layer.describe(conn, feature_id) is None for feature_id in sorted(outside)[:5])
            with db.scoped(conn, db.CITY):
                assert layer.describe(conn, min(outside)) is not None


def test_two_scopes_never_share_a_body(pool, scopes):
    store, layer = Store(pool), layers.get("schools")
    city = store.read(layer, None, db.CITY)
    for scope in scopes.values():
        body = store.read(layer, None, scope)
        assert body.version != city.version
        assert body.content != city.content
    assert store.read(layer, None, db.CITY) is city


def test_scopes_have_the_same_mark_only_when_they_are_equal():
    different = [
        db.CITY,
        Scope(),
        Scope(districts=frozenset({"440304"})),
        Scope(districts=frozenset({"440304", "440305"})),
        Scope(streets=frozenset({"440304"})),
        Scope(schools=frozenset({1, 2})),
        Scope(schools=frozenset({12})),
        Scope(cells=frozenset({12})),
    ]
    assert len({scope_mark(scope) for scope in different}) == len(different)
    assert scope_mark(Scope(schools=frozenset({1, 2}))) == scope_mark(Scope(schools=frozenset({2, 1})))


def test_a_forgotten_scope_fails_and_never_shows_the_city(small_city, subtests):
    with small_city.owner() as owner:
        somewhere = owner.execute("select st_x(geom) as lon, st_y(geom) as lat from school order by school_id limit 1").fetchone()
    for layer_id in ("schools", "campuses", "cells", "cameras", "routes"):
        layer = layers.get(layer_id)
        tile = None if layer.tile_zooms is None else decode.tile_at(somewhere["lon"], somewhere["lat"], layer.tile_zooms[0])
        # A connection that never had a scope.
        with subtests.test(layer=layer_id), small_city.connect() as conn, pytest.raises(psycopg.errors.UndefinedObject):
            layer.read(conn, tile)
