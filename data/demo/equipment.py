"""Alarm modules and recorders of the demo city: devices and their points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from data.demo import names
from data.demo.sites import Sites
from data.demo.tables import Table
from devices.demo import address_of

PROFILE = "advantech.adam-6050"  # 12 inputs with counters; the siren is on output 0
SIREN_CHANNEL = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """Tables device and point, and the list the module player reads."""

    tables: list[Table]
    modules: list[dict[str, Any]]


def equipment(sites: Sites, school: Table, data_dir: Path | None) -> Kit:
    """One module a school: panic buttons at the gatehouse and the office (and the dormitory's duty room), one siren."""
    count = len(sites)
    school_ids = school.columns["school_id"]
    codes = [f"M-{code}" for code in school.columns["code"]]
    addresses = [address_of(number, data_dir) for number in range(count)]
    spots = [(sites.at(0.55, 0.03), "gatehouse"), (sites.at(0.75, 0.2), "office"), (sites.at(0.2, 0.82), "dormitory")]
    device, direction, channel, zone, zh, en, geom = [], [], [], [], [], [], []
    for number, (points, place) in enumerate(spots):
        for index in range(count):
            if place == "dormitory" and not sites.boarders[index]:
                continue
            device.append(index + 1)
            direction.append("in")
            channel.append(number)
            zone.append("panic")
            zh.append(f"{names.PLACES[place][0]}报警按钮")
            en.append(f"{names.PLACES[place][1]} panic button")
            geom.append(points[index])
    for index in range(count):
        device.append(index + 1)
        direction.append("out")
        channel.append(SIREN_CHANNEL)
        zone.append("siren")
        zh.append("声光警报器")
        en.append("Siren")
        geom.append(spots[0][0][index])
    modules = [
        {"code": code, "school": name, "host": host, "port": port, "profile": PROFILE, "unit": 1}
        for code, name, (host, port) in zip(codes, school.columns["code"], addresses, strict=True)
    ]
    devices = Table(
        name="device",
        identity="device_id",
        geometry=(),
        columns={
            "device_id": np.arange(1, count + 1),
            "code": codes,
            "kind": ["module"] * count,
            "school_id": school_ids,
            "profile": [PROFILE] * count,
            "host": [host for host, _ in addresses],
            "port": [port for _, port in addresses],
            "unit": [1] * count,
            "supplier": ["演示供应商"] * count,
            "demo": [True] * count,
        },
    )
    points_table = Table(
        name="point",
        identity="point_id",
        columns={
            "point_id": np.arange(1, len(device) + 1),
            "device_id": device,
            "direction": direction,
            "channel": channel,
            "zone": zone,
            "name_zh": zh,
            "name_en": en,
            "geom": shapely.points(np.array(geom)),
        },
    )
    return Kit(tables=[devices, points_table], modules=modules)
