"""Thirteen weeks of hazards: reported in a cell, assigned, put right, verified, closed; some late, some still open."""

from __future__ import annotations

import numpy as np
import shapely

from data.demo import people
from data.demo.cells import Cells
from data.demo.rhythm import DAYS, HOUR_US, MINUTE_US, Past, stamps
from data.demo.tables import Table

A_SCHOOL_AND_WEEK = 0.36
_DAY_US = 24 * HOUR_US
_KINDS: dict[str, tuple[float, str]] = {
    "fire": (0.20, "演示：消防通道堆放杂物"),
    "traffic": (0.11, "演示：校门口乱停车"),
    "building": (0.10, "演示：外墙瓷砖松动"),
    "electric": (0.13, "演示：插座盒盖破损"),
    "perimeter": (0.10, "演示：围栏有缺口"),
    "food": (0.08, "演示：食堂留样登记不全"),
    "equipment": (0.13, "演示：灭火器压力不足"),
    "water": (0.04, "演示：蓄水池盖未上锁"),
    "chemical": (0.02, "演示：试剂柜未双锁"),
    "public_order": (0.05, "演示：校外闲散人员聚集"),
    "other": (0.04, "演示：其他隐患"),
}
_SEVERITY = {"low": (0.38, 14), "medium": (0.42, 7), "high": (0.17, 3), "critical": (0.03, 1)}  # share, days to put it right


def table(seed: int, past: Past, school: Table, cells: Cells, now_us: int) -> tuple[Table, np.ndarray, np.ndarray]:
    """Table hazard, and how many were opened and closed a school and day, both (schools, DAYS)."""
    rng = np.random.default_rng([seed, 22])
    rate = A_SCHOOL_AND_WEEK / 7 * np.where(past.is_school_day, 1.34, 0.15)[None, :] * (1.75 - past.care)
    rate = rate * np.sqrt(np.bincount(cells.school, minlength=past.schools) / 10)[:, None].clip(0.5, 2.0)
    opened = rng.poisson(rate)
    of, day = np.repeat(np.argwhere(opened), opened[opened > 0], axis=0).T
    count = len(of)
    reported = past.midnight_us[day] + (rng.normal(11.5, 2.6, count).clip(6.5, 20) * HOUR_US).astype(np.int64)
    order = np.argsort(reported, kind="stable")
    of, reported = of[order], reported[order]
    kind = rng.choice(list(_KINDS), count, p=[share for share, _ in _KINDS.values()])
    severity = rng.choice(list(_SEVERITY), count, p=[share for share, _ in _SEVERITY.values()])
    allowed_us = np.array([_SEVERITY[str(word)][1] for word in severity]) * _DAY_US
    care = past.care.mean(axis=1)[of]
    # A careful school needs half of the time allowed, a careless one sometimes twice as much.
    rectified = reported + (allowed_us * rng.lognormal(-0.75 + 3.2 * (0.92 - care), 0.55, count)).astype(np.int64)
    verified = rectified + (rng.lognormal(3.0, 0.6, count) * HOUR_US).astype(np.int64)
    closed = verified + (rng.lognormal(1.2, 0.5, count) * HOUR_US).astype(np.int64)
    is_rejected = rng.random(count) < 0.03
    assigned = reported + (rng.lognormal(3.4, 0.8, count) * MINUTE_US).astype(np.int64)
    state = np.select(
        [is_rejected, closed < now_us, verified < now_us, rectified < now_us, assigned < now_us],
        ["rejected", "closed", "verified", "rectified", "assigned"],
        "reported",
    )
    cell, place = _places(rng, cells, of, past.schools)
    owner = [people.owner_of(number + 1) for number in of.tolist()]
    is_closed = state == "closed"

    def known(us: np.ndarray, mask: np.ndarray) -> list[str | None]:
        return [text if there else None for text, there in zip(stamps(us), mask, strict=True)]

    columns = {
        "hazard_id": np.arange(1, count + 1),
        "school_id": of + 1,
        "district_code": [school.columns["district_code"][number] for number in of],
        "street_code": [school.columns["street_code"][number] for number in of],
        "cell_id": cell + 1,
        "kind": kind,
        "severity": severity,
        "state": state,
        "title": [_KINDS[str(word)][1] for word in kind],
        "reported_by": owner,
        "assigned_to": [None if word in ("reported", "rejected") else number for word, number in zip(state, owner, strict=True)],
        "reported_at": stamps(reported),
        "due_at": stamps(reported + allowed_us),
        "rectified_at": known(rectified, np.isin(state, ("rectified", "verified", "closed"))),
        "closed_at": known(closed, is_closed),
        "demo": [True] * count,
        "geom": place,
    }
    a_day = [np.zeros((past.schools, DAYS), dtype=np.int32) for _ in range(2)]
    np.add.at(a_day[0], (of, np.searchsorted(past.midnight_us, reported, side="right") - 1), 1)
    in_time = is_closed & (closed < past.midnight_us[-1] + _DAY_US)
    np.add.at(a_day[1], (of[in_time], np.searchsorted(past.midnight_us, closed[in_time], side="right") - 1), 1)
    return Table(name="hazard", identity="hazard_id", columns=columns), a_day[0], a_day[1]


def _places(rng: np.random.Generator, cells: Cells, of: np.ndarray, schools: int) -> tuple[np.ndarray, np.ndarray]:
    """A cell of each school, the first ones more often, and a point inside it (metres)."""
    first = np.searchsorted(cells.school, np.arange(schools))
    size = np.bincount(cells.school, minlength=schools)
    cell = first[of] + (size[of] * rng.random(len(of)) ** 1.4).astype(int)
    ring = [shapely.get_coordinates(shape)[:4] for shape in cells.shape[cell]]
    weight = rng.dirichlet(np.full(4, 2.0), len(of))
    return cell, np.asarray(shapely.points(np.einsum("nk,nkc->nc", weight, np.stack(ring))))
