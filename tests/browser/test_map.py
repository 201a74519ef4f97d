"""The map in a real browser: what the server packed is drawn where it belongs, and restyled piece by piece."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

GO = """async ({lat, lon, zoom}) => {
  const { grid } = campus.layers.grounds;
  const loaded = new Promise((done) => grid.once("load", done));
  campus.map.setView([lat, lon], zoom, { animate: false });
  await loaded;
}"""
HIT = "({lat, lon, layer, zoom}) => campus.layers[layer].hit(...campus.geo.world(lat, lon), zoom)"
# Colour of the canvas under a place: the tile of a grid, or the canvas of the schools.
TILE_PIXELS = """({lat, lon}) => {
  const { grid } = campus.layers.grounds, [x, y] = campus.geo.world(lat, lon);
  for (const { el } of Object.values(grid._tiles)) {
    const frame = grid.frameOf(el);
    const px = (x - frame.left) * frame.scale, py = (y - frame.top) * frame.scale;
    if (px < 8 || py < 8 || px > 504 || py > 504) continue;
    return Array.from(el.getContext("2d").getImageData(px - 8, py - 8, 16, 16).data);
  }
  return null;
}"""


@pytest.fixture
def wall(people):
    page = people("commander")
    page.evaluate("() => campus.layers.ready")
    return page


@pytest.fixture
def camera(plant):
    return plant.rows("select camera_id, name_zh, st_x(geom) as lon, st_y(geom) as lat from camera order by camera_id limit 1")[0]


def go(page, place, zoom):
    page.evaluate(GO, {"lat": place["lat"], "lon": place["lon"], "zoom": zoom})


def test_every_layer_is_drawn_from_this_server_alone(wall, plant, camera):
    go(wall, camera, 17)
    wall.wait_for_function("() => campus.layers.legend().length >= 7")
    assert {entry["id"] for entry in wall.evaluate("() => campus.layers.legend()")} == {
        "campuses", "schools", "cells", "cameras", "routes", "devices", "units",
    }  # fmt: skip
    assert any(wall.evaluate(TILE_PIXELS, camera))
    asked = {url for url in wall.seen.requests if "/tiles/" in url}
    for layer in ("basemap", "campuses", "cells", "cameras", "routes", "devices"):
        assert any(f"/tiles/{layer}/" in url and "?v=" in url for url in asked), layer
    assert all(url.startswith((plant.url, "data:", "blob:")) for url in wall.seen.requests)
    assert wall.seen.errors == []


def test_a_packed_camera_is_found_where_the_database_has_it(wall, camera):
    go(wall, camera, 17)
    found = wall.evaluate(HIT, {**camera, "layer": "cameras", "zoom": 17})
    assert found["id"] == camera["camera_id"]


def test_a_cell_is_found_where_the_database_has_it(wall, plant):
    cell = plant.rows(
        "select cell_id, st_x(p) as lon, st_y(p) as lat from (select cell_id, st_pointonsurface(geom) p from cell) c order by 1 limit 1"
    )[0]
    go(wall, cell, 17)
    assert wall.evaluate(HIT, {**cell, "layer": "cells", "zoom": 17})["id"] == cell["cell_id"]


def test_a_camera_that_is_lost_is_drawn_anew_without_a_request(wall, camera):
    go(wall, camera, 17)
    wall.wait_for_load_state("networkidle")
    wall.evaluate("({camera_id}) => campus.layers.cameras.setState(camera_id, 'ok')", camera)
    wall.wait_for_function("() => new Promise((done) => setTimeout(() => done(true), 200))")
    before = wall.evaluate(TILE_PIXELS, camera)
    tiles = sum("/tiles/cameras/" in url for url in wall.seen.requests)
    wall.evaluate("({camera_id}) => campus.layers.cameras.setState(camera_id, 'lost')", camera)
    wall.wait_for_function(
        "([place, before]) => { const look = " + TILE_PIXELS + "; return look(place).join() !== before.join(); }", arg=[camera, before]
    )
    assert sum("/tiles/cameras/" in url for url in wall.seen.requests) == tiles


def test_one_school_is_restyled_and_the_others_are_not_touched(wall, plant):
    counted = wall.evaluate("""() => {
      const { schools } = campus.layers;
      let drawn = 0;
      const marks = [...schools.marks.values()];
      for (const mark of marks) { const redraw = mark.redraw; mark.redraw = function () { drawn += 1; return redraw.call(this); }; }
      schools.setState(marks[0].school.id, "alarm");
      return { drawn, size: marks.length, state: schools.stateOf(marks[0].school.id) };
    }""")
    assert counted == {"drawn": 1, "size": plant.rows("select count(*) as n from school")[0]["n"], "state": "alarm"}


def test_the_pointer_tells_name_and_state_with_its_age(wall, camera):
    go(wall, camera, 18)
    wall.mouse.move(5, 5)
    at = wall.evaluate("({lat, lon}) => { const p = campus.map.latLngToContainerPoint([lat, lon]); return [p.x, p.y]; }", camera)
    wall.mouse.move(at[0] + 2, at[1] + 1)
    wall.mouse.move(at[0], at[1])
    tip = wall.locator(".map-tip:not([hidden])")
    tip.wait_for(timeout=5000)
    assert camera["name_zh"] in tip.inner_text()


def test_a_layer_that_is_switched_off_is_no_longer_drawn(wall, camera):
    go(wall, camera, 17)
    drawn = wall.evaluate(TILE_PIXELS, camera)
    for layer in ("campuses", "cells", "cameras", "routes", "devices"):
        assert wall.evaluate("(layer) => campus.layers.toggle(layer, false)", layer) is False
    ground = "([place, before]) => { const look = " + TILE_PIXELS + "; return look(place).join() !== before.join() && look(place); }"
    bare = wall.wait_for_function(ground, arg=[camera, drawn]).json_value()
    assert len({tuple(bare[i : i + 4]) for i in range(0, len(bare), 4)}) < len({tuple(drawn[i : i + 4]) for i in range(0, len(drawn), 4)})


def test_a_district_leader_is_given_the_schools_of_the_own_district(people, plant):
    page = people("district-leader")
    page.evaluate("() => campus.layers.ready")
    mine = plant.rows(
        "select count(*) as n from school s join account a on s.district_code = any (a.district_codes) where a.login = 'district-leader'"
    )[0]["n"]
    assert page.evaluate("() => campus.layers.schools.marks.size") == mine > 0
