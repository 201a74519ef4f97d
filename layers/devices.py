"""Devices, packed by their points: the buttons, sirens and contacts as they hang in the school."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.core import queries
from data.core.db import Connection
from layers import pack
from layers.registry import Layer, Sign, register
from layers.tile import Tile

_SQL = queries.load("layers")
ZONES = ("", "panic", "contact", "tamper", "siren", "strobe", "lock")  # the packed code is the place in here
STATES = ("unknown", "up", "lost", "fault")
RECORD_BYTES = 14


def read(conn: Connection, tile: Tile | None) -> bytes:
    """Packed (point_id, place, device_id, zone) of the points in the tile; see layers.pack."""
    if tile is None:
        return b""
    return pack.body(pack.DEVICES, RECORD_BYTES, conn.execute(_SQL["devices_packed"], tile.sql).fetchone())


def read_states(conn: Connection, tile: Tile | None) -> bytes:
    """Packed (device_id, place in STATES); a device that is not in it is unknown."""
    del tile
    return pack.states(conn.execute(_SQL["device_states"]).fetchone())


def describe(conn: Connection, point_id: int) -> Mapping[str, Any] | None:
    """One visible point: its names and zone, the device's state with its times; or None."""
    return conn.execute(_SQL["device_feature"], {"feature_id": point_id}).fetchone()


DEVICES = register(
    Layer(
        id="devices",
        order=60,
        requires="device.view",
        kind="packed",
        read=read,
        describe=describe,
        min_zoom=15,
        tile_zooms=(12, 15),
        drawn_from=frozenset({"devices"}),
        live_on=frozenset({"device.changed"}),
        signs=(
            Sign(key="layer.devices.up", shape="bolt", colour="ok"),
            Sign(key="layer.devices.out", shape="bolt-out", colour="attention"),
            Sign(key="layer.devices.unknown", shape="bolt-open", colour="muted"),
        ),
    )
)

DEVICE_STATES = register(
    Layer(id="device-states", requires="device.view", kind="states", read=read_states, live_on=frozenset({"device.changed"}))
)
