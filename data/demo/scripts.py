"""Write what the demo's players act from (`data.demo.files`), so that no player opens the database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from data.core.secret import write_secret
from data.core.settings import Settings
from data.demo import people
from data.demo.city import City
from data.demo.files import phones_file, recorders_file, tokens_file
from data.demo.tables import degrees
from data.demo.traffic import Roads
from devices.demo import modules_file

WAY_S = 3 * 3600.0  # then the way back


def write(settings: Settings, city: City, known: people.Passwords, seed: int) -> None:
    """Write all of them; one that is there is replaced."""
    modules_file(settings.data_dir).parent.mkdir(parents=True, exist_ok=True)
    _put(modules_file(settings.data_dir), city.modules)
    _put(phones_file(settings), _phones(city, seed))
    _put(recorders_file(settings), _recorders(city))
    write_secret(tokens_file(settings), json.dumps(known.tokens))


def _put(path: Path, content: Any) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    part.replace(path)


def _phones(city: City, seed: int) -> list[dict[str, Any]]:
    rng, roads = np.random.default_rng([seed, 30]), Roads(city.ground)
    starts = shapely.get_coordinates(np.asarray(city.tables["unit"].columns["geom"], dtype=object)[: people.MOVING_UNITS])
    found = []
    for number, start in enumerate(starts, start=1):
        crossings, at_s = roads.way(rng, roads.crossing(start), WAY_S)
        lonlat = shapely.get_coordinates(degrees(np.asarray(shapely.points(crossings))))
        way = np.column_stack([lonlat.round(7), at_s.round(1)]).tolist()
        found.append({"login": f"unit-{number:03d}", "way": way})
    return found


def _recorders(city: City) -> list[dict[str, Any]]:
    camera, device = city.tables["camera"].columns, city.tables["device"].columns
    names = dict(zip(device["device_id"], device["code"], strict=True))
    held: dict[str, list[str]] = {code: [] for code, kind in zip(device["code"], device["kind"], strict=True) if kind == "recorder"}
    for code, recorder in zip(camera["code"], camera["recorder_id"], strict=True):
        if recorder is not None:
            held[names[recorder]].append(code)
    return [{"recorder": name, "cameras": codes} for name, codes in held.items()]
