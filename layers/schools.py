"""Schools: every school as a point (GeoJSON, read once), and the state of each apart from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash_leaflet as dl

from data.core import queries
from data.core.db import Connection
from layers import pack
from layers.registry import Layer, Sign, register
from layers.tile import Tile

_SQL = queries.load("layers")


def read(conn: Connection, tile: Tile | None) -> bytes:
    """GeoJSON (EPSG:4326) of the visible schools: id, code, zh, en, kind, district; no school gives an empty collection."""
    del tile
    row = conn.execute(_SQL["schools_geojson"]).fetchone()
    return str(row["body"]).encode() if row else b""


def read_states(conn: Connection, tile: Tile | None) -> bytes:
    """Packed (school_id, state): 1 what speaks is up, 2 something is lost or faulty; a school that is not in it is unknown."""
    del tile
    return pack.states(conn.execute(_SQL["school_states"]).fetchone())


def describe(conn: Connection, school_id: int) -> Mapping[str, Any] | None:
    """One visible school: names, kind, state with its age, or None."""
    return conn.execute(_SQL["school_feature"], {"feature_id": school_id}).fetchone()


SCHOOLS = register(
    Layer(
        id="schools",
        order=20,
        requires="place.view",
        kind="geojson",
        read=read,
        describe=describe,
        drawn_from=frozenset({"schools"}),
        live_on=frozenset({"device.changed"}),
        switch=False,
        signs=(
            Sign(key="layer.schools.ok", shape="disc", colour="info"),
            Sign(key="layer.schools.attention", shape="triangle", colour="attention"),
            Sign(key="layer.schools.alarm", shape="pulse", colour="critical"),
            Sign(key="layer.schools.unknown", shape="ring", colour="muted"),
        ),
    )
)

SCHOOL_STATES = register(
    Layer(id="school-states", requires="device.view", kind="states", read=read_states, live_on=frozenset({"device.changed"}))
)


def component() -> dl.GeoJSON:
    """The schools for a `dl.Map` with `preferCanvas`; the browser fetches them itself, drawing is in map_draw_schools.js."""
    return dl.GeoJSON(
        id="layer-schools",
        url="/tiles/schools",
        format="geojson",
        pointToLayer={"variable": "campus.layers.schools.mark"},
        onEachFeature={"variable": "campus.layers.schools.each"},
    )
