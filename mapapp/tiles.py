"""Map data over HTTP: the index of layers, whole layers, tiles, one feature in words.

A body asked for with the version that the index gave (`?v=`) may be kept by the browser for ever:
new data or another scope has another version. Everything else is checked again on each use.
"""

from __future__ import annotations

import gzip
import threading
import weakref
from typing import Any

from fastapi import Request, Response

import layers
from layers.registry import MEDIA_TYPES, Layer
from layers.store import Body, Store
from layers.tile import Tile
from mapapp import errors, registry
from mapapp.guard import visit
from mapapp.services import Services

FOR_EVER = "private, max-age=31536000, immutable"
ASK_AGAIN = "private, no-cache"
NEVER = "private, no-store"
LARGEST_ID = 2**31 - 1

_STORES: weakref.WeakKeyDictionary[Any, Store] = weakref.WeakKeyDictionary()
_MAKING = threading.Lock()


def store_of(services: Services) -> Store:
    """The process's one store of bodies, made when it is first asked for."""
    with _MAKING:
        if services.pool not in _STORES:
            _STORES[services.pool] = Store(services.pool)
        return _STORES[services.pool]


def _layer(layer_id: str) -> Layer:
    try:
        return layers.get(layer_id)
    except layers.NoSuchLayer as err:
        raise errors.NotThere(layer_id) from err


def _answer(request: Request, layer: Layer, body: Body) -> Response:
    headers = {"Vary": "Accept-Encoding", "Cache-Control": NEVER}  # whose it is, is in the version
    if body.version:
        headers["ETag"] = f'"{body.version}"'
        headers["Cache-Control"] = FOR_EVER if request.query_params.get("v") == body.version else ASK_AGAIN
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
    content = body.content
    if body.is_gzipped:
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
        else:
            content = gzip.decompress(content)
    return Response(content, media_type=MEDIA_TYPES[layer.kind], headers=headers)


@registry.route("GET", "/tiles", requires="place.view")
def index() -> list[dict[str, Any]]:
    """The layers this person may see: id, kind, version, zooms, and what the legend shows."""
    asked = visit()
    store, person = store_of(asked.services), asked.person
    signs = {entry["id"]: entry for entry in layers.legend(person.permissions)}
    return [
        {
            "id": layer.id,
            "kind": layer.kind,
            "version": store.version(layer, person.scope),
            "zooms": layer.tile_zooms,
            **signs.get(layer.id, {"switch": layer.switch, "on": layer.is_on, "min_zoom": layer.min_zoom, "signs": []}),
        }
        for layer in layers.LAYERS.values()
        if person.may(layer.requires)
    ]


@registry.route("GET", "/tiles/{layer}", requires=registry.PER_LAYER)
def whole(layer: str, request: Request) -> Response:
    """A layer that comes in one piece: schools, units, states."""
    asked, found = visit(), _layer(layer)
    if found.tile_zooms is not None:
        raise errors.NotThere(layer)
    return _answer(request, found, store_of(asked.services).read(found, None, asked.person.scope))


@registry.route("GET", "/tiles/{layer}/feature/{feature_id}", requires=registry.PER_LAYER)
def feature(layer: str, feature_id: int) -> dict[str, Any]:
    """One feature in words; what is out of scope is not there."""
    asked, found = visit(), _layer(layer)
    if found.describe is None or not 0 < feature_id <= LARGEST_ID:
        raise errors.NotThere(f"{layer}/{feature_id}")
    with asked.transaction() as conn:
        row = found.describe(conn, feature_id)
    if row is None:
        raise errors.NotThere(f"{layer}/{feature_id}")
    return {"layer": layer, "id": feature_id, **row}


@registry.route("GET", "/tiles/{layer}/{z}/{x}/{y}", requires=registry.PER_LAYER)
def tile(layer: str, z: str, x: str, y: str, request: Request) -> Response:
    """A tile of 512 px: at map zoom n it is the tile of zoom n - 1. 422 for an address that is no number, 404 for one outside."""
    asked, found = visit(), _layer(layer)
    try:
        where: Tile = layers.address(z, x, y)
        body = store_of(asked.services).read(found, where, asked.person.scope)
    except layers.BadAddress as err:
        raise errors.BadInput from err
    except layers.NoSuchTile as err:
        raise errors.NotThere(f"{layer}/{z}/{x}/{y}") from err
    return _answer(request, found, body)


for _known in layers.LAYERS.values():
    registry.layer(_known.id, requires=_known.requires)
