"""Grid cells of responsibility, packed; their state is the worst open hazard in each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.core import queries
from data.core.db import Connection
from layers import pack
from layers.registry import Layer, Sign, register
from layers.tile import Tile

_SQL = queries.load("layers")
UNOWNED = 16  # added to the state of a cell that has no owner


def read(conn: Connection, tile: Tile | None) -> bytes:
    """Packed (cell_id, outline) of the cells whose middle lies in the tile; see layers.pack."""
    if tile is None:
        return b""
    return pack.body(pack.CELLS, 0, conn.execute(_SQL["cells_packed"], tile.sql).fetchone())


def read_states(conn: Connection, tile: Tile | None) -> bytes:
    """Packed (cell_id, state): 0 no open hazard, 1 low to 4 critical, plus UNOWNED."""
    del tile
    return pack.states(conn.execute(_SQL["cell_states"]).fetchone())


def read_schools(conn: Connection, tile: Tile | None) -> bytes:
    """Packed (school_id, worst open hazard 1 to 4): what stands for the cells where they are too small to be drawn."""
    del tile
    return pack.states(conn.execute(_SQL["school_hazards"]).fetchone())


def describe(conn: Connection, cell_id: int) -> Mapping[str, Any] | None:
    """One visible cell: code, area in square metres, owner, open hazards; or None."""
    return conn.execute(_SQL["cell_feature"], {"feature_id": cell_id}).fetchone()


CELLS = register(
    Layer(
        id="cells",
        order=30,
        requires="hazard.view",
        kind="packed",
        read=read,
        describe=describe,
        min_zoom=13,
        tile_zooms=(12, 15),
        drawn_from=frozenset({"cells"}),
        live_on=frozenset({"hazard.changed"}),
        signs=(
            Sign(key="layer.cells.clear", shape="square", colour="ok"),
            Sign(key="layer.cells.hazard", shape="square-dot", colour="attention"),
            Sign(key="layer.cells.critical", shape="square-dots", colour="critical"),
            Sign(key="layer.cells.unowned", shape="hatch", colour="candidate"),
        ),
    )
)

CELL_STATES = register(
    Layer(id="cell-states", requires="hazard.view", kind="states", read=read_states, live_on=frozenset({"hazard.changed"}))
)

SCHOOL_HAZARDS = register(
    Layer(id="school-hazards", requires="hazard.view", kind="states", read=read_schools, live_on=frozenset({"hazard.changed"}))
)
