"""A gate checks faces only with a current assessment of this model and threshold, and another way in."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest

from data.core import access, db, seal
from data.core.access import Scope
from data.core.settings import Settings
from data.demo import gate as demo_gate
from data.rooms import warning
from data.rooms.warning import Rule, RuleBroken
from tests import builders
from tests.warning.conftest import MODEL, THRESHOLD, TODAY, Gate, person


def _on(gate: Gate, **changes: object) -> None:
    values = {"assessment": "PIA-1", "threshold": THRESHOLD, "other_way_in": "guard"} | changes
    warning.switch_gate(gate.conn, gate.approver, gate.camera["code"], is_on=True, **values)  # type: ignore[arg-type]


def _assess(gate: Gate, number: str, on: date, *, demo: bool = False) -> None:
    warning.assess(
        gate.conn, gate.approver, number=number, model_sha256=MODEL, threshold=THRESHOLD, approved_by="B", approved_on=on, demo=demo
    )


def test_a_camera_is_off_by_default(gate: Gate) -> None:
    builders.make_camera(gate.conn, gate.school, worker="vision-1")
    assert list(warning.gate_configs(gate.conn, "vision-1")) == [gate.camera["code"]]


def test_each_thing_that_is_missing_keeps_a_gate_off(gate: Gate) -> None:
    today = TODAY
    _assess(gate, "OLD", today - timedelta(days=366))
    _assess(gate, "DEMO", today, demo=True)
    for changes, rule in (
        ({"assessment": "NONE"}, Rule.ASSESSMENT_MISSING),
        ({"assessment": "OLD"}, Rule.ASSESSMENT_OVER),
        ({"threshold": 0.4}, Rule.ASSESSMENT_OTHER),
        ({"assessment": "DEMO"}, Rule.ASSESSMENT_OTHER),
        ({"other_way_in": " "}, Rule.NO_OTHER_WAY),
    ):
        with pytest.raises(RuleBroken) as refused:
            _on(gate, **changes)
        assert refused.value.rule is rule
    _on(gate)


@pytest.mark.parametrize("change", [
    "update impact_assessment set approved_on = current_date - 366",
    "update impact_assessment set approved_on = current_date + 1",
    "update impact_assessment set threshold = 0.5",
    "update gate_check set threshold = 0.5",
    "update gate_check set is_enabled = false",
    "update camera set is_gate_check = false",
    "update camera set worker = ''",
], ids=["year-over", "not-yet", "assessed-otherwise", "threshold-moved", "switched-off", "flag-off", "no-worker"])  # fmt: skip
def test_a_gate_stops_by_itself_when_anything_it_stands_on_goes(gate: Gate, change: str) -> None:
    assert gate.camera["code"] in warning.gate_configs(gate.conn, "vision-1")
    gate.conn.execute(change)  # type: ignore[arg-type]
    assert warning.gate_configs(gate.conn, "vision-1") == {}


@pytest.mark.parametrize("role", ["admin", "commander", "registrar", "dispatcher"])
def test_only_an_approver_switches_a_gate(gate: Gate, role: str) -> None:
    with pytest.raises(access.Refused):
        warning.switch_gate(gate.conn, person(gate.conn, role), gate.camera["code"], is_on=False)


def test_a_gate_outside_the_scope_is_not_there(gate: Gate) -> None:
    other = builders.make_school(gate.conn)
    with gate.seen_by(Scope(schools=frozenset({other["school_id"]}))):
        with pytest.raises(RuleBroken, match="assessment_missing"):
            _on(gate)
        assert warning.gates(gate.conn) == []
    assert warning.gates(gate.conn)[0]["is_valid"]


def test_switching_off_takes_its_entries_from_the_worker(gate: Gate) -> None:
    gate.entry()
    warning.switch_gate(gate.conn, gate.approver, gate.camera["code"], is_on=False)
    assert warning.gate_configs(gate.conn, "vision-1") == {}
    assert gate.one("select other_way_in from gate_check")["other_way_in"], "what was said stays on record"


def test_an_assessment_has_one_purpose(gate: Gate) -> None:
    with pytest.raises(psycopg.errors.CheckViolation), gate.conn.transaction():
        gate.conn.execute("update impact_assessment set purpose = 'attendance'")
    assert gate.one("select purpose from impact_assessment")["purpose"] == "public_safety"


@pytest.mark.parametrize("place", ["dormitory", "toilet", "changing_room", "bath", "nursing_room"])
def test_a_camera_in_a_forbidden_place_cannot_be_entered(gate: Gate, place: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation), gate.conn.transaction():
        gate.conn.execute("update camera set legal_zone = %s", (place,))


def test_the_demo_seed_goes_through_the_same_rules(gate: Gate, settings: Settings, tmp_path: Path) -> None:
    conn, own = gate.conn, replace(settings, secret_file=tmp_path / "master.key")
    for role in ("registrar", "approver"):
        row = builders.make_account(conn, role, is_city=True)
        conn.execute("update account set demo = true where account_id = %s", (row["account_id"],))
    cameras = [builders.make_camera(conn, gate.school, worker="vision-1", stream_url="http://x", demo=True) for _ in range(2)]
    codes = [camera["code"] for camera in cameras]
    with pytest.raises(LookupError):
        demo_gate.seed_gate(conn, own, [*codes, gate.camera["code"]])
    entry = demo_gate.seed_gate(conn, own, codes)
    configs = warning.gate_configs(conn, "vision-1")
    assert all(configs[code]["demo"] for code in codes)
    assert gate.one("select document_number, demo from register_entry where entry_id = %s", entry) == {
        "document_number": "DEMO-0001",
        "demo": True,
    }
    key = seal.master_key(own.master_key_file)
    assert len(warning.sealed_register(conn, "vision-1", key)) > 1000
    assert "scene=gate" in gate.one("select stream_url from camera where code = %s", codes[0])["stream_url"]
    assert db.CITY.is_city


def test_demo_addresses_are_those_of_the_players() -> None:
    from vision import demo

    assert (demo_gate.MJPEG_PORT, demo_gate.RTSP_PORT) == (demo.MJPEG_PORT, demo.RTSP_PORT)
    url = demo_gate.stream_url("4" * 20, name="North gate", scene="gate", fault="dark")
    assert url == f"http://127.0.0.1:15080/cam/{'4' * 20}?scene=gate&fault=dark&name=North%20gate"
