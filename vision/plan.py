"""What a camera worker shall do, read strictly from a signed snapshot: a value that makes no sense keeps a camera out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

MIN_FPS, MAX_FPS = 0.1, 10.0
MAX_CAMERAS = 256  # one thread each


class Unfit(ValueError):
    """This entry of the snapshot cannot be used; the message names the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The face check of one camera, as it was assessed.

    Attributes:
        zone: left, top, right, bottom as shares of the picture; only faces whose centre lies in it are compared.
        valid_until: the end of the impact assessment's year.
    """

    threshold: float
    assessment: str
    model_sha256: str
    zone: tuple[float, float, float, float]
    valid_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One camera."""

    camera: str
    url: str
    fps: float
    demo: bool
    gate: Gate | None


def _finite(value: Any, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
        raise Unfit(name)
    return float(value)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise Unfit(name)
    return value


def _gate(raw: Mapping[str, Any]) -> Gate:
    zone = raw.get("zone", [0, 0, 1, 1])
    if not isinstance(zone, list) or len(zone) != 4:
        raise Unfit("zone")
    left, top, right, bottom = (_finite(value, "zone", 0, 1) for value in zone)
    if left >= right or top >= bottom:
        raise Unfit("zone")
    try:
        valid_until = datetime.fromisoformat(_text(raw.get("valid_until"), "valid_until"))
    except ValueError as err:
        raise Unfit("valid_until") from err
    return Gate(
        threshold=_finite(raw.get("threshold"), "threshold", 0.2, 1),
        assessment=_text(raw.get("assessment"), "assessment"),
        model_sha256=_text(raw.get("model_sha256"), "model_sha256"),
        zone=(left, top, right, bottom),
        valid_until=valid_until if valid_until.tzinfo else valid_until.replace(tzinfo=UTC),
    )


def plan_of(raw: Any) -> Plan:
    """One camera of a snapshot. Raises: Unfit. A gate that cannot be read makes the camera unfit, never an unguarded gate."""
    if not isinstance(raw, dict):
        raise Unfit("camera")
    gate = raw.get("gate") if raw.get("mode") == "gate" else None
    if gate is not None and not isinstance(gate, dict):
        raise Unfit("gate")
    return Plan(
        camera=_text(raw.get("camera"), "camera"),
        url=_text(raw.get("url"), "url"),
        fps=min(max(_finite(raw.get("fps", 0.5), "fps", 0.001, 1000), MIN_FPS), MAX_FPS),
        demo=raw.get("demo") is True,
        gate=_gate(gate) if gate is not None else None,
    )


def plans_of(body: Mapping[str, Any]) -> tuple[dict[str, Plan], dict[str, str]]:
    """The cameras of a snapshot by code, and for those that cannot be held the field that is wrong."""
    wanted: dict[str, Plan] = {}
    unfit: dict[str, str] = {}
    cameras = body.get("cameras")
    for raw in cameras if isinstance(cameras, list) else []:
        try:
            plan = plan_of(raw)
        except Unfit as err:
            unfit[str(raw.get("camera", "")) if isinstance(raw, dict) else ""] = str(err)
            continue
        if len(wanted) >= MAX_CAMERAS:
            unfit[plan.camera] = "too_many"
        else:
            wanted[plan.camera] = plan
    return wanted, unfit
