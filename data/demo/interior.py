"""What stands on a demo campus: gates, buildings, key places, posts; and the neighbours' houses that block the view.

Layouts are drawn once in campus coordinates (u from left to right, v from the front to the back, both 0 to 1) and laid
over every campus; half of the campuses are mirrored. Metres, EPSG:4547.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from data.demo import names, shapes
from data.demo.lattice import Ground
from data.demo.sites import KIND_NAMES, Sites

SIDE_GATE_V = 0.14
_NEIGHBOUR_REACH_M = 60.0
_STOREY_M = 3.4
Box = tuple[float, float, float, float]  # u0, u1, v0, v1

# building kind, box, floors
_SCHOOL: tuple[tuple[str, Box, int], ...] = (
    ("teaching", (0.06, 0.54, 0.18, 0.27), 5),
    ("teaching", (0.06, 0.54, 0.33, 0.42), 5),
    ("teaching", (0.06, 0.54, 0.48, 0.57), 4),
    ("office", (0.62, 0.94, 0.17, 0.25), 4),
    ("canteen", (0.06, 0.27, 0.65, 0.76), 2),
    ("laboratory", (0.33, 0.54, 0.65, 0.75), 4),
    ("dormitory", (0.06, 0.54, 0.81, 0.86), 6),
    ("dormitory", (0.06, 0.54, 0.905, 0.955), 6),
    ("gym", (0.62, 0.94, 0.84, 0.95), 2),
    ("other", (0.565, 0.60, 0.885, 0.925), 1),
    ("other", (0.565, 0.60, 0.66, 0.70), 1),
)
_NURSERY: tuple[tuple[str, Box, int], ...] = (
    ("nursery", (0.10, 0.90, 0.52, 0.80), 3),
    ("canteen", (0.12, 0.45, 0.865, 0.945), 1),
    ("other", (0.55, 0.62, 0.875, 0.925), 1),
)
# key place kind, box in a school, box in a kindergarten; None: the kind has none
_PLACES: tuple[tuple[str, Box | None, Box | None], ...] = (
    ("gathering", (0.62, 0.94, 0.34, 0.77), (0.10, 0.90, 0.16, 0.46)),
    ("teaching", (0.06, 0.54, 0.18, 0.57), None),
    ("dormitory", (0.06, 0.54, 0.81, 0.955), None),
    ("nursery", None, (0.10, 0.90, 0.52, 0.80)),
    ("canteen", (0.06, 0.27, 0.65, 0.76), (0.12, 0.45, 0.865, 0.945)),
    ("hazard_store", (0.565, 0.60, 0.66, 0.70), None),
    ("control_room", (0.62, 0.70, 0.17, 0.21), None),
    ("parking", (0.06, 0.30, 0.03, 0.10), None),
    ("power_room", (0.565, 0.60, 0.885, 0.925), (0.55, 0.62, 0.875, 0.925)),
    ("archive", (0.86, 0.94, 0.21, 0.25), None),
    ("office", (0.62, 0.94, 0.17, 0.25), (0.10, 0.26, 0.52, 0.62)),
)
# GB/T 29315 Table A.1, rows 2, 4–10 and 11: video is required there
VIDEO_REQUIRED = frozenset(
    {"outside_gate", "main_entrance", "gatehouse", "gathering", "teaching", "dormitory", "nursery", "canteen", "hazard_store"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interior:
    """Everything inside the campuses; row arrays name the school by its index (from 0).

    Attributes:
        young: kindergartens; mirrored: whose layout is mirrored; gate_u: where the main gate is on the front.
        campus: outlines with every gate as a corner.
        gate_school, gate_point, gate_out, gate_main: a row a gate; `gate_out` is the unit vector that points outwards.
        building_school, building_kind, building_floors, building: a row a building; school -1 is a neighbour's house.
        place_school, place_kind, place: a row a key place.
    """

    young: np.ndarray
    mirrored: np.ndarray
    gate_u: np.ndarray
    campus: np.ndarray
    gate_school: np.ndarray
    gate_point: np.ndarray
    gate_out: np.ndarray
    gate_main: np.ndarray
    building_school: np.ndarray
    building_kind: np.ndarray
    building_floors: np.ndarray
    building: np.ndarray
    place_school: np.ndarray
    place_kind: np.ndarray
    place: np.ndarray

    def place_ids(self, kind: str) -> dict[int, int]:
        """School index to key_place_id (the row's number from 1) of the first place of a kind."""
        rows = np.flatnonzero(self.place_kind == kind)
        return {int(self.place_school[row]): int(row) + 1 for row in rows[::-1]}


def spot(sites: Sites, mirrored: np.ndarray, u: np.ndarray | float, v: np.ndarray | float, of: np.ndarray | None = None) -> np.ndarray:
    """Points in metres at layout coordinates, mirrored where the campus is."""
    turned = mirrored if of is None else mirrored[of]
    return sites.at(np.where(turned, 1 - np.asarray(u), u), v, of)


def box_polygons(sites: Sites, mirrored: np.ndarray, box: Box | np.ndarray, of: np.ndarray) -> np.ndarray:
    """A polygon for each of the schools `of` from a box in layout coordinates; `box` may be (4,) or (len(of), 4)."""
    u0, u1, v0, v1 = np.broadcast_to(np.asarray(box, dtype=float), (len(of), 4)).T
    corners = np.stack([spot(sites, mirrored, u, v, of) for u, v in ((u0, v0), (u1, v0), (u1, v1), (u0, v1))], axis=1)
    return shapes.polygons(corners)


def gatehouse_box(sites: Sites, gate_u: np.ndarray, young: np.ndarray) -> np.ndarray:
    """(n, 4) boxes of the gatehouses, a few metres beside and behind the main gate."""
    width, depth = sites.size_m.T
    beside, long, deep = np.where(young, 3.0, 4.0), np.where(young, 4.0, 6.0), np.where(young, 4.3, 5.2)
    return np.column_stack([gate_u + beside / width, gate_u + (beside + long) / width, 1.2 / depth, deep / depth])


def has(sites: Sites, has_canteen: np.ndarray, kind: str) -> np.ndarray:
    """Which schools have a building or place of a kind."""
    name = np.array(KIND_NAMES)[sites.kind]
    young, large = name == "kindergarten", ~np.isin(name, ("kindergarten", "special"))
    upper = np.isin(name, ("junior", "nine_year", "senior", "twelve_year", "vocational"))
    rules = {
        "dormitory": sites.boarders > 0,
        "canteen": has_canteen,
        "laboratory": upper,
        "hazard_store": upper,
        "gym": large,
        "nursery": young,
        "teaching": ~young,
        "parking": ~young,
        "archive": ~young,
        "control_room": ~young,
    }
    return rules.get(kind, np.ones(len(sites), dtype=bool))


def _gates(
    sites: Sites, young: np.ndarray, mirrored: np.ndarray, gate_u: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Campus outlines and gates: main on the front, a side gate unless it is a kindergarten, a back gate where it is large."""
    name = np.array(KIND_NAMES)[sites.kind]
    back = np.isin(name, ("senior", "twelve_year", "vocational"))
    every = np.arange(len(sites))
    side, rear = every[~young], every[back]
    rows = [
        (every, gate_u, np.zeros(len(sites)), True),
        (side, np.ones(len(side)), np.full(len(side), SIDE_GATE_V), False),
        (rear, np.full(len(rear), 0.4), np.ones(len(rear)), False),
    ]
    school = np.concatenate([row[0] for row in rows])
    point = np.concatenate([spot(sites, mirrored, u, v, of) for of, u, v, _ in rows])
    main = np.concatenate([np.full(len(of), is_main) for of, _, _, is_main in rows])
    centre = sites.at(0.5, 0.5)
    edge = {
        "front": sites.quad[:, 1] - sites.quad[:, 0],
        "right": sites.quad[:, 2] - sites.quad[:, 1],
        "left": sites.quad[:, 3] - sites.quad[:, 0],
    }
    along = np.concatenate(
        [
            edge["front"],
            np.where(mirrored[side][:, None], edge["left"][side], edge["right"][side]),
            (sites.quad[:, 2] - sites.quad[:, 3])[rear],
        ]
    )
    out = np.column_stack([along[:, 1], -along[:, 0]]) / np.hypot(*along.T)[:, None]
    out *= np.sign(((point - centre[school]) * out).sum(axis=1))[:, None]
    cut = sites.chamfer
    corner = {key: sites.at(u, v) for key, (u, v) in {"a": (0, 0), "b": (1, 0), "c": (1, 1), "d": (0, 1)}.items()}
    near, far = sites.at(np.ones(len(sites)), 1 - cut), sites.at(1 - cut, np.ones(len(sites)))
    gates: list[list[np.ndarray]] = [[] for _ in range(len(sites))]
    for number, place in zip(school.tolist(), point, strict=True):
        gates[number].append(place)
    outlines = []
    for number in range(len(sites)):
        mine = gates[number]
        right, left = (
            ([mine[1]] if len(mine) > 1 and not mirrored[number] else []),
            ([mine[1]] if len(mine) > 1 and mirrored[number] else []),
        )
        turn = [near[number], far[number]] if cut[number] else [corner["c"][number]]
        outlines.append(
            shapely.Polygon([corner["a"][number], mine[0], corner["b"][number], *right, *turn, *mine[2:], corner["d"][number], *left])
        )
    return np.array(outlines), school, point, out, main


def _neighbours(rng: np.random.Generator, ground: Ground, sites: Sites, campus: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Houses in the blocks around the campuses: polygons and floors; none touches a campus."""
    corners = ground.corners[np.unique(sites.block)]
    grid = (np.arange(10) + 0.5) * 0.088 + 0.06
    u, v = (part.ravel() for part in np.meshgrid(grid, grid))
    count = len(corners) * len(u)
    half = rng.uniform(0.019, 0.036, (2, count))
    u, v = np.tile(u, len(corners)) + rng.uniform(-0.006, 0.006, count), np.tile(v, len(corners)) + rng.uniform(-0.006, 0.006, count)
    quad = np.repeat(corners, count // len(corners), axis=0)
    floors = rng.integers(2, 26, count)
    kept = np.flatnonzero(rng.random(count) < 0.62)
    u, v, half, quad = u[kept], v[kept], half[:, kept], quad[kept]

    def at(du: np.ndarray, dv: np.ndarray) -> np.ndarray:
        x, y = (u + du)[:, None], (v + dv)[:, None]
        return (1 - x) * (1 - y) * quad[:, 0] + x * (1 - y) * quad[:, 1] + x * y * quad[:, 2] + (1 - x) * y * quad[:, 3]

    corner = np.stack([at(-half[0], -half[1]), at(half[0], -half[1]), at(half[0], half[1]), at(-half[0], half[1])], axis=1)
    houses = shapes.polygons(corner)
    tree = shapely.STRtree(campus)
    near, too_near = (np.unique(tree.query(houses, predicate="dwithin", distance=reach_m)[0]) for reach_m in (_NEIGHBOUR_REACH_M, 4.0))
    chosen = np.setdiff1d(near, too_near)
    return houses[chosen], floors[kept][chosen]


def _places(
    sites: Sites, parts: dict[str, np.ndarray], has_canteen: np.ndarray, front: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> list[tuple[np.ndarray, str, np.ndarray]]:
    """(school indices, kind, shapes) of the key places of GB/T 29315, the surroundings and the outside of the gate included."""
    every, young, mirrored, campus = np.arange(len(sites)), parts["young"], parts["mirrored"], parts["campus"]
    gate, along, out = front

    def apron(near_m: float, far_m: float, half_m: float) -> np.ndarray:
        corner = [(-half_m, near_m), (half_m, near_m), (half_m, far_m), (-half_m, far_m)]
        return shapes.polygons(np.stack([gate + along * side + out * away for side, away in corner], axis=1))

    found = [
        (every, "surroundings", shapely.difference(shapely.buffer(campus, 50.0, quad_segs=3), campus)),
        (every, "outside_gate", apron(0.0, 11.0, 10.0)),
        (every, "perimeter", shapely.get_exterior_ring(campus)),
        (every, "main_entrance", apron(-8.0, 0.0, 4.0)),
        (every, "gatehouse", parts["gatehouse"]),
    ]
    for kind, school_box, nursery_box in _PLACES:
        for box, mask in ((school_box, ~young), (nursery_box, young)):
            of = every[mask & has(sites, has_canteen, kind)]
            if box is not None and len(of):
                found.append((of, kind, box_polygons(sites, mirrored, box, of)))
    return found


def interior(seed: int, ground: Ground, sites: Sites, has_canteen: np.ndarray) -> Interior:
    """Lay out every campus."""
    rng = np.random.default_rng([seed, 8])
    count = len(sites)
    young = np.array(KIND_NAMES)[sites.kind] == "kindergarten"
    mirrored = rng.random(count) < 0.5
    gate_u = rng.uniform(0.44, 0.54, count)
    campus, gate_school, gate_point, gate_out, gate_main = _gates(sites, young, mirrored, gate_u)
    gatehouse = box_polygons(sites, mirrored, gatehouse_box(sites, gate_u, young), np.arange(count))
    houses, house_floors = _neighbours(rng, ground, sites, campus)
    rows: list[tuple[np.ndarray, str, int, np.ndarray]] = [(np.arange(count), "gatehouse", 1, gatehouse)]
    for layout, mask in ((_SCHOOL, ~young), (_NURSERY, young)):
        for kind, box, floors in layout:
            needs = "hazard_store" if kind == "other" and box[2] == 0.66 else kind
            of = np.flatnonzero(mask & has(sites, has_canteen, needs))
            if len(of):
                rows.append((of, kind, floors, box_polygons(sites, mirrored, box, of)))
    main = gate_point[:count]
    front = sites.quad[:, 1] - sites.quad[:, 0]
    places = _places(
        sites,
        {"young": young, "mirrored": mirrored, "campus": campus, "gatehouse": gatehouse},
        has_canteen,
        (main, front / np.hypot(*front.T)[:, None], gate_out[:count]),
    )
    return Interior(
        young=young,
        mirrored=mirrored,
        gate_u=gate_u,
        campus=campus,
        gate_school=gate_school,
        gate_point=gate_point,
        gate_out=gate_out,
        gate_main=gate_main,
        building_school=np.concatenate([*(row[0] for row in rows), np.full(len(houses), -1)]),
        building_kind=np.concatenate([*(np.full(len(row[0]), row[1], dtype="U10") for row in rows), np.full(len(houses), "residence")]),
        building_floors=np.concatenate([*(np.full(len(row[0]), row[2]) for row in rows), house_floors]),
        building=np.concatenate([*(row[3] for row in rows), houses]),
        place_school=np.concatenate([row[0] for row in places]),
        place_kind=np.concatenate([np.full(len(row[0]), row[1], dtype="U13") for row in places]),
        place=np.concatenate([row[2] for row in places]),
    )


def gate_names(out: np.ndarray) -> list[tuple[str, str]]:
    """South, east, north or west gate by the way it faces."""
    bearing = np.degrees(np.arctan2(out[:, 0], out[:, 1])) % 360  # 0 is north
    return [names.GATES[{0: 2, 1: 1, 2: 0, 3: 3}[int(sector)]] for sector in np.round(bearing / 90).astype(int) % 4]
