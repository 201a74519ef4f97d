"""Tables of the ground: districts, streets, land use, roads."""

from __future__ import annotations

import numpy as np
import shapely

from data.demo import names, outline
from data.demo.lattice import SPEED_KMH, Ground
from data.demo.tables import Table

STREETS = {
    "440303": 8, "440304": 8, "440305": 8, "440306": 10, "440307": 11, "440308": 4, "440309": 7, "440310": 6, "440311": 6, "SZDP": 4,
}  # fmt: skip
GB2260 = frozenset(STREETS) - {"SZDP"}  # Dapeng has no code of its own


class Streets:
    """The streets of the city and which one a point lies in.

    Attributes:
        code, zh, en: one entry a street; seat: (n, 2) its middle, metres; district: index into `Ground.codes`.
    """

    def __init__(self, seed: int, districts: dict[str, shapely.Polygon]) -> None:
        rng = np.random.default_rng([seed, 3])
        named = iter(names.places(rng, sum(STREETS.values())))
        self.code: list[str] = []
        self.zh: list[str] = []
        self.en: list[str] = []
        self.geom: list[shapely.MultiPolygon] = []
        seats, owner = [], []
        for number, (district, shape) in enumerate(districts.items()):
            shapes, points = outline.streets(seed, district, shape, STREETS[district])
            for index, (part, (zh, en)) in enumerate(zip(shapes, named, strict=False), start=1):
                self.code.append(f"{district}{index:03d}")
                self.zh.append(f"{zh}街道{names.MARK_ZH}")
                self.en.append(f"{en} Street{names.MARK_EN}")
                self.geom.append(part)
                owner.append(number)
            seats.append(points)
        self.seat = np.concatenate(seats)
        self.district = np.array(owner)

    def of(self, points: np.ndarray, district: np.ndarray) -> np.ndarray:
        """Index of the street of every point (n, 2), given its district."""
        gaps = np.hypot(points[:, None, 0] - self.seat[None, :, 0], points[:, None, 1] - self.seat[None, :, 1])
        return np.argmin(np.where(self.district[None, :] == district[:, None], gaps, np.inf), axis=1)


def ground_tables(seed: int, districts: dict[str, shapely.Polygon], streets: Streets, ground: Ground) -> list[Table]:
    """District, street, land use, crossings and roads."""
    codes = list(districts)
    return [
        Table(
            name="district",
            columns={
                "district_code": codes,
                "is_gb2260": [code in GB2260 for code in codes],
                "name_zh": [names.DISTRICTS[code][0] for code in codes],
                "name_en": [names.DISTRICTS[code][1] for code in codes],
                "geom": [shapely.MultiPolygon([shape]) for shape in districts.values()],
                "demo": [True] * len(codes),
            },
        ),
        Table(
            name="street",
            columns={
                "street_code": streets.code,
                "district_code": [codes[number] for number in streets.district],
                "name_zh": streets.zh,
                "name_en": streets.en,
                "geom": streets.geom,
                "demo": [True] * len(streets.code),
            },
        ),
        _landuse(seed, districts, ground),
        *_roads(seed, ground),
    ]


def _landuse(seed: int, districts: dict[str, shapely.Polygon], ground: Ground) -> Table:
    """The sea around the schematic land, the land, what is built, hills with paths, and reservoirs."""
    land = shapely.union_all(list(districts.values()))
    west, south, east, north = outline.board().buffer(6_000, join_style="mitre").bounds
    middle = land.bounds[1] + 0.52 * (land.bounds[3] - land.bounds[1])
    hinterland = shapely.box(west + 9_000, middle, east, north)
    sea = shapely.difference(shapely.box(west, south, east, north), shapely.union(land, hinterland))
    named = iter(names.places(np.random.default_rng([seed, 4]), 400))
    kinds, zh, en, shapes = ["water", "land", "land"], ["", "", ""], ["", "", ""], [sea, hinterland.difference(land), land]
    for kind, words, parts in (
        ("built", ("", ""), ground.built), ("park", ("郊野公园", " Hills"), ground.parks), ("water", ("水库", " Reservoir"), ground.lakes),
    ):  # fmt: skip
        for part in parts:
            place = next(named) if words[0] else ("", "")
            kinds.append(kind)
            zh.append(f"{place[0]}{words[0]}{names.MARK_ZH}" if place[0] else "")
            en.append(f"{place[1]}{words[1]}{names.MARK_EN}" if place[0] else "")
            shapes.append(part)
    multi = [shapely.multipolygons([part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]) for shape in shapes]
    return Table(name="landuse", columns={"kind": kinds, "name_zh": zh, "name_en": en, "geom": multi})


def _roads(seed: int, ground: Ground) -> list[Table]:
    named = names.places(np.random.default_rng([seed, 5]), 700)
    lines = {int(line): named[order % len(named)] for order, line in enumerate(np.unique(ground.line))}
    start, end = ground.nodes[ground.edges[:, 0]], ground.nodes[ground.edges[:, 1]]
    words = [names.ROAD_WORDS[name] for name in ground.road_class]
    place = [lines[int(line)] for line in ground.line]
    return [
        Table(name="road_node", columns={"road_node_id": np.arange(1, len(ground.nodes) + 1), "geom": shapely.points(ground.nodes)}),
        Table(
            name="road",
            columns={
                "from_node": ground.edges[:, 0] + 1,
                "to_node": ground.edges[:, 1] + 1,
                "class": ground.road_class,
                "name_zh": [f"{a[0]}{b[0]}{names.MARK_ZH}" for a, b in zip(place, words, strict=True)],
                "name_en": [f"{a[1]} {b[1]}{names.MARK_EN}" for a, b in zip(place, words, strict=True)],
                "length_m": np.round(np.hypot(*(end - start).T), 2),
                "speed_kmh": [SPEED_KMH[name] for name in ground.road_class],
                "geom": shapely.linestrings(np.stack([start, end], axis=1)),
            },
        ),
    ]
