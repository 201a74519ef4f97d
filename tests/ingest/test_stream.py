"""The two streams as they are: panic first, nothing skipped, nothing removed that somebody still owes."""

from __future__ import annotations

import itertools

import pytest

from data.core import clock, stream


@pytest.fixture
def reader(redis):
    made = stream.Reader(redis, "one")
    made.ensure_groups()
    return made


def test_panic_comes_first_and_alone_then_the_rest_in_order(redis, reader):
    for number in range(3):
        stream.publish(redis, b"event %d" % number, is_panic=False)
    stream.publish(redis, b"panic", is_panic=True)
    assert [entry.body for entry in reader.read(10, 0)] == [b"panic"]
    assert [entry.body for entry in reader.read(2, 0)] == [b"event 0", b"event 1"]
    assert [entry.body for entry in reader.read(2, 0)] == [b"event 2"]
    assert reader.read(2, 0) == []


def test_much_panic_gives_the_rest_its_turn(redis, reader):
    """Or the numbers below the panic ones would never be stored, and their spool could forget nothing."""
    for number in range(6):
        stream.publish(redis, b"panic %d" % number, is_panic=True)
        stream.publish(redis, b"event %d" % number, is_panic=False)
    said = [entry.body.split()[0].decode() for _ in range(7) for entry in reader.read(2, 0)]
    assert said == ["panic"] * 2 + ["event"] * 2 + ["panic"] * 2 + ["event"] * 2 + ["panic"] * 2 + ["event"] * 2


def test_what_was_written_before_the_group_existed_is_read(redis):
    stream.publish(redis, b"early", is_panic=False)
    stream.publish(redis, b"early panic", is_panic=True)
    late = stream.Reader(redis, "one")
    assert [entry.body for entry in late.read(10, 0)] == [b"early panic"]
    assert [entry.body for entry in late.read(10, 0)] == [b"early"]


def test_only_what_is_acknowledged_is_trimmed(redis, reader):
    for number in range(500):
        stream.publish(redis, b"%d" % number, is_panic=False)
    entries = reader.read(400, 0)
    reader.ack(entries[:200])
    assert reader.trim(-1_000) <= 200
    assert redis.xlen("campus:event") >= 300
    assert [entry.body for entry in reader.pending_of_mine(500)] == [b"%d" % number for number in range(200, 400)]
    assert len(reader.read(500, 0)) == 100


def test_young_entries_stay_and_another_groups_stream_is_left_alone(redis, reader):
    for number in range(300):
        stream.publish(redis, b"%d" % number, is_panic=False)
    reader.ack(reader.read(300, 0))
    assert reader.trim(60_000) == 0
    redis.xgroup_create("campus:event", "another", id="0")
    assert reader.trim(-1_000) == 0


def test_a_consumer_that_owes_nothing_is_forgotten_and_one_that_owes_is_not(redis, reader):
    for name in ("idle", "owing"):
        stream.Reader(redis, name).read(1, 0)
    stream.publish(redis, b"x", is_panic=False)
    owing = stream.Reader(redis, "owing")
    assert len(owing.read(1, 0)) == 1
    reader.sweep(-1)
    assert [consumer["name"] for consumer in redis.xinfo_consumers("campus:event", "ingest")] == [b"owing"]


def test_time_that_is_kept_steady_does_not_jump_with_the_machines_clock():
    wall, monotonic = [1_000.0], [5.0]
    steady = clock.Steady(lambda: wall[0], lambda: monotonic[0])
    seen = [steady.now()]
    for jump_s, expected_ms in itertools.chain([(0.0, 0.0), (3600.0, 3_600_000.0), (-7200.0, -7_200_000.0), (0.4, 0.0)]):
        monotonic[0] += 1
        wall[0] += 1 + jump_s
        before = steady.now()
        assert (before - seen[-1]).total_seconds() == pytest.approx(1.0, abs=0.01)
        assert steady.step_ms() == pytest.approx(expected_ms, abs=1.0)
        seen.append(steady.now())
