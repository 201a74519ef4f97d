"""Coordinates as maps in China give them, turned once into the WGS-84/CGCS2000 degrees we store.

GCJ-02 shifts WGS-84 by a published-in-practice polynomial of up to about 700 m; BD-09 shifts GCJ-02
again. CGCS2000 and WGS-84 differ by centimetres: the numbers are kept as they are.
All functions take and give arrays of degrees, longitude first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely.geometry.base import BaseGeometry

Datum = Literal["wgs84", "cgcs2000", "gcj02", "bd09"]
DATUMS: tuple[Datum, ...] = get_args(Datum)
Degrees = NDArray[np.float64]

AXIS_M = 6_378_245.0  # Krassovsky 1940, which the GCJ-02 shift is defined on
ECCENTRICITY2 = 0.006_693_421_622_965_943
BD_TURN = np.pi * 3000.0 / 180.0
CHINA = (72.0, 0.8, 137.9, 55.9)  # outside, GCJ-02 equals WGS-84


class WrongDatum(ValueError):
    """The name is none of wgs84, cgcs2000, gcj02, bd09."""


def _shift(lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    ripple = (20.0 * np.sin(6.0 * x * np.pi) + 20.0 * np.sin(2.0 * x * np.pi)) * 2.0 / 3.0
    d_lat = (
        -100.0
        + 2.0 * x
        + 3.0 * y
        + 0.2 * y * y
        + 0.1 * x * y
        + 0.2 * root
        + ripple
        + (20.0 * np.sin(y * np.pi) + 40.0 * np.sin(y / 3.0 * np.pi)) * 2.0 / 3.0
        + (160.0 * np.sin(y / 12.0 * np.pi) + 320.0 * np.sin(y * np.pi / 30.0)) * 2.0 / 3.0
    )
    d_lon = (
        300.0
        + x
        + 2.0 * y
        + 0.1 * x * x
        + 0.1 * x * y
        + 0.1 * root
        + ripple
        + (20.0 * np.sin(x * np.pi) + 40.0 * np.sin(x / 3.0 * np.pi)) * 2.0 / 3.0
        + (150.0 * np.sin(x / 12.0 * np.pi) + 300.0 * np.sin(x / 30.0 * np.pi)) * 2.0 / 3.0
    )
    phi = np.radians(lat)
    magic = 1.0 - ECCENTRICITY2 * np.sin(phi) ** 2
    d_lat = np.degrees(d_lat / (AXIS_M * (1.0 - ECCENTRICITY2) / magic**1.5))
    d_lon = np.degrees(d_lon / (AXIS_M / np.sqrt(magic) * np.cos(phi)))
    inside = (lon >= CHINA[0]) & (lon <= CHINA[2]) & (lat >= CHINA[1]) & (lat <= CHINA[3])
    return np.where(inside, d_lon, 0.0), np.where(inside, d_lat, 0.0)


def wgs84_to_gcj02(lon: ArrayLike, lat: ArrayLike) -> tuple[Degrees, Degrees]:
    """WGS-84 degrees to GCJ-02 degrees; outside China unchanged, NaN stays NaN."""
    lon, lat = np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)
    d_lon, d_lat = _shift(lon, lat)
    return lon + d_lon, lat + d_lat


def gcj02_to_wgs84(lon: ArrayLike, lat: ArrayLike) -> tuple[Degrees, Degrees]:
    """The inverse of `wgs84_to_gcj02`, by fixed-point iteration to below 1e-9 degrees (0.1 mm)."""
    lon, lat = np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)
    at_lon, at_lat = lon, lat
    for _ in range(6):  # each round gains about three digits; six leave rounding only
        d_lon, d_lat = _shift(at_lon, at_lat)
        at_lon, at_lat = lon - d_lon, lat - d_lat
    return at_lon, at_lat


def gcj02_to_bd09(lon: ArrayLike, lat: ArrayLike) -> tuple[Degrees, Degrees]:
    """GCJ-02 degrees to BD-09 degrees."""
    lon, lat = np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)
    reach = np.hypot(lon, lat) + 0.00002 * np.sin(lat * BD_TURN)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * BD_TURN)
    return reach * np.cos(angle) + 0.0065, reach * np.sin(angle) + 0.006


def bd09_to_gcj02(lon: ArrayLike, lat: ArrayLike) -> tuple[Degrees, Degrees]:
    """The inverse of `gcj02_to_bd09`, by fixed-point iteration to below 1e-9 degrees."""
    lon, lat = np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)
    at_lon, at_lat = lon - 0.0065, lat - 0.006
    for _ in range(8):
        back_lon, back_lat = gcj02_to_bd09(at_lon, at_lat)
        at_lon, at_lat = at_lon + lon - back_lon, at_lat + lat - back_lat
    return at_lon, at_lat


def _bd09_to_wgs84(lon: ArrayLike, lat: ArrayLike) -> tuple[Degrees, Degrees]:
    return gcj02_to_wgs84(*bd09_to_gcj02(lon, lat))


def _same(lon: ArrayLike, lat: ArrayLike) -> tuple[Degrees, Degrees]:
    return np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)


_TO_WGS84: dict[str, Callable[[ArrayLike, ArrayLike], tuple[Degrees, Degrees]]] = {
    "wgs84": _same,
    "cgcs2000": _same,
    "gcj02": gcj02_to_wgs84,
    "bd09": _bd09_to_wgs84,
}


def to_wgs84(lon: ArrayLike, lat: ArrayLike, *, datum: str) -> tuple[Degrees, Degrees]:
    """Degrees of any datum we know to WGS-84 degrees.

    Raises:
        WrongDatum: the datum is none of `DATUMS`.
    """
    try:
        return _TO_WGS84[datum](lon, lat)
    except KeyError as err:
        raise WrongDatum(f"{datum}: one of {', '.join(DATUMS)} is needed") from err


def geometry_to_wgs84(geometry: BaseGeometry, *, datum: str) -> BaseGeometry:
    """A geometry in degrees of `datum` as WGS-84; EMPTY stays EMPTY."""
    return shapely.transform(geometry, lambda pairs: np.column_stack(to_wgs84(pairs[:, 0], pairs[:, 1], datum=datum)))


def fitting_datums(lon: float, lat: float, area: BaseGeometry) -> list[Datum]:
    """Which datums would put the pair inside `area` (WGS-84 degrees); the order of `DATUMS`, cgcs2000 left out as equal to wgs84."""
    fits: list[Datum] = []
    for datum in ("wgs84", "gcj02", "bd09"):
        at_lon, at_lat = to_wgs84(lon, lat, datum=datum)
        if shapely.contains_xy(area, float(at_lon), float(at_lat)):
            fits.append(datum)
    return fits
