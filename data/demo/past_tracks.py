"""Positions of the last two days: patrols of some schools along their rounds, and the moving units along the roads."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
import shapely

from data.demo import packed
from data.demo.lattice import Ground
from data.demo.packed import Column
from data.demo.past_duty import Patrols
from data.demo.rhythm import DAYS, HOUR_US, SECOND_US, TRACK_DAYS, Past
from data.demo.sites import SCHOOLS
from data.demo.tables import degrees
from data.demo.traffic import Roads

TRACKED_SCHOOLS = 160
PATROL_STEP_S, UNIT_STEP_S = 10, 60
_ON_DUTY_H = (6.5, 22.5)  # local hours of the units


def write(
    conn: psycopg.Connection[Any], seed: int, past: Past, patrols: Patrols, routes: np.ndarray, ground: Ground, units: np.ndarray
) -> int:
    """COPY the positions; returns how many.

    Args:
        routes: (schools,) lines in metres; units: (n, 2) where the moving units stand, metres; their ids are 1 to n.
            A small city keeps the tracks of a few.
    """
    rng = np.random.default_rng([seed, 25])
    units = units[: max(4, len(units) * past.schools // SCHOOLS)]
    return _patrol_fixes(conn, rng, past, patrols, routes) + _unit_fixes(conn, rng, past, ground, units)


def _lonlat(metres: np.ndarray) -> np.ndarray:
    return shapely.get_coordinates(degrees(np.asarray(shapely.points(metres))))


def _patrol_fixes(conn: psycopg.Connection[Any], rng: np.random.Generator, past: Past, patrols: Patrols, routes: np.ndarray) -> int:
    few = np.flatnonzero((patrols.day >= DAYS - TRACK_DAYS) & (patrols.school < TRACKED_SCHOOLS))
    seconds = (patrols.ended_us[few] - patrols.started_us[few]) // SECOND_US
    steps = (seconds // PATROL_STEP_S + 1).astype(int)
    row = np.repeat(few, steps)
    step = np.arange(len(row)) - np.repeat(np.cumsum(steps) - steps, steps)
    along = step / np.repeat(np.maximum(steps - 1, 1), steps) * patrols.share[row]
    place = shapely.line_interpolate_point(routes[patrols.school[row]], along, normalized=True)
    metres = shapely.get_coordinates(place) + rng.normal(0, 1.8, (len(row), 2))
    at = patrols.started_us[row] + step * PATROL_STEP_S * SECOND_US
    return packed.copy(conn, "fix", {
        "patrol_id": Column("int8", row + 1),
        **_common(at, np.full(len(row), 5.0), metres),
    })  # fmt: skip


def _common(at: np.ndarray, accuracy_m: np.ndarray, metres: np.ndarray) -> dict[str, Column]:
    return {
        "at": Column("stamp", at),
        "received_at": Column("stamp", at + 2 * SECOND_US),
        "accuracy_m": Column("float4", accuracy_m),
        "demo": Column("bool", np.ones(len(at), dtype=bool)),
        "geom": Column("point", _lonlat(metres)),
    }


def _unit_fixes(conn: psycopg.Connection[Any], rng: np.random.Generator, past: Past, ground: Ground, units: np.ndarray) -> int:
    moments = [
        np.arange(midnight + int(_ON_DUTY_H[0] * HOUR_US), midnight + int(_ON_DUTY_H[1] * HOUR_US), UNIT_STEP_S * SECOND_US)
        for midnight in past.midnight_us[-TRACK_DAYS:]
    ]
    at = np.concatenate(moments)
    roads, step_s = Roads(ground), np.arange(len(at)) * UNIT_STEP_S
    tracks = []
    for place in units:
        crossings, at_s = roads.way(rng, roads.crossing(place), float(step_s[-1]))
        tracks.append(np.column_stack([np.interp(step_s, at_s, crossings[:, 0]), np.interp(step_s, at_s, crossings[:, 1])]))
    metres = np.concatenate(tracks) + rng.normal(0, 4.0, (len(tracks) * len(at), 2))
    return packed.copy(conn, "fix", {
        "unit_id": Column("int4", np.repeat(np.arange(1, len(units) + 1), len(at))),
        **_common(np.tile(at, len(units)), np.full(len(metres), 9.0), metres),
    })  # fmt: skip
