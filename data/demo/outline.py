"""Outlines of the ten demo districts: own, schematic, drawn by hand on Shenzhen's extent, not traced from a map.

Neighbours share their borders point by point, so districts tile the land without gaps. Metres, EPSG:4547.
"""

from __future__ import annotations

import itertools

import numpy as np
import shapely

ORIGIN_M = (474_600.0, 2_482_800.0)  # lon 113.753, lat 22.442: the corner of the drawing board
UNIT_M = 1_000.0
BOARD = (0.0, 0.0, 89.6, 46.8)  # the drawing board in kilometres, inside lon 113.75–114.63, lat 22.44–22.87

# Corners in kilometres on the board. Three districts meet where three of the rings below share a letter.
_AT: dict[str, tuple[float, float]] = {
    "a": (4, 45),
    "b": (12, 46),
    "c": (24, 45),
    "d": (27, 39),
    "e": (38, 37),
    "f": (50, 40),
    "g": (62, 36),
    "h": (74, 32),
    "i": (74, 23),
    "j": (63, 22),
    "k": (57.5, 18),
    "k0": (56, 14),
    "l": (43, 16),
    "m": (44, 8.8),
    "n": (37.5, 17),
    "n2": (37, 8.4),
    "o": (28.5, 17),
    "o2": (28, 7.6),
    "q": (22, 20),
    "q2": (12.5, 13),
    "r": (17, 31),
    "s": (22.5, 29),
    "w1": (10, 18),
    "w2": (7, 25),
    "w3": (5.5, 33),
    "w4": (2.5, 40),
    "x1": (24.3, 8.6),
    "x2": (21, 6),
    "x3": (18, 2.2),
    "x4": (15.2, 4.2),
    "x5": (14, 9),
    "bg": (12, 39),
    "gp": (60, 28),
    "y1": (48, 9.2),
    "y2": (52, 12),
    "ly": (50, 18),
    "z1": (63, 13.2),
    "z2": (66, 8),
    "z3": (70, 2.4),
    "z4": (77.5, 1.6),
    "z5": (84, 4.4),
    "z6": (85.5, 9),
    "z7": (81, 12),
    "z8": (87.8, 15.5),
    "z9": (84, 20),
    "z10": (78, 19),
    "ll": (37, 26),
}
_RINGS: dict[str, str] = {
    "440306": "a b bg r s q q2 w1 w2 w3 w4",
    "440311": "b c d s r bg",
    "440309": "d e ll n o q s",
    "440307": "e f g gp j k ly l n ll",
    "440310": "g h i j gp",
    "SZDP": "j i z10 z9 z8 z7 z6 z5 z4 z3 z2 z1 k0 k",
    "440308": "l ly k k0 y2 y1 m",
    "440303": "n l m n2",
    "440304": "o n n2 o2",
    "440305": "q o o2 x1 x2 x3 x4 x5 q2",
}
_WIGGLE = 0.10  # sideways share of a border's length, so that borders look grown


def _border(seed: int, start: str, end: str) -> list[tuple[float, float]]:
    """Points from `start` to `end`, the end left out; the same border from both sides."""
    low, high = sorted((start, end))
    points = np.array([_AT[low], _AT[high]], dtype=float)
    rng = np.random.default_rng([seed, *(ord(letter) for letter in f"{low}-{high}")])
    share = _WIGGLE
    while np.hypot(*(points[1] - points[0])) > 0.9:
        middle = (points[:-1] + points[1:]) / 2
        along = points[1:] - points[:-1]
        aside = np.column_stack([-along[:, 1], along[:, 0]]) * rng.uniform(-share, share, (len(along), 1))
        points = np.insert(points, np.arange(1, len(points)), middle + aside, axis=0)
        share *= 0.9
    way = points if low == start else points[::-1]
    return [(float(x), float(y)) for x, y in way[:-1]]


def districts(seed: int) -> dict[str, shapely.Polygon]:
    """One polygon a district code, metres (EPSG:4547); they tile the land exactly."""
    found: dict[str, shapely.Polygon] = {}
    for code, text in _RINGS.items():
        corners = text.split()
        ring = itertools.chain.from_iterable(_border(seed, here, there) for here, there in itertools.pairwise([*corners, corners[0]]))
        board = np.array(list(ring))
        found[code] = shapely.Polygon(board * UNIT_M + np.array(ORIGIN_M))
    return found


def board() -> shapely.Polygon:
    """The whole drawing board, metres (EPSG:4547)."""
    west, south, east, north = BOARD
    return shapely.box(ORIGIN_M[0] + west * UNIT_M, ORIGIN_M[1] + south * UNIT_M, ORIGIN_M[0] + east * UNIT_M, ORIGIN_M[1] + north * UNIT_M)


def streets(seed: int, code: str, outline: shapely.Polygon, count: int) -> tuple[list[shapely.MultiPolygon], np.ndarray]:
    """Cut a district into `count` streets.

    Returns:
        The streets' polygons, which tile the district, and their seats (count, 2), metres, EPSG:4547.
    """
    rng = np.random.default_rng([seed, *(ord(letter) for letter in code)])
    west, south, east, north = outline.bounds
    tries = rng.uniform((west, south), (east, north), (4000, 2))
    tries = tries[shapely.contains_xy(outline, tries[:, 0], tries[:, 1])]
    seats = [tries[0]]
    for _ in range(count - 1):  # farthest point first: streets of similar size
        gaps = np.min([np.hypot(*(tries - seat).T) for seat in seats], axis=0)
        seats.append(tries[int(np.argmax(gaps * rng.uniform(0.6, 1.0, len(tries))))])
    points = np.array(seats)
    cells = shapely.get_parts(shapely.voronoi_polygons(shapely.multipoints(points), extend_to=outline))
    order = shapely.STRtree(cells).query(shapely.points(points), predicate="within")[1]
    cut = shapely.intersection(cells[order], outline)
    return [shapely.MultiPolygon([part for part in shapely.get_parts(piece) if part.geom_type == "Polygon"]) for piece in cut], points
