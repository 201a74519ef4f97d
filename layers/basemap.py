"""The ground: land, water, parks, roads, borders, neighbours' buildings and names, as vector tiles."""

from __future__ import annotations

from data.core import queries
from data.core.db import Connection
from layers.registry import Layer, register
from layers.tile import Tile

_SQL = queries.load("layers")


def read(conn: Connection, tile: Tile | None) -> bytes:
    """A vector tile (MVT, extent 4096) with the layers district, landuse, boundary, road, building, label; b"" over open sea."""
    if tile is None:
        return b""
    row = conn.execute(_SQL["basemap_tile"], tile.sql).fetchone()
    return bytes(row["body"]) if row else b""


BASEMAP = register(
    Layer(
        id="basemap",
        order=0,
        requires="place.view",
        kind="mvt",
        read=read,
        tile_zooms=(6, 15),
        is_scoped=False,
        drawn_from=frozenset({"basemap"}),
        switch=False,
    )
)
