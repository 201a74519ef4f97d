"""Every shipped profile is right in itself and works on a real Modbus server."""

from __future__ import annotations

import asyncio
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from data.core.events import Event
from devices import profile as profiles
from devices.module import Module, Site
from devices.plan import Plan, Unfit, plan_of
from devices.profile import BadProfiles, Profile
from tests.devices.peers import run
from tests.devices.sim import sim

ALL = {p.id: p for p in profiles.load().values()}
WAYS = [(p, capture) for p in ALL.values() for capture in p.captures]


def plan(profile: Profile, capture: str, host: str = "127.0.0.1", port: int = 502, zone: str = "contact", **more: Any) -> Plan:
    last = profile.input_count - 1
    inputs = [{"channel": c, "zone": zone, "capture": capture, "self_locking": True} for c in {0, last}]
    outputs = [{"channel": c, "zone": "siren", "max_on_s": 5} for c in {0, profile.output_count - 1}] if profile.output_count else []
    raw = {"device": "M1", "profile": profile.id, "host": host, "port": port, "poll_ms": 100, "inputs": inputs, "outputs": outputs}
    return plan_of(raw | more, profiles.load())


class Kept:
    """A spool in memory: what the module stores, done at once."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.baseline: dict[str, str] = {}

    def store(self, batch: Any, baseline: Any) -> asyncio.Future[None]:
        self.events += batch
        self.baseline |= baseline
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def site(self) -> Site:
        def no_hub(port: int) -> Any:
            raise AssertionError

        return Site(
            source="devices-1",
            store=self.store,
            now=lambda: datetime.now(UTC),
            late=lambda share: None,
            lag_s=lambda: 0.0,
            hub=no_hub,
            alive_at=None,
        )

    def kinds(self) -> list[str]:
        return [event.kind.value for event in self.events]


async def eventually(check: Any) -> None:
    async with asyncio.timeout(5):
        while not check():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("profile", "capture"), WAYS, ids=[f"{p.name}-{c}" for p, c in WAYS])
def test_a_press_on_the_first_and_the_last_input_arrives(profile: Profile, capture: str) -> None:
    async def main() -> None:
        kept = Kept()
        async with sim(profile) as there:
            task = asyncio.create_task(Module(plan(profile, capture, port=there.port), kept.site(), {}).run())
            await eventually(lambda: "device.back" in kept.kinds())
            for channel in (0, profile.input_count - 1):
                kept.events.clear()
                await there.press(channel)
                await eventually(lambda: "alarm.raised" in kept.kinds())
                await there.release(channel)
                await eventually(lambda: "input.restored" in kept.kinds())
                assert [(e.channel, e.data["capture"]) for e in kept.events if e.kind == "alarm.raised"] == [(channel, capture)]
                if capture == "latch":
                    assert profile.latch
                    latch = profile.latch.block
                    await asyncio.sleep(0.05)
                    assert (await there.read(latch.fc, latch.address + 4 * channel))[0] == 0, "the latch is cleared once it is stored"
            task.cancel()

    run(main())


@pytest.mark.parametrize("profile", [p for p in ALL.values() if p.output_count], ids=lambda p: p.name)
def test_an_output_is_switched_and_read_back(profile: Profile) -> None:
    async def main() -> None:
        kept = Kept()
        async with sim(profile) as there:
            module = Module(plan(profile, "level", port=there.port), kept.site(), {})
            task = asyncio.create_task(module.run())
            await eventually(lambda: "device.back" in kept.kinds())
            for act, level in (("on", 1), ("off", 0)):
                for channel in (0, profile.output_count - 1):
                    kept.events.clear()
                    module.command(
                        {"command_id": f"{act}{channel}", "channel": channel, "act": act, "expires_at": "2999-01-01T00:00:00+00:00"}
                    )
                    await eventually(lambda: "output.confirmed" in kept.kinds())
                    assert await there.output(channel) == level
                    assert kept.events[0].data["state"] == act
            task.cancel()

    run(main())


@pytest.mark.parametrize("profile", [p for p in ALL.values() if p.setups], ids=lambda p: p.name)
def test_a_module_in_the_factory_s_mode_is_set_up_before_it_is_polled(profile: Profile) -> None:
    async def main() -> None:
        kept = Kept()
        setup = profile.setups[0]
        async with sim(profile) as there:
            await there.write(setup.verify.fc, setup.address, [1] * len(setup.values))
            task = asyncio.create_task(Module(plan(profile, "level", port=there.port), kept.site(), {}).run())
            await eventually(lambda: "device.back" in kept.kinds())
            assert await there.read(setup.verify.fc, setup.address, len(setup.values)) == list(setup.values)
            task.cancel()

    run(main())


def test_another_module_behind_the_address_is_a_fault_and_not_silence() -> None:
    async def main() -> None:
        profile, kept = ALL["advantech.adam-6050"], Kept()
        assert profile.identity
        async with sim(profile) as there:
            await there.write(3, profile.identity.address, [0x6050, 0])
            first = asyncio.create_task(Module(plan(profile, "counter", port=there.port), kept.site(), {}).run())
            await eventually(lambda: "device.back" in kept.kinds())
            first.cancel()
            await there.write(3, profile.identity.address, [0x6052, 0])
            stored = dict(kept.baseline)
            kept.events.clear()
            second = asyncio.create_task(Module(plan(profile, "counter", port=there.port), kept.site(), stored).run())
            await eventually(lambda: kept.events)
            await there.press()
            await asyncio.sleep(0.3)
            assert [(e.kind.value, e.data["reason"]) for e in kept.events] == [("device.faulted", "identity")]
            second.cancel()

    run(main())


def test_words_of_a_counter_are_read_in_the_profile_s_order() -> None:
    async def main() -> None:
        for profile in ALL.values():
            if profile.counter:
                async with sim(profile) as there:
                    assert await there.count(1, 0x0001_0002) == 0x0001_0002
                    address = profile.counter.block.address + 2
                    words = await there.read(profile.counter.block.fc, address, 2)
                    assert words == ([1, 2] if profile.counter.words == "hi-lo" else [2, 1])

    run(main())


PANIC = {"channel": 0, "zone": "panic"}
REFUSED = {
    "unknown-profile": ("profile_unknown", {"profile": "nobody.knows"}),
    "unknown-channel": ("channel_unknown", {"inputs": [{"channel": 12, "zone": "panic"}]}),
    "unknown-output": ("channel_unknown", {"outputs": [{"channel": 6, "zone": "siren"}]}),
    "unknown-transport": ("transport_unknown", {"transport": "rtu"}),
    "panic-on-level": ("level_panic", {"inputs": [PANIC | {"capture": "level"}]}),
    "panic-on-an-unchecked-profile": ("profile_unchecked", {"profile": "usr.io808", "inputs": [PANIC | {"self_locking": True}]}),
    "panic-on-a-level-only-board": ("level_panic", {"profile": "waveshare-io8", "inputs": [PANIC]}),
    "latch-of-a-normally-closed": ("latch_nc", {"inputs": [{"channel": 0, "zone": "panic", "polarity": "nc", "capture": "latch"}]}),
    "capture-it-has-not": ("capture_unknown", {"profile": "waveshare-io8", "inputs": [PANIC | {"capture": "counter"}]}),
    "channel-twice": ("malformed", {"inputs": [PANIC, PANIC]}),
    "zone-nobody-knows": ("malformed", {"inputs": [{"channel": 0, "zone": "fire"}]}),
    "port-as-text": ("malformed", {"port": "502"}),
    "inputs-as-text": ("malformed", {"inputs": "all"}),
    "too-fast": ("malformed", {"poll_ms": 10}),
    "broadcast-unit": ("malformed", {"unit": 0}),
    "no-name": ("malformed", {"device": ""}),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_wiring_that_would_miss_a_press_is_refused_with_its_reason(case: str) -> None:
    reason, changed = REFUSED[case]
    raw = {"device": "M1", "profile": "adam-6050", "host": "127.0.0.1", "port": 502, "inputs": [PANIC]}
    assert plan_of(raw, profiles.load()).counter is not None
    with pytest.raises(Unfit) as refused:
        plan_of(raw | changed, profiles.load())
    assert refused.value.reason == reason


def test_a_level_only_board_may_have_a_self_locking_panic_button() -> None:
    found = plan(ALL["waveshare.modbus-rtu-io-8ch"], "level", zone="panic")
    assert found.is_level_evidence


def test_only_the_registers_in_use_are_asked_for() -> None:
    found = plan_of(
        {"device": "M1", "profile": "moxa-e1210", "host": "h", "port": 502, "inputs": [{"channel": c, "zone": "panic"} for c in (2, 4)]},
        profiles.load(),
    )
    assert found.counter
    assert (found.counter.address, found.counter.count) == (16 + 4, 6)
    assert found.level
    assert (found.level.address, found.level.count) == (2, 3)


def test_every_fault_of_every_profile_is_listed_at_once(tmp_path: Path) -> None:
    good = (profiles.FOLDER / "adam-6050.toml").read_text()
    (tmp_path / "good.toml").write_text(good)
    (tmp_path / "twin.toml").write_text(good)
    (tmp_path / "broken.toml").write_text("[profile\n")
    (tmp_path / "wrong.toml").write_text(
        good.replace('checked = "manual"', 'checked = "hearsay"')
        .replace("stride = 2", "stride = 9")
        .replace('block = "di"', 'block = "dj"')
        + "\n[extra]\n"
    )
    with pytest.raises(BadProfiles) as refused:
        profiles.load(tmp_path)
    said = "\n".join(refused.value.errors)
    for part in (
        "broken",
        "twin: advantech.adam-6050",
        "checked must be one of",
        "'dj' is not polled",
        "outside block 'cnt'",
        "unknown key extra",
    ):
        assert part in said, said


@pytest.mark.parametrize("path", sorted(profiles.FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_a_profile_says_where_its_addresses_come_from_and_no_setting_is_unread(path: Path) -> None:
    found = profiles.parse(tomllib.loads(path.read_text()), path.stem)
    assert found.source
    assert found.checked in ("manual", "device", "none")
