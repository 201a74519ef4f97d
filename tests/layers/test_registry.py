"""What a layer says about itself is true elsewhere too: permissions, words, shapes, colours, fonts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import layers
from data.core import access
from layers import registry
from layers.schools import component
from mapapp import registry as doors
from mapapp import text

ASSETS = Path(__file__).parents[2] / "mapapp" / "assets"
LIVE_KINDS = {"camera.changed", "device.changed", "hazard.changed", "unit.moved", "unit.changed"}


@pytest.mark.parametrize("layer", layers.LAYERS.values(), ids=lambda layer: layer.id)
def test_a_layer_fits_the_rest_of_the_product(layer):
    assert layer.requires in access.PERMISSIONS
    assert doors.LAYERS[layer.id] == layer.requires
    assert layer.kind in registry.MEDIA_TYPES
    assert layer.live_on <= LIVE_KINDS
    assert layer.is_kept or layer.live_on, "what may never be kept must be told live"
    if layer.kind != "states":
        assert {f"layer.{layer.id}"} <= set(text.messages("zh"))


def test_legend_signs_have_words_shapes_and_colours():
    shapes = set(re.findall(r'^    "?([a-z-]+)"?: \(c\) =>', (ASSETS / "map_core_swatch.js").read_text(encoding="utf-8"), re.MULTILINE))
    colours = set(re.findall(r"(\w+): ", (ASSETS / "map_core_palette.js").read_text(encoding="utf-8")))
    for entry in layers.legend(access.PERMISSIONS):
        shapes_used = {sign["shape"] for sign in entry["signs"]}
        assert len(shapes_used) == len(entry["signs"]), "colour is never the only sign"
        for sign in entry["signs"]:
            assert sign["shape"] in shapes
            assert sign["colour"] in colours
            assert all(sign["key"] in text.messages(lang) for lang in text.LANGS)


def test_the_legend_shows_what_a_person_may_see_from_the_ground_up():
    assert [entry["id"] for entry in layers.legend(frozenset({"place.view", "unit.view"}))] == ["campuses", "schools", "units"]
    assert layers.legend(frozenset()) == []


def test_a_layer_cannot_be_registered_twice():
    with pytest.raises(registry.DoubleLayer):
        registry.register(layers.get("schools"))
    with pytest.raises(layers.NoSuchLayer):
        layers.get("nothing")


def test_the_schools_come_from_their_own_url_to_our_own_marks():
    drawn = component()
    assert drawn.url == "/tiles/schools"
    assert drawn.pointToLayer == {"variable": "campus.layers.schools.mark"}


def test_every_character_of_the_product_is_in_the_served_type():
    served = set((ASSETS / "fonts" / "common.txt").read_text(encoding="utf-8"))
    root = ASSETS.parents[1]
    sources = [*(root / "mapapp" / "locale").glob("*.json"), *(root / "data" / "demo").rglob("*.py")]
    needed = {sign for path in sources for sign in path.read_text(encoding="utf-8") if "\u2e80" <= sign <= "\uffef"}
    assert not needed - served


def test_vendored_and_served_files_have_their_licences_beside_them():
    assert {path.name for path in (ASSETS / "vendor").glob("LICENSE-*.txt")} >= {
        "LICENSE-vector-tile.txt",
        "LICENSE-pbf.txt",
        "LICENSE-point-geometry.txt",
    }
    assert {path.name for path in (ASSETS / "fonts").glob("OFL-*.txt")} == {"OFL-inter.txt", "OFL-noto-sans-sc.txt"}
    assert sum(path.stat().st_size for path in (ASSETS / "fonts").glob("*.woff2")) < 2.5e6
