"""Tiles over HTTP: addresses that are none, what a browser may keep, and when it has to ask again."""

from __future__ import annotations

import gzip

import pytest

import layers
from data.core import db
from layers import store as layer_store
from layers.store import Store
from tests import builders
from tests.layers import decode

TILE = decode.tile_at(builders.LON, builders.LAT, 12)
HERE = f"/tiles/cameras/{TILE.z}/{TILE.x}/{TILE.y}"


@pytest.fixture
def city(rows):
    school = builders.make_school(rows)
    builders.make_camera(rows, school)
    builders.make_device(rows, school["school_id"])
    return school


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Versions are looked up at every request, so that a test needs not wait for them."""
    monkeypatch.setattr(layer_store, "LOOK_AGAIN_S", 0.0)


def versions(person):
    return {entry["id"]: entry["version"] for entry in person.get("/tiles").json()}


REFUSED = {
    "/tiles/cameras/12/abc/1": 422,
    "/tiles/cameras/12/1.5/1": 422,
    "/tiles/cameras/-1/0/0": 422,
    "/tiles/cameras/12/99999999/1": 422,
    "/tiles/cameras/12/4096/1": 404,
    "/tiles/cameras/12/1/4096": 404,
    "/tiles/cameras/11/1/1": 404,
    "/tiles/cameras/16/1/1": 404,
    "/tiles/cameras/99/1/1": 404,
    "/tiles/nothing/12/1/1": 404,
    "/tiles/schools/12/1/1": 404,
    "/tiles/cameras": 404,
    "/tiles/cameras/feature/999999": 404,
    "/tiles/cameras/feature/99999999999": 404,
    "/tiles/cameras/feature/-1": 404,
    "/tiles/cameras/feature/x": 422,
    "/tiles/camera-states/feature/1": 404,
}


def test_an_address_that_is_none_is_refused_clearly(browser, city, subtests):
    person = browser("commander", is_city=True)
    for path, status in REFUSED.items():
        with subtests.test(path=path):
            answer = person.get(path)
            assert answer.status_code == status
            assert answer.json()["error"]


def test_a_tile_asked_by_its_version_may_be_kept_for_ever(browser, city):
    person = browser("commander", is_city=True)
    version = versions(person)["cameras"]
    answer = person.get(f"{HERE}?v={version}")
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["etag"] == f'"{version}"'
    for path in (HERE, f"{HERE}?v=another"):
        assert person.get(path).headers["cache-control"] == "private, no-cache"
    assert person.get(HERE, **{"If-None-Match": f'"{version}"'}).status_code == 304
    assert person.get(HERE, **{"If-None-Match": '"another"'}).status_code == 200


def test_states_and_units_are_never_kept(browser, city):
    person = browser("commander", is_city=True)
    for layer_id in ("camera-states", "device-states", "school-states", "cell-states", "units"):
        answer = person.get(f"/tiles/{layer_id}")
        assert answer.headers["cache-control"] == "private, no-store"
        assert "etag" not in answer.headers


def test_new_geometry_has_a_new_version_and_a_new_state_has_not(browser, city, rows):
    person = browser("commander", is_city=True)
    before = versions(person)
    rows.execute("update camera set state = 'lost', state_at = now()")
    rows.execute("update device set state = 'lost', state_at = now()")
    assert versions(person) == before
    rows.execute("update camera set azimuth_deg = 90")
    after = versions(person)
    assert after["cameras"] != before["cameras"]
    assert {name: version for name, version in after.items() if name != "cameras"} == {
        name: version for name, version in before.items() if name != "cameras"
    }
    builders.make_school(rows)
    assert versions(person)["schools"] != before["schools"]


def test_a_changed_camera_is_drawn_anew_though_the_old_tile_was_kept(browser, city, rows):
    person = browser("commander", is_city=True)
    old = person.get(HERE).content
    rows.execute("update camera set azimuth_deg = 90")
    assert person.get(HERE).content != old


def test_a_change_that_is_rolled_back_changes_no_version(browser, city, rows):
    person = browser("commander", is_city=True)
    before = versions(person)
    with rows.transaction(force_rollback=True):
        rows.execute("update camera set azimuth_deg = 12")
    assert versions(person) == before


def test_who_sees_another_part_is_given_another_version(browser, city):
    city_wide, district = browser("commander", is_city=True), browser("district-leader", districts=("440304",))
    theirs = versions(district)
    ours = versions(city_wide)
    assert theirs["cameras"] != ours["cameras"]
    assert theirs["basemap"] == ours["basemap"]


def test_the_index_names_the_layers_of_the_role_only(browser, city):
    assert {"schools", "cameras", "units", "cells"} <= set(versions(browser("commander", is_city=True)))
    assert set(versions(browser("registrar", is_city=True))) == {"basemap", "campuses", "schools"}


def test_a_body_is_gzipped_for_those_who_take_it(browser, city, rows):
    for _ in range(30):
        builders.make_camera(rows, city)
    person = browser("commander", is_city=True)
    packed = person.client.get(HERE, headers={"Accept-Encoding": "gzip"})
    plain = person.client.get(HERE, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert len(decode.packed(plain.content)[1]) == 31


def test_the_memory_for_bodies_has_an_end(small_city, pool):
    layer, store = layers.get("basemap"), Store(pool, most_bytes=20_000)
    box = {"west": 113.8, "south": 22.5, "east": 114.3, "north": 22.8}
    tiles = decode.tiles_of(box, 12)
    for tile in tiles:
        store.read(layer, tile, db.CITY)
    assert 0 < store._bytes <= 20_000
    assert store._bytes == sum(len(body.content) for body in store._kept.values())
    assert gzip.decompress(store.read(layer, tiles[0], db.CITY).content)
