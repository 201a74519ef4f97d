"""Patrol routes and their checkpoints, as vector tiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.core import queries
from data.core.db import Connection
from layers.registry import Layer, Sign, register
from layers.tile import Tile

_SQL = queries.load("layers")


def read(conn: Connection, tile: Tile | None) -> bytes:
    """A vector tile (MVT) with the layers route (id: route_id) and checkpoint; b"" where there are none."""
    if tile is None:
        return b""
    row = conn.execute(_SQL["routes_tile"], tile.sql).fetchone()
    return bytes(row["body"]) if row else b""


def describe(conn: Connection, route_id: int) -> Mapping[str, Any] | None:
    """One visible route: names, length in metres, walks a day, when it was last walked; or None."""
    return conn.execute(_SQL["route_feature"], {"feature_id": route_id}).fetchone()


ROUTES = register(
    Layer(
        id="routes",
        order=40,
        requires="patrol.view",
        kind="mvt",
        read=read,
        describe=describe,
        min_zoom=14,
        tile_zooms=(13, 15),
        drawn_from=frozenset({"routes"}),
        signs=(
            Sign(key="layer.routes.route", shape="dash", colour="candidate"),
            Sign(key="layer.routes.checkpoint", shape="diamond", colour="candidate"),
        ),
    )
)
