"""COPY in binary form straight from numpy columns: long tables of numbers, times and points, a million rows in seconds.

A column has no NULLs; rows that have one leave the column out and go in by a COPY of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from data.core.db import CRS_STORED

_HEAD = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_END = b"\xff\xff"
_EPOCH_US = 946_684_800_000_000  # PostgreSQL counts from 2000-01-01
_EPOCH_DAY = 10_957
_BATCH = 50_000
_POINT = np.dtype([("order", "u1"), ("type", "<u4"), ("srid", "<u4"), ("x", "<f8"), ("y", "<f8")])
_NUMBERS = {"int2": ">i2", "int4": ">i4", "int8": ">i8", "float4": ">f4", "float8": ">f8", "bool": "?"}


@dataclass(frozen=True, slots=True)
class Column:
    """Values of one column.

    Attributes:
        kind: int2 int4 int8 float4 float8 bool; date (days since 1970); stamp (microseconds since 1970, UTC);
            point ((n, 2) longitude and latitude, EPSG:4326); text (every value of the same length in bytes).
    """

    kind: str
    values: Any


def _field(column: Column) -> np.ndarray:
    """The column as PostgreSQL reads it, big-endian."""
    values = np.asarray(column.values)
    if column.kind in _NUMBERS:
        return values.astype(_NUMBERS[column.kind])
    if column.kind == "date":
        return (values - _EPOCH_DAY).astype(">i4")
    if column.kind == "stamp":
        return (values - _EPOCH_US).astype(">i8")
    if column.kind == "point":
        found = np.zeros(len(values), dtype=_POINT)
        found["order"], found["type"], found["srid"] = 1, 0x20000001, CRS_STORED
        found["x"], found["y"] = values[:, 0], values[:, 1]
        return found
    if column.kind == "text":
        coded = np.char.encode(values.astype(str), "utf-8")
        if len(coded) and np.char.str_len(coded).min() != coded.dtype.itemsize:
            raise ValueError("texts of a packed column have one length")
        return coded
    raise ValueError(f"no packed column can be {column.kind}")


def copy(conn: psycopg.Connection[Any], table: str, columns: Mapping[str, Column]) -> int:
    """COPY the columns into `table`; returns the number of rows. The caller owns the transaction."""
    fields = {name: _field(column) for name, column in columns.items()}
    count = len(next(iter(fields.values())))
    row = np.dtype(
        [
            ("fields", ">i2"),
            *((part, kind) for name, field in fields.items() for part, kind in ((f"{name}_length", ">i4"), (name, field.dtype))),
        ]
    )
    names = sql.SQL(", ").join(sql.Identifier(name) for name in fields)
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(sql.Identifier(table), names)
    with conn.cursor() as cursor, cursor.copy(statement) as stream:
        stream.write(_HEAD)
        for start in range(0, count, _BATCH):
            part = slice(start, min(start + _BATCH, count))
            rows = np.zeros(part.stop - part.start, dtype=row)
            rows["fields"] = len(fields)
            for name, field in fields.items():
                rows[f"{name}_length"] = field.dtype.itemsize
                rows[name] = field[part]
            stream.write(rows.tobytes())
        stream.write(_END)
    return count
