"""Thirteen weeks of alarms: monthly tests of the buttons, presses by mistake, faults, and the few that were real; all closed."""

from __future__ import annotations

from typing import Any

import numpy as np

from data.core.events import event_id_of
from data.demo import people
from data.demo.rhythm import DAYS, HOUR_US, MINUTE_US, SECOND_US, Past, stamps
from data.demo.tables import Table

SOURCE = "demo-history"  # not the name of a worker: the marks of real spools stay untouched
LIVE_A_SCHOOL = 0.55  # presses that were no test, a school in thirteen weeks
_CAUSES = ("accidental", "false", "fault", "real", "drill")
_CAUSE_SHARE = (0.52, 0.20, 0.08, 0.08, 0.12)
_NOTES = {
    "test": "演示：每月例行测试",
    "accidental": "演示：误碰按钮，已现场核实",
    "false": "演示：未发现异常",
    "fault": "演示：线路接触不良，已报修",
    "real": "演示：门口纠纷，民警到场处置",
    "drill": "演示：应急演练",
}


def _moments(rng: np.random.Generator, past: Past) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """School index, time and cause of every alarm, by time."""
    count = past.schools
    school_days = np.flatnonzero(past.is_school_day)
    thirds = np.array_split(school_days, 3)
    tests = [
        (school, int(rng.choice(part)))
        for part in thirds
        for school in np.flatnonzero(rng.random(count) < past.care[:, part].mean(axis=1) * 1.02)
    ]
    of_test = np.array(tests).reshape(-1, 2)
    # Ten in the morning is when buttons are tested; mistakes follow the pupils: before school, noon, after school.
    at_test = rng.normal(10 * HOUR_US, 70 * MINUTE_US, len(of_test)).clip(8 * HOUR_US, 17 * HOUR_US)
    live = rng.poisson(LIVE_A_SCHOOL * (1.9 - past.care.mean(axis=1)) / 1.02)
    school = np.repeat(np.arange(count), live)
    weight = np.where(past.is_school_day, 1.0, 0.18)
    day = rng.choice(DAYS, len(school), p=weight / weight.sum())
    peak = rng.choice([7.6, 12.1, 16.8, 13.5], len(school), p=[0.36, 0.2, 0.32, 0.12])
    at = rng.normal(peak, [0.5 if hour != 13.5 else 4.5 for hour in peak]).clip(0.2, 23.6) * HOUR_US
    cause = rng.choice(_CAUSES, len(school), p=_CAUSE_SHARE)
    when = np.concatenate([past.midnight_us[of_test[:, 1]] + at_test, past.midnight_us[day] + at]).astype(np.int64)
    order = np.argsort(when, kind="stable")
    schools = np.concatenate([of_test[:, 0], school])[order]
    return schools, when[order], np.concatenate([np.full(len(of_test), "test"), cause])[order]


def tables(seed: int, past: Past, school: Table, point: Table) -> tuple[list[Table], np.ndarray]:
    """Tables event and alarm, and the number of alarms a school and day (schools, DAYS), tests included."""
    rng = np.random.default_rng([seed, 21])
    schools, when, cause = _moments(rng, past)
    count = len(schools)
    panic = np.flatnonzero(np.asarray(point.columns["direction"]) == "in")
    by_school = _points_of(point, panic, past.schools)
    pick = rng.random(count)
    row = np.array([by_school[of][int(share * share * len(by_school[of]))] for of, share in zip(schools.tolist(), pick, strict=True)])
    mode = np.where(cause == "test", "test", np.where(cause == "drill", "drill", "live"))
    presses = np.where((mode == "live") & (rng.random(count) < 0.3), rng.integers(2, 6, count), 1)
    acknowledged = when + (rng.lognormal(np.where(mode == "live", 1.9, 1.4), 0.75, count).clip(1.2, 900) * SECOND_US).astype(np.int64)
    last = np.minimum(when + (presses - 1) * rng.integers(300_000, 900_000, count), acknowledged - 200_000).clip(when)
    restored = last + rng.integers(400_000, 4_000_000, count)
    closed = np.maximum(acknowledged, restored) + (
        rng.lognormal(np.where(mode == "live", 2.5, 0.9), 0.7, count).clip(0.3, 600) * MINUTE_US
    ).astype(np.int64)
    ids = [event_id_of(SOURCE, seed, number) for number in range(count)]
    device = np.asarray(point.columns["device_id"])[row]
    channel = np.asarray(point.columns["channel"])[row]
    code = [f"M-{school.columns['code'][number - 1]}" for number in device.tolist()]
    takes = np.array([people.number_of("dispatcher"), people.number_of("commander")])
    by = takes[(rng.random(count) < 0.15).astype(int)]
    spooled, stored, raised = (stamps(when + late) for late in (2_000, 9_000, 11_000))
    event_at = stamps(when)
    said: list[dict[str, Any]] = [
        {"zone": "panic", "press": int(number), "count": int(number), "capture": "counter", "while_down": False, "mode": str(kind)}
        for number, kind in zip(presses, mode, strict=True)
    ]
    columns: dict[str, Any] = {
        "event_id": ids,
        "kind": ["alarm.raised"] * count,
        "source": [SOURCE] * count,
        "seq": np.arange(1, count + 1),
        "subject": code,
        "channel": channel,
        "event_at": event_at,
        "uncertainty_ms": [500] * count,
        "spooled_at": spooled,
        "stored_at": stored,
        "demo": [True] * count,
        "data": said,
    }
    places = {name: [school.columns[name][of] for of in schools] for name in ("district_code", "street_code")}
    alarm = {
        "alarm_id": np.arange(1, count + 1),
        "kind": ["panic"] * count,
        "priority": ["critical"] * count,
        "state": ["closed"] * count,
        "school_id": schools + 1,
        **places,
        "device_id": device,
        "point_id": np.asarray(point.columns["point_id"])[row],
        "subject": code,
        "channel": channel,
        "event_id": ids,
        "event_at": event_at,
        "spooled_at": spooled,
        "raised_at": raised,
        "last_at": stamps(last),
        "presses": presses,
        "restored_at": stamps(restored),
        "acknowledged_at": stamps(acknowledged),
        "acknowledged_by": by,
        "closed_at": stamps(closed),
        "closed_by": by,
        "cause": cause,
        "note": [_NOTES[str(word)] for word in cause],
        "mode": mode,
        "demo": [True] * count,
        "place_zh": [point.columns["name_zh"][number] for number in row],
        "place_en": [point.columns["name_en"][number] for number in row],
        "geom": np.asarray(point.columns["geom"], dtype=object)[row],
    }
    a_day = np.zeros((past.schools, DAYS), dtype=np.int32)
    np.add.at(a_day, (schools, np.searchsorted(past.midnight_us, when, side="right") - 1), 1)
    return [Table(name="event", columns=columns, geometry=()), Table(name="alarm", identity="alarm_id", columns=alarm)], a_day


def _points_of(point: Table, rows: np.ndarray, schools: int) -> list[np.ndarray]:
    """Rows of the panic points of every school, in order."""
    device = np.asarray(point.columns["device_id"])[rows]
    order = np.argsort(device, kind="stable")
    return np.split(rows[order], np.searchsorted(device[order], np.arange(2, schools + 1)))
