"""The demo's modules are real Modbus servers, cheap, and pressed on order."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient

from data.core.settings import Settings, read
from devices import demo
from devices import profile as profiles
from devices.box import Box
from tests.devices.conftest import OwnRedis
from tests.devices.peers import run
from tests.devices.plant import Plant, until, working
from tests.devices.sim import SIZE, sim

PROFILES = profiles.load()
ALL = sorted({p.id: p for p in PROFILES.values()}.values(), key=lambda p: p.name)


async def connected(host: str, port: int, unit: int = 1) -> AsyncModbusTcpClient:
    client = AsyncModbusTcpClient(host, port=port, timeout=2)
    assert await client.connect()
    return client


def request(rng: random.Random) -> Callable[[AsyncModbusTcpClient], Any]:
    """A random read or write that both sides can do."""
    address, count = rng.choice([rng.randrange(64), rng.randrange(SIZE - 64)]), rng.randint(1, 40)
    bit, word, words = rng.random() < 0.5, rng.randrange(65536), [rng.randrange(65536) for _ in range(count)]
    calls: list[Callable[[AsyncModbusTcpClient], Any]] = [
        lambda c: c.read_coils(address, count=count),
        lambda c: c.read_discrete_inputs(address, count=count),
        lambda c: c.read_holding_registers(address, count=count),
        lambda c: c.read_input_registers(address, count=count),
        lambda c: c.write_coil(address, bit),
        lambda c: c.write_register(address, word),
        lambda c: c.write_coils(address, [bit] * count),
        lambda c: c.write_registers(address, words),
    ]
    return rng.choice(calls)


@pytest.mark.parametrize("profile", ALL, ids=lambda p: p.name)
def test_a_box_answers_pymodbus_as_pymodbus_own_server_does(profile: profiles.Profile) -> None:
    """Random reads and writes, to both: the same values, the same exceptions."""

    async def main() -> None:
        rng = random.Random(profile.id)
        box = Box(profile, "127.0.0.1", 0)
        await box.listen()
        async with sim(profile) as twin:
            for channel in (0, profile.input_count - 1):
                box.press(channel)
                await twin.press(channel)
            clients = [await connected("127.0.0.1", box.port), await connected("127.0.0.1", twin.port)]
            for _ in range(150):
                call = request(rng)
                mine, theirs = [await call(client) for client in clients]
                assert (mine.function_code, list(mine.bits), list(mine.registers)) == (
                    theirs.function_code, list(theirs.bits), list(theirs.registers),
                )  # fmt: skip
            for client in clients:
                client.close()
        box.silence()

    run(main())


def test_a_box_refuses_what_is_out_of_range_and_drops_what_is_not_modbus() -> None:
    async def main() -> None:
        box = Box(PROFILES["adam-6050"], "127.0.0.1", 0)
        await box.listen()
        client = await connected("127.0.0.1", box.port)
        assert (await client.read_coils(60_000, count=8)).exception_code == 2
        assert box.answer(bytes([3, 0, 0, 0, 126]))[1] == 3
        assert box.answer(bytes([43, 14, 1]))[1] == 1
        assert box.answer(bytes([5, 0, 1, 0x12, 0x34]))[1] == 3
        client.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", box.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        box.silence()

    run(main())


def test_every_module_of_an_installation_has_an_address_of_its_own(tmp_path: Path) -> None:
    found = {demo.address_of(index, tmp_path) for index in range(2600)}
    assert len(found) == 2600
    assert len({port for _, port in found}) == 1
    assert all(ip_address(host).is_loopback and 0 < ip_address(host).packed[3] < 255 for host, _ in found)
    assert demo.address_of(0, tmp_path / "other") != demo.address_of(0, tmp_path)
    with pytest.raises(ValueError):
        demo.address_of(62_500)


@pytest.fixture
def city(tmp_path: Path, own_redis: OwnRedis) -> Iterator[tuple[Settings, list[dict[str, Any]]]]:
    settings = replace(read({"DATA_DIR": str(tmp_path), "CAMPUS_REDIS_URL": own_redis.url}), demo_quiet=True, demo_poll_ms=100)
    modules = []
    for index in range(3):
        host, port = demo.address_of(index, tmp_path)
        modules.append(
            {"code": f"M-{index}", "school": f"SZ{index}", "host": host, "port": port, "profile": "advantech.adam-6050", "unit": 1}
        )
    settings.run_dir.mkdir(mode=0o700, exist_ok=True)
    yield settings, modules
    shutil.rmtree(settings.run_dir, ignore_errors=True)


def test_a_press_on_order_reaches_the_stream_and_is_marked_demo(
    city: tuple[Settings, list[dict[str, Any]]], own_redis: OwnRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, modules = city
    stop = threading.Event()
    player = threading.Thread(target=demo.serve, args=(settings, modules, stop))
    player.start()

    async def main() -> None:
        plant = Plant(settings.data_dir, own_redis)
        given = [m | {"device": m["code"], "demo": True, "poll_ms": 100, "inputs": [{"channel": 0, "zone": "panic"}]} for m in modules]
        plant.publish(*given)
        async with working(plant):
            await until(lambda: len(plant.events("device.back")) == 3, 10)
            for what, code in (("2", "M-1"), ("m-0", "M-0"), ("SZ2", "M-2")):
                assert await asyncio.to_thread(demo.press, settings, what) == 0
                await until(lambda code=code: [a for a in plant.alarms() if a.subject == code and a.demo])
            assert await asyncio.to_thread(demo.press, settings, "nobody") == 1
            assert await asyncio.to_thread(demo.press, settings, "4") == 1
            assert len(plant.alarms()) == 3
        plant.client.close()

    try:
        run(main())
    finally:
        stop.set()
        player.join(5)
    assert "M-1" in capsys.readouterr().out
    assert demo.press(settings, "1") == 1
    assert "No demo is running" in capsys.readouterr().out


def test_a_silent_module_breaks_its_connections_and_keeps_its_counts() -> None:
    async def main() -> None:
        box = Box(PROFILES["moxa-e1210"], "127.0.0.1", 0)
        await box.listen()
        port = box.port
        box.press(3)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.05)
        box.silence()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        box.press(3)
        assert box.is_silent
        await box.listen()
        assert box.port == port
        assert box.presses(3) == 2
        box.silence()

    run(main())


def test_the_player_presses_and_fails_by_itself_unless_it_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_PRESS_S", "SILENT_EVERY_S", "SILENT_FOR_S"):
        monkeypatch.setattr(demo, name, 0.02)

    async def main() -> None:
        host = "127.0.0.1"
        world = demo.World([{"code": "M1", "school": "S1", "host": host, "port": 0, "profile": "adam-6050"}])
        assert await world.listen() == 0
        tasks = [asyncio.create_task(world.live(random.Random(1))), asyncio.create_task(world.fail(random.Random(1)))]
        await until(lambda: world.pressed == 1)
        await until(lambda: world.boxes[0].is_silent)
        await until(lambda: not world.boxes[0].is_silent)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        world.close()

    run(main())
