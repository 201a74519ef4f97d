"""The live stream: everything, once, in order, to those who may see it, whatever falls over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from data.core import db, outbox
from data.core.access import Scope
from mapapp import live, reader
from tests import builders
from tests.web.conftest import Browser
from tests.web.sse import Stream


def tell(rows: db.Connection, number: int, *, kind: str = "alarm.changed", requires: str = "alarm.view", wake=None, **stamp: object) -> int:
    with rows.transaction():
        seq = outbox.put(rows, kind, requires, {"alarm_id": number}, **stamp)
    if wake is not None:
        outbox.wake(wake, seq)
    return seq


@pytest.fixture
def open_stream() -> Iterator[Callable[..., Stream]]:
    opened: list[Stream] = []

    def begin(browser: Browser, **given: object) -> Stream:
        opened.append(Stream(browser, **given))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()


def numbers(stream: Stream) -> list[int]:
    return [frame.body["alarm_id"] for frame in stream.of("alarm.changed")]


def test_a_new_browser_gets_the_state_and_then_what_happens(browser, rows, redis, open_stream):
    device = builders.make_device(rows, builders.make_school(rows)["school_id"])
    alarm = builders.make_alarm(rows, device)
    seq = tell(rows, 1)
    one = open_stream(browser("dispatcher", is_city=True))
    first = one.wait(lambda s: s.of("snapshot"))[0]
    assert (first.seq, first.body["seq"]) == (seq, seq)
    assert [row["alarm_id"] for row in first.body["alarms"]] == [alarm["alarm_id"]]
    tell(rows, 2, wake=redis)
    one.wait(lambda s: numbers(s) == [2])


def test_a_message_arrives_within_a_tenth_of_a_second_when_redis_says_so(browser, rows, redis, open_stream):
    one = open_stream(browser("dispatcher", is_city=True))
    one.wait(lambda s: s.of("snapshot"))
    late = []
    for number in range(20):
        begun = time.monotonic()
        tell(rows, number, wake=redis)
        one.wait(lambda s, n=number: n in numbers(s))
        late.append(time.monotonic() - begun)
    assert sorted(late)[10] < 0.1


def test_without_redis_a_message_is_a_second_late_and_not_lost(browser, rows, open_stream):
    one = open_stream(browser("dispatcher", is_city=True))
    one.wait(lambda s: s.of("snapshot"))
    tell(rows, 7)
    one.wait(lambda s: numbers(s) == [7], seconds=reader.POLL_S + 1)


def test_a_browser_that_comes_back_gets_exactly_what_it_missed(browser, rows, redis, open_stream):
    viewer = browser("dispatcher", is_city=True)
    one = open_stream(viewer)
    one.wait(lambda s: s.of("snapshot"))
    last = tell(rows, 1, wake=redis)
    one.wait(lambda s: numbers(s) == [1])
    one.close()
    for number in range(2, 40):
        tell(rows, number, wake=redis)
    for again in (open_stream(viewer, last_id=last), open_stream(viewer, after=last)):
        again.wait(lambda s: len(numbers(s)) == 38)
        assert numbers(again) == list(range(2, 40))
        assert not again.of("snapshot")


def test_after_a_restart_of_the_web_what_was_missed_comes_from_postgresql(database, start, visitor, rows, redis, open_stream):
    login = builders.make_account(rows, "dispatcher", is_city=True)["login"]
    first = start(database.settings)
    viewer = visitor(first.url, login)
    one = open_stream(viewer)
    one.wait(lambda s: s.of("snapshot"))
    last = tell(rows, 0, wake=redis)
    one.wait(lambda s: numbers(s) == [0])
    first.server.should_exit = True
    assert one.is_over.wait(5)
    with rows.transaction():
        for number in range(1, reader.KEPT + 200):
            outbox.put(rows, "alarm.changed", "alarm.view", {"alarm_id": number})
    viewer.url = start(database.settings).url
    again = open_stream(viewer, after=last)
    again.wait(lambda s: len(numbers(s)) == reader.KEPT + 199, seconds=10)
    assert numbers(again) == list(range(1, reader.KEPT + 200))


def test_an_id_that_is_too_old_or_unknown_gets_a_snapshot(browser, rows, redis, open_stream):
    viewer = browser("dispatcher", is_city=True)
    tell(rows, 1)
    kept = tell(rows, 2, wake=redis)
    for last_id in (kept + 1000, -1):
        assert open_stream(viewer, last_id=last_id).wait(lambda s: s.of("snapshot"))[0].seq >= kept


def test_a_trimmed_outbox_gives_a_snapshot_not_a_gap(database, start, visitor, rows, owner, redis, open_stream):
    login = builders.make_account(rows, "dispatcher", is_city=True)["login"]
    seqs = [tell(rows, number) for number in range(6)]
    owner.execute("delete from outbox where seq < %s", (seqs[4],))
    viewer = visitor(start(database.settings).url, login)
    assert open_stream(viewer, last_id=seqs[1]).wait(lambda s: s.frames)[0].kind == "snapshot"
    whole = open_stream(viewer, last_id=seqs[3])
    whole.wait(lambda s: numbers(s) == [4, 5])


def test_everybody_gets_what_is_theirs_and_nothing_else(browser, rows, redis, open_stream):
    here, there = builders.make_school(rows, district_code="440304"), builders.make_school(rows, district_code="440305", lon=113.9)
    city = open_stream(browser("dispatcher", is_city=True))
    district = open_stream(browser("officer", districts=("440304",)))
    school = open_stream(browser("school", schools=(there["school_id"],)))
    blind = open_stream(browser("registrar", is_city=True))
    for one in (city, district, school, blind):
        one.wait(lambda s: s.of("snapshot"))
    stamps = {1: here, 2: there}
    for number, row in stamps.items():
        tell(rows, number, district_code=row["district_code"], school_id=row["school_id"])
    tell(rows, 3)
    last = tell(rows, 4, kind="unit.changed", requires="place.view", wake=redis)
    for one in (city, district, school, blind):
        one.wait(lambda s: any(frame.seq == last for frame in s.frames))
    assert numbers(city) == [1, 2, 3]
    assert numbers(district) == [1, 3]
    assert numbers(school) == [2, 3]
    assert numbers(blind) == []


def test_positions_reach_those_of_the_district_only(browser, rows, redis, open_stream):
    inside, outside = open_stream(browser("officer", districts=("440304",))), open_stream(browser("officer", districts=("440305",)))
    for one in (inside, outside):
        one.wait(lambda s: s.of("snapshot"))
    redis.publish(reader.MOVED, outbox.dumps({"unit_id": 1, "district_code": "440304", "street_code": None, "lon": 114.0, "lat": 22.5}))
    inside.wait(lambda s: s.of("unit.moved"))
    tell(rows, 1, wake=redis)
    outside.wait(lambda s: numbers(s) == [1])
    assert not outside.of("unit.moved")


def test_logging_out_ends_the_open_stream(browser, open_stream):
    viewer = browser("dispatcher", is_city=True)
    one = open_stream(viewer)
    one.wait(lambda s: s.of("snapshot"))
    viewer.post("/logout")
    one.wait(lambda s: s.of("bye"))
    assert one.is_over.wait(5)


def test_a_session_that_ended_without_a_word_ends_its_stream_too(database, start, visitor, rows, open_stream, monkeypatch):
    monkeypatch.setattr(live, "TICK_S", 0.1)
    login = builders.make_account(rows, "dispatcher", is_city=True)["login"]
    one = open_stream(visitor(start(database.settings).url, login))
    one.wait(lambda s: s.of("snapshot"))
    rows.execute("update session set ended_at = now()")
    one.wait(lambda s: s.of("bye"))


def test_the_tick_counts_what_its_reader_may_see(browser, running, rows, open_stream, monkeypatch):
    school = builders.make_school(rows, district_code="440304")
    other = builders.make_school(rows, district_code="440305", lon=113.9)
    builders.make_device(rows, school["school_id"])
    builders.make_device(rows, other["school_id"], state="lost")
    builders.make_camera(rows, school)
    one = open_stream(browser("officer", districts=("440304",)))
    tick = one.wait(lambda s: s.of("tick"), seconds=live.TICK_S + 3)[0].body
    assert (tick["schools_total"], tick["schools_online"], tick["devices_total"], tick["devices_up"]) == (1, 1, 1, 1)
    assert (tick["cameras_ok"], tick["cameras_total"]) == (1, 1)
    assert tick["dead_letters"] is None
    assert {"now", "read_at", "lag_ms", "roles", "open_alarms"} <= set(tick)


def test_a_slow_browser_is_cut_off_and_misses_nothing():
    person = builders.principal({"account_id": 1, "login": "x", "role": "dispatcher"}, is_city=True)
    client = live.Client(principal=person, session_hash=b"x")
    data = b"x" * 1000
    pushed = 0
    while client.push(pushed + 1, data):
        pushed += 1
        assert pushed < 2 * live.MAX_WAITING_BYTES / 1000
    assert client.is_over
    assert client.take() == b""  # nothing half: it asks again from the last whole one


@pytest.mark.parametrize(
    ("scope", "expected"),
    [(Scope(is_city=True), True), (Scope(districts=frozenset({"a"})), True), (Scope(schools=frozenset({1})), True), (Scope(), False)],
)
def test_a_message_is_for_those_whose_scope_covers_it(scope, expected):
    assert scope.covers(district_code="a", street_code=None, school_id=1) is expected


def test_an_account_cannot_open_streams_without_end(browser, open_stream, monkeypatch):
    monkeypatch.setattr(live, "MAX_PER_ACCOUNT", 2)
    viewer = browser("dispatcher", is_city=True)
    assert [open_stream(viewer).status for _ in range(3)] == [200, 200, 429]


def test_a_stop_with_open_streams_takes_less_than_two_seconds(database, start, visitor, rows, open_stream):
    login = builders.make_account(rows, "dispatcher", is_city=True)["login"]
    running = start(database.settings)
    streams = [open_stream(visitor(running.url, login)) for _ in range(5)]
    for one in streams:
        one.wait(lambda s: s.of("snapshot"))
    begun = time.monotonic()
    running.server.should_exit = True
    for one in streams:
        assert one.is_over.wait(5)
    assert time.monotonic() - begun < 2.0
