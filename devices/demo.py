"""The demo Modbus world: one process that plays every I/O module of the demo city over real Modbus TCP.

Where a module listens: each has a loopback address of its own and all of one installation share one port, as in a
plant where every box has its own address and port 502. Addresses are 127.<a>.<1 + n // 250>.<1 + n % 250>; `a` and the
port follow from the data directory, so two installations on one machine do not meet. The loader of the demo city asks
`address_of(index, data_dir)` for the n-th module and writes what it stored to `modules_file(data_dir)`, a JSON list of
{"code", "school", "host", "port", "profile", "unit"} (the order is the order of `app.py demo press <n>`, n from 1).
The player reads that file only: it never opens the database. The unit is 1.

Profiles to use: `advantech.adam-6050` (12 inputs with counters, outputs 0-5: siren on output 0), `moxa.iologik-e1210`
(16 inputs with counters, no output), `waveshare.modbus-rtu-io-8ch` (level only: panic there needs self_locking=true).

A press closes the contact for 300 ms: level, counter and latch of input 0 show it, nothing else is told to anybody. Now
and then the player presses by itself and lets one module fall silent for a while (`demo_quiet` turns both off).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import signal
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
import uvloop

from data.core.settings import Settings
from devices import profile as profiles
from devices.box import Box
from devices.files import raise_file_limit

_LOG = structlog.get_logger(__name__)

FIRST_PORT = 15020  # below Linux' range of outgoing ports, which starts at 32768
MODULES_PER_OCTET = 250
HOLD_S = 0.3
FIRST_PRESS_S, PRESS_EVERY_S = 20.0, 240.0  # the first one soon, so that a new wall shows life; then a mean of four minutes
SILENT_EVERY_S, SILENT_FOR_S = 420.0, 45.0
ANSWER_S = 5.0
STARTING_S = 5.0


def address_of(index: int, data_dir: Path | None = None) -> tuple[str, int]:
    """Where the demo module number `index` (from 0) of the installation in `data_dir` listens.

    Raises:
        ValueError: more modules than the address range holds (62,500).
    """
    if not 0 <= index < MODULES_PER_OCTET * MODULES_PER_OCTET:
        raise ValueError(f"demo module {index}: 0 to {MODULES_PER_OCTET * MODULES_PER_OCTET - 1} have an address")
    mark = hashlib.sha256(str(data_dir.resolve()).encode()).digest() if data_dir else bytes(2)
    high, low = divmod(index, MODULES_PER_OCTET)
    return f"127.{64 + mark[0] % 128}.{1 + high}.{1 + low}", FIRST_PORT + mark[1] % 64


def modules_file(data_dir: Path) -> Path:
    """Where the loader of the demo city lists the modules for the player."""
    return data_dir / "demo" / "modules.json"


def control_socket(settings: Settings) -> Path:
    """Where the running player takes presses."""
    return settings.run_dir / "modules.sock"


class World:
    """All modules of the demo city, and what happens to them."""

    def __init__(self, modules: Sequence[Mapping[str, Any]]) -> None:
        known = profiles.load()
        self.modules = list(modules)
        self.boxes = [Box(known[str(m["profile"])], str(m["host"]), int(m["port"]), int(m.get("unit", 1))) for m in self.modules]
        self._by_name: dict[str, int] = {}
        for index, module in enumerate(self.modules):
            for name in (module["code"], module.get("school", "")):
                self._by_name.setdefault(str(name).casefold(), index)
        self.pressed = 0

    async def listen(self) -> int:
        """Open every module's port; returns how many could not be opened."""
        failed = 0
        for box in self.boxes:
            try:
                await box.listen()
            except OSError as err:
                failed += 1
                if failed == 1:
                    _LOG.error("a demo module cannot listen", host=box.host, port=box.port, error=err.strerror)
        return failed

    def find(self, what: str) -> int | None:
        """The index of the n-th module (n from 1), or of a module or school by its code; None when there is none."""
        index = self._by_name.get(what.strip().casefold())
        if index is None and what.strip().isdecimal() and 1 <= int(what) <= len(self.boxes):
            index = int(what) - 1
        return index

    async def press(self, index: int, hold_s: float = HOLD_S, channel: int = 0) -> dict[str, Any]:
        """Close the contact for `hold_s`; returns the module, its school and the presses so far."""
        box = self.boxes[index]
        box.press(channel)
        self.pressed += 1
        asyncio.get_running_loop().call_later(hold_s, box.release, channel)
        module = self.modules[index]
        return {"module": module["code"], "school": module.get("school", ""), "presses": box.presses(channel), "is_silent": box.is_silent}

    async def live(self, rng: random.Random) -> None:
        """A believable rhythm, until cancelled: a press every few minutes, now and then a module that is lost and comes back."""
        pause_s = FIRST_PRESS_S
        while self.boxes:
            await asyncio.sleep(pause_s)
            await self.press(rng.randrange(len(self.boxes)))
            pause_s = min(rng.expovariate(1 / PRESS_EVERY_S) + 30, 3 * PRESS_EVERY_S)

    async def fail(self, rng: random.Random) -> None:
        """Now and then one module loses its power for a while, until cancelled."""
        while self.boxes:
            await asyncio.sleep(rng.uniform(0.5, 1.5) * SILENT_EVERY_S)
            box = self.boxes[rng.randrange(len(self.boxes))]
            box.silence()
            await asyncio.sleep(rng.uniform(0.5, 1.5) * SILENT_FOR_S)
            await box.listen()

    def close(self) -> None:
        for box in self.boxes:
            box.silence()


async def _control(world: World, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request a line, one answer a line, both JSON: {"press": what} -> {"module", "school", "presses", "is_silent"} or {"error"}."""
    try:
        async for line in reader:
            try:
                what = str(json.loads(line)["press"])
            except (ValueError, KeyError, TypeError):
                answer: dict[str, Any] = {"error": "malformed"}
            else:
                index = world.find(what)
                answer = {"error": "unknown"} if index is None else await world.press(index)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()


async def play(settings: Settings, modules: Sequence[Mapping[str, Any]], stopping: asyncio.Event) -> None:
    """Play these modules until `stopping`.

    Raises:
        OSError: the control socket cannot be opened.
    """
    world = World(modules)
    failed = await world.listen()
    path = control_socket(settings)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    tasks: list[asyncio.Task[None]] = []
    control = await asyncio.start_unix_server(lambda r, w: _control(world, r, w), str(path))
    path.chmod(0o600)
    _LOG.info("demo modules listen", modules=len(world.boxes) - failed, failed=failed, quiet=settings.demo_quiet)
    if not settings.demo_quiet:
        rng = random.Random(f"{len(modules)} {modules[0]['code']}" if modules else "")
        tasks = [asyncio.create_task(world.live(rng)), asyncio.create_task(world.fail(random.Random(rng.random())))]
    try:
        await stopping.wait()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        control.close()
        world.close()
        path.unlink(missing_ok=True)


def serve(settings: Settings, modules: Sequence[Mapping[str, Any]] | None = None, stop: threading.Event | None = None) -> int:
    """Play until SIGTERM or SIGINT (in the main thread), or until `stop` is set.

    Args:
        modules: as in `modules_file`; None reads that file.
    """
    raise_file_limit()
    given = json.loads(modules_file(settings.data_dir).read_text(encoding="utf-8")) if modules is None else list(modules)

    async def main() -> None:
        stopping = asyncio.Event()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        watch = asyncio.create_task(_follow(stop, stopping)) if stop else None
        await play(settings, given, stopping)
        if watch:
            watch.cancel()

    uvloop.run(main())
    return 0


async def _follow(stop: threading.Event, stopping: asyncio.Event) -> None:
    while not stop.is_set():
        await asyncio.sleep(0.2)
    stopping.set()


def press(settings: Settings, what: str) -> int:
    """`app.py demo press <n|code>`: press a button of the running demo; 0, or 1 with the reason on the terminal."""
    path = control_socket(settings)
    until = time.monotonic() + (STARTING_S if modules_file(settings.data_dir).exists() else 0)
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.1)  # the players are the last to start
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(ANSWER_S)
            line.connect(str(path))
            line.sendall(json.dumps({"press": what}).encode() + b"\n")
            answer = json.loads(line.makefile("rb").readline() or b"{}")
    except (FileNotFoundError, ConnectionRefusedError):
        print(f"No demo is running for {settings.data_dir}: start it with ./run, or say its DATA_DIR.")
        return 1
    except PermissionError:
        print(f"The demo in {settings.data_dir} belongs to another user: press as that user or as root.")
        return 1
    except (OSError, ValueError) as err:
        print(f"The demo in {settings.data_dir} does not answer: {err}")
        return 1
    if "module" not in answer:
        print(f"There is no module or school {what!r} in this demo: give a number from 1, a module code or a school code.")
        return 1
    print(f"pressed {answer['module']} (school {answer['school']}), press {answer['presses']} there since the players started")
    if answer["is_silent"]:
        print("this module is playing a power cut just now: the press will be seen when it is back")
    return 0
