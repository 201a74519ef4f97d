"""The status page: what is down, what could not be read, who did what."""

from __future__ import annotations

import pytest

from data.core import db, events
from data.ingest import handlers
from tests import builders

CLOCK = [{"id": "admin-clock", "property": "n_intervals", "value": 1}]
DEAD = [*CLOCK, {"id": "admin-outcome", "property": "children", "value": None}]


@pytest.fixture
def buried(rows) -> int:
    """A dead letter that can be read after all: its event is fine now."""
    body = events.encode(builders.an_event(builders.make_device(rows, builders.make_school(rows)["school_id"])["code"]))
    with db.scoped(rows, db.CITY) as conn:
        handlers.bury(conn, "campus:panic", "1-1", body, "UnknownKind: of a version to come")
    row = rows.execute("select dead_letter_id from dead_letter").fetchone()
    assert row is not None
    return row["dead_letter_id"]


def _replay(number: int, clicks: int | None = 1) -> list[object]:
    return [[{"id": {"type": "admin-replay", "id": number}, "property": "n_clicks", "value": clicks}]]


def test_a_dead_letter_is_shown_with_its_reason_and_can_be_replayed_once(browser, buried, rows):
    admin = browser("admin", is_city=True)
    shown = admin.callback("admin-dead.children", DEAD).text
    assert "UnknownKind" in shown
    assert "admin-replay" in shown
    changed = f'{{"id":{buried},"type":"admin-replay"}}.n_clicks'
    for expected in ("stored", "duplicate"):
        answer = admin.callback("admin-outcome.children", _replay(buried), changedPropIds=[changed])
        assert answer.status_code == 200
        outcome = rows.execute("select outcome from dead_letter").fetchone()
        assert outcome["outcome"] == expected
    assert rows.execute("select count(*) as n from alarm").fetchone()["n"] == 1


def test_the_auditor_reads_dead_letters_and_replays_none(browser, buried):
    auditor = browser("auditor", is_city=True)
    assert "admin-replay" not in auditor.callback("admin-dead.children", DEAD).text
    assert auditor.callback("admin-outcome.children", _replay(buried)).status_code == 404


def test_parts_and_workers_are_shown(browser, rows):
    beat = '{"modules": 12, "late_p99_ms": 41.7, "spool_waiting": 3}'
    rows.execute("insert into worker (worker, state, beat) values ('devices-7', 'silent', %s)", (beat,))
    shown = browser("admin", is_city=True, lang="en").callback("admin-status.children", CLOCK).text
    assert "devices-7" in shown
    assert "42 ms" in shown
    assert "silent" in shown


def test_events_nobody_can_place_are_shown_to_those_of_the_whole_city(browser, rows):
    with db.scoped(rows, db.CITY) as conn:
        handlers.store(conn, [builders.an_event("stray")])
    assert "stray" in browser("admin", is_city=True).callback("admin-unassigned.children", CLOCK).text
    assert "stray" not in browser("officer", districts=("440304",)).callback("admin-unassigned.children", CLOCK).text


def test_the_audit_says_who_logged_in(running, rows, visitor):
    builders.make_account(rows, "auditor", login="auditor-1", is_city=True)
    one = visitor(running.url, "auditor-1")
    shown = one.callback("admin-audit.children", [{"id": "admin-older", "property": "n_clicks", "value": 0}]).text
    assert "session.opened" in shown


def test_a_callback_that_fails_says_what_to_do_and_the_page_stays(browser, monkeypatch):
    def away(*_: object) -> None:
        raise handlers.NoSuchDeadLetter("7")

    monkeypatch.setattr(handlers, "dead_letters", away)
    answer = browser("admin", is_city=True, lang="en").callback("admin-dead.children", DEAD)
    assert answer.status_code == 200
    assert "campus-problem" in answer.text
    assert "Not found" in answer.text
