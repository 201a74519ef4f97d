"""Police of the demo city: stations, units on the roads, beats. Metres, EPSG:4547."""

from __future__ import annotations

import numpy as np
import shapely

from data.demo import names, people
from data.demo.lattice import Ground
from data.demo.places import Streets
from data.demo.roster import phone
from data.demo.sites import Sites
from data.demo.tables import Table

UNITS = {"patrol_car": 166, "motorcycle": 90, "foot": 72}  # stations come on top, one a street: 400 in all


def moving_districts(ground: Ground, sites: Sites, count: int) -> np.ndarray:
    """District index of the units whose phones move: near the showcase first, then as the schools are spread."""
    order = np.concatenate([sites.district[:6].repeat(2), np.random.default_rng(len(sites)).permutation(sites.district)])
    return np.resize(order, count)


def units(seed: int, ground: Ground, sites: Sites, streets: Streets, moving: np.ndarray) -> Table:
    """One row a unit: the moving ones first, whose ids are their numbers, then the others, then the stations."""
    rng = np.random.default_rng([seed, 10])
    others = rng.permutation(np.repeat(list(UNITS), [UNITS["patrol_car"] - len(moving), UNITS["motorcycle"], UNITS["foot"]]))
    kinds = np.concatenate([["patrol_car"] * len(moving), others])
    district = np.concatenate([moving, rng.permutation(np.resize(sites.district, len(kinds) - len(moving)))])
    place = np.zeros((len(kinds), 2))
    for number in np.unique(district):
        rows = np.flatnonzero(district == number)
        # Crossings at the south-west corner of a built block: on a road and inside the district.
        blocks = np.flatnonzero(ground.district == number)
        place[rows] = ground.corners[rng.choice(blocks, len(rows)), 0]
    street = streets.of(place, district)
    kinds = np.concatenate([kinds, ["station"] * len(streets.code)])
    district = np.concatenate([district, streets.district])
    street = np.concatenate([street, np.arange(len(streets.code))])
    place = np.concatenate([place, streets.seat])
    count = len(kinds)
    words = [names.UNITS[str(kind)] for kind in kinds]
    status = np.where(kinds == "station", "free", rng.choice(["free", "free", "free", "busy", "off"], count))
    status[: len(moving)] = "free"
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
            "account_id": [people.FIRST_UNIT + row if row <= len(moving) else None for row in range(1, count + 1)],
            "phone": [phone(30_000_000 + row) for row in range(1, count + 1)],
            "status": status,
            "geom": shapely.points(place),
            "accuracy_m": np.where(kinds == "station", 1.0, 12.0),
            "demo": [True] * count,
        },
    )


def beat_tables(beats: list[tuple[int, list[int]]], streets: Streets) -> list[Table]:
    """Tables beat and beat_school: an officer and the few schools of the beat."""
    numbers = range(1, len(beats) + 1)
    return [
        Table(
            name="beat",
            identity="beat_id",
            geometry=(),
            columns={
                "beat_id": list(numbers),
                "code": [f"B{number:04d}" for number in numbers],
                "name_zh": [
                    f"{streets.zh[street].removesuffix(names.MARK_ZH)}第{number}警务区{names.MARK_ZH}"
                    for number, (street, _) in enumerate(beats, start=1)
                ],
                "name_en": [
                    f"{streets.en[street].removesuffix(names.MARK_EN)} beat {number}{names.MARK_EN}"
                    for number, (street, _) in enumerate(beats, start=1)
                ],
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
