"""Devices of the demo city: one alarm module a school with its points, one recorder a district, and the camera table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from data.demo import names
from data.demo.cameras import Cameras
from data.demo.gate import stream_url
from data.demo.interior import Interior
from data.demo.sites import SHOWCASE, Sites
from data.demo.tables import Table
from devices.demo import address_of

PROFILE = "advantech.adam-6050"  # 12 inputs with counters; the siren is on output 0
SIREN_CHANNEL = 0
STREAMS_A_SCHOOL = 4
RTSP_STREAMS = 4
GATE_CHECKS = 2  # gates of the first showcase schools where drawn faces may be compared
_VISION_WORKER = "vision-1"
_BUTTONS = (("gatehouse", 0), ("office", 1), ("dormitory", 2))  # place of a panic button and its channel
_SCENE = {"main_entrance": "gate", "outside_gate": "gate", "gatehouse": "hall"}
_FAULT = {7: "freeze", 18: "dark"}  # number of the streaming camera, and what it plays now and then


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """Tables device and point, and the list the module player reads."""

    tables: list[Table]
    modules: list[dict[str, Any]]


def kit(sites: Sites, school: Table, inside: Interior, codes: tuple[str, ...], data_dir: Path | None) -> Kit:
    """One module a school (device_id is its school_id) and, behind them, one recorder a district (in order of `codes`)."""
    count = len(sites)
    module_codes = [f"M-{code}" for code in school.columns["code"]]
    addresses = [address_of(number, data_dir) for number in range(count)]
    more = len(codes)
    device = Table(
        name="device",
        identity="device_id",
        geometry=(),
        columns={
            "device_id": np.arange(1, count + more + 1),
            "code": [*module_codes, *(f"NVR-{code}" for code in codes)],
            "kind": ["module"] * count + ["recorder"] * more,
            "school_id": [*school.columns["school_id"].tolist(), *[None] * more],
            "profile": [PROFILE] * count + [""] * more,
            "host": [*(host for host, _ in addresses), *[""] * more],
            "port": [*(port for _, port in addresses), *[None] * more],
            "worker": ["devices-1"] * count + [""] * more,
            "supplier": [f"演示供应商{number % 3 + 1}" for number in range(count + more)],
            "demo": [True] * (count + more),
        },
    )
    modules = [
        {"code": code, "school": of, "host": host, "port": port, "profile": PROFILE, "unit": 1}
        for code, of, (host, port) in zip(module_codes, school.columns["code"], addresses, strict=True)
    ]
    return Kit(tables=[device, _points(sites, inside)], modules=modules)


def _points(sites: Sites, inside: Interior) -> Table:
    """Panic buttons in the gatehouse, the office and the dormitory's duty room; the siren on the gatehouse."""
    middle = shapely.get_coordinates(shapely.centroid(inside.place))
    rows = []
    for place, channel in _BUTTONS:
        for school, key_place in inside.place_ids(place).items():
            rows.append(
                (school, "in", channel, "panic", f"{names.PLACES[place][0]}报警按钮", f"{names.PLACES[place][1]} panic button", key_place)
            )
    for school, key_place in inside.place_ids("gatehouse").items():
        rows.append((school, "out", SIREN_CHANNEL, "siren", "声光警报器", "Siren", key_place))
    rows.sort(key=lambda row: (row[0], row[1], row[2]))
    device, direction, channel, zone, zh, en, key_place = zip(*rows, strict=True)
    gate = [
        number + 1 if "gatehouse" in text.lower() or side == "out" else None
        for number, side, text in zip(device, direction, en, strict=True)
    ]
    return Table(
        name="point",
        identity="point_id",
        columns={
            "point_id": np.arange(1, len(rows) + 1),
            "device_id": np.array(device) + 1,
            "direction": direction,
            "channel": channel,
            "zone": zone,
            "name_zh": zh,
            "name_en": en,
            "gate_id": gate,
            "key_place_id": key_place,
            "geom": shapely.points(middle[np.array(key_place) - 1]),
        },
    )


def camera_codes(school: Table, index: np.ndarray) -> list[str]:
    """Twenty digits each (GB/T 28181 rule A): region 6, street 2, trade 00, type 132, network 0, number 6.

    Districts without a GB/T 2260 code take the city's, 440300.
    """
    found = []
    for number, of in enumerate(index.tolist(), start=1):
        district, street = school.columns["district_code"][of], school.columns["street_code"][of]
        region = district if district.isdigit() else "440300"
        found.append(f"{region}{int(street[-3:]):02d}00132" + f"0{number:06d}")
    return found


def streaming(cameras: Cameras) -> np.ndarray:
    """Rows of the cameras that stream: the first few of the showcase schools."""
    return np.flatnonzero((cameras.school < len(SHOWCASE)) & (cameras.number <= STREAMS_A_SCHOOL))


def _urls(cameras: Cameras, codes: list[str], rows: np.ndarray) -> dict[int, str]:
    """Stream addresses by row: motion JPEG, and RTSP for a few: each of those costs the player an encoder of 17 MB."""
    gates = gate_checks(cameras).tolist()
    others = [row for row in rows.tolist() if row not in gates]
    jpeg = {*rows.tolist()} - {*others[2::5][:RTSP_STREAMS]}
    found = {}
    for order, row in enumerate(rows.tolist()):
        place = str(cameras.place[row])
        drawn = {"scene": _SCENE.get(place, "yard"), "name": names.PLACES[place][1], "fault": _FAULT.get(order, "")}
        found[row] = stream_url(codes[row], **drawn, is_rtsp=row not in jpeg)
    return found


def gate_checks(cameras: Cameras) -> np.ndarray:
    """Rows of the cameras that look out at a gate of the first schools: faces may be compared there."""
    return np.flatnonzero((cameras.school < GATE_CHECKS) & (cameras.place == "outside_gate"))


def camera_table(school: Table, inside: Interior, cameras: Cameras, view: np.ndarray, districts: tuple[str, ...]) -> Table:
    """One row a camera; all but the streaming ones are held by the recorder of their district."""
    codes = camera_codes(school, cameras.school)
    urls = _urls(cameras, codes, streaming(cameras))
    stamp = {name: [school.columns[name][of] for of in cameras.school] for name in ("district_code", "street_code")}
    recorder = {code: len(school) + number for number, code in enumerate(districts, start=1)}
    place_ids = {str(kind): inside.place_ids(str(kind)) for kind in np.unique(inside.place_kind)}
    side_gate = _side_gates(inside)
    words = [names.PLACES[str(place)] for place in cameras.place]
    checked = np.zeros(len(cameras), dtype=bool)
    checked[gate_checks(cameras)] = True
    return Table(
        name="camera",
        identity="camera_id",
        geometry=("geom", "view_geom"),
        columns={
            "camera_id": np.arange(1, len(cameras) + 1),
            "code": codes,
            "school_id": cameras.school + 1,
            **stamp,
            "name_zh": [f"C-{number:02d} {zh}" for number, (zh, _) in zip(cameras.number, words, strict=True)],
            "name_en": [f"C-{number:02d} {en}" for number, (_, en) in zip(cameras.number, words, strict=True)],
            "key_place_id": [place_ids[str(place)].get(of) for place, of in zip(cameras.place, cameras.school.tolist(), strict=True)],
            "gate_id": [
                of + 1 if gate == "main" else side_gate.get(of) if gate == "side" else None
                for gate, of in zip(cameras.gate, cameras.school.tolist(), strict=True)
            ],
            "mount": cameras.mount,
            "legal_zone": cameras.zone,
            "azimuth_deg": cameras.azimuth_deg,
            "fov_deg": cameras.fov_deg,
            "range_m": cameras.range_m,
            "height_m": cameras.height_m,
            "width_px": np.where(cameras.mount == "pole", 2560, 1920),
            "stream_url": [urls.get(row, "") for row in range(len(cameras))],
            "worker": [_VISION_WORKER if row in urls else "" for row in range(len(cameras))],
            "recorder_id": [None if row in urls else recorder[code] for row, code in enumerate(stamp["district_code"])],
            "is_gate_check": checked,
            "demo": np.ones(len(cameras), dtype=bool),
            "geom": shapely.points(cameras.point),
            "view_geom": view,
        },
    )


def _side_gates(inside: Interior) -> dict[int, int]:
    """School index to gate_id of its first gate that is not the main one."""
    seen: Counter[int] = Counter()
    found: dict[int, int] = {}
    for row in np.flatnonzero(~inside.gate_main).tolist():
        school = int(inside.gate_school[row])
        seen[school] += 1
        if seen[school] == 1:
            found[school] = row + 1
    return found
