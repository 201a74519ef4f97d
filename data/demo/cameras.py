"""30,000 demo cameras on gates, poles, walls and ceilings. Each looks into its campus or at its gate. Metres, EPSG:4547."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from data.demo.interior import Interior, box_polygons, gatehouse_box, has, spot
from data.demo.sites import KIND_NAMES, Sites

CAMERAS = 30_000
_WALL_M = 0.15  # how far a camera stands off its wall
# How many cameras a school of a kind has for its size, before the total is made exact
_WEIGHT = {
    "kindergarten": 6.5,
    "primary": 15.0,
    "junior": 18.0,
    "nine_year": 20.0,
    "senior": 27.0,
    "twelve_year": 30.0,
    "vocational": 26.0,
    "special": 11.0,
}
Place = tuple[float, float]  # layout coordinates u, v
Shift = tuple[float, float]  # metres to the right and to the back


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place for a camera that campuses of a layout share.

    Attributes:
        at, aim: where it stands and what it looks at; `shift` and `aim_shift` are metres on top. A `u` of -1 is the main gate.
        needs: kind of place the school must have; place: kind of key place it belongs to.
        is_gatehouse: stands inside the gatehouse, at and aim are ignored.
    """

    mount: str
    place: str
    at: Place = (0.0, 0.0)
    aim: Place = (0.0, 0.0)
    shift: Shift = (0.0, 0.0)
    aim_shift: Shift = (0.0, 0.0)
    fov_deg: float = 78.0
    range_m: float = 45.0
    height_m: float = 3.6
    zone: str = "public"
    needs: str = ""
    gate: str = ""
    is_gatehouse: bool = False


def _wall(
    place: str, at: Place, aim: Place, *, off: Shift = (0.0, 0.0), needs: str = "", range_m: float = 55.0, zone: str = "public"
) -> Slot:
    shift = (off[0] * _WALL_M, off[1] * _WALL_M)
    # Along a wall a narrow lens: what it sees beyond the wall is not the school's.
    fov_deg = 56.0 if place == "perimeter" else 78.0
    return Slot(mount="wall", place=place, at=at, aim=aim, shift=shift, needs=needs, range_m=range_m, zone=zone, fov_deg=fov_deg)


def _inside(place: str, at: Place, aim: Place, needs: str = "", zone: str = "teaching") -> Slot:
    return Slot(mount="ceiling", place=place, at=at, aim=aim, fov_deg=92.0, range_m=14.0, height_m=2.8, zone=zone, needs=needs)


_GATE = (
    Slot(
        mount="gate",
        place="main_entrance",
        at=(-1, 0),
        shift=(-2.5, 0.3),
        aim=(-1, 0),
        aim_shift=(1.0, 14.0),
        fov_deg=72,
        range_m=25,
        gate="main",
    ),
    Slot(
        mount="pole",
        place="outside_gate",
        at=(-1, 0),
        shift=(-1.5, 9.0),
        aim=(-1, 0),
        aim_shift=(0.0, -9.0),
        fov_deg=58,
        range_m=28,
        height_m=3.2,
        gate="main",
    ),
    Slot(mount="ceiling", place="gatehouse", fov_deg=96, range_m=9, height_m=2.6, is_gatehouse=True),
)
_PERIMETER = (
    _wall("perimeter", (0, 0.03), (0.035, 0.55), off=(1, 0)),
    _wall("perimeter", (1, 0.90), (0.965, 0.35), off=(-1, 0)),
    _wall("perimeter", (0.10, 1), (0.6, 0.972), off=(0, -1)),
    _wall("perimeter", (0.02, 0), (0.42, 0.07), off=(0, 1), range_m=40),
    _wall("perimeter", (0.98, 0), (0.60, 0.09), off=(0, 1), range_m=40),
    _wall("perimeter", (0, 0.52), (0.035, 0.96), off=(1, 0)),
    _wall("perimeter", (1, 0.45), (0.962, 0.12), off=(-1, 0)),
    _wall("perimeter", (0.88, 1), (0.30, 0.975), off=(0, -1)),
    _wall("perimeter", (0, 0.91), (0.04, 0.5), off=(1, 0)),
    _wall("perimeter", (1, 0.04), (0.965, 0.5), off=(-1, 0)),
)
_NURSERY = (
    *_GATE,
    Slot(mount="pole", place="gathering", at=(0.06, 0.22), aim=(0.8, 0.40), fov_deg=96, range_m=45, height_m=4.5),
    _wall("nursery", (0.5, 0.52), (0.42, 0.13), off=(0, -1), range_m=30),
    _inside("nursery", (0.14, 0.54), (0.40, 0.70), zone="nursery"),
    _wall("canteen", (0.285, 0.865), (0.60, 0.83), off=(0, -1), needs="canteen", range_m=25),
    Slot(mount="pole", place="gathering", at=(0.94, 0.42), aim=(0.2, 0.22), fov_deg=96, range_m=45, height_m=4.5),
    _inside("nursery", (0.86, 0.78), (0.60, 0.60), zone="nursery"),
    *_PERIMETER,
    _inside("canteen", (0.14, 0.88), (0.40, 0.93), needs="canteen"),
    _inside("nursery", (0.48, 0.78), (0.30, 0.62), zone="nursery"),
    _inside("nursery", (0.52, 0.56), (0.74, 0.70), zone="nursery"),
)
_SCHOOL = (
    *_GATE,
    Slot(mount="pole", place="gathering", at=(0.60, 0.35), aim=(0.88, 0.70), fov_deg=90, range_m=70, height_m=6.0),
    _wall("teaching", (0.54, 0.225), (0.60, 0.62), off=(1, 0), range_m=60),
    Slot(mount="gate", place="perimeter", at=(1, 0.14), shift=(-0.3, 2.5), aim=(0.90, 0.13), fov_deg=75, range_m=25, gate="side"),
    _wall("dormitory", (0.54, 0.835), (0.60, 0.60), off=(1, 0), needs="dormitory", range_m=35),
    _wall("canteen", (0.27, 0.70), (0.30, 0.60), off=(1, 0), needs="canteen", range_m=30),
    Slot(mount="pole", place="gathering", at=(0.955, 0.79), aim=(0.66, 0.42), fov_deg=90, range_m=70, height_m=6.0),
    _wall("teaching", (0.30, 0.27), (0.08, 0.30), off=(0, 1), range_m=40),
    _wall("office", (0.78, 0.25), (0.72, 0.60), off=(0, 1)),
    _inside("teaching", (0.07, 0.22), (0.50, 0.225)),
    _wall("hazard_store", (0.54, 0.70), (0.585, 0.62), off=(1, 0), needs="hazard_store", range_m=25),
    _wall("dormitory", (0.30, 0.905), (0.55, 0.885), off=(0, -1), needs="dormitory", range_m=40),
    _wall("teaching", (0.30, 0.42), (0.52, 0.45), off=(0, 1), range_m=40),
    *_PERIMETER[:4],
    _inside("teaching", (0.53, 0.38), (0.10, 0.375)),
    _inside("canteen", (0.08, 0.67), (0.24, 0.74), needs="canteen"),
    _wall("parking", (0.30, 0.18), (0.16, 0.05), off=(0, -1), range_m=40),
    _inside("teaching", (0.07, 0.52), (0.50, 0.525)),
    _wall("gathering", (0.66, 0.84), (0.80, 0.50), off=(0, -1), needs="gym", range_m=70),
    *_PERIMETER[4:],
    _inside("teaching", (0.30, 0.19), (0.10, 0.25)),
    _inside("office", (0.64, 0.18), (0.92, 0.24)),
    _inside("teaching", (0.30, 0.41), (0.50, 0.35)),
    _wall("teaching", (0.10, 0.48), (0.40, 0.45), off=(0, -1), range_m=40),
    Slot(mount="pole", place="gathering", at=(0.60, 0.78), aim=(0.90, 0.40), fov_deg=90, range_m=60, height_m=6.0),
    _inside("teaching", (0.45, 0.49), (0.20, 0.56)),
    _wall("hazard_store", (0.435, 0.65), (0.40, 0.60), off=(0, -1), needs="hazard_store", range_m=25),
    _inside("teaching", (0.50, 0.26), (0.30, 0.20)),
    _wall("office", (0.62, 0.21), (0.56, 0.10), off=(-1, 0), range_m=35),
    _inside("teaching", (0.12, 0.34), (0.30, 0.41)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cameras:
    """One row a camera, in order of the schools: what the columns of the table `camera` are made of."""

    school: np.ndarray
    number: np.ndarray
    mount: np.ndarray
    place: np.ndarray
    zone: np.ndarray
    gate: np.ndarray
    azimuth_deg: np.ndarray
    fov_deg: np.ndarray
    range_m: np.ndarray
    height_m: np.ndarray
    point: np.ndarray

    def __len__(self) -> int:
        return len(self.school)


def _chosen(
    rng: np.random.Generator, sites: Sites, young: np.ndarray, has_canteen: np.ndarray, total: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (school index, slot number) of exactly `total` cameras: every school gets its most important slots first."""
    width = max(len(_NURSERY), len(_SCHOOL))
    open_slots = np.zeros((len(sites), width), dtype=bool)
    for layout, mask in ((_NURSERY, young), (_SCHOOL, ~young)):
        for number, slot in enumerate(layout):
            open_slots[:, number] |= mask & (has(sites, has_canteen, slot.needs) if slot.needs else True)
    room = open_slots.sum(axis=1)
    if total > room.sum():
        raise ValueError(f"{total} cameras do not fit {room.sum()} places")
    area = sites.size_m.prod(axis=1)
    by_kind = np.bincount(sites.kind, area, minlength=len(KIND_NAMES)) / np.maximum(np.bincount(sites.kind, minlength=len(KIND_NAMES)), 1)
    wish = (
        np.array([_WEIGHT[name] for name in KIND_NAMES])[sites.kind]
        * (area / by_kind[sites.kind]) ** 0.35
        * rng.uniform(0.9, 1.1, len(sites))
    )
    count = np.clip(np.round(wish * total / wish.sum()).astype(int), 4, room)
    while count.sum() != total:
        step = 1 if count.sum() < total else -1
        movable = np.flatnonzero((count + step >= 4) & (count + step <= room))
        count[rng.permutation(movable)[: abs(total - count.sum())]] += step
    rank = np.cumsum(open_slots, axis=1)
    school, slot = np.nonzero(open_slots & (rank <= count[:, None]))
    return school, slot


def _moved(sites: Sites, mirrored: np.ndarray, gate_u: np.ndarray, of: np.ndarray, at: Place, shift: Shift) -> np.ndarray:
    """Points at a place of the layout plus metres; the place may be the main gate."""
    width, depth = sites.size_m[of].T
    u = (gate_u[of] if at[0] < 0 else np.full(len(of), at[0])) + shift[0] / width
    return spot(sites, mirrored, u, at[1] + shift[1] / depth, of)


def cameras(seed: int, sites: Sites, inside: Interior, has_canteen: np.ndarray, total: int = CAMERAS) -> Cameras:
    """Place `total` cameras."""
    rng = np.random.default_rng([seed, 9])
    school, slot_number = _chosen(rng, sites, inside.young, has_canteen, total)
    point, aim = np.zeros((len(school), 2)), np.zeros((len(school), 2))
    slots: list[Slot] = [_SCHOOL[0]] * len(school)
    houses = gatehouse_box(sites, inside.gate_u, inside.young)
    for layout, mask in ((_NURSERY, inside.young[school]), (_SCHOOL, ~inside.young[school])):
        for number, slot in enumerate(layout):
            rows = np.flatnonzero(mask & (slot_number == number))
            of = school[rows]
            if slot.is_gatehouse:
                box = houses[of]
                point[rows] = spot(sites, inside.mirrored, box[:, 0] * 0.9 + box[:, 1] * 0.1, box[:, 2] * 0.9 + box[:, 3] * 0.1, of)
                aim[rows] = spot(sites, inside.mirrored, box[:, 1], box[:, 3], of)
            else:
                point[rows] = _moved(sites, inside.mirrored, inside.gate_u, of, slot.at, slot.shift)
                aim[rows] = _moved(sites, inside.mirrored, inside.gate_u, of, slot.aim, slot.aim_shift)
            for row in rows.tolist():
                slots[row] = slot
    look = aim - point
    azimuth = np.degrees(np.arctan2(look[:, 0], look[:, 1])) + rng.uniform(-2.0, 2.0, len(school))
    mount = np.array([slot.mount for slot in slots])
    range_m = np.array([slot.range_m for slot in slots]) * rng.uniform(0.85, 1.1, len(school))
    range_m = _within(inside.campus[school], point, azimuth, range_m, mount == "wall")
    first = np.concatenate([[0], np.flatnonzero(np.diff(school)) + 1])
    number = np.arange(len(school)) - np.repeat(first, np.diff([*first, len(school)])) + 1
    return Cameras(
        school=school,
        number=number,
        mount=mount,
        place=np.array([slot.place for slot in slots]),
        zone=np.array([slot.zone for slot in slots]),
        gate=np.array([slot.gate for slot in slots]),
        azimuth_deg=np.round(azimuth % 360, 1) % 360,
        fov_deg=np.round(np.array([slot.fov_deg for slot in slots]) * rng.uniform(0.94, 1.06, len(school)), 1),
        range_m=np.round(range_m, 1),
        height_m=np.round(np.array([slot.height_m for slot in slots]) * rng.uniform(0.95, 1.1, len(school)), 2),
        point=point,
    )


def _within(campus: np.ndarray, point: np.ndarray, azimuth_deg: np.ndarray, range_m: np.ndarray, limited: np.ndarray) -> np.ndarray:
    """Ranges that end at the opposite wall for the cameras in `limited`; at least 5 m."""
    found = range_m.copy()
    ray = np.column_stack([np.sin(np.radians(azimuth_deg)), np.cos(np.radians(azimuth_deg))])
    rows = np.flatnonzero(limited)
    axis = shapely.linestrings(np.stack([point[rows], point[rows] + ray[rows] * range_m[rows, None]], axis=1))
    found[rows] = np.maximum(shapely.length(shapely.intersection(axis, campus[rows])) * 0.98, 5.0)
    return found


def gatehouses(sites: Sites, inside: Interior) -> np.ndarray:
    """(n,) polygons of the gatehouses."""
    return box_polygons(sites, inside.mirrored, gatehouse_box(sites, inside.gate_u, inside.young), np.arange(len(sites)))
