"""States by evidence: devices, cameras, recorders, workers; outages and uptime."""

from __future__ import annotations

import itertools
import threading
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.core import clock, db
from data.core.events import Kind, MalformedEvent
from data.ingest import handlers
from data.rooms import monitor
from tests.ingest import town
from tests.ingest.town import happened, person, press

LOST, BACK, FAULT = Kind.DEVICE_LOST, Kind.DEVICE_BACK, Kind.DEVICE_FAULTED


@pytest.fixture
def link(city):
    with city.connect() as conn:
        conn.autocommit = True
        yield conn


def send(link, *batch):
    with db.scoped(link, db.CITY) as conn:
        return handlers.store(conn, batch)


def word(kind, number, seconds=0, **data):
    return happened(kind, "mod-n", None, number, event_at=town.NOON + timedelta(seconds=seconds), data=data)


def device(link):
    return link.execute("select state, state_reason, state_at, seen_at, state_held from device where code = 'mod-n'").fetchone()


def outages(link):
    rows = link.execute("select state, reason, since, until from outage order by since, outage_id").fetchall()
    seconds = [(row["since"] - town.NOON, row["until"] and row["until"] - town.NOON) for row in rows]
    return [
        (row["state"], int(since.total_seconds()), until and int(until.total_seconds()))
        for row, (since, until) in zip(rows, seconds, strict=True)
    ]


def told(link, kind):
    return [row["body"] for row in link.execute("select body from outbox where kind = %s order by seq", (kind,))]


def test_lost_and_back_is_one_outage_and_two_messages(link):
    send(link, word(BACK, 1, 0))
    send(
        link,
        word(LOST, 2, 10, reason="timeout"),
        word(LOST, 3, 12, reason="timeout"),
        word(FAULT, 4, 15, reason="identity"),
        word(BACK, 5, 30),
    )
    assert outages(link) == [("lost", 10, 30)]
    assert [(body["state"], body["reason"]) for body in told(link, "device.changed")] == [
        ("up", ""),
        ("lost", "timeout"),
        ("fault", "identity"),
        ("up", ""),
    ]
    assert device(link)["seen_at"] == town.NOON + timedelta(seconds=30)


def test_nonsense_of_a_module_is_a_fault_and_never_an_alarm(link):
    send(link, word(FAULT, 1, reason="wrong_answer"))
    assert device(link)["state"] == "fault"
    assert link.execute("select count(*) as n from alarm").fetchone()["n"] == 0


def test_a_gap_nobody_told_of_in_time_is_an_outage_all_the_same(link):
    send(link, word(BACK, 2, 100, gap_s=40))
    assert outages(link) == [("lost", 60, 100)]
    send(link, word(LOST, 1, 60, reason="timeout"))
    assert device(link)["state"] == "up"
    assert outages(link) == [("lost", 60, 100)]


EXAMPLE = itertools.count(1)


@given(order=st.permutations(range(6)))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_order_of_arrival_the_last_word_counts(link, owner, order):
    owner.execute("truncate outage")
    owner.execute("update device set state = 'unknown', state_source = '', state_seq = 0, state_at = null")
    base = next(EXAMPLE) * 10
    words = [word((LOST, BACK)[number % 2], base + number, number, gap_s=1 if number % 2 else 0) for number in range(6)]
    for number in order:
        send(link, words[number])
    assert device(link)["state"] == "up"
    assert link.execute("select count(*) as n from outage where until is null").fetchone()["n"] == 0
    send(link, word(LOST, base + 7, 20))
    assert device(link)["state"] == "lost"


def test_between_two_workers_the_time_decides(link):
    send(link, word(BACK, 50, 10))
    other = happened(LOST, "mod-n", None, 3, source="devices-2", event_at=town.NOON + timedelta(seconds=5))
    send(link, other)
    assert device(link)["state"] == "up"
    send(link, happened(LOST, "mod-n", None, 4, source="devices-2", event_at=town.NOON + timedelta(seconds=15)))
    assert device(link)["state"] == "lost"


def camera_says(state, number, seconds=0, code=1, **data):
    return happened(
        Kind.CAMERA_CHANGED,
        f"{code:020d}",
        None,
        number,
        source="vision-1",
        event_at=town.NOON + timedelta(seconds=seconds),
        data={"state": state, **data},
    )


def test_a_camera_is_what_its_stream_shows(link, owner):
    town.camera(owner, 1, 0, 0, state="unknown", worker="vision-1", stream_url="http://127.0.0.1/1")
    send(link, camera_says("ok", 1), camera_says("frozen", 2, 10, reason="same_picture"), camera_says("ok", 3, 20))
    row = link.execute("select state, evidence, seen_at from camera").fetchone()
    assert (row["state"], row["evidence"], row["seen_at"]) == ("ok", "stream", town.NOON + timedelta(seconds=20))
    assert outages(link) == [("frozen", 10, 20)]
    states = [
        [(camera["camera_id"], camera["state"], camera["reason"]) for camera in body["cameras"]] for body in told(link, "camera.changed")
    ]
    assert states == [[(1, "ok", "")], [(1, "frozen", "same_picture")], [(1, "ok", "")]]


def test_a_state_no_camera_has_is_malformed(link, owner):
    town.camera(owner, 1, 0, 0)
    with pytest.raises(MalformedEvent):
        send(link, camera_says("asleep", 1))


def report(link, *lines, principal=None):
    who = principal or person()
    with db.scoped(link, who.scope) as conn:
        return monitor.report_cameras(conn, who, lines)


def line(code, state="ok", ago_s=0.0, reason=""):
    return {"camera": f"{code:020d}", "state": state, "reason": reason, "at": clock.iso(clock.now() - timedelta(seconds=ago_s))}


def test_a_recorder_vouches_for_its_cameras_and_is_told_which_it_does_not_have(link, owner):
    for number in (1, 2):
        town.camera(owner, number, 0, number, state="unknown")
    assert report(link, line(1), line(2, "lost", reason="no_signal"), line(9)) == {"changed": 2, "seen": 2, "unknown": [f"{9:020d}"]}
    assert report(link, line(1), line(2, "lost", reason="no_signal")) == {"changed": 0, "seen": 2, "unknown": []}
    [body] = told(link, "camera.changed")
    assert [(camera["state"], camera["evidence"]) for camera in body["cameras"]] == [("ok", "recorder"), ("lost", "recorder")]
    assert report(link, line(2, "lost", ago_s=-1), line(2, "ok", ago_s=-2))["changed"] == 1, "the newest line of a camera counts"
    assert link.execute("select count(*) as n from outage where until is null").fetchone()["n"] == 0


def test_a_late_report_does_not_undo_a_newer_one(link, owner):
    town.camera(owner, 1, 0, 0, state="unknown")
    report(link, line(1, "lost"))
    assert report(link, line(1, "ok", ago_s=30))["changed"] == 0


def test_a_recorder_does_not_overrule_the_stream_we_see(link, owner):
    town.camera(owner, 1, 0, 0, state="unknown", worker="vision-1")
    send(link, camera_says("frozen", 1))
    assert report(link, line(1, "ok"))["changed"] == 0
    assert link.execute("select state from camera").fetchone()["state"] == "frozen"


def test_a_recorder_speaks_for_the_cameras_of_a_silent_worker(link, owner):
    town.camera(owner, 1, 0, 0, state="unknown", worker="vision-1")
    assert report(link, line(1))["changed"] == 0
    owner.execute("insert into worker (worker, state) values ('vision-1', 'silent')")
    assert report(link, line(1))["changed"] == 1


def test_a_press_does_not_wait_for_a_recorders_long_report(city, link, owner, monkeypatch):
    town.camera(owner, 1, 0, 0, state="unknown")
    is_at_work, may_go_on, tell = threading.Event(), threading.Event(), monitor._tell_cameras

    def slow(conn, rows):
        is_at_work.set()
        may_go_on.wait(10)
        tell(conn, rows)

    monkeypatch.setattr(monitor, "_tell_cameras", slow)

    def work():
        with city.connect() as conn:
            report(conn, line(1))

    thread = threading.Thread(target=work)
    thread.start()
    assert is_at_work.wait(10)
    link.execute("set lock_timeout = '2s'")
    send(link, press())
    assert link.execute("select count(*) as n from alarm").fetchone()["n"] == 1
    may_go_on.set()
    thread.join(10)
    assert link.execute("select state from camera").fetchone()["state"] == "ok"


def test_a_recorder_reports_only_for_its_own_schools(link, owner):
    town.camera(owner, 1, 0, 0, state="unknown")
    assert report(link, line(1), principal=person(**town.SOUTHERN))["unknown"] == [f"{1:020d}"]
    assert report(link, line(1), principal=person(**town.NORTHERN))["changed"] == 1


@pytest.mark.parametrize(
    "wrong",
    [{"state": "asleep"}, {"at": "yesterday"}, {"at": "2026-11-02T12:00:00"}, {"at": "2999-01-01T00:00:00Z"}, {"camera": "a\x00"}],
    ids=["state", "time", "no-zone", "to-come", "nul"],
)
def test_a_report_nobody_can_read_is_refused_whole(link, owner, wrong):
    town.camera(owner, 1, 0, 0, state="unknown")
    with pytest.raises(monitor.BadReport):
        report(link, line(1), {**line(1), **wrong})
    assert link.execute("select state from camera").fetchone()["state"] == "unknown"


def test_a_camera_without_evidence_is_unknown_and_never_healthy(link, owner):
    town.camera(owner, 1, 0, 0, state="unknown")
    town.camera(owner, 2, 0, 1, state="unknown", school_id=town.SOUTH, district_code="440305", street_code="440305001")
    report(link, line(1, ago_s=700), line(2, ago_s=5))
    with db.scoped(link, db.CITY) as conn:
        assert monitor.age_cameras(conn) == 1
        assert monitor.age_cameras(conn) == 0
    assert [row["state"] for row in link.execute("select state from camera order by camera_id")] == ["unknown", "ok"]
    assert link.execute("select reason from outage where until is null").fetchone()["reason"] == "no_evidence"
    last = told(link, "camera.changed")[-1]
    assert (last["school_id"], [camera["state"] for camera in last["cameras"]]) == (town.NORTH, ["unknown"])
    report(link, line(1))
    assert link.execute("select count(*) as n from outage where until is null").fetchone()["n"] == 0


def hear(link, worker="devices-1"):
    with db.scoped(link, db.CITY) as conn:
        monitor.hear_worker(conn, worker, {"pid": 1})
    return follow(link)


def miss(link, *heard, silent_s=0.0):
    with db.scoped(link, db.CITY) as conn:
        names = monitor.miss_workers(conn, heard, silent_s=silent_s)
    follow(link)
    return names


def follow(link):
    """As the timed job does: one row at a time until nothing is left. Gives how many changed."""
    changed = 0
    while True:
        with db.scoped(link, db.CITY) as conn:
            count = monitor.follow_workers(conn, limit=1)
        changed += count
        if not count:
            return changed


@pytest.fixture
def configured(link):
    with db.scoped(link, db.CITY) as conn:
        monitor.refresh_desired(conn)


def test_what_only_a_silent_worker_could_vouch_for_is_unknown_until_it_speaks(link, owner, configured):
    town.camera(owner, 1, 0, 0, state="unknown", worker="vision-1", stream_url="http://127.0.0.1/1")
    send(link, word(BACK, 1), camera_says("ok", 1), happened(LOST, "mod-s", None, 2))
    hear(link)
    assert miss(link, silent_s=60) == []
    assert miss(link) == ["devices-1"]
    assert miss(link) == []
    assert (device(link)["state"], device(link)["state_reason"], device(link)["state_held"]) == ("unknown", "worker_silent", "up")
    assert link.execute("select state from camera").fetchone()["state"] == "ok", "another worker's"
    assert hear(link) == 2
    assert hear(link) == 0
    states = {row["code"]: row["state"] for row in link.execute("select code, state from device")}
    assert states == {"mod-n": "up", "mod-s": "lost"}
    assert link.execute("select count(*) as n from outage where reason = 'worker_silent' and until is null").fetchone()["n"] == 0


def test_what_a_worker_says_after_its_silence_is_not_undone_by_its_heartbeat(link, configured):
    send(link, word(BACK, 1))
    hear(link)
    miss(link)
    send(link, word(LOST, 2, 50, reason="timeout"))
    hear(link)
    assert (device(link)["state"], device(link)["state_reason"]) == ("lost", "timeout")


def test_a_worker_that_never_spoke_is_silent(link, configured):
    assert miss(link) == ["devices-1"]
    with db.scoped(link, db.CITY) as conn:
        assert [(row["worker"], row["state"]) for row in monitor.workers(conn)] == [("devices-1", "silent")]


def test_uptime_is_what_the_outages_leave_and_what_was_never_seen_was_never_up(link, owner):
    town.camera(owner, 1, 0, 0)
    send(link, word(BACK, 1, -40_000), word(LOST, 2, -36_000), word(BACK, 3, -18_000))  # noon UTC is 20:00 in Shenzhen: 5 of 24 hours
    with db.scoped(link, db.CITY) as conn:
        assert monitor.roll_uptime(conn, town.NOON.date(), "Asia/Shanghai") == 3
        monitor.roll_uptime(conn, town.NOON.date(), "Asia/Shanghai")
    found = {(row["school_id"], row["kind"]): row["up_share"] for row in link.execute("select * from uptime_day")}
    assert found[town.NORTH, "device"] == pytest.approx(1 - 5 / 24, abs=1e-4)
    assert found[town.SOUTH, "device"] == 0
    assert found[town.NORTH, "camera"] == 0


def test_devices_of_others_are_not_listed(link):
    send(link, word(BACK, 1))
    for scope, expected in (
        (town.NORTHERN, ["mod-n"]),
        (town.SOUTHERN, ["mod-s"]),
        ({"is_city": True}, ["mod-s", "mod-n"]),
        ({"is_city": False}, []),
    ):
        with db.scoped(link, person(**scope).scope) as conn:
            assert [row["code"] for row in monitor.device_states(conn)] == expected
    with db.scoped(link, db.CITY) as conn:
        assert [row["code"] for row in monitor.device_states(conn, town.NORTH)] == ["mod-n"]
