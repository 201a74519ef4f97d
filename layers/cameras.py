"""Cameras, packed: where each stands and looks; its state apart, what it really sees on demand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.core import queries
from data.core.db import Connection
from layers import pack
from layers.registry import Layer, Sign, register
from layers.tile import Tile

_SQL = queries.load("layers")
STATES = ("unknown", "ok", "lost", "frozen", "dark", "bright", "blurred", "covered", "moved")  # the packed code is the place in here
RECORD_BYTES = 14


def read(conn: Connection, tile: Tile | None) -> bytes:
    """Packed (camera_id, place, azimuth, field of view, range) of the cameras in the tile; see layers.pack."""
    if tile is None:
        return b""
    return pack.body(pack.CAMERAS, RECORD_BYTES, conn.execute(_SQL["cameras_packed"], tile.sql).fetchone())


def read_states(conn: Connection, tile: Tile | None) -> bytes:
    """Packed (camera_id, place in STATES); a camera that is not in it is unknown."""
    del tile
    return pack.states(conn.execute(_SQL["camera_states"]).fetchone())


def describe(conn: Connection, camera_id: int) -> Mapping[str, Any] | None:
    """One visible camera: names, state with its times, field of view, `view` as GeoJSON; or None."""
    return conn.execute(_SQL["camera_feature"], {"feature_id": camera_id}).fetchone()


CAMERAS = register(
    Layer(
        id="cameras",
        order=50,
        requires="camera.view",
        kind="packed",
        read=read,
        describe=describe,
        min_zoom=13,
        tile_zooms=(12, 15),
        drawn_from=frozenset({"cameras"}),
        live_on=frozenset({"camera.changed"}),
        signs=(
            Sign(key="layer.cameras.ok", shape="fan", colour="ok"),
            Sign(key="layer.cameras.fault", shape="cross", colour="attention"),
            Sign(key="layer.cameras.unknown", shape="fan-open", colour="muted"),
        ),
    )
)

CAMERA_STATES = register(
    Layer(id="camera-states", requires="camera.view", kind="states", read=read_states, live_on=frozenset({"camera.changed"}))
)
