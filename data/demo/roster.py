"""The school table: names, addresses, contacts, and where each school's point lies."""

from __future__ import annotations

from collections import Counter

import numpy as np
import shapely

from data.demo import names
from data.demo.lattice import Ground
from data.demo.places import Streets
from data.demo.sites import KIND_NAMES, Sites
from data.demo.tables import Table

# Two digits of the school kind as in a 学校标识码; the province digits are 00, so no real code is met.
_KIND_DIGITS = {
    "kindergarten": "11",
    "primary": "21",
    "junior": "31",
    "nine_year": "31",
    "senior": "34",
    "twelve_year": "34",
    "vocational": "36",
    "special": "51",
}
PLACES_A_DISTRICT = 44


def phone(number: int) -> str:
    """An 11-digit number that no network gives out."""
    return f"000{number:08d}"


def codes(sites: Sites) -> list[str]:
    """Ten-digit codes of the schools, in order."""
    return [f"{_KIND_DIGITS[KIND_NAMES[kind]]}00{number:06d}" for number, kind in enumerate(sites.kind, start=1)]


def school_names(seed: int, sites: Sites) -> list[tuple[str, str]]:
    """An invented name (Chinese, English) for every school, none twice."""
    rng = np.random.default_rng([seed, 6])
    pool = names.places(rng, 10 * PLACES_A_DISTRICT)
    pick = rng.integers(0, PLACES_A_DISTRICT, len(sites))
    given: Counter[tuple[int, int]] = Counter()
    found = []
    for district, kind, place in zip(sites.district.tolist(), sites.kind.tolist(), pick.tolist(), strict=True):
        number = district * PLACES_A_DISTRICT + place
        given[number, kind] += 1
        found.append(names.school(pool[number], KIND_NAMES[kind], given[number, kind]))
    return found


def school_table(seed: int, sites: Sites, ground: Ground, streets: Streets, street: np.ndarray) -> Table:
    """One row a school; its id is its place in the order, from 1."""
    rng = np.random.default_rng([seed, 7])
    count = len(sites)
    zh, en = zip(*school_names(seed, sites), strict=True)
    kind = [KIND_NAMES[number] for number in sites.kind]
    young = np.array([name == "kindergarten" for name in kind])
    doors = rng.integers(1, 400, count)
    return Table(
        name="school",
        identity="school_id",
        columns={
            "school_id": np.arange(1, count + 1),
            "code": codes(sites),
            "name_zh": zh,
            "name_en": en,
            "kind": kind,
            "ownership": sites.ownership,
            "district_code": [ground.codes[number] for number in sites.district],
            "street_code": [streets.code[number] for number in street],
            "address": [
                f"{streets.zh[place].removesuffix(names.MARK_ZH)}{door}号{names.MARK_ZH}" for place, door in zip(street, doors, strict=True)
            ],
            "pupils": sites.pupils,
            "boarders": sites.boarders,
            "has_canteen": rng.random(count) < 0.96,
            "has_bus": rng.random(count) < np.where(sites.ownership == "private", 0.45, 0.04),
            "contact_name": [f"演示联系人{number:04d}" for number in range(1, count + 1)],
            "contact_phone": [phone(10_000_000 + number) for number in range(1, count + 1)],
            "retention_days": np.where(young, 90, 30),
            "geom": shapely.points(sites.at(0.5, 0.45)),
            "demo": np.ones(count, dtype=bool),
        },
    )
