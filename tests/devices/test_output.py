"""A siren does what was asked, says what became of it, and never sounds longer than allowed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devices import output as output_module
from devices import profile as profiles
from tests.devices.conftest import OwnRedis
from tests.devices.peers import Request, mbap, peer, run
from tests.devices.plant import Plant, config, until, working
from tests.devices.sim import SimModule, sim

ADAM = profiles.load()["advantech.adam-6050"]


@pytest.fixture
def plant(tmp_path: Path, own_redis: OwnRedis) -> Iterator[Plant]:
    made = Plant(tmp_path, own_redis)
    yield made
    made.client.close()


def answers(plant: Plant, command_id: str) -> list[tuple[str, str, str]]:
    """(kind, state, reason) of what was said about a command."""
    return [
        (e.kind.value, e.data["state"], e.data["reason"])
        for e in [*plant.events("output.confirmed"), *plant.events("output.failed")]
        if e.data["command_id"] == command_id
    ]


async def up(plant: Plant) -> None:
    await until(lambda: plant.events("device.back"), 10)


def test_a_command_is_confirmed_by_the_module_s_own_word_within_a_second_and_a_half(plant: Plant) -> None:
    async def main() -> None:
        async with sim(ADAM) as there:
            plant.publish(config(there, poll_ms=2000))
            async with working(plant):
                await up(plant)
                begun = time.monotonic()
                on = plant.command("M1", "on")
                await until(lambda: answers(plant, on))
                assert time.monotonic() - begun < 1.5, "a command does not wait for the next poll"
                assert answers(plant, on) == [("output.confirmed", "on", "")]
                assert await there.output(0) == 1
                off = plant.command("M1", "off")
                await until(lambda: answers(plant, off) == [("output.confirmed", "off", "")])
                assert await there.output(0) == 0

    run(main())


@pytest.mark.parametrize(
    ("asked", "reason"),
    [({"on_s": 0.3}, "on_over"), ({"on_s": 900, "max_on_s": 0.3}, "max_on"), ({"act": "pulse", "on_s": 0.2}, "on_over")],
    ids=["its-time", "the-limit", "pulse"],
)
def test_the_worker_switches_off_by_itself(plant: Plant, asked: dict[str, Any], reason: str) -> None:
    async def main() -> None:
        async with sim(ADAM) as there:
            plant.publish(config(there, poll_ms=2000))
            async with working(plant):
                await up(plant)
                on = plant.command("M1", **{"act": "on", **asked})
                await until(lambda: len(answers(plant, on)) == 2)
                assert answers(plant, on) == [("output.confirmed", "on", ""), ("output.confirmed", "off", reason)]
                assert await there.output(0) == 0

    run(main())


def test_the_site_s_limit_holds_whatever_a_command_says(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with sim(ADAM) as there:
            plant.publish(config(there, outputs=[{"channel": 0, "zone": "siren", "max_on_s": 1}]))
            async with working(plant):
                await up(plant)
                begun = time.monotonic()
                on = plant.command("M1", "on", on_s=900, max_on_s=900)
                await until(lambda: len(answers(plant, on)) == 2)
                assert 0.9 < time.monotonic() - begun < 2.5
                assert await there.output(0) == 0

    run(main())


def test_a_siren_that_was_on_when_the_worker_ended_goes_off_when_it_is_back(plant: Plant) -> None:
    async def main() -> None:
        async with sim(ADAM) as there:
            plant.publish(config(there))
            async with working(plant):
                await up(plant)
                on = plant.command("M1", "on", on_s=1)
                await until(lambda: answers(plant, on))
            assert await there.output(0) == 1
            await asyncio.sleep(0.9)
            async with working(plant):
                await until(lambda: len(answers(plant, on)) == 2)
                assert answers(plant, on)[1] == ("output.confirmed", "off", "on_over")
                assert await there.output(0) == 0

    run(main())


def test_a_command_is_not_repeated_after_a_restart(plant: Plant) -> None:
    async def main() -> None:
        async with sim(ADAM) as there:
            plant.publish(config(there))
            async with working(plant):
                await up(plant)
                on = plant.command("M1", "on")
                await until(lambda: answers(plant, on))
                off = plant.command("M1", "off")
                await until(lambda: answers(plant, off))
            async with working(plant):
                await until(lambda: len(plant.events("worker.started")) == 2)
                again = plant.command("M1", "pulse")
                await until(lambda: answers(plant, again))
                assert len(answers(plant, on)) == 1

    run(main())


def test_what_cannot_or_must_not_be_done_is_refused_with_its_reason(plant: Plant) -> None:
    async def main() -> None:
        async with sim(ADAM) as there:
            plant.publish(config(there))
            async with working(plant):
                await up(plant)
                expired = plant.command("M1", "on", seconds=-1)
                channel = plant.command("M1", "on", channel=5)
                act = plant.command("M1", "dance")
                nobody = plant.command("M77", "on")
                good = plant.command("M1", "on")
                plant.fence -= 3
                old = plant.command("M1", "off", command_id="old")
                await until(lambda: answers(plant, "old") and answers(plant, good))
                said = {name: answers(plant, name) for name in (expired, channel, act, nobody, good, "old")}
                assert said == {
                    expired: [("output.failed", "unknown", "expired")],
                    channel: [("output.failed", "unknown", "channel_unknown")],
                    act: [("output.failed", "unknown", "malformed")],
                    nobody: [("output.failed", "unknown", "device_unknown")],
                    good: [("output.confirmed", "on", "")],
                    "old": [("output.failed", "unknown", "fence")],
                }
                assert old
                assert await there.output(0) == 1, "the old command did nothing"

    run(main())


def test_a_command_for_a_module_that_is_lost_fails_at_once(plant: Plant) -> None:
    async def main() -> None:
        there = SimModule(ADAM)
        await there.start()
        plant.publish(config(there))
        async with working(plant):
            await up(plant)
            await there.stop()
            await until(lambda: plant.events("device.lost"))
            begun = time.monotonic()
            on = plant.command("M1", "on")
            await until(lambda: answers(plant, on))
            assert time.monotonic() - begun < 1.5
            assert answers(plant, on) == [("output.failed", "unknown", "link_down")]

    run(main())


def test_a_stuck_relay_is_a_failure_and_an_unconfirmed_on_is_taken_back(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_module, "READ_BACK_S", 0.2)

    async def main() -> None:
        written: list[int] = []
        state = {"shown": 0}

        async def answer(request: Request) -> None:
            body = request.pdu[:5]
            if request.fc == 5 and request.pdu[2] == 16:
                written.append(request.pdu[3])
            elif request.fc == 1:
                body = bytes([1, 1, state["shown"] if request.pdu[2] == 16 else 0])
            elif request.fc == 3:
                body = bytes([3, 2 * request.pdu[4], *bytes(2 * request.pdu[4])])
            request.send(mbap(request.tid, request.unit, body))

        async with peer(answer) as there:
            host = SimModule(ADAM)
            host.port = there.port
            plant.publish(config(host))
            async with working(plant):
                await up(plant)
                on = plant.command("M1", "on")
                await until(lambda: answers(plant, on))
                assert answers(plant, on) == [("output.failed", "unknown", "readback")]
                await until(lambda: written[:2] == [0xFF, 0])
                await asyncio.sleep(0.3)
                assert answers(plant, on) == [("output.failed", "unknown", "readback")], "that it went off again is not news"

                state["shown"] = 1
                stuck = plant.command("M1", "on", on_s=0.1)
                await until(lambda: answers(plant, stuck) == [("output.confirmed", "on", "")])
                (event,) = await until(lambda: [e for e in plant.events("output.failed") if e.data["reason"] == "stuck"])
                assert event.data["command_id"] == ""
                state["shown"] = 0
                await until(lambda: answers(plant, stuck)[1:] == [("output.confirmed", "off", "on_over")])

    run(main())


def test_a_connection_that_breaks_during_a_write_fails_the_command_and_takes_it_back(plant: Plant) -> None:
    async def main() -> None:
        written: list[int] = []

        async def answer(request: Request) -> None:
            body = request.pdu[:5]
            if request.fc == 5 and request.pdu[2] == 16:
                written.append(request.pdu[3])
                if request.pdu[3]:
                    request.writer.close()
                    return
            elif request.fc == 1:
                body = bytes([1, 1, 0])
            elif request.fc == 3:
                body = bytes([3, 2 * request.pdu[4], *bytes(2 * request.pdu[4])])
            request.send(mbap(request.tid, request.unit, body))

        async with peer(answer) as there:
            host = SimModule(ADAM)
            host.port = there.port
            plant.publish(config(host))
            async with working(plant):
                await up(plant)
                on = plant.command("M1", "on")
                await until(lambda: answers(plant, on))
                assert answers(plant, on) == [("output.failed", "unknown", "closed")]
                await until(lambda: written == [0xFF, 0])

    run(main())
