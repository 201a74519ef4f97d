"""Arrays of geometries from arrays of coordinates, typed as arrays: shapely's own functions may also give one geometry."""

from __future__ import annotations

from typing import cast

import numpy as np
import shapely


def polygons(rings: np.ndarray) -> np.ndarray:
    """(n,) polygons from (n, corners, 2) rings that need not be closed."""
    return cast(np.ndarray, shapely.polygons(rings))


def points(places: np.ndarray) -> np.ndarray:
    """(n,) points from (n, 2)."""
    return cast(np.ndarray, shapely.points(places))


def lines(points: np.ndarray) -> np.ndarray:
    """(n,) lines from (n, points, 2)."""
    return cast(np.ndarray, shapely.linestrings(points))


def grown(shape: np.ndarray, distance_m: float) -> np.ndarray:
    """(n,) polygons moved out (in when negative) by `distance_m`, corners kept."""
    return cast(np.ndarray, shapely.buffer(shape, distance_m, join_style="mitre"))
