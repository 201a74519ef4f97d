"""What a camera sees: its sector less the shadows of the buildings in it. Pure geometry in metres (EPSG:4547), no database.

The shadow of a convex building B seen from c is the union of c + t(B - c) over t >= 1, which is the convex hull of B and
one far copy of it; of any other building, the building and the shadows of its edges. Exact but for the arc, which is
drawn with a corner every five degrees.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

ARC_STEP_DEG = 5.0


def sectors(point: np.ndarray, azimuth_deg: np.ndarray, fov_deg: np.ndarray, range_m: np.ndarray) -> np.ndarray:
    """The sectors cameras cover when nothing is in the way.

    Args:
        point: (n, 2) metres; azimuth_deg: clockwise from grid north; fov_deg: full angle, at most 360.
    Returns:
        (n,) polygons; a full circle (360) has no corner at the camera.
    """
    steps = np.maximum(np.ceil(fov_deg / ARC_STEP_DEG).astype(int), 1)
    found = np.empty(len(point), dtype=object)
    for count in np.unique(steps):
        rows = np.flatnonzero(steps == count)
        turn = np.radians(azimuth_deg[rows, None] + fov_deg[rows, None] * (np.arange(count + 1) / count - 0.5))
        arc = point[rows, None, :] + range_m[rows, None, None] * np.stack([np.sin(turn), np.cos(turn)], axis=-1)
        found[rows] = shapely.polygons(np.concatenate([point[rows, None, :], arc], axis=1))
    full = np.flatnonzero(fov_deg >= 360)
    found[full] = shapely.buffer(shapely.points(point[full]), range_m[full], quad_segs=round(90 / ARC_STEP_DEG))
    return found


def _shadow(point: np.ndarray, reach_m: float, building: shapely.Polygon) -> shapely.Geometry:
    """The area behind and inside one building of any form, seen from `point` out to `reach_m`."""
    ring = shapely.get_coordinates(building.exterior)
    far = point + (ring - point) * (2 * reach_m / max(building.distance(shapely.Point(point)), 1e-3))
    edges = shapely.polygons(np.stack([ring[:-1], ring[1:], far[1:], far[:-1]], axis=1))
    return shapely.union_all([*np.atleast_1d(np.asarray(shapely.make_valid(edges), dtype=object)), building])


def _shadows(point: np.ndarray, range_m: np.ndarray, building: np.ndarray) -> np.ndarray:
    """(n,) areas behind and inside each building, seen from each point; beyond the range they may end."""
    shadow = np.empty(len(building), dtype=object)
    hull = shapely.convex_hull(building)
    is_convex = shapely.area(hull) - shapely.area(building) < 1e-6
    for row in np.flatnonzero(~is_convex):
        shadow[row] = _shadow(point[row], float(range_m[row]), building[row])
    rows = np.flatnonzero(is_convex)
    ring, owner = shapely.get_coordinates(building[rows], return_index=True)
    gap_m = np.maximum(shapely.distance(building[rows], shapely.points(point[rows])), 1e-3)
    far = point[rows][owner] + (ring - point[rows][owner]) * (2 * range_m[rows] / gap_m)[owner, None]
    both = np.concatenate([ring, far])
    order = np.argsort(np.concatenate([owner, owner]), kind="stable")
    shadow[rows] = shapely.convex_hull(shapely.multipoints(both[order], indices=np.concatenate([owner, owner])[order]))
    return shadow


def visible(
    point: np.ndarray,
    azimuth_deg: np.ndarray,
    fov_deg: np.ndarray,
    range_m: np.ndarray,
    buildings: np.ndarray,
    *,
    tree: shapely.STRtree | None = None,
) -> np.ndarray:
    """What each camera sees among the buildings.

    A building the camera stands in or touches does not block it. Height does not count: a wall hides what is behind it.

    Args:
        point, azimuth_deg, fov_deg, range_m: as `sectors`.
        buildings: polygons without holes; `tree`: an index over them, if there is one already.
    Returns:
        (n,) polygons, each with the camera on its edge or inside; one that sees nothing gets a triangle of 0.1 m.
    """
    view = sectors(point, azimuth_deg, fov_deg, range_m)
    camera, blocker = (tree or shapely.STRtree(buildings)).query(view, predicate="intersects")
    apart = ~shapely.intersects_xy(buildings[blocker], point[camera, 0], point[camera, 1])
    camera, blocker = camera[apart], blocker[apart]
    order = np.argsort(camera, kind="stable")
    camera, blocker = camera[order], blocker[order]
    shadow = _shadows(point[camera], range_m[camera], buildings[blocker])
    cuts = np.flatnonzero(np.diff(camera)) + 1
    for rows in np.split(np.arange(len(camera)), cuts) if len(camera) else []:
        number = int(camera[rows[0]])
        sector: shapely.Polygon = view[number]
        seen = cast(BaseGeometry, sector.difference(shadow[rows[0]] if len(rows) == 1 else shapely.union_all(shadow[rows])))
        if seen.geom_type != "Polygon":
            # Two shadows that meet exactly leave slivers; what is seen hangs together at the camera.
            parts = [part for part in shapely.get_parts(seen) if part.geom_type == "Polygon" and part.area > 1e-6]
            place = shapely.Point(point[number])
            seen = min(parts, key=lambda part: (round(part.distance(place), 3), -part.area), default=shapely.Polygon())
        view[number] = seen if not seen.is_empty else sectors(point[[number]], azimuth_deg[[number]], fov_deg[[number]], np.array([0.1]))[0]
    return view
