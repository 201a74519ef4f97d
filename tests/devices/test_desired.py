"""A worker obeys ingest and nobody else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from data.core.desired import Desired, Refused, Signer, load_public_key

BODY: dict[str, Any] = {"modules": [{"device": "M1", "profile": "advantech.adam-6050"}]}


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.load_or_make(tmp_path / "secret")


@pytest.fixture
def worker(redis: redis_client.Redis, signer: Signer, tmp_path: Path) -> Callable[..., Desired]:
    def make(client: redis_client.Redis = redis, **kwargs: Any) -> Desired:
        return Desired(client, "devices-1", signer.public_key, tmp_path / "cache" / "desired.json", **kwargs)

    return make


def command(fence: int, seconds: float = 30, **more: Any) -> dict[str, Any]:
    return {"command_id": f"c{fence}", "device": "M1", "channel": 0, "act": "on", "fence": fence,
            "expires_at": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(), **more}  # fmt: skip


def test_the_key_is_made_once_and_is_nobody_elses(tmp_path: Path) -> None:
    first, second = Signer.load_or_make(tmp_path / "secret"), Signer.load_or_make(tmp_path / "secret")
    assert first.public_key == second.public_key == load_public_key(tmp_path / "secret")
    assert (tmp_path / "secret/desired.key").stat().st_mode & 0o777 == 0o600


def test_a_snapshot_arrives_and_a_newer_one_replaces_it(redis: redis_client.Redis, signer: Signer, worker: Any) -> None:
    desired = worker()
    assert desired.current() is None
    signer.publish(redis, "devices-1", BODY, 1)
    assert desired.current().body == BODY
    signer.publish(redis, "devices-1", {"modules": []}, 2)
    assert (desired.current().version, desired.current().body) == (2, {"modules": []})


def test_a_forged_an_altered_a_foreign_and_an_old_snapshot_are_refused_once_and_the_good_one_stays(
    redis: redis_client.Redis, signer: Signer, worker: Any, tmp_path: Path
) -> None:
    desired = worker()
    signer.publish(redis, "devices-1", BODY, 5)
    good = desired.current()
    key, forged = "campus:desired:devices-1", Signer.load_or_make(tmp_path / "thief")
    for reason, spoil in [
        ("signature", lambda: forged.publish(redis, "devices-1", {"modules": []}, 6)),
        ("signature", lambda: redis.hset(key, "body", json.dumps({"modules": []}))),
        ("old", lambda: signer.publish(redis, "devices-1", {"modules": []}, 4)),
        ("worker", lambda: (signer.publish(redis, "devices-2", BODY, 9), redis.copy("campus:desired:devices-2", key, replace=True))),
    ]:
        spoil()
        with pytest.raises(Refused) as refused:
            desired.current()
        assert refused.value.reason == reason
        assert desired.current() == good


def test_without_redis_the_last_good_snapshot_on_disk_is_in_force(redis: redis_client.Redis, signer: Signer, worker: Any) -> None:
    signer.publish(redis, "devices-1", BODY, 3)
    assert worker().current().version == 3
    nobody = redis_client.Redis(unix_socket_path="/nonexistent.sock")
    assert worker(nobody).current().body == BODY
    redis.flushall()
    assert worker().current().version == 3


def test_a_changed_snapshot_on_disk_is_not_believed(redis: redis_client.Redis, signer: Signer, worker: Any, tmp_path: Path) -> None:
    signer.publish(redis, "devices-1", BODY, 3)
    worker().current()
    redis.flushall()
    cache = tmp_path / "cache" / "desired.json"
    cache.write_bytes(cache.read_bytes().replace(b"M1", b"M2"))
    assert worker().current() is None


def test_commands_arrive_in_order_and_only_once(redis: redis_client.Redis, signer: Signer, worker: Any) -> None:
    desired = worker()
    for fence in (1, 2):
        signer.command(redis, "devices-1", command(fence))
    assert [c["fence"] for c in desired.commands(0)] == [1, 2]
    assert desired.commands(20) == []
    assert worker(last_fence=2).commands(0) == [], "a restart does not repeat a command"


def test_expired_old_forged_and_unreadable_commands_are_refused_with_the_reason(
    redis: redis_client.Redis, signer: Signer, worker: Any, tmp_path: Path
) -> None:
    refused: list[str] = []
    desired = worker(on_refused=lambda err: refused.append(err.reason))
    thief = Signer.load_or_make(tmp_path / "thief")
    signer.command(redis, "devices-1", command(5))
    signer.command(redis, "devices-1", command(4))
    signer.command(redis, "devices-1", command(6, seconds=-1))
    thief.command(redis, "devices-1", command(7))
    signer.command(redis, "devices-1", {**command(8), "expires_at": "tomorrow"})
    redis.xadd("campus:command:devices-1", {"nonsense": "1"})
    signer.command(redis, "devices-1", command(9))
    assert [c["fence"] for c in desired.commands(0)] == [5, 9]
    assert refused == ["fence", "expired", "signature", "malformed", "signature"]


def test_a_snapshot_cannot_be_passed_off_as_a_command(redis: redis_client.Redis, signer: Signer, worker: Any) -> None:
    refused: list[str] = []
    signer.publish(redis, "devices-1", command(1), 1)
    fields = redis.hgetall("campus:desired:devices-1")
    redis.xadd("campus:command:devices-1", {"b": fields[b"body"], "s": fields[b"signature"]})
    assert worker(on_refused=lambda err: refused.append(err.reason)).commands(0) == []
    assert refused == ["worker"]
