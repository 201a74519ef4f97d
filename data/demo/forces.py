"""Police of the demo city: stations, units on the roads, beats. Metres, EPSG:4547."""

from __future__ import annotations

import numpy as np
import shapely

from data.demo import names, people
from data.demo.lattice import Ground
from data.demo.places import Streets
from data.demo.roster import phone
from data.demo.sites import SHOWCASE, Sites
from data.demo.tables import Table

UNITS = {"patrol_car": 166, "motorcycle": 90, "foot": 72}  # stations come on top, one a street: 400 in all
NEAR_SHOWCASE = 2  # moving units that start near each showcase school


def moving_districts(seed: int, sites: Sites, count: int) -> np.ndarray:
    """District index of the units whose phones move: near the showcase first, then as the schools are spread."""
    others = np.random.default_rng([seed, 11]).permutation(sites.district)
    return np.resize(np.concatenate([np.repeat(sites.district[: len(SHOWCASE)], NEAR_SHOWCASE), others]), count)


def _places(rng: np.random.Generator, ground: Ground, sites: Sites, district: np.ndarray) -> np.ndarray:
    """A crossing for every unit, inside its district; the first units stand near the showcase schools."""
    found = np.zeros((len(district), 2))
    for number in np.unique(district):
        rows = np.flatnonzero(district == number)
        # The first corner of a built block: on a road, and the whole block is in the district.
        found[rows] = ground.corners[rng.choice(np.flatnonzero(ground.district == number), len(rows)), 0]
    school = sites.at(0.5, 0.5)[: len(SHOWCASE)]
    for row in range(NEAR_SHOWCASE * len(SHOWCASE)):
        blocks = np.flatnonzero(ground.district == district[row])
        away = np.hypot(*(ground.corners[blocks, 0] - school[row // NEAR_SHOWCASE]).T)
        found[row] = ground.corners[blocks[np.argsort(away, kind="stable")[2 + 3 * (row % NEAR_SHOWCASE)]], 0]
    return found


def units(seed: int, ground: Ground, sites: Sites, streets: Streets, moving: np.ndarray) -> Table:
    """One row a unit: the moving ones first, then the one of the account `unit`, the others, the stations.

    Only those somebody will hear from are on duty: a position without a phone behind it would be a guess.
    """
    rng = np.random.default_rng([seed, 10])
    heard = len(moving) + 1
    others = rng.permutation(np.repeat(list(UNITS), [UNITS["patrol_car"] - heard, UNITS["motorcycle"], UNITS["foot"]]))
    kinds = np.concatenate([np.full(heard, "patrol_car"), others])
    district = np.concatenate([moving, sites.district[:1], rng.permutation(np.resize(sites.district, len(others)))])
    place = _places(rng, ground, sites, district)
    street = np.concatenate([streets.of(place, district), np.arange(len(streets.code))])
    kinds = np.concatenate([kinds, np.full(len(streets.code), "station")])
    district = np.concatenate([district, streets.district])
    count = len(kinds)
    words = [names.UNITS[str(kind)] for kind in kinds]
    account = [*(people.FIRST_UNIT + row for row in range(1, heard)), people.number_of("unit")]
    return Table(
        name="unit",
        identity="unit_id",
        columns={
            "unit_id": np.arange(1, count + 1),
            "code": [f"{ground.codes[number]}-{row:03d}" for row, number in enumerate(district, start=1)],
            "name_zh": [f"演示{zh} {row:03d}" for row, (zh, _) in enumerate(words, start=1)],
            "name_en": [f"Demo {en.lower()} {row:03d}" for row, (_, en) in enumerate(words, start=1)],
            "kind": kinds,
            "district_code": [ground.codes[number] for number in district],
            "street_code": [streets.code[number] for number in street],
            "account_id": account + [None] * (count - heard),
            "phone": [phone(30_000_000 + row) for row in range(1, count + 1)],
            "status": np.where((np.arange(count) < heard - 1) | (kinds == "station"), "free", "off"),
            "geom": shapely.points(np.concatenate([place, streets.seat])),
            "accuracy_m": np.where(kinds == "station", 1.0, 12.0),
            "demo": [True] * count,
        },
    )


def beat_tables(beats: list[tuple[int, list[int]]], streets: Streets) -> list[Table]:
    """Tables beat and beat_school: an officer and the few schools of the beat."""
    numbers = range(1, len(beats) + 1)
    zh = [streets.zh[street].removesuffix(names.MARK_ZH) for street, _ in beats]
    en = [streets.en[street].removesuffix(names.MARK_EN) for street, _ in beats]
    return [
        Table(
            name="beat",
            identity="beat_id",
            geometry=(),
            columns={
                "beat_id": list(numbers),
                "code": [f"B{number:04d}" for number in numbers],
                "name_zh": [f"{place}第{number}警务区{names.MARK_ZH}" for number, place in zip(numbers, zh, strict=True)],
                "name_en": [f"{place} beat {number}{names.MARK_EN}" for number, place in zip(numbers, en, strict=True)],
                "street_code": [streets.code[street] for street, _ in beats],
                "account_id": [people.officer_of(number) for number in numbers],
                "demo": [True] * len(beats),
            },
        ),
        Table(
            name="beat_school",
            geometry=(),
            columns={
                "beat_id": [number for number, (_, schools) in enumerate(beats, start=1) for _ in schools],
                "school_id": [school for _, schools in beats for school in schools],
            },
        ),
    ]
