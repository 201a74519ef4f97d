"""kill -9 of the worker while buttons are pressed: every press is exactly one event."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices import profile as profiles
from tests.devices.conftest import OwnRedis
from tests.devices.peers import run
from tests.devices.plant import Plant, config, until
from tests.devices.sim import sim

ADAM = profiles.load()["advantech.adam-6050"]
ROOT = Path(__file__).parents[2]
KILLS, PRESSES = 5, 8


@pytest.fixture
def plant(tmp_path: Path, own_redis: OwnRedis) -> Iterator[Plant]:
    made = Plant(tmp_path, own_redis)
    yield made
    made.client.close()


def start(plant: Plant) -> subprocess.Popen[bytes]:
    program = "from data.core.settings import read; from devices.worker import run; run(read())"
    env = {**os.environ, "DATA_DIR": str(plant.folder), "CAMPUS_REDIS_URL": plant.server.url}
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=env, stdout=subprocess.DEVNULL)


def is_polling(plant: Plant, process: subprocess.Popen[bytes]) -> bool:
    beat = json.loads(plant.client.get(f"campus:worker:{'devices-1'}") or "{}")  # type: ignore[arg-type]
    return beat.get("pid") == process.pid and beat.get("up") == 1


@pytest.mark.chaos
@pytest.mark.parametrize("capture", ["counter", "latch"])
def test_a_press_is_exactly_one_event_however_the_worker_is_killed(plant: Plant, capture: str) -> None:
    async def main() -> None:
        rng = random.Random(capture)
        pressed = 0
        async with sim(ADAM) as there:
            assert ADAM.latch
            plant.publish(config(there, capture=capture, poll_ms=100))
            for _ in range(KILLS):
                process = start(plant)
                try:
                    await until(lambda process=process: is_polling(plant, process), 20)
                    for _ in range(PRESSES):
                        while capture == "latch" and (await there.read(1, ADAM.latch.block.address))[0]:
                            await asyncio.sleep(0.005)
                        await there.tap(hold_s=0.01)
                        pressed += 1
                        await asyncio.sleep(rng.uniform(0, 0.15))
                finally:
                    process.kill()
                    process.wait()
                if capture == "counter":
                    await there.tap()
                    pressed += 1
            process = start(plant)
            try:
                await until(lambda: len(plant.alarms()) >= pressed, 20)
                await asyncio.sleep(0.5)
            finally:
                process.kill()
                process.wait()
            assert len(plant.alarms()) == pressed
            assert sum(alarm.data["count"] for alarm in plant.alarms()) == pressed
            assert sorted(alarm.data["press"] for alarm in plant.alarms()) == list(range(1, pressed + 1))

    run(main(), seconds=110)
