"""Bodies of layers, kept in memory under what they were drawn from and for whom.

The version of a body is made of the numbers in `layer_version` and of the reader's scope, so two
people with different scopes never share one, and a change of geometry leaves the old ones unused.
"""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

import psycopg_pool

from data.core import db, queries
from data.core.access import Scope
from layers.registry import Layer
from layers.tile import Tile

_SQL = queries.load("layers")
LOOK_AGAIN_S = 1.0  # a change of geometry is seen after this at the latest
GZIP_LEVEL = 5
SMALL_BYTES = 256  # not worth the compression


@dataclass(frozen=True, slots=True)
class Body:
    """What a layer answers: bytes, whether they are gzipped, and the version they belong to ("" for states)."""

    content: bytes
    is_gzipped: bool
    version: str


def scope_mark(scope: Scope) -> str:
    """A short name of a scope: equal scopes give the equal name, others another."""
    if scope.is_city:
        return "city"
    parts = (sorted(scope.districts), sorted(scope.streets), sorted(scope.schools), sorted(scope.cells))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


class Store:
    """Reads layers through a pool; safe to use from many threads."""

    def __init__(self, pool: psycopg_pool.ConnectionPool[db.Connection], *, most_bytes: int = 48 * 1024 * 1024) -> None:
        self._pool, self._most_bytes = pool, most_bytes
        self._kept: OrderedDict[tuple[str, Tile | None, str], Body] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._looked_at = float("-inf")

    def version(self, layer: Layer, scope: Scope) -> str:
        """The version under which `layer` is kept for `scope`; "" for a layer that is never kept."""
        if not layer.is_kept:
            return ""
        numbers = self._versions()
        drawn = ",".join(f"{name}={numbers.get(name, 0)}" for name in sorted(layer.drawn_from))
        whose = scope_mark(scope) if layer.is_scoped else "all"
        return hashlib.sha256(f"{layer.id}|{drawn}|{whose}".encode()).hexdigest()[:16]

    def read(self, layer: Layer, tile: Tile | None, scope: Scope) -> Body:
        """The body of a tile, or of the whole layer.

        Raises:
            NoSuchTile: the layer has no tile at this address.
        """
        if tile is not None:
            layer.check(tile)
        version = self.version(layer, scope)  # before the data: a body may be newer than its version, never older
        key = (layer.id, tile, version)
        if version:
            with self._lock:
                kept = self._kept.get(key)
                if kept is not None:
                    self._kept.move_to_end(key)
                    return kept
        with db.scoped(self._pool, scope) as conn:
            content = layer.read(conn, tile)
        is_gzipped = len(content) > SMALL_BYTES
        body = Body(gzip.compress(content, GZIP_LEVEL, mtime=0) if is_gzipped else content, is_gzipped, version)
        if version:
            self._keep(key, body)
        return body

    def _keep(self, key: tuple[str, Tile | None, str], body: Body) -> None:
        with self._lock:
            old = self._kept.pop(key, None)
            self._bytes += len(body.content) - (len(old.content) if old else 0)
            self._kept[key] = body
            while self._bytes > self._most_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= len(dropped.content)

    def _versions(self) -> dict[str, int]:
        if time.monotonic() - self._looked_at > LOOK_AGAIN_S:
            looked_at = time.monotonic()
            with db.scoped(self._pool, Scope()) as conn:
                self._numbers = {row["layer"]: row["version"] for row in conn.execute(_SQL["layer_versions"])}
            self._looked_at = looked_at
        return self._numbers
