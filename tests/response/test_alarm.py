"""The life of an alarm: presses share it, people take and close it, nobody sees another's."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.core import access, audit, db
from data.core.events import Kind
from data.ingest import handlers
from data.rooms import response
from tests.ingest import town
from tests.ingest.town import happened, person, press


@pytest.fixture
def link(city):
    with city.connect() as conn:
        conn.autocommit = True
        yield conn


def send(link, *batch):
    with db.scoped(link, db.CITY) as conn:
        return handlers.store(conn, batch)


def as_(link, principal):
    return db.scoped(link, principal.scope)


def open_alarms(link, principal=None):
    with as_(link, principal or person()) as conn:
        return response.open_alarms(conn)


def steps(link, alarm_id):
    return [row["act"] for row in link.execute("select act from alarm_step where alarm_id = %s order by seq", (alarm_id,))]


def test_a_press_opens_one_alarm_with_everything_the_wall_needs(link):
    send(link, press())
    [body] = open_alarms(link)
    assert (body["kind"], body["priority"], body["state"], body["school_code"], body["district_code"]) == (
        "panic",
        "critical",
        "open",
        "N",
        "440304",
    )
    assert (body["presses"], body["press"], body["event_at"], body["place_zh"]) == (1, 1, "2026-11-02T12:00:00.000000+00:00", "点0")
    assert body["lon"] == pytest.approx(town.LON + 5 * town.M_LON)
    told = link.execute("select kind, requires, district_code, school_id, body from outbox").fetchall()
    assert [(row["kind"], row["requires"], row["district_code"], row["school_id"]) for row in told] == [
        ("alarm.changed", "alarm.view", "440304", 1)
    ]
    assert told[0]["body"] == body


def test_the_same_event_again_changes_nothing(link):
    send(link, press())
    assert send(link, press(), press()).new == 0
    [body] = open_alarms(link)
    assert body["presses"] == 1
    assert link.execute("select count(*) as n from outbox").fetchone()["n"] == 1


def test_presses_at_a_point_share_its_alarm_and_each_is_told(link):
    send(link, press(number=1), press(number=2))
    send(link, press(number=3, event_at=town.NOON + timedelta(seconds=1), data={"count": 4}))
    [body] = open_alarms(link)
    assert (body["presses"], body["press"], body["event_at"]) == (7 - 1, 6, "2026-11-02T12:00:01.000000+00:00")
    assert steps(link, body["alarm_id"]) == ["raised", "pressed", "pressed"]
    told = [row["body"]["press"] for row in link.execute("select body from outbox order by seq")]
    assert told == [1, 2, 6]


def test_other_points_have_alarms_of_their_own_with_their_own_meaning(link):
    send(link, press(), press(channel=1), press(channel=2), press("mod-s"))
    kinds = sorted((body["school_code"], body["kind"], body["priority"]) for body in open_alarms(link))
    assert kinds == [("N", "intrusion", "high"), ("N", "panic", "critical"), ("N", "tamper", "attention"), ("S", "panic", "critical")]


def test_a_press_after_the_acknowledgement_sounds_again_and_history_keeps_who_had_it(link):
    send(link, press())
    alarm_id = open_alarms(link)[0]["alarm_id"]
    with as_(link, person()) as conn:
        assert response.acknowledge(conn, person(), alarm_id)["state"] == "acknowledged"
    send(link, press(number=2))
    [body] = open_alarms(link)
    assert (body["alarm_id"], body["state"], body["presses"], body["acknowledged_at"]) == (alarm_id, "open", 2, None)
    with as_(link, person()) as conn:
        detail = response.alarm_detail(conn, alarm_id)
    assert [(step["act"], step["by_en"]) for step in detail["steps"]] == [("raised", None), ("acknowledged", "Ann"), ("pressed", None)]
    assert detail["steps"][2]["data"]["state_before"] == "acknowledged"


def test_after_the_close_the_next_press_opens_a_new_alarm(link):
    send(link, press())
    first = open_alarms(link)[0]["alarm_id"]
    with as_(link, person()) as conn:
        response.acknowledge(conn, person(), first)
        closed = response.close(conn, person(), first, "accidental", "按错了")
    assert (closed["state"], closed["cause"], closed["closed_by_en"]) == ("closed", "accidental", "Ann")
    assert open_alarms(link) == []
    send(link, press(number=2))
    [body] = open_alarms(link)
    assert body["alarm_id"] != first
    assert body["presses"] == 1


def test_an_input_that_goes_back_is_a_mark_and_never_a_close(link):
    send(link, press(), happened(Kind.INPUT_RESTORED, event_at=town.NOON + timedelta(seconds=5)))
    [body] = open_alarms(link)
    assert (body["state"], body["restored_at"]) == ("open", "2026-11-02T12:00:05.000000+00:00")
    send(
        link,
        press(number=2, event_at=town.NOON + timedelta(seconds=9)),
        happened(Kind.INPUT_RESTORED, number=2, event_at=town.NOON + timedelta(seconds=8)),
    )
    assert open_alarms(link)[0]["restored_at"] is None, "it was pressed again after it had gone back"


def test_what_is_odd_in_the_data_never_keeps_an_alarm_from_being_shown(link):
    odd = {"zone": 7, "count": -3, "mode": "party", "while_down": "yes", "press": None}
    send(link, press("nobody-knows-me", 5, data=odd))
    [body] = open_alarms(link)
    assert (body["kind"], body["mode"], body["presses"], body["is_while_down"]) == ("panic", "live", 1, False)


def test_an_alarm_of_an_unknown_module_is_shown_to_everyone_and_shared_by_its_presses(link):
    send(link, press("nobody", 5, number=1), press("nobody", 5, number=2), press("nobody", 6, number=3))
    for scope in ({"is_city": True}, town.NORTHERN, town.SOUTHERN, {"schools": frozenset({town.SOUTH})}):
        assert sorted((body["channel"], body["presses"], body["school_id"]) for body in open_alarms(link, person(**scope))) == [
            (5, 2, None),
            (6, 1, None),
        ]
    kinds = [row["kind"] for row in link.execute("select kind from outbox order by seq")]
    assert kinds.count("event.unassigned") == 3
    assert link.execute("select count(*) as n from event where not is_assigned").fetchone()["n"] == 3


def test_an_unknown_channel_of_a_known_module_is_shown_at_its_school(link):
    send(link, press(channel=7))
    [body] = open_alarms(link, person(**town.NORTHERN))
    assert (body["school_code"], body["point_id"], body["channel"]) == ("N", None, 7)
    assert open_alarms(link, person(**town.SOUTHERN)) == []


def test_a_live_press_makes_a_test_alarm_live(link):
    send(link, press(data={"mode": "test"}), press(number=2, data={"mode": "test"}))
    assert open_alarms(link)[0]["mode"] == "test"
    send(link, press(number=3))
    assert open_alarms(link)[0]["mode"] == "live"


@pytest.mark.parametrize("scope", town.EVERY_SCOPE_OF_NORTH, ids=["city", "district", "street", "school"])
def test_whoever_has_the_school_may_see_and_act(link, scope):
    send(link, press())
    alarm_id = open_alarms(link, person(**scope))[0]["alarm_id"]
    with as_(link, person(**scope)) as conn:
        assert response.alarm_detail(conn, alarm_id)["place"]["contact_name"] == "演示"
        assert response.past_alarms(conn, town.NOON - timedelta(days=400), town.NOON + timedelta(days=400))[0]
        assert response.acknowledge(conn, person(**scope), alarm_id)["state"] == "acknowledged"
        assert response.close(conn, person(**scope), alarm_id, "test")["state"] == "closed"


@pytest.mark.parametrize("scope", town.NONE_OF_NORTH, ids=["district", "street", "school", "nothing"])
def test_another_districts_alarm_is_not_there(link, scope):
    send(link, press())
    alarm_id = open_alarms(link)[0]["alarm_id"]
    stranger = person(**scope)
    assert open_alarms(link, stranger) == []
    for act in (
        lambda conn: response.alarm_detail(conn, alarm_id),
        lambda conn: response.acknowledge(conn, stranger, alarm_id),
        lambda conn: response.close(conn, stranger, alarm_id, "test"),
        lambda conn: response.acknowledge(conn, stranger, alarm_id + 999),  # one that does not exist answers the same
    ):
        with pytest.raises(response.NotThere), as_(link, stranger) as conn:
            act(conn)
    with as_(link, stranger) as conn:
        assert response.past_alarms(conn, town.NOON - timedelta(days=400), town.NOON + timedelta(days=400)) == ([], False)
        assert response.linked_cameras(conn, alarm_id) == []
        assert response.nearest_units(conn, alarm_id) == []
    assert open_alarms(link)[0]["state"] == "open"


def test_two_people_acknowledge_at_once_and_one_of_them_has_it(link, city):
    send(link, press())
    alarm_id = open_alarms(link)[0]["alarm_id"]
    start, outcomes = threading.Barrier(2), {}

    def take(login):
        with city.connect() as conn:
            start.wait()
            try:
                with db.scoped(conn, person(login).scope) as scoped:
                    outcomes[login] = response.acknowledge(scoped, person(login), alarm_id)["acknowledged_by_en"]
            except response.AlreadyAcknowledged as err:
                outcomes[login] = err

    threads = [threading.Thread(target=take, args=(login,)) for login in ("ann", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    won = [login for login, outcome in outcomes.items() if isinstance(outcome, str)]
    lost = [outcome for outcome in outcomes.values() if not isinstance(outcome, str)]
    assert len(won) == 1
    assert lost[0].by_en == won[0].title()
    assert lost[0].at is not None
    assert steps(link, alarm_id) == ["raised", "acknowledged"]
    assert audit.verify(link)["alarm_step"] == 2


def test_closing_what_was_pressed_again_meanwhile_is_refused(link):
    send(link, press())
    alarm_id = open_alarms(link)[0]["alarm_id"]
    with as_(link, person()) as conn:
        response.acknowledge(conn, person(), alarm_id)
    send(link, press(number=2))
    with pytest.raises(response.NotAcknowledged), as_(link, person()) as conn:
        response.close(conn, person(), alarm_id, "false")


@pytest.mark.parametrize(("cause", "note"), [("because", ""), ("", ""), ("false", "x" * 2001), ("false", "a\x00b")])
def test_a_close_needs_a_cause_from_the_list(link, cause, note):
    send(link, press())
    with pytest.raises(response.BadCause), as_(link, person()) as conn:
        response.close(conn, person(), open_alarms(link)[0]["alarm_id"], cause, note)


def test_acknowledging_proves_the_point(link):
    send(link, press())
    assert link.execute("select proved_at from point where point_id = 10").fetchone()["proved_at"] is None
    with as_(link, person()) as conn:
        response.acknowledge(conn, person(), open_alarms(link)[0]["alarm_id"])
    assert link.execute("select proved_at from point where point_id = 10").fetchone()["proved_at"] is not None


def test_open_alarms_ignore_their_age_and_the_loudest_come_first(link):
    send(link, press(channel=1), press(event_at=town.NOON - timedelta(days=300)), press("mod-s"), press(channel=2))
    alarm_id = next(body["alarm_id"] for body in open_alarms(link) if body["school_code"] == "S")
    with as_(link, person()) as conn:
        response.acknowledge(conn, person(), alarm_id)
    assert [(body["priority"], body["state"]) for body in open_alarms(link)] == [
        ("critical", "open"),
        ("critical", "acknowledged"),
        ("high", "open"),
        ("attention", "open"),
    ]


def test_past_alarms_say_when_there_are_more(link):
    send(link, press(), press(channel=1), press(channel=2))
    period = (town.NOON - timedelta(days=400), town.NOON + timedelta(days=400))
    with as_(link, person()) as conn:
        rows, is_more = response.past_alarms(conn, *period, limit=2)
        assert (len(rows), is_more) == (2, True)
        assert response.past_alarms(conn, *period, limit=3)[1] is False
        assert response.past_alarms(conn, *period, school_id=town.SOUTH) == ([], False)


EXAMPLE = itertools.count(1)
ACTS = st.lists(st.sampled_from(["press", "press", "restore", "acknowledge", "close"]), max_size=14)


@given(acts=ACTS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_people_and_buttons_do_the_database_follows_the_table(link, acts):
    """The rows, the one open alarm of a point, and the history always agree with the pure table of transitions."""
    number = next(EXAMPLE) * 1000
    point = {"subject": f"unknown-{number}", "channel": 0}  # an input of its own for every example
    state, alarm_id, presses = None, None, 0
    for index, act in enumerate(acts):
        event = {"number": number + index, "event_at": town.NOON + timedelta(seconds=index), **point}
        if act == "press":
            send(link, press(**event))
            expected = "open" if state in (None, "closed") else response.after(state, "press")
            presses = 1 if state in (None, "closed") else presses + 1
            found = link.execute("select * from alarm where subject = %(subject)s order by alarm_id desc limit 1", point).fetchone()
            assert (found["alarm_id"] == alarm_id) == (state in ("open", "acknowledged"))
            alarm_id, state = found["alarm_id"], expected
        elif alarm_id is None:
            continue
        elif act == "restore":
            send(link, happened(Kind.INPUT_RESTORED, **event))
        else:
            try:
                expected = response.after(state, act)
            except response.AlarmError as err:
                with pytest.raises(type(err)), as_(link, person()) as conn:
                    response.acknowledge(conn, person(), alarm_id) if act == "acknowledge" else response.close(
                        conn, person(), alarm_id, "false"
                    )
                continue
            with as_(link, person()) as conn:
                response.acknowledge(conn, person(), alarm_id) if act == "acknowledge" else response.close(
                    conn, person(), alarm_id, "false"
                )
            state = expected
        row = link.execute(
            "select state, presses, acknowledged_at is not null as held, cause from alarm where alarm_id = %s", (alarm_id,)
        ).fetchone()
        assert (row["state"], row["presses"]) == (state, presses)
        assert row["held"] == (state in ("acknowledged", "closed"))
    unclosed = link.execute("select count(*) as n from alarm where subject = %(subject)s and state <> 'closed'", point).fetchone()
    assert unclosed["n"] <= 1
    assert isinstance(audit.verify(link)["alarm_step"], int)


def test_history_is_no_longer_than_what_happened(link):
    send(link, press(), replace(press(), source="devices-2", seq=9))
    assert link.execute("select source from event").fetchone()["source"] == "devices-1", "two workers, one press: the first word stays"
    assert open_alarms(link)[0]["presses"] == 1


def test_no_scope_at_all_is_an_error_and_never_everything(city, link):
    send(link, press())
    with city.connect() as conn, pytest.raises(Exception, match=r"campus\.city"):
        response.open_alarms(conn)
    assert open_alarms(link, replace(person(), scope=access.Scope())) == []
