"""From the button to the stream, with a real Modbus server and a real Redis."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from pymodbus.framer import FramerType

from data.core import clock
from data.core.events import Event
from devices import profile as profiles
from devices import worker as worker_module
from devices.module import Module
from devices.worker import Worker
from tests.devices.conftest import OwnRedis
from tests.devices.peers import Request, mbap, peer, rtu, run
from tests.devices.plant import Plant, config, until, working
from tests.devices.sim import SimModule, sim

PROFILES = profiles.load()
ADAM = PROFILES["advantech.adam-6050"]


@pytest.fixture
def plant(tmp_path: Path, own_redis: OwnRedis) -> Iterator[Plant]:
    made = Plant(tmp_path, own_redis)
    yield made
    made.client.close()


async def is_up(plant: Plant, *devices: str) -> None:
    await until(lambda: {e.subject for e in plant.events("device.back")} >= set(devices or ("M1",)), 10)


@pytest.mark.parametrize("capture", ["counter", "latch", "level"])
def test_a_press_is_one_event_on_the_panic_stream_spooled_first(plant: Plant, capture: str) -> None:
    async def main() -> None:
        async with sim(ADAM) as there:
            plant.publish(config(there, capture=capture))
            async with working(plant):
                await is_up(plant)
                await there.press()
                (alarm,) = await until(plant.alarms)
                await there.release()
                await until(lambda: plant.events("input.restored"))
                assert (alarm.subject, alarm.channel, alarm.source, alarm.demo) == ("M1", 0, "devices-1", False)
                assert alarm.data == {"zone": "panic", "press": 1, "count": 1, "capture": capture, "while_down": False, "mode": "live"}
                assert alarm.spooled_at is not None
                assert alarm.spooled_at >= alarm.event_at - timedelta(milliseconds=5)
                assert alarm.seq > 0
            assert len(plant.alarms()) == 1

    run(main())


@pytest.mark.parametrize("capture", ["counter", "latch"])
def test_a_thousand_presses_of_6_ms_at_100_ms_polls_are_a_thousand_events(plant: Plant, capture: str) -> None:
    """30 ms at 500 ms, five times as fast. A latch holds one press, so it is pressed again only after it was cleared."""

    async def presses(there: SimModule, count: int, rng: random.Random) -> None:
        latch = there.profile.latch
        assert latch
        for _ in range(count):
            await asyncio.sleep(rng.uniform(0.005, 0.06))
            while capture == "latch" and (await there.read(1, latch.block.address))[0]:
                await asyncio.sleep(0.01)
            await there.tap(hold_s=0.006)

    async def main() -> None:
        async with AsyncExitStack() as stack:
            modules = [await stack.enter_async_context(sim(ADAM)) for _ in range(25)]
            names = [f"M{n}" for n in range(len(modules))]
            plant.publish(*(config(there, name, capture=capture) for there, name in zip(modules, names, strict=True)))
            await stack.enter_async_context(working(plant))
            await is_up(plant, *names)
            await asyncio.gather(*(presses(there, 40, random.Random(n)) for n, there in enumerate(modules)))
            await until(lambda: len({alarm.event_id for alarm in plant.alarms()}) >= 1000, 10)
            await asyncio.sleep(0.3)
            assert len({alarm.event_id for alarm in plant.alarms()}) == 1000
            assert all(alarm.data["count"] == 1 for alarm in plant.alarms())

    run(main())


async def is_lost(plant: Plant, worker: Worker, died: float) -> Event:
    """The event, within 3 s and what a busy machine takes from the worker itself."""
    (lost,) = await until(lambda: plant.events("device.lost"), 15)
    assert time.monotonic() - died < 3.0 + 10 * worker._lag_s
    return lost


def test_a_dead_module_is_lost_once_within_3_s_and_back_once_with_its_gap(plant: Plant) -> None:
    async def main() -> None:
        there = SimModule(ADAM)
        await there.start()
        plant.publish(config(there, poll_ms=500))
        async with working(plant) as worker:
            await is_up(plant)
            died = time.monotonic()
            await there.stop()
            assert (await is_lost(plant, worker, died)).data["reason"] in ("closed", "refused")
            await asyncio.sleep(0.5)
            await there.start(there.port)
            await until(lambda: len(plant.events("device.back")) == 2, 10)
            gap_s = plant.events("device.back")[1].data["gap_s"]
            assert time.monotonic() - died - 1.5 < gap_s <= time.monotonic() - died + 0.6
            assert len(plant.events("device.lost")) == 1
        await there.stop()

    run(main())


def test_what_a_module_counted_while_it_was_a_black_hole_is_told_when_it_is_back(plant: Plant) -> None:
    async def main() -> None:
        is_dark, count = [False], [7]

        async def answer(request: Request) -> None:
            if not is_dark[0]:
                words = 0 if request.pdu[2] == 210 else count[0]  # 210: who it is
                body = {1: bytes([1, 1, 0]), 3: bytes([3, 4]) + words.to_bytes(2, "big") + bytes(2)}.get(request.fc, request.pdu[:5])
                request.send(mbap(request.tid, request.unit, body))

        async with peer(answer) as there:
            host = SimModule(ADAM)
            host.port = there.port
            plant.publish(config(host, poll_ms=500))
            async with working(plant) as worker:
                await is_up(plant)
                is_dark[0], died = True, time.monotonic()
                assert (await is_lost(plant, worker, died)).data["reason"] == "timeout"
                is_dark[0], count[0] = False, 9
                await until(lambda: len(plant.alarms()) == 2, 15)
                assert [alarm.data["while_down"] for alarm in plant.alarms()] == [True, True]
                assert plant.alarms()[0].uncertainty_ms > 1500

    run(main())


@pytest.mark.parametrize(
    "nonsense",
    [
        lambda r: mbap(r.tid, r.unit, bytes([4, 2, 0, 1])),
        lambda r: mbap(r.tid, r.unit, bytes([r.fc, 0])),
        lambda r: mbap(0, r.unit, r.bits(1)),
        lambda r: random.Random(r.number).randbytes(40),
        lambda r: mbap(r.tid, r.unit, bytes([r.fc | 0x80, 4])),
    ],
    ids=["other-function", "no-data", "no-transaction", "noise", "exceptions"],
)
def test_a_module_that_answers_nonsense_is_a_fault_and_never_an_alarm(plant: Plant, nonsense: Callable[[Request], bytes]) -> None:
    async def main() -> None:
        state = {"is_mad": False}

        async def answer(request: Request) -> None:
            if state["is_mad"]:
                request.send(nonsense(request))
                return
            body = request.pdu[:5]
            if request.fc in (1, 3):
                body = bytes([1, 1, 0]) if request.fc == 1 else bytes([3, 2 * request.pdu[4], *bytes(2 * request.pdu[4])])
            request.send(mbap(request.tid, request.unit, body))

        async with peer(answer) as there:
            host = SimModule(ADAM)
            host.port = there.port
            plant.publish(config(host))
            async with working(plant):
                await is_up(plant)
                state["is_mad"] = True
                (fault,) = await until(lambda: plant.events("device.faulted"), 5)
                assert fault.data["reason"] in ("wrong_answer", "declined")
                state["is_mad"] = False
                await until(lambda: len(plant.events("device.back")) == 2, 5)
            assert plant.alarms() == []
            assert plant.events("device.lost") == []

    run(main())


def test_black_holes_do_not_delay_the_others(plant: Plant) -> None:
    async def silent(request: Request) -> None:
        return

    async def main() -> None:
        async with AsyncExitStack() as stack:
            modules = [await stack.enter_async_context(sim(ADAM)) for _ in range(18)]
            await compare(modules)

    async def compare(modules: list[SimModule]) -> None:
        good = [config(there, f"M{n}") for n, there in enumerate(modules)]
        delays: dict[str, list[float]] = {"alone": [], "with-holes": []}
        async with peer(silent) as hole:
            host = SimModule(ADAM)
            host.port = hole.port
            for phase, wired in (("alone", good), ("with-holes", [*good, *(config(host, f"H{n}") for n in range(2))])):
                plant.publish(*wired)
                async with working(plant):
                    if phase == "alone":
                        await is_up(plant, *(f"M{n}" for n in range(18)))
                    else:
                        await until(lambda: len(plant.events("device.lost")) == 2, 6)
                    for number, there in enumerate(modules * 3):
                        before, begun = len(plant.alarms()), time.monotonic()
                        await there.tap()
                        await until(lambda before=before: len(plant.alarms()) > before)
                        delays[phase].append(time.monotonic() - begun)
                        await asyncio.sleep(0.01 * (number % 3))
            alone, beside = (statistics.median(values) for values in delays.values())
            assert beside <= alone * 1.5 + 0.02, (alone, beside)

    run(main())


def test_a_new_configuration_touches_only_what_differs(plant: Plant) -> None:
    async def answer(request: Request) -> None:
        body = bytes([1, 1, 0]) if request.fc == 1 else bytes([3, 2 * request.pdu[4], *bytes(2 * request.pdu[4])])
        request.send(mbap(request.tid, request.unit, request.pdu[:5] if request.fc == 5 else body))

    async def main() -> None:
        async with peer(answer) as first, sim(ADAM) as second:
            host = SimModule(ADAM)
            host.port = first.port
            plant.publish(config(host))
            async with working(plant) as worker:
                await is_up(plant, "M1")
                plant.publish(config(host), config(second, "M2"))
                await is_up(plant, "M1", "M2")
                plant.publish(config(host), config(second, "M2", poll_ms=200))
                plant.publish(config(host))
                await until(lambda: "M2" not in worker._modules)
                await second.tap()
                plant.publish(config(host), config(second, "M2"), {"device": "M3", "profile": "nobody.knows"})
                (fault,) = await until(lambda: plant.events("device.faulted"))
                assert (fault.subject, fault.data["reason"]) == ("M3", "profile_unknown")
                (alarm,) = await until(plant.alarms)
                assert (alarm.subject, alarm.data["while_down"]) == ("M2", True), "pressed while it was not configured"
                assert first.connections == 1

    run(main())


def test_a_forged_configuration_changes_nothing(plant: Plant) -> None:
    async def main() -> None:
        async with sim(ADAM) as there:
            plant.publish(config(there))
            async with working(plant) as worker:
                await is_up(plant)
                plant.client.hset("campus:desired:devices-1", mapping={"version": 99, "body": b'{"modules":[]}', "signature": b"x" * 64})
                await until(lambda: worker._control.refused == 1)
                await there.tap()
                await until(plant.alarms)

    run(main())


def test_without_redis_the_worker_starts_from_its_last_configuration_and_tells_later(plant: Plant) -> None:
    async def main() -> None:
        async with sim(ADAM) as there:
            plant.publish(config(there))
            async with working(plant):
                await is_up(plant)
            plant.server.kill()
            plant.server.wipe()
            await there.tap()
            async with working(plant) as worker:
                await until(lambda: worker._spool.waiting >= 4)
                await there.tap()
                await until(lambda: worker._spool.waiting >= 6)
                plant.server.start()
                await until(lambda: len(plant.alarms()) == 2, 10)
                assert [alarm.data["while_down"] for alarm in plant.alarms()] == [True, False]

    run(main())


def test_a_full_disk_is_an_alarm_itself_and_presses_go_out_all_the_same(plant: Plant) -> None:
    async def main() -> None:
        async with sim(ADAM) as there:
            plant.publish(config(there, capture="latch"), config(there, "M2"))
            async with working(plant) as worker:
                await is_up(plant, "M1", "M2")
                pages = worker._spool._db.execute("pragma page_count").fetchone()[0]
                worker._spool._db.execute(f"pragma max_page_count = {pages}")
                filler = "x" * 900
                worker._writer.put([], {f"filler{n}": filler for n in range(50)})
                await until(lambda: plant.events("spool.filled"))
                await there.tap()
                await until(lambda: {alarm.subject for alarm in plant.alarms()} == {"M1", "M2"})
                assert all(alarm.seq == 0 for alarm in plant.alarms()), "not spooled yet"
                assert worker._writer.is_full
                worker._spool._db.execute("pragma max_page_count = 100000")
                await until(lambda: not worker._writer.is_full)
                await until(lambda: {alarm.subject for alarm in plant.entries("alarm.raised") if alarm.seq > 0} == {"M1", "M2"})
                assert len({alarm.event_id for alarm in plant.alarms()}) == 2
                over = await until(lambda: [e for e in plant.entries("spool.filled") if e.data["is_over"]])
                assert over[0].seq > 0
                assert ADAM.latch
                await until(lambda: worker._modules["M1"]._points[0].memory.latch == "idle")  # type: ignore[union-attr]

    run(main())


def test_a_step_of_the_clock_is_told_and_the_order_stays(plant: Plant) -> None:
    async def main() -> None:
        jump = {"s": 0.0}
        async with sim(ADAM) as there:
            plant.publish(config(there))
            worker = Worker(plant.settings)
            worker._clock = clock.Steady(wall=lambda: time.time() + jump["s"])
            task = asyncio.create_task(worker.run())
            await is_up(plant)
            await there.tap()
            await until(lambda: len(plant.alarms()) == 1)
            jump["s"] = -3600.0
            (stepped,) = await until(lambda: plant.events("clock.stepped"))
            assert abs(stepped.data["step_ms"] + 3_600_000) < 500
            await there.tap()
            await until(lambda: len(plant.alarms()) == 2)
            first, second = plant.alarms()
            assert first.seq < second.seq
            worker.stop()
            await task

    run(main())


def test_a_worker_that_polls_too_late_says_so_and_says_when_it_is_over(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "JUDGE_S", 0.0)
    monkeypatch.setattr(worker_module, "TICK_S", 0.05)

    async def main() -> None:
        async with working(plant) as worker:
            worker._late.extend([1.5] * 200)
            (told,) = await until(lambda: plant.events("worker.overloaded"))
            assert (told.data["is_over"], told.data["late_p99_periods"]) == (False, 1.5)
            worker._late.extend([0.01] * 200)
            await until(lambda: len(plant.events("worker.overloaded")) == 2)
            assert plant.events("worker.overloaded")[1].data["is_over"] is True

    run(main())


def test_a_task_that_dies_is_told_and_begins_again(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "RESTART_PAUSE_S", 0.05)
    original, left = Module._cycle, [2]

    async def dying(self: Module, loop: asyncio.AbstractEventLoop) -> None:
        if left[0]:
            left[0] -= 1
            if left[0]:
                raise ZeroDivisionError
            raise asyncio.CancelledError
        await original(self, loop)

    monkeypatch.setattr(Module, "_cycle", dying)

    async def main() -> None:
        async with sim(ADAM) as there:
            plant.publish(config(there))
            async with working(plant):
                (fault,) = await until(lambda: plant.events("device.faulted"))
                assert fault.data["reason"] == "task_died"
                await is_up(plant)
                await there.tap()
                await until(plant.alarms)

    run(main())


def test_the_heartbeat_says_how_the_worker_is_and_goes_with_it(plant: Plant) -> None:
    async def main() -> None:
        async with sim(ADAM) as there:
            plant.publish(config(there), {"device": "M9", "profile": "nobody.knows"})
            async with working(plant):
                beat = await until(lambda: (raw := plant.client.get("campus:worker:devices-1")) and json.loads(raw))  # type: ignore[arg-type]
                assert beat["source"] == "devices-1"
                await until(lambda: json.loads(plant.client.get("campus:worker:devices-1") or "{}").get("up") == 1)  # type: ignore[arg-type]
                beat = json.loads(plant.client.get("campus:worker:devices-1"))  # type: ignore[arg-type]
                assert (beat["modules"], beat["lost"], beat["fault"], beat["overloaded"], beat["spool_full"]) == (1, 0, 1, False, False)
                assert 0 < int(plant.client.ttl("campus:worker:devices-1")) <= 10  # type: ignore[arg-type]
            assert plant.client.get("campus:worker:devices-1") is None

    run(main())


def test_the_worker_stops_within_2_s_whatever_its_modules_do(plant: Plant, free_port: Callable[[], int]) -> None:
    async def silent(request: Request) -> None:
        return

    async def main() -> None:
        nobody = SimModule(ADAM)
        nobody.port = free_port()
        async with sim(ADAM) as there, peer(silent) as hole:
            host = SimModule(ADAM)
            host.port = hole.port
            plant.publish(config(there), *(config(host, f"H{n}") for n in range(20)), config(nobody, "N1"))
            async with working(plant) as worker:
                await is_up(plant)
                begun = time.monotonic()
            assert time.monotonic() - begun < 2.0 + 10 * worker._lag_s

    run(main())


def test_a_module_behind_a_serial_gateway_is_polled_by_rtu_over_tcp(plant: Plant) -> None:
    async def main() -> None:
        profile = PROFILES["waveshare-io8"]
        async with sim(profile, framer=FramerType.RTU, unit=7) as there:
            plant.publish(config(there, transport="rtu-over-tcp"))
            async with working(plant):
                await is_up(plant)
                await there.press()
                await until(plant.alarms)

    run(main())


def test_a_module_that_dials_in_is_polled(plant: Plant, free_port: Callable[[], int]) -> None:
    port = free_port()
    pressed = [0]

    async def module() -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            try:
                writer.write(b"DTU-0001")
                while True:
                    request = await reader.readexactly(8)
                    writer.write(rtu(request[0], bytes([request[1], 1, pressed[0]])))
            except (ConnectionError, asyncio.IncompleteReadError):
                continue
            finally:
                writer.close()

    async def main() -> None:
        dtu = asyncio.create_task(module())
        host = SimModule(PROFILES["usr.io808"])
        host.host, host.port = "DTU-0001", port
        plant.publish(config(host, transport="rtu-dial-in", zone="contact"))
        async with working(plant):
            await is_up(plant)
            pressed[0] = 1
            (alarm,) = await until(plant.alarms)
            assert alarm.data["zone"] == "contact"
        dtu.cancel()
        await asyncio.gather(dtu, return_exceptions=True)

    run(main())
