"""The demo city, whole: every table in the order it is loaded. The same seed gives the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.demo import cameras as eyes
from data.demo import cells as grid
from data.demo import equipment, forces, grounds, interior, lattice, outline, people, places, roster, rounds
from data.demo import sites as site
from data.demo.tables import Table
from data.spatial import visibility


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """What is loaded, and the drawing behind it.

    Attributes:
        tables: by name, in load order.
        modules: what the module player reads.
        gate_cameras: codes of the cameras where drawn faces are compared.
        sites, cells, routes: the drawing the history is made from; `routes` are lines in metres, one a school.
        ground: blocks and roads, metres.
    """

    tables: dict[str, Table]
    modules: list[dict[str, Any]]
    gate_cameras: list[str]
    sites: site.Sites
    cells: grid.Cells
    routes: np.ndarray
    ground: lattice.Ground


def build(seed: int, *, known: people.Passwords, schools: int = site.SCHOOLS, data_dir: Path | None = None) -> City:
    """Draw the city with `schools` schools; cameras are as many in proportion, 30,000 in the full one.

    Args:
        known: passwords and tokens of the accounts, the only part that does not follow from the seed.
        data_dir: of the installation, from which the addresses of the modules follow.
    """
    districts = outline.districts(seed)
    ground = lattice.ground(seed, districts)
    streets = places.Streets(seed, districts)
    sites = site.sites(seed, ground, schools)
    street = streets.of(sites.at(0.5, 0.45), sites.district)
    school = roster.school_table(seed, sites, ground, streets, street)
    has_canteen = np.asarray(school.columns["has_canteen"])
    inside = interior.interior(seed, ground, sites, has_canteen)
    cells = grid.cells(sites, inside.campus)
    watch = eyes.cameras(seed, sites, inside, has_canteen, eyes.CAMERAS * schools // site.SCHOOLS)
    view = visibility.visible(watch.point, watch.azimuth_deg, watch.fov_deg, watch.range_m, inside.building)
    kit = equipment.kit(sites, school, inside, ground.codes, data_dir)
    beats = people.beats(street)
    moving = forces.moving_districts(seed, sites, people.MOVING_UNITS)
    lines = rounds.routes(sites, inside)
    found = [
        *places.ground_tables(seed, districts, streets, ground),
        school,
        people.account_table(
            known, districts=list(school.columns["district_code"]), cells_of=cells.ids_of(), beats=[schools for _, schools in beats],
            unit_districts=[ground.codes[number] for number in moving],
        ),
        people.token_table(known, len(moving)),
        *grounds.tables(sites, school, inside, cells),
        *kit.tables,
        equipment.camera_table(school, inside, watch, view, ground.codes),
        *rounds.tables(school, lines),
        forces.units(seed, ground, sites, streets, moving),
        *forces.beat_tables(beats, streets),
    ]  # fmt: skip
    by_name = {table.name: table for table in found}
    gates = [by_name["camera"].columns["code"][row] for row in equipment.gate_checks(watch)]
    return City(tables=by_name, modules=kit.modules, gate_cameras=gates, sites=sites, cells=cells, routes=lines, ground=ground)
