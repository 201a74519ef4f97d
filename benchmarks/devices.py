"""The devices worker alone: 2,600 modules polled every 500 ms, buttons pressed for 30 ms, a tenth of the modules gone.

The load are two raw responder processes (`devices.box`) and, for the pressed ones, pymodbus' own servers in this process.
A press is timed from the write of its register to its event in the Redis stream, poll wait included. The tenth is
stopped with SIGSTOP: its sockets stay open and nobody answers, as after a power cut.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import redis
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from benchmarks.bench import ROOT, Bench, percentiles
from data.core import events, stream
from data.core.desired import Signer
from data.core.settings import read
from devices.demo import address_of

FIGURES = ("devices_2600_core", "press_to_event_ms", "short_presses_lost", "lost_device_s", "black_holes_p99_ratio")
MODULES, PRESSED, DYING = 2600, 40, 260
POLL_MS, HOLD_S, PRESSES = 500, 0.03, 600
PROFILE = "moxa.iologik-e1210"
WORKER = "from data.core.settings import read; from devices.worker import run; run(read())"
PLAYER = "import json, sys; from pathlib import Path; from data.core.settings import read; from devices.demo import serve; "
PLAYER += "serve(read(), json.loads(Path(sys.argv[1]).read_text()))"


@dataclass(slots=True)
class Plant:
    """The processes of one run."""

    folder: Path
    client: redis.Redis
    worker: psutil.Process
    players: list[psutil.Process]
    servers: list[ModbusTcpServer] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    last_id: str = "0"

    async def press(self, number: int) -> float:
        """Close a contact for 30 ms; returns when, seconds of the wall clock."""
        self.counts[number] += 1
        pressed_at = time.time()
        await self.servers[number].async_setValues(1, 4, 16, [0, self.counts[number]])
        await self.servers[number].async_setValues(1, 2, 0, [True])
        await asyncio.sleep(HOLD_S)
        await self.servers[number].async_setValues(1, 2, 0, [False])
        return pressed_at

    def arrived(self) -> list[tuple[str, int, float]]:
        """(device, number of the press, arrival) of the panic events since the last call."""
        entries: Any = self.client.xrange(stream.PANIC, min=f"({self.last_id}")
        found = []
        for entry_id, fields in entries:
            self.last_id = entry_id.decode()
            event = events.decode(fields[stream.FIELD.encode()])
            found.append((event.subject, event.data["press"], int(self.last_id.partition("-")[0]) / 1000))
        return found

    def beat(self) -> dict[str, Any]:
        return json.loads(self.client.get("campus:worker:devices-1") or "{}")  # type: ignore[arg-type]


def run(bench: Bench) -> None:
    with tempfile.TemporaryDirectory(prefix="campus-bench-") as scratch:
        asyncio.run(_run(bench, Path(scratch)))


@contextmanager
def _process(words: Sequence[str], env: dict[str, str]) -> Iterator[psutil.Process]:
    child = subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    try:
        yield psutil.Process(child.pid)
    finally:
        child.send_signal(signal.SIGCONT)
        child.terminate()
        child.wait(timeout=20)


def _modules(folder: Path) -> list[dict[str, Any]]:
    """What the players serve: all but the pressed ones."""
    found = []
    for index in range(MODULES - PRESSED):
        host, port = address_of(index, folder)
        found.append({"code": f"R{index}", "school": "", "host": host, "port": port, "profile": PROFILE})
    return found


async def _servers(plant: Plant) -> list[dict[str, Any]]:
    """Start the pressed modules; their entries for the worker."""
    found = []
    for index in range(PRESSED):
        blocks = (
            [SimData(0, values=[False] * 320, datatype=DataType.BITS)],
            [SimData(0, values=[False] * 32, datatype=DataType.BITS)],
            [SimData(0, count=64, values=0, datatype=DataType.REGISTERS)],
            [SimData(0, count=64, values=0, datatype=DataType.REGISTERS)],
        )
        server = ModbusTcpServer(SimDevice(id=1, simdata=blocks), address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        port = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        plant.servers.append(server)
        plant.counts.append(0)
        found.append({"code": f"P{index}", "host": "127.0.0.1", "port": port, "profile": PROFILE})
    return found


def _configured(modules: Sequence[dict[str, Any]]) -> dict[str, Any]:
    panic = [{"channel": 0, "zone": "panic"}]
    return {"modules": [module | {"device": module["code"], "poll_ms": POLL_MS, "inputs": panic} for module in modules]}


async def _run(bench: Bench, folder: Path) -> None:
    env = os.environ | {"DATA_DIR": str(folder), "CAMPUS_REDIS_URL": f"unix://{folder / 'r.sock'}", "CAMPUS_DEMO_QUIET": "1"}
    python, modules = sys.executable, _modules(folder)
    parts = (modules[:-DYING], modules[-DYING:])
    for number, part in enumerate(parts):
        (folder / f"part{number}.json").write_text(json.dumps(part))
    store = shutil.which("valkey-server") or shutil.which("redis-server") or "redis-server"
    redis_words = [store, "--port", "0", "--unixsocket", str(folder / "r.sock"), "--dir", str(folder), "--save", "", "--appendonly", "yes"]
    with (
        _process(redis_words, env),
        _process([python, "-c", PLAYER, str(folder / "part0.json")], env) as first,
        _process([python, "-c", PLAYER, str(folder / "part1.json")], env | {"DATA_DIR": str(folder / "dying")}) as second,
    ):
        signer = Signer.load_or_make(folder / "secret")
        client = stream.connect(read(env).redis)
        with _process([python, "-c", WORKER], env) as worker:
            plant = Plant(folder, client, worker, [first, second])
            pressed = await _servers(plant)
            signer.publish(client, "devices-1", _configured([*modules, *pressed]), 1)
            await _until(lambda: plant.beat().get("up") == MODULES, 120)
            await _measure(bench, plant)
        client.close()
        for server in plant.servers:
            await server.shutdown()


async def _until(check: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s")
        await asyncio.sleep(0.1)


async def _measure(bench: Bench, plant: Plant) -> None:
    await asyncio.sleep(3)
    whole, missing, shares = await _presses(plant)
    more = {"modules": MODULES, "poll_ms": POLL_MS, "hold_ms": HOLD_S * 1000, "shares": shares}
    beat = plant.beat()
    memory_mb = round(plant.worker.memory_info().rss / 2**20, 1)
    more |= {"late_p99_ms": beat.get("late_p99_ms"), "lag_ms": beat.get("lag_ms")}
    bench.line("devices_2600_core", shares["worker"], "core", limit=0.6, memory_mb=memory_mb, **more)
    p99 = percentiles(whole)["p99"]
    bench.line("press_to_event_ms", p99, "ms", samples=whole, limit=POLL_MS + 50, **more)
    bench.line("short_presses_lost", missing, "presses", limit=0, presses=PRESSES, **more)

    plant.players[1].suspend()
    stopped_at = time.time()
    await _until(lambda: plant.beat().get("lost") == DYING, 60)
    lost_s = [moment - stopped_at for moment in _lost(plant)]
    bench.line("lost_device_s", percentiles(lost_s)["p99"], "s", samples=lost_s, limit=3.0, modules=MODULES, poll_ms=POLL_MS)

    beside, missing, shares = await _presses(plant)
    p99_beside = percentiles(beside)["p99"]
    bench.line(
        "black_holes_p99_ratio", p99_beside / p99, "ratio", limit=1.1, black_holes=DYING, p99_ms=p99_beside, p99_without_ms=p99,
        p50_ms=statistics.median(beside), lost=missing, modules=MODULES, poll_ms=POLL_MS, shares=shares,
    )  # fmt: skip


def _lost(plant: Plant) -> list[float]:
    """When each device.lost was in the stream, seconds of the wall clock."""
    entries: Any = plant.client.xrange(stream.EVENT)
    return [
        int(entry_id.partition(b"-")[0]) / 1000
        for entry_id, fields in entries
        if events.decode(fields[stream.FIELD.encode()]).kind is events.Kind.DEVICE_LOST
    ]


async def _presses(plant: Plant) -> tuple[list[float], int, dict[str, float]]:
    """Press `PRESSES` times: (milliseconds of each that arrived, how many did not, shares of a core by process)."""
    dice = random.Random(1)
    pressed_at: dict[tuple[str, int], float] = {}
    processes = {"worker": plant.worker, "load": psutil.Process(), "load_raw": plant.players[0]}
    before = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
    started = time.monotonic()
    for turn in range(PRESSES):
        number = turn % PRESSED
        key = (f"P{number}", plant.counts[number] + 1)
        pressed_at[key] = await plant.press(number)
        await asyncio.sleep(dice.uniform(0.0, 2 * 0.7 / PRESSED))  # each button about once in 2.4 s: two presses never share a poll
    length_s = time.monotonic() - started
    shares = {name: round((sum(p.cpu_times()[:2]) - before[name]) / length_s, 3) for name, p in processes.items()}
    await asyncio.sleep(3)
    took: dict[tuple[str, int], float] = {}
    for device, press, at in plant.arrived():
        took.setdefault((device, press), at)
    samples = [(took[key] - at) * 1000 for key, at in pressed_at.items() if key in took]
    return samples, len(pressed_at) - len(samples), shares
