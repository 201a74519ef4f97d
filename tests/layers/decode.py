"""Reading tiles back: packed bodies, TWKB and vector tiles, written from the formats, not from our encoder."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from layers.registry import Layer
from layers.tile import Tile

CITY_BOX = (
    "select st_xmin(b) as west, st_ymin(b) as south, st_xmax(b) as east, st_ymax(b) as north"
    " from (select st_extent(geom) as b from district) city"
)


def column(lon: float, z: int) -> float:
    return (lon + 180) / 360 * 2**z


def row(lat: float, z: int) -> float:
    return (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**z


def lon_lat(x: float, y: float, z: int) -> tuple[float, float]:
    return x / 2**z * 360 - 180, math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * y / 2**z))))


def tile_at(lon: float, lat: float, z: int) -> Tile:
    return Tile(z, int(column(lon, z)), int(row(lat, z)))


def tiles_of(box: Mapping[str, float], z: int) -> list[Tile]:
    """Every tile of zoom z that a box in degrees touches."""
    first, last = tile_at(box["west"], box["north"], z), tile_at(box["east"], box["south"], z)
    return [Tile(z, x, y) for x in range(first.x, last.x + 1) for y in range(first.y, last.y + 1)]


def packed(body: bytes) -> tuple[int, list[bytes]]:
    """What the records are, and each record."""
    magic, version, step, what, count = struct.unpack_from(">3sBHHI", body)
    assert magic == b"CSM"
    assert version == 1
    records, at = [], 12
    for _ in range(count):
        length = step or 6 + struct.unpack_from(">H", body, at + 4)[0]
        records.append(body[at : at + length])
        at += length
    assert at == len(body)
    return what, records


def point(record: bytes, tile: Tile) -> tuple[float, float]:
    """Longitude and latitude of a packed point."""
    x, y = struct.unpack_from(">hh", record, 4)
    return lon_lat(tile.x + (x + 32768) / 65536, tile.y + (y + 32768) / 65536, tile.z)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            return value, at


def _signed(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


def twkb_ring(data: bytes) -> list[tuple[float, float]]:
    """The outer ring of a TWKB polygon in its own units."""
    assert data[0] & 15 == 3, "a polygon"
    factor = 10 ** _signed(data[0] >> 4)
    assert data[1] == 0, "no box, size, ids or further dimensions"
    rings, at = _varint(data, 2)
    assert rings >= 1
    count, at = _varint(data, at)
    x = y = 0
    ring = []
    for _ in range(count):
        dx, at = _varint(data, at)
        dy, at = _varint(data, at)
        x, y = x + _signed(dx), y + _signed(dy)
        ring.append((x / factor, y / factor))
    return ring


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature of a vector tile; `points` in tile units, all parts together."""

    layer: str
    id: int
    tags: dict[str, Any]
    points: list[tuple[int, int]]


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
        elif key & 7 == 2:
            length, at = _varint(data, at)
            yield key >> 3, data[at : at + length]
            at += length
        else:
            length = 8 if key & 7 == 1 else 4
            yield key >> 3, data[at : at + length]
            at += length


def _numbers(data: bytes) -> list[int]:
    at, found = 0, []
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return found


def _value(data: bytes) -> Any:
    for field, value in _fields(data):
        if field == 1:
            return value.decode()
        if field in (2, 3):
            return struct.unpack("<f" if field == 2 else "<d", value)[0]
        return _signed(value) if field == 6 else bool(value) if field == 7 else value
    return None


def _points(geometry: list[int]) -> list[tuple[int, int]]:
    points, x, y, at = [], 0, 0, 0
    while at < len(geometry):
        command, count = geometry[at] & 7, geometry[at] >> 3
        at += 1
        for _ in range(count if command != 7 else 0):
            x, y = x + _signed(geometry[at]), y + _signed(geometry[at + 1])
            points.append((x, y))
            at += 2
    return points


def mvt(body: bytes) -> list[Feature]:
    """Every feature of a vector tile."""
    found = []
    for field, layer in _fields(body):
        assert field == 3
        parts = list(_fields(layer))
        name = next(value.decode() for key, value in parts if key == 1)
        keys = [value.decode() for key, value in parts if key == 3]
        values = [_value(value) for key, value in parts if key == 4]
        for data in (value for key, value in parts if key == 2):
            fields = dict(_fields(data))
            numbers = _numbers(fields.get(2, b""))
            tags = {keys[k]: values[v] for k, v in zip(numbers[::2], numbers[1::2], strict=True)}
            found.append(Feature(name, fields.get(1, 0), tags, _points(_numbers(fields[4]))))
    return found


MAIN = {"campuses": "campus", "routes": "route"}


def ids(layer: Layer, body: bytes) -> set[int]:
    """Ids of the features in a body: of the states' things for states, of campuses and routes for vector tiles."""
    if layer.kind == "geojson":
        return {feature["id"] for feature in json.loads(body)["features"]}
    if layer.kind == "json":
        return {unit["unit_id"] for unit in json.loads(body)["units"]}
    if layer.kind == "mvt":
        return {feature.id for feature in mvt(body) if feature.layer == MAIN[layer.id]}
    return {struct.unpack_from(">i", record)[0] for record in packed(body)[1]}
