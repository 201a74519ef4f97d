"""The register: each refusal, two people, scope, and an end that leaves nothing to open."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest

from data.core import access, seal
from data.core.access import Scope
from data.rooms import warning
from data.rooms.warning import Proposal, Rule, RuleBroken
from tests import builders
from tests.warning.conftest import MODEL, TODAY, Gate, person

NOW = datetime.now(UTC)
Change = Callable[[Gate], Proposal]

REFUSALS: dict[str, tuple[Change, Rule]] = {
    "ground-not-on-the-list": (lambda g: g.proposal(ground="suspicion"), Rule.UNKNOWN_GROUND),
    "ground-empty": (lambda g: g.proposal(ground=""), Rule.UNKNOWN_GROUND),
    "no-document-number": (lambda g: g.proposal(document_number=" "), Rule.DOCUMENT_MISSING),
    "no-issuing-body": (lambda g: g.proposal(issuing_body=""), Rule.ISSUER_MISSING),
    "no-proof": (lambda g: g.proposal(proof_sha256="abc"), Rule.PROOF_MISSING),
    "no-instruction": (lambda g: g.proposal(instruction=""), Rule.INSTRUCTION_MISSING),
    "no-school": (lambda g: g.proposal(school_ids=frozenset()), Rule.NO_SCHOOLS),
    "every-school-exempt": (lambda g: g.proposal(exempt_school_ids=g.proposal().school_ids), Rule.NO_SCHOOLS),
    "school-not-there": (lambda g: g.proposal(school_ids=frozenset({987654})), Rule.SCHOOL_UNKNOWN),
    "ends-before-it-starts": (lambda g: g.proposal(expires_at=NOW - timedelta(days=2)), Rule.TIMES_WRONG),
    "time-without-zone": (lambda g: g.proposal(starts_at=datetime(2026, 1, 1)), Rule.TIMES_WRONG),  # noqa: DTZ001
    "longer-than-the-order": (lambda g: g.proposal(order_ends_at=NOW + timedelta(days=10)), Rule.BEYOND_ORDER),
    "over-already": (lambda g: g.proposal(starts_at=NOW - timedelta(days=9), expires_at=NOW - timedelta(days=1)), Rule.ALREADY_OVER),
    "under-18": (lambda g: g.proposal(born_on=TODAY - timedelta(days=17 * 365)), Rule.MINOR),
    "missing-adult": (lambda g: g.child(born_on=date(1980, 1, 1)), Rule.NOT_A_CHILD),
    "missing-child-without-family": (lambda g: g.child(family_request=""), Rule.REQUESTS_MISSING),
    "missing-child-without-police": (lambda g: g.child(police_request=" "), Rule.REQUESTS_MISSING),
    "missing-child-for-months": (lambda g: g.child(expires_at=NOW + timedelta(days=60)), Rule.CHILD_TOO_LONG),
}


@pytest.mark.parametrize(("change", "rule"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_proposal_that_breaks_a_rule_is_refused_with_its_reason_and_leaves_nothing(gate: Gate, change: Change, rule: Rule) -> None:
    with pytest.raises(RuleBroken) as refused:
        gate.propose(change(gate))
    assert refused.value.rule is rule
    assert gate.one("select count(*) as n from register_entry")["n"] == 0
    assert gate.propose() > 0, "the same with nothing wrong is taken"


@pytest.mark.parametrize(("change", "rule"), [
    ({"pictures": 2}, Rule.TOO_FEW_PICTURES),
    ({"photo": b""}, Rule.TOO_FEW_PICTURES),
    ({"template": b"\0" * 1024}, Rule.BAD_TEMPLATE),
    ({"template": np.full(256, math.nan, np.float32).tobytes()}, Rule.BAD_TEMPLATE),
    ({"template": b"\1" * 1000}, Rule.BAD_TEMPLATE),
    ({"model_sha256": "sface"}, Rule.BAD_TEMPLATE),
], ids=["two-pictures", "no-photo", "zeros", "nan", "length", "model"])  # fmt: skip
def test_an_enrolment_that_cannot_be_used_is_refused(gate: Gate, change: dict[str, Any], rule: Rule) -> None:
    with pytest.raises(RuleBroken) as refused:
        gate.propose(**change)
    assert refused.value.rule is rule


def test_the_database_itself_refuses_what_the_room_would(gate: Gate) -> None:
    """Somebody who writes past the room still cannot make these."""
    entry = gate.propose()
    for change in ("ground = 'other'", "expires_at = order_ends_at + interval '1 day'", "approver_id = sponsor_id, approved_at = now()",
                   "state = 'active'", "born_on = current_date - 4000", "instruction = ''", "proof_sha256 = 'x'",
                   "ground = 'missing_child', born_on = current_date - 4000"):  # fmt: skip
        with pytest.raises(psycopg.errors.CheckViolation), gate.conn.transaction():
            gate.conn.execute(f"update register_entry set {change} where entry_id = %s", (entry,))  # noqa: S608 - constants above


def test_the_sponsor_never_approves_and_a_second_person_does_once(gate: Gate) -> None:
    both = replace(gate.sponsor, permissions=access.ROLES["approver"] | access.ROLES["registrar"])
    entry = gate.propose()
    with pytest.raises(RuleBroken, match="sponsor_approves"):
        warning.approve(gate.conn, both, entry)
    warning.approve(gate.conn, gate.approver, entry)
    with pytest.raises(RuleBroken, match="not_proposed"):
        warning.approve(gate.conn, gate.approver, entry)


@pytest.mark.parametrize("role", [role for role in access.ROLES if role != "registrar"])
def test_only_a_registrar_proposes_administrators_included(gate: Gate, role: str) -> None:
    with pytest.raises(access.Refused):
        warning.propose(gate.conn, person(gate.conn, role), gate.proposal(), gate.enrolment(), gate.key)


@pytest.mark.parametrize("role", [role for role in access.ROLES if role != "approver"])
def test_only_an_approver_approves_administrators_included(gate: Gate, role: str) -> None:
    entry = gate.propose()
    with pytest.raises(access.Refused):
        warning.approve(gate.conn, person(gate.conn, role), entry)


def test_nobody_names_or_approves_a_school_outside_the_own_scope(gate: Gate) -> None:
    other = builders.make_school(gate.conn, district_code="440399")
    here = Scope(schools=frozenset({gate.school["school_id"]}))
    entry = gate.propose(gate.proposal(school_ids=frozenset({gate.school["school_id"], other["school_id"]})))
    with gate.seen_by(here):
        with pytest.raises(RuleBroken, match="school_unknown"):
            gate.propose(gate.proposal(school_ids=frozenset({other["school_id"]})))
        with pytest.raises(RuleBroken, match="not_living"):
            warning.approve(gate.conn, gate.approver, entry)
        assert gate.propose() > 0
    warning.approve(gate.conn, gate.approver, entry)
    with gate.seen_by(Scope(schools=frozenset({builders.make_school(gate.conn)["school_id"]}))):
        assert warning.entries(gate.conn) == []
        with pytest.raises(RuleBroken, match="not_living"):
            warning.revoke(gate.conn, gate.sponsor, entry, "x")


def test_numbers_stored_are_counted_and_capped(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warning, "SITE_CAP", 2)
    monkeypatch.setattr(warning, "CITY_WARN", 2)
    monkeypatch.setattr(warning, "CITY_BLOCK", 3)
    other = builders.make_school(gate.conn)
    assert warning.stored_persons(gate.conn) == {"stored": 0, "cap": 3, "is_warning": False}
    first, _ = gate.propose(), gate.propose()
    assert warning.stored_persons(gate.conn)["is_warning"]
    with pytest.raises(RuleBroken, match="school_full"):
        gate.propose()
    elsewhere = gate.proposal(school_ids=frozenset({other["school_id"]}))
    gate.propose(elsewhere)
    with pytest.raises(RuleBroken, match="city_full"):
        gate.propose(elsewhere)
    warning.revoke(gate.conn, gate.sponsor, first, "done")
    assert gate.propose() > 0, "an ended entry makes room"


def _register(gate: Gate) -> list[dict[str, Any]]:
    sealed = warning.sealed_register(gate.conn, "vision-1", gate.key)
    return json.loads(seal.unseal(seal.derive(gate.key, "register vision-1"), sealed, "register:vision-1"))["entries"]


def test_a_worker_gets_only_what_is_approved_valid_now_and_at_its_gate(gate: Gate) -> None:
    there = builders.make_school(gate.conn)
    builders.make_camera(gate.conn, there, worker="vision-1", stream_url="rtsp://127.0.0.1/y")
    gate.propose()  # nobody approved it
    gate.entry(gate.proposal(starts_at=NOW + timedelta(days=1)))  # not yet
    gate.entry(gate.proposal(school_ids=frozenset({there["school_id"]})))  # its school has no checked gate
    exempt = frozenset({gate.school["school_id"]})
    gate.entry(gate.proposal(school_ids=exempt | {there["school_id"]}, exempt_school_ids=exempt))  # the order excepts this school
    gate.entry(gate.proposal(demo=True))  # demo people are looked for on demo cameras only
    entry = gate.entry()
    assert [(row["entry_id"], row["cameras"], row["schools"]) for row in _register(gate)] == [
        (entry, [gate.camera["code"]], [gate.school["school_id"]])
    ]
    assert _register(gate)[0].keys() == {"entry_id", "schools", "cameras", "model_sha256", "template", "until"}, "nothing says who it is"
    sealed = warning.sealed_register(gate.conn, "vision-1", gate.key)
    with pytest.raises(seal.NotOpened):
        seal.unseal(seal.derive(gate.key, "register vision-2"), sealed, "register:vision-2")


def test_a_new_model_takes_the_entry_out_until_it_is_enrolled_again(gate: Gate) -> None:
    gate.entry()
    assert len(_register(gate)) == 1
    warning.assess(gate.conn, gate.approver, number="PIA-2", model_sha256="9" * 64, threshold=0.6, approved_by="B", approved_on=TODAY)
    warning.switch_gate(gate.conn, gate.approver, gate.camera["code"], is_on=True, assessment="PIA-2", threshold=0.6, other_way_in="guard")
    assert _register(gate) == []


def test_an_expired_entry_is_out_at_once_and_its_key_is_destroyed_at_the_next_tick(gate: Gate) -> None:
    entry = gate.entry()
    gate.conn.execute("update register_entry set expires_at = now(), starts_at = now() - interval '1 day' where entry_id = %s", (entry,))
    assert _register(gate) == [], "before any timed job"
    receipts = warning.expire_entries(gate.conn)
    assert [(receipt["entry_id"], receipt["reason"]) for receipt in receipts] == [(entry, "expired")]
    assert warning.expire_entries(gate.conn) == []
    assert gate.one("select state, end_reason from register_entry where entry_id = %s", entry) == {
        "state": "expired",
        "end_reason": "expired",
    }


def test_revoking_destroys_the_key_and_says_for_every_store_what_is_left(gate: Gate) -> None:
    entry = gate.entry()
    candidate = gate.candidate(entry)
    row = gate.one(
        "select t.sealed, k.wrapped_key from register_template t join register_key k using (entry_id) where entry_id = %s", entry
    )
    assert seal.unseal(seal.derive(gate.key, "register entry"), row["wrapped_key"], f"entry:{entry}")
    receipt = warning.revoke(gate.conn, gate.sponsor, entry, "order lifted", last_backup_at=NOW)
    stores = {store["store"]: store["left"] for store in receipt["stores"]}
    assert stores == {
        "register_key": 0,
        "register_template": 0,
        "register_photo": 0,
        "candidate": 0,
        "worker_memory": None,
        "redis_register": None,
    }
    assert receipt["key_destroyed_at"]
    assert receipt["last_backup_at"].startswith(str(NOW.year))
    assert _register(gate) == []
    said = gate.one("select state, sealed_picture from candidate where candidate_id = %s", candidate)
    assert (said["state"], said["sealed_picture"]) == ("expired", None)
    kept = gate.one("select act, reason from audit where seq = %s", receipt["audit_seq"])
    assert kept == {"act": "register.revoked", "reason": "order lifted"}
    assert gate.one("select document_number from register_entry where entry_id = %s", entry)["document_number"] == "2026-001", (
        "the line stays"
    )
    with pytest.raises(RuleBroken, match="not_living"):
        warning.revoke(gate.conn, gate.sponsor, entry, "again")


def test_templates_and_photos_are_unreadable_without_the_entrys_own_key(gate: Gate) -> None:
    one, two = gate.entry(), gate.entry()
    plain = gate.enrolment()
    keys = {}
    for entry in (one, two):
        row = gate.one("select k.wrapped_key from register_key k where entry_id = %s", entry)
        keys[entry] = seal.unseal(seal.derive(gate.key, "register entry"), row["wrapped_key"], f"entry:{entry}")
    assert keys[one] != keys[two]
    for table, label, clear in (("register_template", "template", plain.template), ("register_photo", "photo", plain.photo)):
        sealed = bytes(gate.one(f"select sealed from {table} where entry_id = %s", one)["sealed"])  # noqa: S608 - names above
        assert clear[:16] not in sealed
        assert seal.unseal(keys[one], sealed, f"{label}:{one}") == clear
        with pytest.raises(seal.NotOpened):
            seal.unseal(keys[two], sealed, f"{label}:{one}")
        with pytest.raises(seal.NotOpened):
            seal.unseal(keys[one], sealed, f"{label}:{two}")


def test_the_list_of_entries_holds_no_template_photo_or_key(gate: Gate) -> None:
    gate.entry()
    row = warning.entries(gate.conn)[0]
    assert not [name for name, value in row.items() if isinstance(value, bytes | memoryview)]
    assert "born_on" not in row
    assert row["school_ids"] == [gate.school["school_id"]]
    assert MODEL not in str(row)
