"""Where the demo schools stand: kinds, sizes, ownership, and a campus outline inside a street block each. Metres, EPSG:4547."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from data.demo import shapes
from data.demo.lattice import Ground

SCHOOLS = 2_600
MUNICIPAL = 38  # 市属, as in 2018
ROAD_SETBACK_M = 13.0
# Shares of the city's schools: district, kind. Kindergartens are three of five.
DISTRICT_SHARE = {
    "440306": 566,
    "440307": 536,
    "440309": 352,
    "440305": 312,
    "440304": 246,
    "440303": 186,
    "440311": 168,
    "440310": 122,
    "440308": 58,
    "SZDP": 54,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What the schools of a kind are like; pairs are the ends of a uniform range."""

    share: int
    width_m: tuple[float, float]
    depth_m: tuple[float, float]
    pupils: tuple[int, int]
    private: float
    boarding: float


KINDS: dict[str, Kind] = {
    "kindergarten": Kind(share=1560, width_m=(54, 92), depth_m=(52, 86), pupils=(90, 460), private=0.48, boarding=0.0),
    "primary": Kind(share=430, width_m=(130, 185), depth_m=(112, 165), pupils=(480, 2000), private=0.14, boarding=0.0),
    "junior": Kind(share=110, width_m=(145, 205), depth_m=(130, 185), pupils=(600, 1900), private=0.08, boarding=0.12),
    "nine_year": Kind(share=260, width_m=(165, 235), depth_m=(145, 205), pupils=(1000, 3300), private=0.52, boarding=0.10),
    "senior": Kind(share=90, width_m=(205, 280), depth_m=(180, 250), pupils=(1200, 3600), private=0.20, boarding=0.85),
    "twelve_year": Kind(share=70, width_m=(225, 300), depth_m=(200, 270), pupils=(1800, 4600), private=0.80, boarding=0.60),
    "vocational": Kind(share=40, width_m=(210, 290), depth_m=(190, 260), pupils=(1200, 4400), private=0.35, boarding=0.75),
    "special": Kind(share=40, width_m=(82, 125), depth_m=(72, 105), pupils=(50, 320), private=0.05, boarding=0.25),
}
KIND_NAMES = tuple(KINDS)
# The schools a visitor meets first (`demo press 1` …): district and kind. Their cameras stream.
SHOWCASE = (
    ("440304", "primary"),
    ("440305", "kindergarten"),
    ("440303", "senior"),
    ("440309", "nine_year"),
    ("440306", "primary"),
    ("440307", "junior"),
)
_WHOLE_BLOCK = frozenset({"primary", "junior", "nine_year", "senior", "twelve_year", "vocational"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """The schools in the order of their ids; every array has one row a school.

    Attributes:
        kind: index into KIND_NAMES; district: index into Ground.codes; ownership: municipal, district or private.
        quad: (n, 4, 2) corners of the campus, front left, front right, back right, back left; convex.
        chamfer: share of the sides cut off at the back right corner, 0 for most.
        block: index into Ground.corners.
    """

    kind: np.ndarray
    district: np.ndarray
    ownership: np.ndarray
    pupils: np.ndarray
    boarders: np.ndarray
    quad: np.ndarray
    chamfer: np.ndarray
    block: np.ndarray

    def __len__(self) -> int:
        return len(self.kind)

    def at(self, u: np.ndarray | float, v: np.ndarray | float, of: np.ndarray | None = None) -> np.ndarray:
        """Points (…, 2) in metres at campus coordinates: u from left to right, v from the front (0) to the back (1).

        Args:
            of: school indices, one for each row of `u` and `v`; None for all schools in order.
        """
        quad = self.quad if of is None else self.quad[of]
        u, v = np.broadcast_arrays(np.asarray(u, dtype=float), np.asarray(v, dtype=float))
        shape = (-1,) + (1,) * (u.ndim - 1) if u.ndim else (-1,)
        corner = [quad[:, n].reshape(*shape, 2) for n in range(4)]
        u, v = u[..., None], v[..., None]
        return (1 - u) * (1 - v) * corner[0] + u * (1 - v) * corner[1] + u * v * corner[2] + (1 - u) * v * corner[3]

    @property
    def size_m(self) -> np.ndarray:
        """(n, 2) width and depth of the campuses, metres."""
        width = (np.hypot(*(self.quad[:, 1] - self.quad[:, 0]).T) + np.hypot(*(self.quad[:, 2] - self.quad[:, 3]).T)) / 2
        depth = (np.hypot(*(self.quad[:, 3] - self.quad[:, 0]).T) + np.hypot(*(self.quad[:, 2] - self.quad[:, 1]).T)) / 2
        return np.column_stack([width, depth])


def _shared_out(total: int, shares: list[int]) -> np.ndarray:
    """`total` things split by shares, the largest remainders first; exact."""
    exact = np.array(shares) * total / sum(shares)
    found = np.floor(exact).astype(int)
    found[np.argsort(found - exact, kind="stable")[: total - found.sum()]] += 1
    return found


def _kinds(rng: np.random.Generator, codes: tuple[str, ...], count: int) -> tuple[np.ndarray, np.ndarray]:
    """District and kind of every school, the showcase first."""
    first_district = np.array([codes.index(code) for code, _ in SHOWCASE])
    first_kind = np.array([KIND_NAMES.index(kind) for _, kind in SHOWCASE])
    in_district = np.maximum(
        _shared_out(count, [DISTRICT_SHARE[code] for code in codes]) - np.bincount(first_district, minlength=len(codes)), 0
    )
    of_kind = np.maximum(_shared_out(count, [kind.share for kind in KINDS.values()]) - np.bincount(first_kind, minlength=len(KINDS)), 0)
    rest = count - len(SHOWCASE)
    district = np.concatenate([first_district, np.repeat(np.arange(len(codes)), in_district)[:rest]])
    kind = np.concatenate([first_kind, rng.permutation(np.repeat(np.arange(len(KINDS)), of_kind))[:rest]])
    return district, kind


def _ownership(rng: np.random.Generator, kind: np.ndarray, count: int) -> np.ndarray:
    """Municipal: mostly senior and vocational schools, 38 of 2,600; the rest district or private by kind."""
    private = np.array([KINDS[name].private for name in KIND_NAMES])[kind]
    found = np.where(rng.random(count) < private, "private", "district").astype("U9")
    municipal = MUNICIPAL if count == SCHOOLS else max(1, round(MUNICIPAL * count / SCHOOLS))
    weight = np.array([{"senior": 30.0, "vocational": 16.0, "twelve_year": 4.0, "special": 3.0}.get(name, 0.02) for name in KIND_NAMES])[
        kind
    ]
    weight[: len(SHOWCASE)] = 0.0
    found[rng.choice(count, municipal, replace=False, p=weight / weight.sum())] = "municipal"
    return found


def _lots(rng: np.random.Generator, ground: Ground, district: np.ndarray, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A lot for every school: a whole block for the large kinds, a quarter of a block for the others.

    Returns:
        (n, 4, 2) corners of the lots, the road in front of the first side, and (n,) block numbers. No lot is given twice.
    """
    lots = np.zeros((len(kind), 4, 2))
    blocks = np.zeros(len(kind), dtype=int)
    whole = np.isin(kind, [KIND_NAMES.index(name) for name in _WHOLE_BLOCK])
    for number in range(len(ground.codes)):
        here = np.flatnonzero(ground.district == number)
        order = here[np.argsort(-(ground.heart[here] + rng.gumbel(0, 0.16, len(here))), kind="stable")]
        large, small = np.flatnonzero((district == number) & whole), np.flatnonzero((district == number) & ~whole)
        blocks[large] = order[: len(large)]
        lots[large] = ground.corners[blocks[large]]
        quarters = order[len(large) : len(large) + max(len(small), 1)]
        spread = np.arange(len(small)) % len(quarters)
        blocks[small] = quarters[spread]
        first = rng.integers(0, 4, len(quarters))
        lots[small] = _quarter(ground.corners[blocks[small]], (first[spread] + np.arange(len(small)) // len(quarters)) % 4)
    turn = np.where(whole, rng.integers(0, 4, len(kind)), 0)
    return np.take_along_axis(lots, ((np.arange(4)[None, :] + turn[:, None]) % 4)[:, :, None], axis=1), blocks


def _quarter(corners: np.ndarray, which: np.ndarray) -> np.ndarray:
    """A quarter of each block, its first side on the road. `which` 0 to 3; opposite quarters follow each other."""
    which = np.array([0, 2, 1, 3])[which]
    turned = np.take_along_axis(corners, ((np.arange(4)[None, :] + which[:, None]) % 4)[:, :, None], axis=1)
    a, b, c, d = (turned[:, n] for n in range(4))
    middle = (a + b + c + d) / 4
    return np.stack([a, (a + b) * 0.495 + a * 0.01, middle * 0.98 + a * 0.02, (a + d) * 0.495 + a * 0.01], axis=1)


def _campuses(rng: np.random.Generator, lots: np.ndarray, size_m: np.ndarray) -> np.ndarray:
    """A convex quadrilateral of about `size_m` in every lot, its front along the lot's first side, clear of the roads."""
    front = lots[:, 1] - lots[:, 0] + lots[:, 2] - lots[:, 3]
    right = front / np.hypot(*front.T)[:, None]
    back = np.column_stack([-right[:, 1], right[:, 0]])
    room = shapes.grown(shapes.polygons(lots), -ROAD_SETBACK_M)
    shapely.prepare(room)
    length = np.hypot(*(lots[:, 1] - lots[:, 0]).T)
    slide = np.clip(length - size_m[:, 0] - 2 * ROAD_SETBACK_M, 0, None) * rng.uniform(-0.35, 0.35, len(lots))
    middle = (lots[:, 0] + lots[:, 1]) / 2 + right * slide[:, None] + back * (ROAD_SETBACK_M + 1 + size_m[:, 1] / 2)[:, None]
    centre, half = middle.copy(), size_m / 2
    skew = rng.uniform(-0.05, 0.0, (len(lots), 2, 2))
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    quad = np.zeros_like(lots)
    target = lots.mean(axis=1)
    todo = np.arange(len(lots))
    for _ in range(80):
        reach = signs[None, :, :] * half[todo][:, None, :]
        reach[:, 2:, :] *= 1 + skew[todo]
        quad[todo] = centre[todo][:, None, :] + reach[:, :, :1] * right[todo][:, None, :] + reach[:, :, 1:] * back[todo][:, None, :]
        outside = ~shapely.contains(room[todo], shapely.polygons(quad[todo]))
        todo = todo[outside]
        if not len(todo):
            return quad
        half[todo] *= 0.97
        centre[todo] += (target[todo] - centre[todo]) * 0.05
    raise ValueError(f"{len(todo)} campuses do not fit their lots")


def sites(seed: int, ground: Ground, count: int = SCHOOLS) -> Sites:
    """Place `count` schools on the ground.

    Raises:
        ValueError: `count` is below the number of showcase schools times two.
    """
    if count < 2 * len(SHOWCASE):
        raise ValueError(f"{count} schools: at least {2 * len(SHOWCASE)} are needed")
    rng = np.random.default_rng([seed, 2])
    district, kind = _kinds(rng, ground.codes, count)
    ownership = _ownership(rng, kind, count)
    lots, block = _lots(rng, ground, district, kind)
    ends = np.array([(*KINDS[name].width_m, *KINDS[name].depth_m) for name in KIND_NAMES])[kind]
    size_m = np.column_stack([rng.uniform(ends[:, 0], ends[:, 1]), rng.uniform(ends[:, 2], ends[:, 3])])
    quad = _campuses(rng, lots, size_m)
    low, high = np.array([KINDS[name].pupils for name in KIND_NAMES])[kind].T
    pupils = (low + (high - low) * rng.beta(2.0, 2.6, count)).astype(int)
    boards = rng.random(count) < np.array([KINDS[name].boarding for name in KIND_NAMES])[kind]
    boarders = np.where(boards, pupils * rng.uniform(0.25, 0.95, count), 0).astype(int)
    chamfer = np.where(rng.random(count) < 0.3, rng.uniform(0.03, 0.08, count), 0.0)
    return Sites(
        kind=kind, district=district, ownership=ownership, pupils=pupils, boarders=boarders, quad=quad, chamfer=chamfer, block=block
    )
