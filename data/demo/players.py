"""The demo players: what brings the demo city to life, only through the doors real things use.

Two child processes imitate hardware: the I/O modules (Modbus TCP, `devices.demo`) and the cameras (motion JPEG and RTSP,
`vision.demo`). Phones and recorders live in threads here and speak to the API with tokens. No player opens the database.
`demo_quiet` leaves all of them up and silent: no press, no call, no failure by themselves, positions once a minute.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, fields
from pathlib import Path
from types import FrameType

import structlog

from data.core.process import follow_parent
from data.core.settings import PLAIN, PREFIX, Settings, read
from data.demo.door import Door
from data.demo.files import phones_file, recorders_file, tokens_file
from data.demo.phones import Phones
from data.demo.recorder import Recorders

_LOG = structlog.get_logger(__name__)

CHILDREN = {"modules": "devices.demo:serve", "cameras": "vision.demo:run"}
FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S = 1.0, 30.0, 60.0
STOP_S = 3.0


def environment(settings: Settings) -> dict[str, str]:
    """The environment in which `data.core.settings.read` gives these settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX) and key not in PLAIN}
    for item in fields(settings):
        value = getattr(settings, item.name)
        if value is not None and item.name != "demo_password":
            kept[PREFIX + item.name.upper()] = str(int(value)) if isinstance(value, bool) else str(value)
    return kept


@dataclass(slots=True)
class Player:
    """One child process and when it may start again."""

    name: str
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0
    pause_s: float = FIRST_PAUSE_S

    def tick(self, env: dict[str, str]) -> None:
        """Start it when it is due; say once when it has ended."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            _LOG.warning("a demo player ended", player=self.name, code=self.process.returncode)
            self.pause_s = FIRST_PAUSE_S if now - self.started > STEADY_S else min(2 * self.pause_s, LONGEST_PAUSE_S)
            self.process, self.due = None, now + self.pause_s
        if self.process is None and now >= self.due:
            command = [sys.executable, "-m", "data.demo.players", self.name, str(os.getpid())]
            self.process, self.started = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, cwd=_code()), now

    def stop(self, until: float) -> None:
        """Wait for it till `until` (monotonic seconds), then kill it."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _code() -> Path:
    return Path(__file__).parents[2]


def run(settings: Settings, stop: threading.Event | None = None) -> int:
    """Play until SIGTERM or SIGINT (in the main thread), or until `stop` is set; returns 0.

    Returns 1 when there is no demo city to play in: its files were not written here.
    """
    stopping = stop or threading.Event()

    def asked(number: int, frame: FrameType | None) -> None:
        stopping.set()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, asked)
    try:
        tokens = json.loads(tokens_file(settings).read_text(encoding="utf-8"))
        phones = json.loads(phones_file(settings).read_text(encoding="utf-8"))
        recorders = json.loads(recorders_file(settings).read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        _LOG.error("there is no demo city to play in", missing=err.filename)
        return 1
    players = [Player(name) for name in CHILDREN]
    voices = [
        threading.Thread(target=Phones(Door(settings), phones, tokens, is_quiet=settings.demo_quiet).run, args=(stopping,), name="phones"),
        threading.Thread(
            target=Recorders(Door(settings), recorders, tokens["recorder"], is_quiet=settings.demo_quiet).run,
            args=(stopping,),
            name="recorders",
        ),
    ]
    env = environment(settings)
    for voice in voices:
        voice.start()
    try:
        while not stopping.is_set():
            for player in players:
                player.tick(env)
            stopping.wait(0.5)
    finally:
        stopping.set()
        for player in players:
            if player.process is not None:
                player.process.terminate()
        until = time.monotonic() + STOP_S
        for player in players:
            player.stop(until)
        for voice in voices:
            voice.join(max(0.1, until - time.monotonic()))
    return 0


def play(name: str, parent_pid: int) -> int:
    """Be one of the child players, until the parent ends or SIGTERM comes."""
    follow_parent(parent_pid)
    module, _, function = CHILDREN[name].partition(":")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        return getattr(importlib.import_module(module), function)(read()) or 0
    return 0


if __name__ == "__main__":
    sys.exit(play(sys.argv[1], int(sys.argv[2])))
