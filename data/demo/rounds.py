"""Patrol routes of the demo schools: one round a school along the walls, with checkpoints at what has to be looked at."""

from __future__ import annotations

import numpy as np
import shapely

from data.demo import names, shapes
from data.demo.interior import Interior, spot
from data.demo.sites import Sites
from data.demo.tables import Table

# Layout coordinates of the round; a u of -1 is the main gate. The key place names the checkpoint, "" is a bend.
_ROUND: tuple[tuple[float, float, str], ...] = (
    (-1, 0.02, "main_entrance"),
    (-1, 0.125, ""),
    (0.03, 0.125, "parking"),
    (0.03, 0.50, "perimeter"),
    (0.03, 0.94, "perimeter"),
    (0.07, 0.975, ""),
    (0.50, 0.97, "perimeter"),
    (0.93, 0.97, "perimeter"),
    (0.97, 0.93, ""),
    (0.97, 0.50, "gathering"),
    (0.97, 0.125, "office"),
    (-1, 0.125, ""),
    (-1, 0.02, "gatehouse"),
)


def routes(sites: Sites, inside: Interior) -> np.ndarray:
    """(n,) lines in metres, one a school, that begin and end at the main gate and cross no building."""
    count = len(sites)
    points = [spot(sites, inside.mirrored, inside.gate_u if u < 0 else np.full(count, u), np.full(count, v)) for u, v, _ in _ROUND]
    return shapes.lines(np.stack(points, axis=1))


def tables(school: Table, lines: np.ndarray) -> list[Table]:
    """Tables route and checkpoint; a route has the id of its school."""
    ids, count = school.columns["school_id"], len(lines)
    stops = [number for number, (_, _, place) in enumerate(_ROUND) if place]
    points = shapely.get_coordinates(lines).reshape(count, len(_ROUND), 2)[:, stops]
    words = [names.PLACES[_ROUND[number][2]] for number in stops]
    return [
        Table(
            name="route",
            identity="route_id",
            columns={
                "route_id": ids,
                "school_id": ids,
                "district_code": school.columns["district_code"],
                "street_code": school.columns["street_code"],
                "name_zh": ["校园巡逻线"] * count,
                "name_en": ["Campus round"] * count,
                "length_m": np.round(shapely.length(lines), 1),
                "geom": lines,
            },
        ),
        Table(
            name="checkpoint",
            columns={
                "route_id": np.repeat(ids, len(stops)),
                "ordinal": np.tile(np.arange(1, len(stops) + 1), count),
                "name_zh": [zh for zh, _ in words] * count,
                "name_en": [en for _, en in words] * count,
                "geom": shapely.points(points.reshape(-1, 2)),
            },
        ),
    ]
