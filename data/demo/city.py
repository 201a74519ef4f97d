"""The demo city, whole: every table in the order it is loaded. The same seed gives the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.demo import equipment, lattice, outline, people, places, roster
from data.demo import sites as site
from data.demo.tables import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """Tables by name, in load order, and what the module player reads."""

    tables: dict[str, Table]
    modules: list[dict[str, Any]]


def build(seed: int, *, known: people.Passwords, schools: int = site.SCHOOLS, data_dir: Path | None = None) -> City:
    """Draw the city."""
    districts = outline.districts(seed)
    ground = lattice.ground(seed, districts)
    streets = places.Streets(seed, districts)
    sites = site.sites(seed, ground, schools)
    street = streets.of(sites.at(0.5, 0.45), sites.district)
    school = roster.school_table(seed, sites, ground, streets, street)
    beats = people.beats(street)
    district_of = list(school.columns["district_code"])
    unit_districts = [ground.codes[number] for number in sites.district[: people.MOVING_UNITS]]
    found = [
        *places.ground_tables(seed, districts, streets, ground),
        school,
        people.account_table(known, districts=district_of, cells_of={}, beats=[beat for _, beat in beats], unit_districts=unit_districts),
        people.token_table(known, len(unit_districts)),
    ]
    kit = equipment.equipment(sites, school, data_dir)
    found += kit.tables
    return City(tables={table.name: table for table in found}, modules=kit.modules)
