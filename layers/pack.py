"""Packed bodies: fixed big-endian records, made in PostgreSQL, read by mapapp/assets/map_core_packed.js.

    bytes 0..3   "CSM" and the format's version, 1
    bytes 4..5   bytes of a record, 0 when records have their own length
    bytes 6..7   what the records are: 1 states, 2 cameras, 3 cells, 4 devices
    bytes 8..11  number of records
    then the records, in the order of their ids

Big-endian because PostgreSQL's int2send and int4send are, and a DataView in the browser reads either.
A point of a tile is a pair of int2: 0 is the tile's centre, 65,536 its width (7.5 cm at zoom 13).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

HEADER = struct.Struct(">3sBHHI")
VERSION = 1
STATES, CAMERAS, CELLS, DEVICES = 1, 2, 3, 4
STATE_RECORD = struct.Struct(">iH")


def body(what: int, record_bytes: int, row: Mapping[str, Any] | None) -> bytes:
    """A packed body of a row with `count` and `records` (bytea or null)."""
    if row is None or not row["count"]:
        return HEADER.pack(b"CSM", VERSION, record_bytes, what, 0)
    return HEADER.pack(b"CSM", VERSION, record_bytes, what, row["count"]) + bytes(row["records"])


def states(row: Mapping[str, Any] | None) -> bytes:
    """Packed (id, state) records, 6 bytes each."""
    return body(STATES, STATE_RECORD.size, row)
