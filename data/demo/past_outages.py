"""Outages of modules and cameras in the past thirteen weeks, all over by now, and the uptime they leave, day by day."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg

from data.demo import packed
from data.demo.packed import Column
from data.demo.rhythm import DAYS, HOUR_US, MINUTE_US, Past, stamps
from data.demo.tables import Table

A_MODULE, A_CAMERA = 0.80, 0.45  # outages in thirteen weeks
_DAY_US = 24 * HOUR_US
_MODULE_WHY = (("lost", "timeout", 0.6), ("lost", "closed", 0.22), ("lost", "refused", 0.1), ("fault", "wrong_answer", 0.08))
_CAMERA_WHY = (
    ("lost", "no_signal", 0.55),
    ("frozen", "same_picture", 0.15),
    ("dark", "too_dark", 0.1),
    ("blurred", "out_of_focus", 0.1),
    ("covered", "no_structure", 0.06),
    ("moved", "view_changed", 0.04),
)


def write(conn: psycopg.Connection[Any], seed: int, past: Past, camera: Table) -> tuple[Table, int]:
    """COPY uptime_day; returns the table outage, still to be copied, and how many days were written."""
    rng = np.random.default_rng([seed, 24])
    camera_school = np.asarray(camera.columns["school_id"]) - 1
    parts, written = [], 0
    for kind, school, rate, why in (
        ("device", np.arange(past.schools), A_MODULE, _MODULE_WHY),
        ("camera", camera_school, A_CAMERA, _CAMERA_WHY),
    ):
        which, since, until = _drawn(rng, past, school, rate)
        reason = rng.choice(len(why), len(which), p=[share for _, _, share in why])
        total = np.bincount(school, minlength=past.schools)
        down_us = _down(past, school[which], since, until)
        written += packed.copy(conn, "uptime_day", _days(past, kind, total, 1 - down_us / (total[:, None] * float(_DAY_US))))
        parts.append(
            {
                "device_id": [int(number) + 1 if kind == "device" else None for number in which],
                "camera_id": [int(number) + 1 if kind == "camera" else None for number in which],
                "school_id": (school[which] + 1).tolist(),
                "state": [why[number][0] for number in reason],
                "reason": [why[number][1] for number in reason],
                "since": stamps(since),
                "until": stamps(until),
                "demo": [True] * len(which),
            }
        )
    return Table(name="outage", geometry=(), columns={name: [*parts[0][name], *parts[1][name]] for name in parts[0]}), written


def _drawn(rng: np.random.Generator, past: Past, school: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which thing was out, since and until when; the outages of one thing do not overlap."""
    count = rng.poisson(rate * (2.2 - 1.35 * past.care.mean(axis=1)[school]))
    which = np.repeat(np.arange(len(school)), count)
    slot = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    width = DAYS / count[which]
    begins = (slot + rng.uniform(0.0, 0.55, len(which))) * width
    since = past.midnight_us[0] + (begins * _DAY_US).astype(np.int64)
    length = rng.lognormal(np.log(150 * MINUTE_US), 1.45, len(which)).clip(2 * MINUTE_US, 0.4 * width * _DAY_US)
    return which, since, since + length.astype(np.int64)


def _down(past: Past, school: np.ndarray, since: np.ndarray, until: np.ndarray) -> np.ndarray:
    """(schools, DAYS) microseconds of outage; an outage over midnight counts on both days."""
    found = np.zeros((past.schools, DAYS))
    first = np.searchsorted(past.midnight_us, since, side="right") - 1
    last = np.searchsorted(past.midnight_us, until, side="right") - 1
    spans = last - first + 1
    row = np.repeat(np.arange(len(since)), spans)
    day = np.repeat(first, spans) + np.arange(len(row)) - np.repeat(np.cumsum(spans) - spans, spans)
    low = np.maximum(since[row], past.midnight_us[day])
    np.add.at(found, (school[row], day), np.minimum(until[row], past.midnight_us[day] + _DAY_US) - low)
    return found


def _days(past: Past, kind: str, total: np.ndarray, share: np.ndarray) -> dict[str, Column]:
    count = past.schools * DAYS
    return {
        "day": Column("date", np.tile(past.days, past.schools)),
        "school_id": Column("int4", np.repeat(np.arange(1, past.schools + 1), DAYS)),
        "kind": Column("text", np.full(count, kind)),
        "total": Column("int4", np.repeat(total, DAYS)),
        "up_share": Column("float4", share.clip(0, 1).ravel()),
        "demo": Column("bool", np.ones(count, dtype=bool)),
    }
