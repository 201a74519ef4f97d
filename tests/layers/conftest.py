"""The web of tests/web, and tiles of the small demo city."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg_pool
import pytest

import layers
from data.core import db
from data.core.access import Scope
from tests.conftest import Database
from tests.layers import decode
from tests.web.conftest import browser, rows, running, start, visitor

__all__ = ["browser", "rows", "running", "start", "visitor"]

ZOOM = 12  # of the tiles that together hold the whole city


@pytest.fixture
def pool(small_city: Database) -> Iterator[psycopg_pool.ConnectionPool[db.Connection]]:
    opened = db.pool(small_city.dsn, high=2)
    yield opened
    opened.close()


@pytest.fixture
def seen(small_city: Database) -> Iterator[Callable[[str, Scope], set[int]]]:
    """seen(layer, scope): ids of all features that somebody with this scope gets, over every tile of the city."""
    with small_city.connect() as conn:
        with db.scoped(conn, db.CITY):
            box = conn.execute(decode.CITY_BOX).fetchone()
        assert box is not None

        def read(layer_id: str, scope: Scope) -> set[int]:
            layer = layers.get(layer_id)
            found: set[int] = set()
            tiles = [None] if layer.tile_zooms is None else decode.tiles_of(box, max(ZOOM, layer.tile_zooms[0]))
            for tile in tiles:
                with db.scoped(conn, scope):
                    found |= decode.ids(layer, layer.read(conn, tile))
            return found

        yield read
