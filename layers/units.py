"""Units: cars, motorcycles, patrols on foot and stations, where they were last heard of and how long ago."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.core import queries
from data.core.db import Connection
from layers.registry import Layer, Sign, register
from layers.tile import Tile

_SQL = queries.load("layers")


def read(conn: Connection, tile: Tile | None) -> bytes:
    """JSON `{now, units}` of the visible units with a known position (EPSG:4326, six decimals); `at` is when it was measured."""
    del tile
    row = conn.execute(_SQL["units_now"]).fetchone()
    return str(row["body"]).encode() if row else b""


def describe(conn: Connection, unit_id: int) -> Mapping[str, Any] | None:
    """One visible unit: names, kind, status, age of its position; or None."""
    return conn.execute(_SQL["unit_feature"], {"feature_id": unit_id}).fetchone()


UNITS = register(
    Layer(
        id="units",
        order=70,
        requires="unit.view",
        kind="json",
        read=read,
        describe=describe,
        live_on=frozenset({"unit.moved", "unit.changed"}),
        signs=(
            Sign(key="layer.units.free", shape="car", colour="candidate"),
            Sign(key="layer.units.busy", shape="car-busy", colour="high"),
            Sign(key="layer.units.stale", shape="faded", colour="muted"),
        ),
    )
)
