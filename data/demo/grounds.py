"""Tables of what lies inside the schools: campus, buildings, gates, key places, posts, cells and who owns them."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import shapely

from data.demo import names, people
from data.demo.cells import Cells
from data.demo.interior import VIDEO_REQUIRED, Interior, gate_names
from data.demo.sites import KIND_NAMES, Sites
from data.demo.tables import Table

_STOREY_M = 3.4
# Schools with a guard on the pavement when pupils come (护学岗)
_KERB_KINDS = ("kindergarten", "primary", "nine_year")


def tables(sites: Sites, school: Table, inside: Interior, cells: Cells) -> list[Table]:
    """The tables in load order; ids are row numbers from 1, a campus has the id of its school."""
    return [
        _campus(school, inside),
        _buildings(inside),
        _gates(inside),
        _places(inside),
        posts(sites, inside),
        _cells(school, cells),
        _owners(cells),
    ]


def _numbers(school: np.ndarray) -> np.ndarray:
    """1, 2, 3 … within each school, in row order."""
    seen: defaultdict[int, int] = defaultdict(int)
    found = []
    for number in school.tolist():
        seen[number] += 1
        found.append(seen[number])
    return np.array(found)


def _stamp(school: Table, index: np.ndarray) -> dict[str, list[str]]:
    return {name: [school.columns[name][number] for number in index] for name in ("district_code", "street_code")}


def _campus(school: Table, inside: Interior) -> Table:
    ids = school.columns["school_id"]
    columns = {
        "campus_id": ids,
        "school_id": ids,
        **_stamp(school, ids - 1),
        "geom": inside.campus,
        "area_m2": np.round(shapely.area(inside.campus), 3),
    }
    return Table(name="campus", identity="campus_id", columns=columns)


def _buildings(inside: Interior) -> Table:
    own = inside.building_school >= 0
    number = np.zeros(len(own), dtype=int)
    number[own] = _numbers(inside.building_school[own] * 100 + np.unique(inside.building_kind, return_inverse=True)[1][own])
    words = [names.BUILDINGS[str(kind)] for kind in inside.building_kind]
    return Table(
        name="building",
        columns={
            "school_id": [school + 1 if school >= 0 else None for school in inside.building_school.tolist()],
            "name_zh": [f"{zh}{n}" if n > 1 else zh if n else "" for (zh, _), n in zip(words, number, strict=True)],
            "name_en": [f"{en} {n}" if n > 1 else en if n else "" for (_, en), n in zip(words, number, strict=True)],
            "kind": inside.building_kind,
            "floors": inside.building_floors,
            "height_m": np.round(inside.building_floors * _STOREY_M, 1),
            "geom": inside.building,
        },
    )


def _gates(inside: Interior) -> Table:
    words = gate_names(inside.gate_out)
    return Table(
        name="gate",
        identity="gate_id",
        columns={
            "gate_id": np.arange(1, len(words) + 1),
            "school_id": inside.gate_school + 1,
            "name_zh": [zh for zh, _ in words],
            "name_en": [en for _, en in words],
            "is_main": inside.gate_main,
            "geom": shapely.points(inside.gate_point),
        },
    )


def _places(inside: Interior) -> Table:
    words = [names.PLACES[str(kind)] for kind in inside.place_kind]
    return Table(
        name="key_place",
        identity="key_place_id",
        columns={
            "key_place_id": np.arange(1, len(words) + 1),
            "school_id": inside.place_school + 1,
            "kind": inside.place_kind,
            "name_zh": [zh for zh, _ in words],
            "name_en": [en for _, en in words],
            "is_video_required": np.isin(inside.place_kind, sorted(VIDEO_REQUIRED)),
            "geom": inside.place,
        },
    )


def posts(sites: Sites, inside: Interior) -> Table:
    """A guard post at every gate, and one on the pavement where young pupils come and go."""
    words = gate_names(inside.gate_out)
    kind = np.array(KIND_NAMES)[sites.kind]
    kerb = np.flatnonzero(inside.gate_main & np.isin(kind[inside.gate_school], _KERB_KINDS))
    row = np.concatenate([np.arange(len(words)), kerb])
    is_kerb = np.arange(len(row)) >= len(words)
    out = np.where(is_kerb, 6.0, -3.0)  # metres outside the gate
    ends = np.where(is_kerb, "08:30", np.where(inside.gate_main[row], "19:00", "09:00"))
    return Table(
        name="post",
        identity="post_id",
        columns={
            "post_id": np.arange(1, len(row) + 1),
            "school_id": inside.gate_school[row] + 1,
            "gate_id": row + 1,
            "name_zh": [
                f"{words[gate][0]}护学岗" if pavement else f"{words[gate][0]}岗" for gate, pavement in zip(row, is_kerb, strict=True)
            ],
            "name_en": [
                f"{words[gate][1]} kerb post" if pavement else f"{words[gate][1]} post" for gate, pavement in zip(row, is_kerb, strict=True)
            ],
            "radius_m": np.where(is_kerb, 60.0, 50.0),
            "starts_at_local": np.where(is_kerb, "07:10", "07:00"),
            "ends_at_local": ends,
            "geom": shapely.points(inside.gate_point[row] + inside.gate_out[row] * out[:, None]),
        },
    )


def _cells(school: Table, cells: Cells) -> Table:
    """Cells with 15-digit codes: street (9), school in the street (3), cell (3)."""
    street = school.columns["street_code"]
    in_street = _numbers(np.unique(street, return_inverse=True)[1])
    stamp = _stamp(school, cells.school)
    codes = [
        f"{place}{in_street[owner]:03d}{number:03d}"
        for place, owner, number in zip(stamp["street_code"], cells.school, cells.number, strict=True)
    ]
    columns = {
        "cell_id": np.arange(1, len(codes) + 1),
        "school_id": cells.school + 1,
        **stamp,
        "code": codes,
        "area_m2": np.round(shapely.area(cells.shape), 3),
        "geom": cells.shape,
    }
    return Table(name="cell", identity="cell_id", columns=columns)


def _owners(cells: Cells) -> Table:
    columns = {
        "cell_id": np.arange(1, len(cells.school) + 1),
        "account_id": [people.owner_of(number + 1) for number in cells.school.tolist()],
    }
    return Table(name="cell_owner", columns=columns, geometry=())
