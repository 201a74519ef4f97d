"""One case for every door: what to ask it for, and what must not come out of it.

A city of two districts stands behind them. `HERE` is a school of the district the asking person sees,
`THERE` one of a district they do not. A path names things in braces; they are taken from the side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from data.core import clock
from data.core.db import Connection, Row
from tests import builders

HERE_NAME, THERE_NAME = "Nearby Primary", "Faraway Primary"
HERE_DISTRICT, THERE_DISTRICT = "440304", "440305"


@dataclass(frozen=True, slots=True)
class Side:
    """One school and what belongs to it."""

    school: Row
    device: Row
    camera: Row
    alarm: Row
    candidate: Row
    unit: Row

    def ids(self) -> dict[str, Any]:
        return {
            "school_id": self.school["school_id"],
            "device_id": self.device["device_id"],
            "camera_id": self.camera["camera_id"],
            "camera_code": self.camera["code"],
            "alarm_id": self.alarm["alarm_id"],
            "candidate_id": self.candidate["candidate_id"],
            "unit_id": self.unit["unit_id"],
        }


def make_side(conn: Connection, name: str, district_code: str, lon: float) -> Side:
    school = builders.make_school(conn, district_code=district_code, name_zh=name, name_en=name, lon=lon)
    device = builders.make_device(conn, school["school_id"])
    camera = builders.make_camera(conn, school)
    return Side(
        school=school,
        device=device,
        camera=camera,
        alarm=builders.make_alarm(conn, device),
        candidate=builders.make_candidate(conn, camera),
        unit=builders.make_unit(conn, district_code=district_code, lon=lon),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """How to use a door.

    Attributes:
        path: of one thing, with its id in braces; the same path with an id of the other side must be 404.
        body: JSON of a POST, from the side.
        ok: statuses that mean "let in".
        hides: the answer to the person of HERE must not contain the name of THERE (a list, a page, a stream).
        because: why this door has no scope, if it has none.
    """

    path: str
    body: Callable[[Side], Any] | None = None
    ok: tuple[int, ...] = (200,)
    hides: bool = False
    because: str = ""

    @property
    def is_one_thing(self) -> bool:
        return "{" in self.path or (self.body is not None and not self.because and not self.hides)


def _sos(_: Side) -> dict[str, Any]:
    return {"client_id": uuid4().hex, "lon": 114.06, "lat": 22.54, "accuracy_m": 5}


def _positions(_: Side) -> list[dict[str, Any]]:
    return [{"client_id": str(uuid4()), "at": clock.iso(clock.now()), "lon": 114.06, "lat": 22.54, "accuracy_m": 5}]


def _painted(side: Side) -> dict[str, Any]:
    now = clock.iso(clock.now())
    return {"painted": [{"alarm_id": side.alarm["alarm_id"], "press": 1, "event_at": now, "painted_at": now}]}


def _reports(side: Side) -> list[dict[str, Any]]:
    return [{"camera": side.camera["code"], "state": "ok", "reason": "", "at": clock.iso(clock.now())}]


OWN = "it shows or changes nothing but one's own account"
CASES: dict[tuple[str, str], Case] = {
    ("GET", "/"): Case(path="/", ok=(200, 303), because=OWN),
    ("GET", "/api/v1/me"): Case(path="/api/v1/me", because=OWN),
    ("POST", "/api/v1/lang"): Case(path="/api/v1/lang", body=lambda side: {"lang": "zh"}, because=OWN),
    ("GET", "/api/v1/openapi.json"): Case(path="/api/v1/openapi.json", because="it describes the API, no data"),
    ("GET", "/_dash-layout"): Case(path="/_dash-layout", because="the empty shell"),
    ("GET", "/_dash-dependencies"): Case(path="/_dash-dependencies", because="which callbacks there are, no data"),
    ("POST", "/_dash-update-component"): Case(path="/_dash-update-component", ok=(404,), because="every callback has a case of its own"),
    ("GET", "/live/sse"): Case(path="/live/sse", hides=True),
    ("GET", "/live/frame/{camera_id:int}"): Case(path="/live/frame/{camera_id}", ok=(404,)),
    ("GET", "/api/v1/alarms"): Case(path="/api/v1/alarms", hides=True),
    ("GET", "/api/v1/alarms/histogram"): Case(path="/api/v1/alarms/histogram", hides=True),
    ("GET", "/api/v1/alarms/{alarm_id:int}"): Case(path="/api/v1/alarms/{alarm_id}"),
    ("POST", "/api/v1/alarms/{alarm_id:int}/acknowledge"): Case(path="/api/v1/alarms/{alarm_id}/acknowledge", body=lambda side: {}),
    ("POST", "/api/v1/alarms/{alarm_id:int}/close"): Case(
        path="/api/v1/alarms/{alarm_id}/close", body=lambda side: {"cause": "test"}, ok=(200, 409)
    ),
    ("POST", "/api/v1/devices/{device_id:int}/command"): Case(
        path="/api/v1/devices/{device_id}/command", body=lambda side: {"channel": 0, "act": "off"}
    ),
    ("POST", "/api/v1/sos"): Case(path="/api/v1/sos", body=_sos, because="everybody may call for help, wherever they are"),
    ("POST", "/api/v1/positions"): Case(path="/api/v1/positions", body=_positions, because="people report their own position"),
    ("POST", "/api/v1/painted"): Case(path="/api/v1/painted", body=_painted, because="it counts a duration and stores nothing"),
    ("POST", "/api/v1/recorders/status"): Case(
        path="/api/v1/recorders/status", body=_reports, because="cameras outside come back as unknown, see below"
    ),
    ("GET", "/api/v1/schools"): Case(path="/api/v1/schools?q=primary", hides=True),
    ("GET", "/api/v1/schools/{school_id:int}"): Case(path="/api/v1/schools/{school_id}"),
    ("GET", "/api/v1/candidates"): Case(path="/api/v1/candidates", hides=True),
    ("POST", "/api/v1/candidates/{candidate_id:int}/answer"): Case(
        path="/api/v1/candidates/{candidate_id}/answer", body=lambda side: {"answer": "unsure"}
    ),
    ("GET", "/api/v1/candidates/{candidate_id:int}/picture"): Case(path="/api/v1/candidates/{candidate_id}/picture", ok=(404,)),
    ("GET", "/api/v1/candidates/{candidate_id:int}/photo"): Case(path="/api/v1/candidates/{candidate_id}/photo", ok=(404,)),
    ("GET", "/tiles"): Case(path="/tiles", because="which layers there are, no data"),
    ("GET", "/tiles/{layer}"): Case(path="/tiles/schools", hides=True),
    ("GET", "/tiles/{layer}/feature/{feature_id}"): Case(path="/tiles/schools/feature/{school_id}"),
    ("GET", "/tiles/{layer}/{z}/{x}/{y}"): Case(
        path="/tiles/basemap/9/418/222", ok=(200, 204), because="what a tile holds is asked in tests/layers"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackCase:
    """A callback with inputs from the side: its answer names HERE to the person of HERE, and never THERE.

    Attributes:
        because: why there is nothing of a place in the answer, if so.
    """

    inputs: Callable[[Side], list[dict[str, Any]]]
    because: str = ""


def _value(component: str, prop: str, value: Any) -> dict[str, Any]:
    return {"id": component, "property": prop, "value": value}


_CLOCK = _value("admin-clock", "n_intervals", 1)
CALLBACKS: dict[str, CallbackCase] = {
    "wall-results.children": CallbackCase(
        inputs=lambda side: [_value("wall-search", "value", side.school["name_en"]), _value("wall-search-lang", "data", "en")]
    ),
    "wall-card-body.children": CallbackCase(
        inputs=lambda side: [_value("wall-school", "data", {"school_id": side.school["school_id"], "lang": "en"})]
    ),
    "admin-status.children": CallbackCase(inputs=lambda side: [_CLOCK], because="parts of the product, no place"),
    "admin-dead.children": CallbackCase(
        inputs=lambda side: [_CLOCK, _value("admin-outcome", "children", None)], because="bytes nobody could place; asked for by permission"
    ),
    "admin-outcome.children": CallbackCase(inputs=lambda side: [[]], because="bytes nobody could place; asked for by permission"),
    "admin-unassigned.children": CallbackCase(inputs=lambda side: [_CLOCK], because="shown to those who see the whole city only"),
    "admin-audit.children": CallbackCase(
        inputs=lambda side: [_value("admin-older", "n_clicks", 0)], because="acts of people; asked for by permission"
    ),
}
