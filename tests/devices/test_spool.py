"""The spool keeps every event until PostgreSQL has it, whatever the disk and Redis do."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from data.core import events
from data.core.spool import Sender, Spool, SpoolFull

Wait = Callable[..., Any]


def press(number: int, kind: events.Kind = events.Kind.ALARM_RAISED, **data: Any) -> events.Event:
    return events.Event(
        event_id=events.event_id_of("test", kind, number), kind=kind, source="devices-1", subject="M1", channel=0,
        event_at=datetime.now(UTC), data=data,
    )  # fmt: skip


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool.sqlite", "devices-1")
    yield made
    made.close()


@pytest.fixture
def sending() -> Iterator[Callable[..., Sender]]:
    started: list[Sender] = []

    def start(*args: Any, **kwargs: Any) -> Sender:
        sender = Sender(*args, **kwargs)
        sender.start()
        started.append(sender)
        return sender

    yield start
    for sender in started:
        sender.stop()


def test_append_numbers_and_stamps_and_the_same_id_is_stored_once(spool: Spool) -> None:
    first = spool.append(press(1), baseline={"M1/0": 7, "M1/1": b"on"})
    assert first.seq == 1
    assert first.spooled_at is not None
    assert spool.append(press(1)) == first
    assert [e.seq for e in spool.extend([press(2), press(1), press(3)])] == [2, 1, 3]
    assert spool.waiting == 3
    assert spool.last_seq == 3
    assert (spool.baseline("M1/0"), spool.baseline("M1/1"), spool.baseline("M2/0")) == ("7", "on", None)
    assert spool.baselines("M1/") == {"M1/0": "7", "M1/1": "on"}
    assert [seq for seq, _ in spool.unsent(1, 10)] == [2, 3]
    assert events.decode(spool.unsent(0, 1)[0][1]) == first


def test_numbers_never_fall_and_baselines_stay_when_the_worker_starts_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.sqlite", "devices-1")
    spool.extend([press(n) for n in range(5)], baseline={"k": "v"})
    spool.forget(5)
    spool.close()
    again = Spool(tmp_path / "s.sqlite", "devices-1")
    assert again.waiting == 0
    assert again.baseline("k") == "v"
    assert again.append(press(9)).seq == 6
    again.close()


def test_a_forgotten_picture_leaves_the_file_and_its_log(spool: Spool, tmp_path: Path) -> None:
    secret = "SEALED" * 40
    spool.append(press(1, events.Kind.CANDIDATE_FOUND, sealed_picture=secret))
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() in held
    spool.forget(1)
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() not in left


def fill(spool: Spool) -> None:
    for number in range(1, 1000):
        spool.append(press(number, padding="x" * 2000), baseline={"k": f"new-{number}"})


@pytest.mark.parametrize("how", ["page-limit", "file-size-limit"])
def test_a_full_disk_stores_nothing_and_ends_when_there_is_room(tmp_path: Path, how: str) -> None:
    spool = Spool(tmp_path / "s.sqlite", "devices-1")
    spool.append(press(0), baseline={"k": "old"})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if how == "page-limit":
        spool._db.execute("pragma max_page_count = 12")
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(SpoolFull):
            fill(spool)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    kept = spool.waiting
    assert 1 < kept < 1000
    assert spool.baseline("k") == f"new-{kept - 1}", "event and baseline belong together"
    spool._db.execute("pragma max_page_count = 100000")
    assert spool.append(press(2000)).seq == kept + 1
    spool.close()


def test_a_damaged_file_is_set_aside_and_the_worker_starts(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_bytes(b"not a database at all" * 500)
    spool = Spool(path, "devices-1")
    assert spool.set_aside
    assert spool.set_aside.read_bytes().startswith(b"not a database")
    assert spool.append(press(1)).seq == 1
    spool.close()


def test_panic_goes_first_and_everything_arrives_in_order(spool: Spool, own_redis: Any, sending: Any, wait_for: Wait) -> None:
    others = [press(n, events.Kind.DEVICE_LOST) for n in range(450)]
    panics = [press(n) for n in range(3)]
    spool.extend([*others, *panics])
    sending(spool, own_redis.client())
    wait_for(lambda: len(own_redis.ids(is_panic=False)) == 450)
    assert own_redis.ids() == [e.event_id for e in panics]
    assert own_redis.ids(is_panic=False) == [e.event_id for e in others]
    client = own_redis.client()
    first_panic = client.xrange("campus:panic", count=1)[0][0]
    assert first_panic <= client.xrange("campus:event", count=1)[0][0]
    client.close()


def test_the_spool_forgets_only_what_postgresql_has(spool: Spool, own_redis: Any, sending: Any, wait_for: Wait) -> None:
    client = own_redis.client()
    client.set("campus:mark:devices-1", 0)
    sending(spool, own_redis.client())
    spool.extend([press(n) for n in range(10)])
    wait_for(lambda: len(own_redis.ids()) == 10)
    assert spool.waiting == 10, "an entry in Redis is not yet safe"
    client.set("campus:mark:devices-1", 4)
    wait_for(lambda: spool.waiting == 6)
    assert [seq for seq, _ in spool.unsent(0, 99)] == [5, 6, 7, 8, 9, 10]
    wait_for(lambda: client.get("campus:floor:devices-1") == b"4")
    client.close()


@pytest.mark.parametrize("loss", ["killed-and-wiped", "flushed"])
def test_everything_above_the_mark_goes_out_again_when_redis_lost_it(
    spool: Spool, own_redis: Any, sending: Any, wait_for: Wait, loss: str
) -> None:
    client = own_redis.client()
    client.set("campus:mark:devices-1", 0)
    sent = [press(n) for n in range(6)]
    sending(spool, own_redis.client())
    spool.extend(sent)
    wait_for(lambda: len(own_redis.ids()) == 6)
    client.set("campus:mark:devices-1", 2)
    wait_for(lambda: spool.waiting == 4)
    if loss == "flushed":
        client.flushall()
    else:
        own_redis.kill()
        own_redis.wipe()
        spool.append(press(6))
        own_redis.start()
    expected = [e.event_id for e in [*sent, press(6)][2 : 6 if loss == "flushed" else 7]]
    wait_for(lambda: own_redis.ids() == expected)
    client.close()


def test_without_replay_the_loss_of_redis_is_a_loss(spool: Spool, own_redis: Any, sending: Any, wait_for: Wait) -> None:
    sending(spool, own_redis.client(), replay=False)
    spool.extend([press(n) for n in range(3)])
    wait_for(lambda: spool.baseline("spool.sent.True") == "3")
    own_redis.kill()
    own_redis.wipe()
    own_redis.start()
    spool.append(press(3))
    wait_for(lambda: own_redis.ids() == [press(3).event_id])


def test_a_new_spool_file_counts_on_from_the_mark_of_the_lost_one(spool: Spool, own_redis: Any, sending: Any, wait_for: Wait) -> None:
    client = own_redis.client()
    client.set("campus:mark:devices-1", 1000)
    lost_and_new = [press(n) for n in range(3)]
    spool.extend(lost_and_new)
    sending(spool, own_redis.client())
    wait_for(lambda: len(own_redis.ids()) == 3)
    assert [seq for seq, _ in spool.unsent(0, 9)] == [1001, 1002, 1003]
    assert spool.append(press(3)).seq == 1004
    assert own_redis.ids()[:3] == [e.event_id for e in lost_and_new]
    client.close()


def test_an_event_survives_kill_9_between_append_and_send(tmp_path: Path, own_redis: Any, sending: Any, wait_for: Wait) -> None:
    path = tmp_path / "s.sqlite"
    program = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from tests.devices.test_spool import press
        from data.core.spool import Spool
        Spool(Path({str(path)!r}), "devices-1").append(press(1), baseline={{"M1/0": 5}})
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    spool = Spool(path, "devices-1")
    assert spool.baseline("M1/0") == "5"
    sender = sending(spool, own_redis.client())
    wait_for(lambda: own_redis.ids() == [press(1).event_id])
    sender.stop()
    spool.close()


def test_an_outage_of_redis_costs_nothing_but_time(spool: Spool, own_redis: Any, sending: Any, wait_for: Wait) -> None:
    own_redis.kill()
    sender = sending(spool, own_redis.client())
    spool.extend([press(n) for n in range(4)])
    own_redis.start()
    wait_for(lambda: own_redis.ids() == [press(n).event_id for n in range(4)])
    spool.append(press(4))
    sender.stop()
    assert own_redis.ids()[-1] == press(4).event_id, "stop sends what waits"
