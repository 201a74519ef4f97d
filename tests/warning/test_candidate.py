"""Candidates: nothing before a person answers, pictures that go, and an alarm only on yes."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from data.core import access, audit
from data.core.access import Scope
from data.rooms import warning
from tests import builders
from tests.warning.conftest import PICTURE, Gate, person


def _state(gate: Gate, candidate: int) -> dict[str, Any]:
    return gate.one(
        "select c.state, c.sealed_picture is not null as has_picture, c.picture_deleted_at is not null as is_deleted,"
        " k.candidate_id is not null as has_key, c.alarm_id from candidate c left join candidate_key k"
        " using (candidate_id) where c.candidate_id = %s",
        candidate,
    )


def _alarms(gate: Gate) -> int:
    return gate.one("select count(*) as n from alarm")["n"]


def test_a_candidate_shows_what_a_person_needs_and_triggers_nothing(gate: Gate) -> None:
    candidate = gate.candidate()
    body = warning.open_candidates(gate.conn)[0]
    assert body["candidate_id"] == candidate
    assert (body["score"], body["threshold"]) == (pytest.approx(0.8), pytest.approx(0.55))
    for name in (
        "expected_false_per_day",
        "camera_code",
        "camera_zh",
        "school_en",
        "found_at",
        "expires_at",
        "ground",
        "instruction",
        "model_sha256",
    ):
        assert body[name], name
    assert body["state"] == "open"
    assert body["has_picture"]
    assert not [value for value in body.values() if isinstance(value, bytes | memoryview)], "never a picture in the body"
    assert _alarms(gate) == 0
    told = gate.one("select requires, body::text as body, school_id from outbox where kind = 'candidate.changed'")
    assert told["requires"] == "candidate.view"
    assert base64.b64encode(PICTURE)[:12].decode() not in told["body"]


def test_yes_raises_one_alarm_with_its_history_and_keeps_the_picture(gate: Gate) -> None:
    candidate = gate.candidate()
    body = warning.answer(gate.conn, gate.dispatcher, candidate, "yes")
    assert body["state"] == "confirmed"
    assert body["answered_by_en"] == gate.dispatcher.name_en
    alarm = gate.one("select * from alarm")
    assert (alarm["kind"], alarm["state"], alarm["candidate_id"], alarm["school_id"]) == (
        "candidate",
        "open",
        candidate,
        gate.school["school_id"],
    )
    step = gate.one("select act, account_id from alarm_step where alarm_id = %s", alarm["alarm_id"])
    assert step == {"act": "raised", "account_id": gate.dispatcher.account_id}
    assert gate.one("select body from outbox where kind = 'alarm.changed'")["body"]["alarm_id"] == alarm["alarm_id"]
    assert body["alarm_id"] == alarm["alarm_id"]
    assert _state(gate, candidate)["has_picture"]
    assert audit.verify(gate.conn)["alarm_step"] == 1


def test_no_deletes_the_picture_now_and_raises_nothing(gate: Gate) -> None:
    candidate = gate.candidate()
    body = warning.answer(gate.conn, gate.dispatcher, candidate, "no")
    assert body["state"] == "rejected"
    assert _state(gate, candidate) == {"state": "rejected", "has_picture": False, "is_deleted": True, "has_key": False, "alarm_id": None}
    assert _alarms(gate) == 0
    with pytest.raises(warning.CandidateNotThere):
        warning.candidate_picture(gate.conn, gate.dispatcher, candidate, "found", gate.key)


def test_unsure_leaves_it_to_somebody_else_until_it_is_over(gate: Gate) -> None:
    candidate = gate.candidate()
    assert warning.answer(gate.conn, gate.dispatcher, candidate, "unsure")["state"] == "unsure"
    assert _alarms(gate) == 0
    assert warning.answer(gate.conn, person(gate.conn, "supervisor"), candidate, "yes")["state"] == "confirmed"
    with pytest.raises(warning.AlreadyAnswered):
        warning.answer(gate.conn, gate.dispatcher, candidate, "no")


@pytest.mark.parametrize("first", [None, "unsure"], ids=["unanswered", "unsure"])
def test_after_ten_minutes_the_picture_is_gone(gate: Gate, first: str | None) -> None:
    entry = gate.entry()
    candidate = gate.candidate(entry)
    fresh = gate.candidate(entry, score=0.9)
    if first:
        warning.answer(gate.conn, gate.dispatcher, candidate, first)
    gate.conn.execute("update candidate set expires_at = now() - interval '1 s' where candidate_id = %s", (candidate,))
    with pytest.raises(warning.CandidateOver):
        warning.answer(gate.conn, gate.dispatcher, candidate, "yes")
    with pytest.raises(warning.CandidateNotThere):
        warning.candidate_picture(gate.conn, gate.dispatcher, candidate, "found", gate.key)
    assert warning.expire_candidates(gate.conn) == 1
    state = _state(gate, candidate)
    assert (state["state"], state["has_picture"], state["has_key"], state["is_deleted"]) == (first or "expired", False, False, True)
    assert [body["candidate_id"] for body in warning.open_candidates(gate.conn)] == [fresh]
    assert warning.expire_candidates(gate.conn) == 0
    told = gate.one("select body from outbox where kind = 'candidate.changed' order by seq desc limit 1")["body"]
    assert (told["candidate_id"], told["has_picture"]) == (candidate, False)


def test_a_confirmed_picture_is_kept_as_long_as_the_schools_video_and_no_longer(gate: Gate) -> None:
    candidate = gate.candidate()
    warning.answer(gate.conn, gate.dispatcher, candidate, "yes")
    gate.conn.execute("update candidate set found_at = now() - interval '29 days'")
    assert warning.expire_candidates(gate.conn) == 0
    gate.conn.execute("update candidate set found_at = now() - interval '31 days'")
    assert warning.expire_candidates(gate.conn) == 1
    assert _state(gate, candidate) | {"alarm_id": 0} == {
        "state": "confirmed", "has_picture": False, "is_deleted": True, "has_key": False, "alarm_id": 0
    }  # fmt: skip


def test_both_pictures_open_for_who_may_see_them_and_every_look_is_logged(gate: Gate) -> None:
    candidate = gate.candidate()
    assert warning.candidate_picture(gate.conn, gate.dispatcher, candidate, "found", gate.key) == PICTURE
    assert warning.candidate_picture(gate.conn, gate.dispatcher, candidate, "entry", gate.key) == gate.enrolment().photo
    assert (
        gate.one("select count(*) as n from audit where act = 'candidate.viewed' and account_id = %s", gate.dispatcher.account_id)["n"] == 2
    )
    for which in ("template", "", "found/../entry"):
        with pytest.raises(warning.CandidateNotThere):
            warning.candidate_picture(gate.conn, gate.dispatcher, candidate, which, gate.key)
    with pytest.raises(warning.CandidateNotThere):
        warning.candidate_picture(gate.conn, gate.dispatcher, candidate, "found", b"0" * 32)
    with pytest.raises(access.Refused):
        warning.candidate_picture(gate.conn, person(gate.conn, "admin"), candidate, "found", gate.key)


def test_another_schools_candidate_is_not_there(gate: Gate) -> None:
    candidate = gate.candidate()
    other = builders.make_school(gate.conn)
    with gate.seen_by(Scope(schools=frozenset({other["school_id"]}))):
        assert warning.open_candidates(gate.conn) == []
        with pytest.raises(warning.CandidateNotThere):
            warning.answer(gate.conn, gate.dispatcher, candidate, "yes")
        with pytest.raises(warning.CandidateNotThere):
            warning.candidate_picture(gate.conn, gate.dispatcher, candidate, "found", gate.key)
    with gate.seen_by(Scope(schools=frozenset({gate.school["school_id"]}))):
        assert warning.answer(gate.conn, gate.dispatcher, candidate, "no")["state"] == "rejected"


@pytest.mark.parametrize("role", ["registrar", "admin", "district-leader", "auditor", "approver", "school"])
def test_only_those_who_answer_candidates_do(gate: Gate, role: str) -> None:
    candidate = gate.candidate()
    with pytest.raises(access.Refused):
        warning.answer(gate.conn, person(gate.conn, role), candidate, "yes")
    with pytest.raises(warning.BadAnswer):
        warning.answer(gate.conn, gate.dispatcher, candidate, "maybe")


BAD: dict[str, dict[str, Any]] = {
    "below-its-threshold": {"score": 0.5},
    "other-threshold": {"threshold": 0.3},
    "score-not-a-number": {"score": float("nan")},
    "score-a-text": {"score": "high"},
    "other-model": {"model_sha256": "0" * 64},
    "no-entry": {"entry_id": 424242},
    "entry-a-text": {"entry_id": "1"},
    "no-picture": {"sealed_picture": None},
    "picture-not-base64": {"sealed_picture": "***"},
    "picture-too-large": {"sealed_picture": base64.b64encode(b"x" * 60_000).decode()},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD.keys())
def test_what_cannot_be_is_dropped_with_a_line_and_keeps_no_picture(gate: Gate, change: dict[str, Any]) -> None:
    assert warning.find_candidate(gate.conn, gate.found(gate.entry(), **change)) is None
    assert gate.one("select count(*) as n from candidate")["n"] == 0
    assert gate.one("select count(*) as n from audit where act = 'candidate.dropped'")["n"] == 1


def test_a_candidate_of_an_entry_that_ended_meanwhile_is_dropped(gate: Gate) -> None:
    entry = gate.entry()
    event = gate.found(entry)
    warning.revoke(gate.conn, gate.sponsor, entry, "lifted")
    assert warning.find_candidate(gate.conn, event) is None


def test_a_candidate_of_a_gate_switched_off_meanwhile_is_dropped(gate: Gate) -> None:
    event = gate.found(gate.entry())
    warning.switch_gate(gate.conn, gate.approver, gate.camera["code"], is_on=False)
    assert warning.find_candidate(gate.conn, event) is None


def test_one_that_waited_in_a_spool_too_long_is_history_without_a_picture(gate: Gate) -> None:
    entry = gate.entry()
    candidate = warning.find_candidate(gate.conn, gate.found(entry, at=datetime.now(UTC) - timedelta(minutes=11)))
    assert candidate is not None
    assert _state(gate, candidate) == {"state": "expired", "has_picture": False, "is_deleted": True, "has_key": False, "alarm_id": None}


@pytest.mark.parametrize(("setting", "minutes"), [("", 10), ("25", 25)], ids=["not-set", "25"])
def test_how_long_people_have_is_the_setting_of_ingests_connection(gate: Gate, setting: str, minutes: int) -> None:
    gate.one("select set_config('campus.candidate_minutes', %s, true)", setting)
    row = gate.one("select expires_at - found_at as time from candidate where candidate_id = %s", gate.candidate())
    assert row["time"] == timedelta(minutes=minutes)


def test_the_same_event_again_is_one_candidate(gate: Gate) -> None:
    event = gate.found(gate.entry())
    assert warning.find_candidate(gate.conn, event) is not None
    assert warning.find_candidate(gate.conn, event) is None
    assert gate.one("select candidates from gate_count")["candidates"] == 1


def test_passages_are_a_number_a_day_and_nothing_else(gate: Gate) -> None:
    from data.core import events

    for passages in (3, 4, -1, "many", None):
        event = events.Event(event_id=f"{passages!s:>8}", kind=events.Kind.PASSAGE_COUNTED, source="vision-1", subject=gate.camera["code"],
                             event_at=datetime(2026, 3, 1, 20, tzinfo=UTC), data={"passages": passages})  # fmt: skip
        warning.count_passages(gate.conn, event)
    row = gate.one("select * from gate_count")
    assert (row["passages"], str(row["day"])) == (7, "2026-03-02"), "the day is the city's"
    assert row.keys() == {"camera_id", "day", "passages", "candidates"}
