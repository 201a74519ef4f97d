"""Tables in memory on their way into PostgreSQL by COPY: columns of equal length, geometry in metres until the last step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg
import pyproj
import shapely
from psycopg import sql
from psycopg.types.json import Jsonb

from data.core import queries
from data.core.db import CRS_METRES, CRS_STORED

_TO_DEGREES = pyproj.Transformer.from_crs(CRS_METRES, CRS_STORED, always_xy=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of one table, column by column.

    Attributes:
        columns: name to values; shapely geometries are in metres (EPSG:4547), None is NULL.
        identity: the identity column whose sequence has to move past the highest value; "" for none.
    """

    name: str
    columns: Mapping[str, Any]
    identity: str = ""
    geometry: tuple[str, ...] = field(default=("geom",))

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows as psycopg writes them: geometry as hexadecimal EWKB in EPSG:4326."""
        ready = [_plain(values, name in self.geometry) for name, values in self.columns.items()]
        return zip(*ready, strict=True)


def degrees(shapes: Any) -> np.ndarray:
    """Geometries of EPSG:4547 in EPSG:4326, the SRID set; None stays None."""
    whole = np.asarray(shapes, dtype=object)
    metres = shapely.get_coordinates(whole)
    lon, lat = _TO_DEGREES.transform(metres[:, 0], metres[:, 1])
    turned = shapely.set_coordinates(whole.copy(), np.column_stack([lon, lat]))
    return np.asarray(shapely.set_srid(turned, CRS_STORED))


def _plain(values: Any, is_geometry: bool) -> list[Any]:
    if is_geometry:
        return shapely.to_wkb(degrees(values), hex=True, include_srid=True).tolist()
    listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if listed and isinstance(listed[0], dict):
        return [Jsonb(value) for value in listed]
    return listed


def copy(conn: psycopg.Connection[Any], table: Table) -> int:
    """COPY a table in and move its sequence; returns the number of rows. The caller owns the transaction."""
    names = sql.SQL(", ").join(sql.Identifier(name) for name in table.columns)
    statement = sql.SQL("copy {} ({}) from stdin").format(sql.Identifier(table.name), names)
    with conn.cursor() as cursor, cursor.copy(statement) as stream:
        for row in table.rows():
            stream.write_row(row)
    move_sequence(conn, table)
    return len(table)


def move_sequence(conn: psycopg.Connection[Any], table: Table) -> None:
    """Let the next row of the product get a number above ours. A sequence starts at 1, so drawing as many numbers is enough."""
    if table.identity and len(table):
        draw_numbers(conn, table.name, table.identity, int(np.max(table.columns[table.identity])))


def draw_numbers(conn: psycopg.Connection[Any], table: str, identity: str, count: int) -> None:
    """Use up the first `count` numbers of an identity column."""
    conn.execute(queries.load("demo")["take_numbers"], {"sequence": f"{table}_{identity}_seq", "count": count})


def digest(tables: Mapping[str, Table]) -> str:
    """A SHA-256 of every row of every table, in order: equal cities have equal digests."""
    total = hashlib.sha256()
    for name, table in tables.items():
        total.update(name.encode())
        for row in table.rows():
            total.update(repr([value.obj if isinstance(value, Jsonb) else value for value in row]).encode())
    return total.hexdigest()
