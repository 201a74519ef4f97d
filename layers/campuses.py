"""Campuses, their buildings and gates, as vector tiles; only those of schools the reader may see."""

from __future__ import annotations

from data.core import queries
from data.core.db import Connection
from layers.registry import Layer, Sign, register
from layers.tile import Tile

_SQL = queries.load("layers")


def read(conn: Connection, tile: Tile | None) -> bytes:
    """A vector tile (MVT) with the layers campus (id: school_id), building and gate; b"" where there are none."""
    if tile is None:
        return b""
    row = conn.execute(_SQL["campuses_tile"], tile.sql).fetchone()
    return bytes(row["body"]) if row else b""


CAMPUSES = register(
    Layer(
        id="campuses",
        order=10,
        requires="place.view",
        kind="mvt",
        read=read,
        min_zoom=13,
        tile_zooms=(12, 15),
        drawn_from=frozenset({"campuses"}),
        signs=(Sign(key="layer.campuses.campus", shape="square", colour="info"), Sign(key="layer.campuses.gate", shape="bar", colour="ok")),
    )
)
