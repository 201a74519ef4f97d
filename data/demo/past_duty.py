"""Guard duty of the past: shifts at the posts and patrols on the rounds, the last four weeks one by one, all of it by day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg

from data.demo import packed
from data.demo.packed import Column
from data.demo.rhythm import DAYS, HOUR_US, MINUTE_US, SECOND_US, Past
from data.demo.tables import Table

PER_DAY = 5  # GB/T 29315-2022: key places are patrolled at least five times a day
CHECKPOINTS = 9
_ROUND_AT = np.array([7.3, 9.6, 12.0, 14.6, 17.2])  # local hours
_WALK_M_S = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Patrols:
    """The patrols of the detail days, by school and time; `patrol_id` is the row number from 1.

    Attributes:
        school: index; day: index into the past's days; started_us, ended_us: UTC microseconds; share: 0 to 1.
    """

    school: np.ndarray
    day: np.ndarray
    started_us: np.ndarray
    ended_us: np.ndarray
    share: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyDays:
    """Counts and means a school and day, all (schools, DAYS); `share` is NaN where nobody patrolled."""

    shifts: np.ndarray
    missed: np.ndarray
    patrols: np.ndarray
    share: np.ndarray


def write(conn: psycopg.Connection[Any], seed: int, past: Past, post: Table, length_m: np.ndarray) -> tuple[DutyDays, Patrols, int]:
    """COPY shifts and patrols; returns the days, the patrols and how many rows were written."""
    rng = np.random.default_rng([seed, 23])
    shifts, missed, rows = _shifts(conn, rng, past, post)
    patrols, count, share = _patrols(rng, past, length_m)
    packed.copy(conn, "patrol", _columns(rng, past, patrols))
    return DutyDays(shifts=shifts, missed=missed, patrols=count, share=share), patrols, rows + len(patrols.school)


def _shifts(conn: psycopg.Connection[Any], rng: np.random.Generator, past: Past, post: Table) -> tuple[np.ndarray, np.ndarray, int]:
    school = np.asarray(post.columns["school_id"]) - 1
    clock = [
        [int(text[:2]) * HOUR_US + int(text[3:5]) * MINUTE_US for text in post.columns[name]]
        for name in ("starts_at_local", "ends_at_local")
    ]
    starts, ends = np.array(clock)
    shape = (len(school), DAYS)
    care = past.care[school]
    # Gates are manned on school days; at weekends one gate in two has a guard.
    planned = np.where(past.is_school_day[None, :], True, (rng.random(len(school)) < 0.5)[:, None] & (ends - starts > 4 * HOUR_US)[:, None])
    luck = rng.random(shape)
    missing = planned & (luck > care + 0.055)
    late = planned & ~missing & (rng.random(shape) > care + 0.02)
    off = planned & ~missing & ~late & (rng.random(shape) < (1 - care) * 0.06)
    per_school = [np.zeros((past.schools, DAYS), dtype=np.int32) for _ in range(2)]
    for found, part in zip(per_school, (planned, missing), strict=True):
        np.add.at(found, school, part)
    written = 0
    kept = np.zeros(DAYS, dtype=bool)
    kept[past.detail] = True
    for state, mask in (("done", planned & ~missing & ~late & ~off), ("late", late), ("off_post", off), ("missing", missing)):
        row, day = np.nonzero(mask & kept[None, :])
        begins, until = past.midnight_us[day] + starts[row], past.midnight_us[day] + ends[row]
        columns = {
            "post_id": Column("int4", row + 1),
            "school_id": Column("int4", school[row] + 1),
            "starts_at": Column("stamp", begins),
            "ends_at": Column("stamp", until),
            "state": Column("text", np.full(len(row), state)),
            "demo": Column("bool", np.ones(len(row), dtype=bool)),
        }
        if state != "missing":
            lateness = rng.exponential(11.0, len(row)) + 6.0 if state == "late" else rng.normal(-4.0, 2.5, len(row)).clip(-15, 4)
            leaves = rng.uniform(-70, -20, len(row)) if state == "off_post" else rng.normal(3.0, 3.0, len(row)).clip(-4, 20)
            arrived = (begins + lateness * MINUTE_US).astype(np.int64)
            columns["checked_in_at"] = Column("stamp", arrived)
            columns["checked_out_at"] = Column("stamp", np.maximum((until + leaves * MINUTE_US).astype(np.int64), arrived + MINUTE_US))
        written += packed.copy(conn, "shift", columns)
    return per_school[0], per_school[1], written


def _patrols(rng: np.random.Generator, past: Past, length_m: np.ndarray) -> tuple[Patrols, np.ndarray, np.ndarray]:
    """Walks a school and day, drawn for all days; the detail days are returned one by one."""
    care = past.care[:, :, None]
    due = np.zeros((past.schools, DAYS, PER_DAY), dtype=bool)
    due[:, past.is_school_day, :] = True
    due[:, ~past.is_school_day, 1] = True  # once a day at weekends
    done = due & (rng.random(due.shape) < care + 0.04)
    spread = rng.beta(9.0, 1.6, due.shape)
    share = np.where(done, (spread * (0.72 + 0.30 * care)).clip(0.05, 1.0), 0.0)
    count = done.sum(axis=2).astype(np.int32)
    mean = np.full(count.shape, np.nan)
    np.divide(share.sum(axis=2), count, out=mean, where=count > 0)
    school, day, number = np.nonzero(done[:, past.detail])
    day = day + past.detail.start
    planned = past.midnight_us[day] + (_ROUND_AT[number] * HOUR_US).astype(np.int64)
    started = planned + (rng.normal(3.0, 5.0, len(school)) * MINUTE_US).astype(np.int64)
    walk_s = length_m[school] / _WALK_M_S * rng.uniform(0.9, 1.35, len(school)) + 40
    order = np.lexsort((started, school))
    found = Patrols(
        school=school[order],
        day=day[order],
        started_us=started[order],
        ended_us=(started + walk_s * SECOND_US).astype(np.int64)[order],
        share=share[school, day, number][order],
    )
    return found, count, mean


def _columns(rng: np.random.Generator, past: Past, patrols: Patrols) -> dict[str, Column]:
    count = len(patrols.school)
    nearest = np.abs((patrols.started_us - past.midnight_us[patrols.day])[:, None] - _ROUND_AT[None, :] * HOUR_US).argmin(axis=1)
    planned = past.midnight_us[patrols.day] + (_ROUND_AT[nearest] * HOUR_US).astype(np.int64)
    ordered = patrols.share * rng.choice([1.0, 1.0, 1.0, 0.85, 0.6], count)
    return {
        "patrol_id": Column("int8", np.arange(1, count + 1)),
        "route_id": Column("int4", patrols.school + 1),
        "school_id": Column("int4", patrols.school + 1),
        "planned_at": Column("stamp", planned),
        "started_at": Column("stamp", patrols.started_us),
        "ended_at": Column("stamp", patrols.ended_us),
        "share": Column("float4", patrols.share),
        "ordered_share": Column("float4", ordered),
        "missed": Column("int2", np.round((1 - patrols.share) * CHECKPOINTS)),
        "demo": Column("bool", np.ones(count, dtype=bool)),
    }
