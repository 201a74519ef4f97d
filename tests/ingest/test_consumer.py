"""The consumer with a real Redis and a real PostgreSQL: once each, panic first, nothing lost, nothing endless."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.core import clock, db, events, stream
from data.core.events import Kind, encode
from data.ingest import handlers
from data.ingest.consumer import Consumer
from tests.ingest import town
from tests.ingest.town import happened, person, press


@contextmanager
def consuming(city, *names):
    """Consumers in threads; stopped and joined at the end."""
    consumers = [Consumer(city.settings, name) for name in names or ("one",)]
    threads = [threading.Thread(target=consumer.run) for consumer in consumers]
    for thread in threads:
        thread.start()
    try:
        yield consumers
    finally:
        for consumer in consumers:
            consumer.stop()
        for thread in threads:
            thread.join(15)
            assert not thread.is_alive()


@pytest.fixture
def read(city):
    with city.owner() as conn:

        def one(query, *values):
            return conn.execute(query, values or None).fetchone()

        yield one


@pytest.fixture
def count(read):
    def of(table, where="true"):
        return read(f"select count(*) as n from {table} where {where}")["n"]  # noqa: S608 - names are ours

    return of


@pytest.fixture
def is_drained(redis):
    reader = stream.Reader(redis, "watcher")
    return lambda: not any(reader.lag().values())


def send(redis, *batch):
    for event in batch:
        stream.publish(redis, encode(event), is_panic=event.kind in events.PANIC_KINDS)


def test_a_press_reaches_the_outbox_the_web_and_the_mark(city, redis, wait_for, count):
    heard = redis.pubsub(ignore_subscribe_messages=True)
    heard.subscribe("campus:outbox")
    with consuming(city):
        send(redis, press())
        wait_for(lambda: count("alarm") == 1)
        wait_for(lambda: redis.get("campus:mark:devices-1") == b"1")
        message = wait_for(lambda: heard.get_message(timeout=0.1))
        assert int(message["data"]) == 1
        wait_for(lambda: redis.xpending("campus:panic", "ingest")["pending"] == 0)
    heard.close()


def test_the_same_event_ten_times_is_one_event_one_alarm_one_message(city, redis, wait_for, count, is_drained):
    with consuming(city, "one", "two"):
        for _ in range(10):
            send(redis, press(), happened(Kind.DEVICE_LOST, channel=None, number=2, data={"reason": "timeout"}))
        wait_for(is_drained)
    assert (count("event"), count("alarm"), count("outbox", "kind = 'alarm.changed'"), count("outbox", "kind = 'device.changed'")) == (
        2,
        1,
        1,
        1,
    )
    assert count("alarm", "presses = 1") == 1


def test_two_consumers_store_everything_once_and_the_mark_has_no_gap(city, redis, wait_for, count, read, is_drained):
    with consuming(city, "one", "two"):
        for number in range(1, 401):
            kind = press if number % 7 == 0 else lambda number: happened(Kind.DEVICE_RESTARTED, channel=None, number=number)
            send(redis, kind(number=number))
        wait_for(is_drained, 20)
        wait_for(lambda: redis.get("campus:mark:devices-1") == b"400")
    assert count("event") == 400
    assert read("select presses from alarm")["presses"] == 57
    assert read("select array_agg((body->>'press')::int order by seq) as told from outbox where kind = 'alarm.changed'")["told"] == list(
        range(1, 58)
    )
    assert count("source_span") == 0


def test_the_mark_waits_for_what_panic_has_overtaken(city, redis, wait_for, count, read):
    with consuming(city):
        send(redis, press(number=3))
        wait_for(lambda: count("alarm") == 1)
        wait_for(lambda: redis.get("campus:mark:devices-1") == b"0")
        send(redis, happened(Kind.DEVICE_RESTARTED, channel=None, number=2), happened(Kind.DEVICE_RESTARTED, channel=None, number=1))
        wait_for(lambda: redis.get("campus:mark:devices-1") == b"3")
        send(redis, happened(Kind.DEVICE_RESTARTED, channel=None, number=9))
        wait_for(lambda: count("source_span") == 1)
        redis.set("campus:floor:devices-1", 8)  # the spool says that 4 to 8 can never come
        wait_for(lambda: redis.get("campus:mark:devices-1") == b"9")
    assert read("select seq from source_mark where source = 'devices-1'")["seq"] == 9


GARBAGE = {
    "not-json": b"\xff\xfe nonsense",
    "empty": b"",
    "a-list": b"[1, 2]",
    "unknown-kind": encode(press()).replace(b"alarm.raised", b"alarm.sung"),
    "unknown-version": encode(press()).replace(b'"v":1', b'"v":9'),
    "no-time-zone": encode(press()).replace(b"+00:00", b""),
    "huge": b'{"v":1,"x":"' + b"a" * 70_000 + b'"}',
    "nul": encode(press()).replace(b"mod-n", b"mod\\u0000n"),
    "deep": b"[" * 20_000,
}


@pytest.mark.parametrize("lane", ["campus:panic", "campus:event"])
def test_what_cannot_be_read_is_a_visible_dead_letter_and_the_next_event_comes_through(city, redis, wait_for, count, is_drained, lane):
    with consuming(city):
        for body in GARBAGE.values():
            redis.xadd(lane, {"b": body})
        send(redis, press(number=2))
        wait_for(lambda: count("dead_letter") == len(GARBAGE))
        wait_for(lambda: count("alarm") == 1)
        wait_for(is_drained)
    letters = {bytes(row["body"]): row for row in _all(city, "select * from dead_letter")}
    for name, body in GARBAGE.items():
        assert "Malformed" in letters[body]["reason"], name
        assert letters[body]["stream"] == lane
    told = _all(city, "select requires, body from outbox where kind = 'deadletter.changed' order by seq")
    assert [row["body"]["waiting"] for row in told] == list(range(1, len(GARBAGE) + 1))
    assert {row["requires"] for row in told} == {"deadletter.view"}


POISON = {
    "state-that-does-not-exist": happened(Kind.CAMERA_CHANGED, "mod-n", None, data={"state": "singing"}),
    "text-where-a-number-belongs": happened(Kind.FIX_RECORDED, "U1", None, data={"lon": "east", "lat": 1}),
    "not-a-uuid": happened(Kind.OUTPUT_CONFIRMED, "mod-n", 0, data={"command_id": "no-uuid"}),
    "a-year-no-database-has": happened(Kind.DEVICE_BACK, "mod-n", None, data={"reason": ["list"]}),
    "channel-out-of-range": happened(Kind.DEVICE_RESTARTED, "mod-n", 2**40),
    "number-out-of-range": happened(Kind.DEVICE_RESTARTED, "mod-n", None, seq=2**70),
}


def test_an_event_that_cannot_be_applied_is_buried_and_its_neighbours_are_stored(city, redis, wait_for, count, is_drained):
    """In one batch with good ones: the good are stored, the bad are dead letters, the mark passes over both."""
    batch, number = [], 0
    for event in POISON.values():
        for one in (happened(Kind.DEVICE_RESTARTED, channel=None, number=number), event):
            number += 1
            batch.append(replace(one, seq=one.seq if one.seq > 2**62 else number))
    send(redis, *batch)
    with consuming(city):
        wait_for(lambda: count("dead_letter") == len(POISON))
        wait_for(lambda: count("event") == len(POISON))
        wait_for(is_drained)
        wait_for(lambda: redis.get("campus:mark:devices-1") == str(number - 1).encode())  # the last one's number fits into no database
    buried = {events.decode(bytes(row["body"])).event_id for row in _all(city, "select body from dead_letter")}
    assert buried == {event.event_id for event in POISON.values()}


def test_a_dead_letter_can_be_replayed_once_its_cause_is_gone(city, redis, wait_for, count, read):
    body = encode(press()).replace(b"alarm.raised", b"alarm.sung")
    with consuming(city):
        redis.xadd("campus:event", {"b": body})
        wait_for(lambda: count("dead_letter") == 1)
    number = read("select dead_letter_id from dead_letter")["dead_letter_id"]
    with city.connect() as conn:
        with db.scoped(conn, db.CITY) as scoped:
            assert handlers.replay_dead_letter(scoped, number, person()) == "failed"
        assert count("dead_letter", "replayed_at is null and outcome like 'Malformed%'") == 1
        with city.owner() as owner:
            owner.execute("update dead_letter set body = %s", (encode(press()),))  # as an update that knows the kind would read it
        with db.scoped(conn, db.CITY) as scoped:
            assert handlers.replay_dead_letter(scoped, number, person()) == "stored"
        with db.scoped(conn, db.CITY) as scoped:
            assert handlers.replay_dead_letter(scoped, number, person()) == "duplicate"
        with pytest.raises(handlers.NoSuchDeadLetter), db.scoped(conn, db.CITY) as scoped:
            handlers.replay_dead_letter(scoped, 999, person())
    assert count("alarm") == 1
    assert [row["act"] for row in _all(city, "select act from audit order by seq")] == ["deadletter.replay"] * 3
    assert [row["body"]["waiting"] for row in _all(city, "select body from outbox where kind = 'deadletter.changed' order by seq")] == [
        1,
        1,
        0,
        0,
    ]


def _all(city, query):
    with city.owner() as conn:
        return conn.execute(query).fetchall()


def test_an_emptied_redis_gets_its_groups_and_marks_again(city, redis, wait_for, count):
    with consuming(city):
        send(redis, press())
        wait_for(lambda: redis.get("campus:mark:devices-1") == b"1")
        redis.flushall()
        send(redis, press(number=2))
        wait_for(lambda: count("event") == 2)
    with consuming(city, "other"):  # and a new consumer writes the marks before anything new comes
        redis.delete("campus:mark:devices-1")
    with consuming(city, "third"):
        wait_for(lambda: redis.get("campus:mark:devices-1") == b"2")


def test_entries_of_a_dead_consumer_are_taken_over(city, redis, wait_for, count, monkeypatch):
    monkeypatch.setattr("data.ingest.consumer.RECLAIM_IDLE_MS", 300)
    dead = stream.Reader(redis, "dead")
    dead.ensure_groups()
    send(redis, press(), happened(Kind.DEVICE_LOST, channel=None, number=2))
    assert len(dead.read(10, 0)) + len(dead.read(10, 0)) == 2
    with consuming(city):
        wait_for(lambda: count("event") == 2, 6)


def test_a_consumer_that_comes_back_under_its_name_finishes_at_once(city, redis, wait_for, count):
    before = stream.Reader(redis, "one")
    before.ensure_groups()
    send(redis, press())
    assert len(before.read(10, 0)) == 1
    with consuming(city, "one"):
        wait_for(lambda: count("alarm") == 1, 3)


def test_an_older_word_of_a_device_changes_nothing_whoever_brings_it_first(city, redis, wait_for, count, read, is_drained):
    back = happened(Kind.DEVICE_BACK, channel=None, number=2, event_at=town.NOON + timedelta(seconds=9), data={"gap_s": 9})
    lost = happened(Kind.DEVICE_LOST, channel=None, number=1, data={"reason": "timeout"})
    with consuming(city):
        send(redis, back)
        wait_for(is_drained)
        send(redis, lost)
        wait_for(is_drained)
        wait_for(lambda: count("event") == 2)
    assert read("select state from device where code = 'mod-n'")["state"] == "up"
    outage = read("select since, until from outage")
    assert (outage["since"], outage["until"]) == (town.NOON, town.NOON + timedelta(seconds=9))


FACE = "c2VjcmV0IGZhY2U="


@pytest.mark.parametrize(
    "body",
    [
        encode(happened(Kind.CANDIDATE_FOUND, "nobody", None, data={"entry_id": 1, "score": 0.7, "sealed_picture": FACE})),
        encode(happened(Kind.CANDIDATE_FOUND, "nobody", None, data={"sealed_picture": FACE})).replace(b'"v":1', b'"v":9'),
        encode(happened(Kind.CANDIDATE_FOUND, "nobody", None, data={"sealed_picture": FACE}))[:-1],
    ],
    ids=["of-no-camera", "of-another-version", "cut-short"],
)
def test_a_face_is_in_no_stream_no_history_and_no_dead_letter_once_it_is_handled(city, redis, wait_for, count, is_drained, body):
    with consuming(city):
        redis.xadd("campus:event", {"b": body})
        wait_for(lambda: count("event") + count("dead_letter") == 1)
        wait_for(is_drained)
        wait_for(lambda: redis.xlen("campus:event") == 0)
    kept = _all(city, "select data::text as said from event union all select convert_from(body, 'UTF8') from dead_letter")
    assert len(kept) == 1
    assert FACE not in kept[0]["said"]


def test_panic_overtakes_a_storm_and_nothing_is_lost(city, redis, wait_for, count, is_drained):
    """20,000 ordinary events wait, one button is pressed: its alarm is committed within a second."""
    pipe = redis.pipeline(transaction=False)
    for number in range(1, 20_001):
        stream.publish(pipe, encode(happened(Kind.DEVICE_RESTARTED, "mod-s", None, number)), is_panic=False)
    pipe.execute()
    heard = redis.pubsub(ignore_subscribe_messages=True)
    heard.subscribe("campus:outbox")
    with consuming(city, "one", "two"):
        wait_for(lambda: count("event") > 2_000, 20)
        sent = json.loads(json.dumps(redis.time()))
        send(redis, press(number=20_001))
        wait_for(lambda: count("alarm") == 1, 1.0)
        assert not is_drained(), "the storm was over before the press: the test proves nothing"
        wait_for(is_drained, 60)
        wait_for(lambda: redis.get("campus:mark:devices-1") == b"20001")
    assert count("event") == 20_001
    assert sent
    heard.close()


def test_an_event_that_breaks_the_connection_every_time_is_buried_too(city, redis, wait_for, count, is_drained, monkeypatch):
    def crash(conn, event):
        conn.execute("select pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr("data.ingest.consumer.MOST_BREAKS", 2)
    monkeypatch.setattr(handlers, "HANDLERS", {**handlers.HANDLERS, Kind.INPUT_CHATTERED: (crash,)})
    send(
        redis,
        *(happened(Kind.DEVICE_RESTARTED, channel=None, number=number) for number in (1, 2)),
        happened(Kind.INPUT_CHATTERED, number=3),
    )
    with consuming(city):
        wait_for(lambda: count("dead_letter") == 1, 10)
        wait_for(is_drained)
    assert count("event") == 2


def test_a_schema_that_is_not_there_yet_is_waited_for_and_fills_no_dead_letters(city, redis, wait_for, count, owner):
    owner.execute("alter table alarm_step rename to alarm_step_later")
    with consuming(city):
        wait_for(lambda: redis.exists("campus:worker:ingest"))
        send(redis, press())
        wait_for(lambda: redis.xpending("campus:panic", "ingest")["pending"] == 1)
        owner.execute("alter table alarm_step_later rename to alarm_step")
        wait_for(lambda: count("alarm") == 1, 10)
    assert count("dead_letter") == 0


def test_a_press_while_postgresql_refuses_is_stored_when_it_is_back(city, redis, wait_for, count, owner):
    """Nobody may connect for a while: entries stay pending, the consumer lives, the press comes through once."""
    with consuming(city):
        send(redis, press())
        wait_for(lambda: count("alarm") == 1)
        owner.execute("revoke connect on database " + city.name + " from app, public")
        owner.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'app'")
        send(redis, press(number=2))
        wait_for(lambda: redis.xpending("campus:panic", "ingest")["pending"] == 1)
        owner.execute("grant connect on database " + city.name + " to app")
        wait_for(lambda: count("event") == 2, 10)
    assert count("alarm", "presses = 2") == 1


def test_a_tracker_moves_its_unit_on_every_wall_and_never_through_the_outbox(city, redis, wait_for, count, owner):
    owner.execute("update unit set position_at = now() - interval '1 hour'")
    heard = redis.pubsub(ignore_subscribe_messages=True)
    heard.subscribe("campus:moved")
    with consuming(city):
        send(redis, happened(Kind.FIX_RECORDED, "U2", None, event_at=clock.now(), data={"lon": 114.1, "lat": 22.6}))
        body = json.loads(wait_for(lambda: heard.get_message(timeout=0.1))["data"])
    heard.close()
    assert (body["code"], body["lon"], body["district_code"]) == ("U2", 114.1, "440304")
    assert count("outbox") == 0


@given(order=st.permutations(range(1, 13)), cuts=st.lists(st.integers(1, 5), min_size=12, max_size=12), floor=st.integers(0, 5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_mark_is_always_the_number_below_which_nothing_is_missing(owner, order, cuts, floor):
    """Whatever the order and the batches, with numbers that come twice and a spool that begins above one."""
    owner.execute("truncate source_mark, source_span")
    order, have = [*order, *order[:3]], set(range(1, floor + 1))
    for cut in cuts:
        batch, order = order[:cut], order[cut:]
        have |= set(batch)
        expected = next(number for number in range(20) if number + 1 not in have)
        found = owner.execute("select mark_source('s', %s::bigint[], %s) as mark", (batch, floor)).fetchone()["mark"]
        assert found == expected
        assert owner.execute("select count(*) as n from source_span").fetchone()["n"] == len(
            [number for number in have if number > expected]
        )


def test_a_gap_below_thousands_does_not_slow_the_commits_down(owner):
    owner.execute("select mark_source('s', array(select generate_series(2, 30000)), 0)")
    before = time.monotonic()
    for number in range(30_001, 30_101):
        owner.execute("select mark_source('s', array[%s]::bigint[], 0)", (number,))
    assert time.monotonic() - before < 1.0, "100 commits above a gap of 30,000"
    assert owner.execute("select mark_source('s', array[1]::bigint[], 0) as mark").fetchone()["mark"] == 30_100
