"""Every map layer: who may read it, how it is read, what it looks like, when it changes.

A layer module ends in `register(Layer(...))`; importing `layers` registers them all. The web serves what
is registered here under `/tiles/<id>` and `/tiles/<id>/<z>/<x>/<y>`; the wall draws legend and layer
switch from `legend()`. Drawing itself is in `mapapp/assets/map_*.js`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from data.core.db import Connection
from layers.tile import NoSuchTile, Tile

Kind = Literal["geojson", "json", "packed", "mvt", "states"]

MEDIA_TYPES: Mapping[str, str] = {
    "geojson": "application/geo+json",
    "json": "application/json",
    "packed": "application/x-campus-packed",
    "mvt": "application/vnd.mapbox-vector-tile",
    "states": "application/x-campus-packed",
}


class NoSuchLayer(LookupError):
    """No layer has this id."""


class DoubleLayer(ValueError):
    """Two modules register the same layer id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One line of the legend: what a mark means. Shape and text say it without the colour."""

    key: str  # locale key, `layer.<id>.<sign>`
    shape: str  # drawn by campus.layers.swatch: map_core_swatch.js
    colour: str  # token of mapapp/assets/map_core_palette.js


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A map layer.

    Geometry reaches the browser in EPSG:4326 (GeoJSON, packed cells) or in tile coordinates (MVT,
    packed points), never inside a callback. `read` gets a connection that is already scoped.
    """

    id: str  # kebab-case; also the URL, and its title is the locale key `layer.<id>`
    requires: str  # permission, checked by the guard on page and URL alike
    kind: Kind
    order: int = 0  # of drawing and in the legend, from below
    read: Callable[[Connection, Tile | None], bytes]  # None: the whole layer at once
    min_zoom: int = 0  # of the map, not of the tile
    max_zoom: int = 20
    tile_zooms: tuple[int, int] | None = None  # zooms that have tiles; None: one body for everything
    is_scoped: bool = True  # False: public geography, the same for everyone who may see it
    drawn_from: frozenset[str] = frozenset()  # names in layer_version; empty: a state, never kept
    live_on: frozenset[str] = frozenset()  # kinds of the live stream that restyle or move its features
    describe: Callable[[Connection, int], Mapping[str, Any] | None] | None = None  # one feature for the tooltip
    signs: tuple[Sign, ...] = ()
    switch: bool = True  # may be switched off by the viewer
    is_on: bool = True  # on when the map opens

    @property
    def is_kept(self) -> bool:
        """Whether browsers may keep its bodies under their version."""
        return bool(self.drawn_from)

    def check(self, tile: Tile) -> None:
        """Raises: NoSuchTile where this layer has no tiles."""
        if self.tile_zooms is None or not self.tile_zooms[0] <= tile.z <= self.tile_zooms[1]:
            raise NoSuchTile(f"{self.id}/{tile.z}/{tile.x}/{tile.y}")


LAYERS: dict[str, Layer] = {}


def register(layer: Layer) -> Layer:
    """Make a layer known. Raises: DoubleLayer."""
    if layer.id in LAYERS:
        raise DoubleLayer(layer.id)
    LAYERS[layer.id] = layer
    return layer


def get(layer_id: str) -> Layer:
    """Raises: NoSuchLayer."""
    try:
        return LAYERS[layer_id]
    except KeyError as err:
        raise NoSuchLayer(layer_id) from err


def legend(permissions: frozenset[str]) -> list[dict[str, Any]]:
    """What the legend and the layer switch show to somebody with these permissions, in drawing order.

    Returns:
        Dicts of `id`, `title` (locale key), `switch`, `on`, `min_zoom`, and `signs`: dicts of `key`, `shape`, `colour`.
    """
    return [
        {
            "id": layer.id,
            "title": f"layer.{layer.id}",
            "switch": layer.switch,
            "on": layer.is_on,
            "min_zoom": layer.min_zoom,
            "signs": [{"key": sign.key, "shape": sign.shape, "colour": sign.colour} for sign in layer.signs],
        }
        for layer in sorted(LAYERS.values(), key=lambda layer: layer.order)
        if layer.kind != "states" and layer.requires in permissions and layer.signs
    ]
