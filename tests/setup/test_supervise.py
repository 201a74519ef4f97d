"""The crew: real child processes that crash, hang and refuse to end."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from data.core import supervise
from data.core.supervise import Crew, Role

ROOT = Path(__file__).parents[2]


@pytest.fixture
def crew_of(settings, servers, redis) -> Iterator[Callable[..., Crew]]:
    made: list[Crew] = []

    def build(*roles: Role, say: Callable[[str], None] = lambda text: None) -> Crew:
        made.append(Crew(settings, list(roles), env=dict(os.environ), cwd=Path("/"), say=say))
        made[-1].start(*(role.name for role in roles))
        return made[-1]

    yield build
    for crew in made:
        crew.stop(0.5)


def _python(code: str) -> tuple[str, ...]:
    return ("/usr/bin/python3", "-c", code)


def _tick_until(crew: Crew, check: Callable[[], object], seconds: float = 8.0) -> None:
    until = time.monotonic() + seconds
    while not check():
        crew.tick()
        assert time.monotonic() < until, "the crew did not get there"
        time.sleep(0.02)


def _state(redis, name: str) -> dict[str, object]:
    return json.loads(redis.get(f"campus:role:{name}") or "{}")


SLEEP = "import time; time.sleep(60)"


def test_a_role_that_crashes_is_started_again_each_time_later(crew_of, monkeypatch):
    monkeypatch.setattr(supervise, "FIRST_PAUSE_S", 0.05)
    said: list[str] = []
    crew = crew_of(Role(name="r", command=_python("import sys; sys.exit(3)")), say=said.append)
    crew._children["r"].pause_s = 0.05
    _tick_until(crew, lambda: len(said) == 4)
    assert all("r ended with 3; next start in" in line for line in said)
    assert crew._children["r"].pause_s == pytest.approx(0.8)


def test_the_pause_never_grows_beyond_half_a_minute():
    assert supervise.FIRST_PAUSE_S == 1.0
    assert supervise.LONGEST_PAUSE_S == 30.0


def test_a_role_killed_by_hand_is_shown_as_down_and_then_up_again(crew_of, redis):
    crew = crew_of(Role(name="r", command=_python(SLEEP)))
    _tick_until(crew, lambda: _state(redis, "r").get("up") is True)
    first = _state(redis, "r")["pid"]
    os.kill(int(str(first)), signal.SIGKILL)
    _tick_until(crew, lambda: _state(redis, "r").get("up") is False)
    _tick_until(crew, lambda: _state(redis, "r").get("up") is True)
    again = _state(redis, "r")
    assert again["pid"] != first
    assert again["restarts"] == 1
    assert again["since"]


def test_a_worker_that_lives_without_a_heartbeat_is_down_and_replaced(crew_of, redis, monkeypatch):
    monkeypatch.setattr(supervise, "SICK_S", 0.3)
    redis.set("campus:worker:x-1", b"1")
    crew = crew_of(Role(name="r", command=_python(SLEEP), heartbeat="campus:worker:x-1"))
    _tick_until(crew, lambda: _state(redis, "r").get("up") is True)
    first = crew.pids()["r"]
    redis.delete("campus:worker:x-1")
    _tick_until(crew, lambda: _state(redis, "r").get("up") is False)
    _tick_until(crew, lambda: crew.pids().get("r", first) != first)


def test_a_worker_is_not_killed_because_redis_is_away(crew_of, redis, monkeypatch):
    monkeypatch.setattr(supervise, "SICK_S", 0.3)
    redis.set("campus:worker:x-1", b"1")
    crew = crew_of(Role(name="r", command=_python(SLEEP), heartbeat="campus:worker:x-1"))
    _tick_until(crew, lambda: crew.is_up("r"))
    first = crew.pids()["r"]
    crew._client.connection_pool.connection_kwargs["path"] = "/nowhere.sock"
    crew._client.connection_pool.disconnect()
    until = time.monotonic() + 0.9
    while time.monotonic() < until:
        crew.tick()
        time.sleep(0.02)
    assert crew.pids()["r"] == first


def test_a_web_that_does_not_answer_is_not_up(crew_of, settings, redis):
    crew = crew_of(Role(name="web", command=_python(SLEEP), is_web=True))
    _tick_until(crew, lambda: "up" in _state(redis, "web"))
    assert not crew.is_up("web")
    assert _state(redis, "web")["up"] is False


def test_stopping_leaves_no_process_not_even_a_stubborn_ones_child(crew_of, tmp_path):
    note = f"/tmp/campus-note-{os.getpid()}"
    code = (
        "import os, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); open({note!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    crew = crew_of(Role(name="r", command=_python(code)))
    _tick_until(crew, lambda: os.path.exists(note) and os.path.getsize(note))
    pids = [crew.pids()["r"], int(Path(note).read_text())]
    os.unlink(note)
    begun = time.monotonic()
    crew.stop(0.5)
    assert time.monotonic() - begun < 2
    assert not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: it checks how root's rights are dropped")
def test_no_role_runs_as_root(crew_of):
    crew = crew_of(Role(name="r", command=_python(SLEEP)))
    process = psutil.Process(crew.pids()["r"])
    assert process.uids().real != 0
    assert process.uids().saved != 0
