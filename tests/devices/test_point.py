"""A press is one event, whatever worker, module and network do in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.core.events import Event, Kind
from devices.plan import Input
from devices.point import CHATTER_S, LARGEST_DELTA, Memory, Point, Sample, Seen

START = datetime(2026, 11, 22, 8, tzinfo=UTC)
TOP = 1 << 32


def config(capture: str, *, zone: str = "panic", is_nc: bool = False, debounce_ms: int = 0) -> Input:
    return Input(channel=0, zone=zone, is_nc=is_nc, debounce_s=debounce_ms / 1000, capture=capture, mode="live")


@dataclass
class Bench:
    """A button, its module, and a worker that may die: what is stored is `events` and `stored`, everything else is lost."""

    config: Input
    is_pressed: bool = False
    count: int = 0
    latch: bool = False
    presses: int = 0
    time_s: float = 0.0
    period_s: float = 0.5
    stored: str | None = None
    events: list[Event] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    restarts: int = 0
    point: Point | None = None
    is_after_gap: bool = True

    def press(self) -> None:
        if not self.is_pressed:
            self.is_pressed, self.presses, self.latch = True, self.presses + 1, True
            if not self.config.is_nc:
                self.count = (self.count + 1) % TOP

    def release(self) -> None:
        if self.is_pressed:
            self.is_pressed = False
            if self.config.is_nc:
                self.count = (self.count + 1) % TOP

    def tap(self) -> None:
        self.press()
        self.release()

    def poll(self, *, crash: str = "", level: bool = True, **answers: Any) -> Seen:
        """One cycle of the worker; `crash` is where it dies: before-store, before-clear, before-cleared."""
        self.time_s += self.period_s
        if self.point is None:
            self.point = Point("M1", "devices-1", self.config, Memory.decode(self.stored))
            self.is_after_gap = True
        seen = self.point.see(
            Sample(
                at=START + timedelta(seconds=self.time_s), mono_s=self.time_s, uncertainty_ms=500,
                level=answers.get("level_is", self.is_pressed != self.config.is_nc) if level else None,
                count=answers.get("count_is", self.count) if self.config.capture == "counter" else None,
                latch=self.latch if self.config.capture == "latch" else None,
                is_after_gap=self.is_after_gap,
            )
        )  # fmt: skip
        self.is_after_gap = False
        if crash == "before-store":
            self.point = None
            return seen
        self.keep(seen.events)
        if seen.fault:
            self.faults.append(seen.fault)
        self.restarts += seen.is_restarted
        if seen.wants_clear and crash != "before-clear":
            self.point.clearing(START + timedelta(seconds=self.time_s))
            self.keep([])
            self.latch = False
            if crash != "before-cleared":
                self.point.cleared()
                self.keep([])
        if crash:
            self.point = None
        return seen

    def keep(self, events: list[Event]) -> None:
        known = {event.event_id for event in self.events}
        self.events += [event for event in events if event.event_id not in known]
        assert self.point
        assert self.point.memory
        self.stored = self.point.memory.encode()

    def die(self) -> None:
        self.point = None

    @property
    def alarms(self) -> list[Event]:
        return [event for event in self.events if event.kind is Kind.ALARM_RAISED]

    @property
    def told(self) -> int:
        """Presses told, over all alarms."""
        return sum(event.data["count"] for event in self.alarms)

    def kinds(self) -> list[str]:
        return [event.kind.value for event in self.events]


STEPS = ["tap", "press", "release", "poll", "poll", "poll-counter-only", "die", "crash-before-store"]


def play(bench: Bench, steps: list[str]) -> None:
    for step in steps:
        if step == "poll":
            bench.poll()
        elif step == "poll-counter-only":
            bench.poll(level=False)
        elif step.startswith("crash-"):
            bench.poll(crash=step.removeprefix("crash-"))
        else:
            getattr(bench, step)()


@given(steps=st.lists(st.sampled_from(STEPS), max_size=60), start=st.sampled_from([0, 7, TOP - 3]))
def test_a_counter_tells_every_press_once(steps: list[str], start: int) -> None:
    bench = Bench(config("counter"), count=start)
    bench.poll()
    play(bench, [*steps, "poll"])
    assert bench.told == bench.presses
    assert [event.data["press"] for event in bench.alarms][-1:] == [bench.presses][: bench.presses]


@given(steps=st.lists(st.sampled_from(STEPS), max_size=60))
def test_a_normally_closed_button_on_a_counter_tells_every_press_once(steps: list[str]) -> None:
    bench = Bench(config("counter", is_nc=True))
    bench.poll()
    play(bench, [*steps, "poll", "release", "poll", "poll"])
    assert bench.told == bench.presses


@given(steps=st.lists(st.sampled_from([*STEPS, "power_cycle"]), max_size=60), is_nc=st.booleans())
def test_a_module_that_restarts_hides_no_press_and_adds_at_most_one(steps: list[str], is_nc: bool) -> None:
    """One more where a button is held over the restart: whether it was let go meanwhile nobody can know."""
    bench = Bench(config("counter", is_nc=is_nc))
    bench.poll()
    bench.poll()
    cycles = 0
    for step in steps:
        if step == "power_cycle":
            bench.poll()
            cycles, bench.count = cycles + 1, 0
            bench.poll()
        else:
            play(bench, [step])
    play(bench, ["poll", "release", "poll", "poll"])
    assert bench.presses <= bench.told <= bench.presses + cycles


@given(steps=st.lists(st.sampled_from([*STEPS, "crash-before-clear"]), max_size=60))
def test_a_latch_tells_each_time_it_was_set_once(steps: list[str]) -> None:
    bench = Bench(config("latch"))
    bench.poll()
    set_times, was_set = 0, False
    for step in [*steps, "poll"]:
        before = bench.latch
        play(bench, [step])
        was_set = bench.latch and not before
        set_times += was_set
    assert bench.told == set_times


@pytest.mark.parametrize(("away_s", "told"), [(2.0, 1), (60.0, 2)], ids=["of-the-same-alarm", "another"])
def test_a_latch_set_after_a_clear_nobody_knows_of_is_another_press_unless_the_alarm_is_seconds_old(away_s: float, told: int) -> None:
    bench = Bench(config("latch"))
    bench.poll()
    bench.tap()
    bench.poll(crash="before-cleared")
    bench.tap()
    bench.time_s += away_s
    bench.poll()
    bench.poll()
    assert bench.told == told


def test_a_worker_that_dies_before_its_clear_arrives_tells_the_press_once() -> None:
    bench = Bench(config("latch"))
    bench.poll()
    bench.tap()
    bench.poll(crash="before-cleared")
    bench.latch = True  # the clear did not arrive
    bench.poll()
    bench.poll()
    assert bench.told == 1


def test_a_latch_that_cannot_be_cleared_becomes_a_fault_and_not_an_alarm_per_poll() -> None:
    bench = Bench(config("latch"))
    bench.poll()
    bench.tap()
    for _ in range(20):
        bench.latch = True
        assert bench.point
        bench.time_s += 0.5
        seen = bench.point.see(Sample(START, bench.time_s, 500, level=False, latch=True))
        bench.keep(seen.events)
        if seen.fault:
            bench.faults.append(seen.fault)
        bench.point.clearing(START)
        bench.point.not_cleared()
    assert bench.told == 1
    assert set(bench.faults) == {"latch_stuck"}


@given(steps=st.lists(st.sampled_from(["press", "release", "poll", "die", "crash-before-store"]), max_size=60))
def test_a_level_tells_what_polls_can_see_once(steps: list[str]) -> None:
    bench, visible, last = Bench(config("level")), 0, False
    bench.poll()
    for step in [*steps, "poll"]:
        play(bench, [step])
        if step == "poll":
            visible += bench.is_pressed and not last
            last = bench.is_pressed
    assert bench.told == visible
    restored = bench.kinds().count("input.restored")
    assert restored == visible - (1 if last else 0)


@pytest.mark.parametrize("capture", ["level", "counter", "latch"])
@pytest.mark.parametrize(
    ("memory", "is_pressed", "alarms"),
    [("none", True, 1), ("none", False, 0), ("at-rest", True, 1), ("active", True, 0), ("active", False, 0)],
    ids=["unknown-active", "unknown-rest", "rest-then-active", "held-through", "released-meanwhile"],
)
def test_an_input_active_at_the_start_is_told_once_and_only_if_nobody_knew(
    capture: str, memory: str, is_pressed: bool, alarms: int
) -> None:
    bench = Bench(config(capture))
    if memory != "none":
        bench.poll()
    if memory == "active":
        bench.press()
        bench.poll()
    bench.die()
    bench.events.clear()
    if is_pressed:
        bench.press()
    else:
        bench.release()
    if memory == "none":
        bench.latch = False
    bench.poll()
    bench.poll()
    assert len(bench.alarms) == alarms
    assert all(event.data["while_down"] for event in bench.alarms)
    assert ("input.restored" in bench.kinds()) == (memory == "active" and not is_pressed)


def test_presses_of_one_poll_are_one_event_each_up_to_twenty() -> None:
    bench = Bench(config("counter"))
    bench.poll()
    for _ in range(20):
        bench.tap()
    bench.poll()
    assert [event.data["press"] for event in bench.alarms] == list(range(1, 21))
    assert len({event.event_id for event in bench.alarms}) == 20
    for _ in range(21):
        bench.tap()
    bench.poll()
    assert bench.alarms[-1].data["count"] == 21
    assert bench.alarms[-1].data["press"] == 41
    assert len(bench.alarms) == 21


def test_a_counter_that_wraps_goes_on_and_one_that_restarts_says_so() -> None:
    bench = Bench(config("counter"), count=TOP - 2)
    bench.poll()
    for _ in range(4):
        bench.tap()
    bench.poll()
    assert (bench.told, bench.restarts) == (4, 0)
    bench.count = 0
    bench.tap()
    bench.poll()
    assert (bench.told, bench.restarts) == (5, 1), "a press counted after the restart is a press"
    bench.tap()
    bench.poll()
    assert bench.told == 6
    assert len({event.event_id for event in bench.alarms}) == 6, "the counter's values come again, the ids do not"


@pytest.mark.parametrize(
    "nonsense", [[0, 57], [3_000_000_000, 57], [0, 4_000_000_000, 57], [3_000_000_000, 1_000_000, 2_000_000_000, 57]], ids=str
)
def test_nonsense_between_good_answers_is_no_alarm(nonsense: list[int]) -> None:
    bench = Bench(config("counter"), count=57)
    bench.poll()
    bench.poll()
    for value in nonsense:
        bench.poll(count_is=value)
    bench.poll()
    assert bench.told == 0
    bench.tap()
    bench.poll()
    assert bench.told == 1, "and the next press is one"


@pytest.mark.parametrize("before", [1, 2, 20])
def test_a_small_counter_that_restarts_and_comes_back_to_its_value_was_pressed(before: int) -> None:
    bench = Bench(config("counter"), count=before)
    bench.poll()
    bench.count = 0
    bench.poll()
    for _ in range(before):
        bench.tap()
    bench.poll()
    assert bench.told == before


def test_a_counter_set_far_up_is_a_fault_once_and_counts_on_from_there() -> None:
    bench = Bench(config("counter"), count=5)
    bench.poll()
    bench.count += LARGEST_DELTA + 1
    for _ in range(3):
        bench.poll()
    assert bench.faults == ["counter_jump"]
    bench.tap()
    bench.poll()
    assert bench.told == 1


def test_a_lost_memory_does_not_repeat_the_ids_of_the_old_one() -> None:
    bench = Bench(config("counter"))
    bench.poll()
    bench.tap()
    bench.poll()
    bench.stored, bench.count = None, 0
    bench.die()
    bench.poll()
    bench.tap()
    bench.poll()
    assert len({event.event_id for event in bench.alarms}) == 2


@given(capture=st.sampled_from(["level", "counter"]), flaps=st.integers(7, 60))
def test_a_contact_that_flaps_is_told_once_then_counted_and_told_again_when_it_is_calm(capture: str, flaps: int) -> None:
    bench = Bench(config(capture, zone="contact"))
    bench.poll()
    for _ in range(flaps):
        bench.press()
        bench.poll()
        bench.release()
        bench.poll()
    assert len(bench.alarms) == 5
    assert bench.kinds().count("input.chattered") == 1
    bench.time_s += CHATTER_S + 1
    bench.poll()
    last = [event for event in bench.events if event.kind is Kind.INPUT_CHATTERED][-1]
    assert (last.data["is_over"], last.data["count"]) == (True, flaps - 5)
    bench.press()
    bench.poll()
    assert len(bench.alarms) == 6


def test_a_contact_left_open_after_flapping_is_an_alarm_when_it_is_calm() -> None:
    bench = Bench(config("level", zone="contact"))
    bench.poll()
    for _ in range(8):
        bench.press()
        bench.poll()
        bench.release()
        bench.poll()
    bench.press()
    bench.poll()
    assert len(bench.alarms) == 5
    bench.time_s += CHATTER_S + 1
    bench.poll()
    assert len(bench.alarms) == 6


@pytest.mark.parametrize("capture", ["level", "counter", "latch"])
def test_a_panic_button_is_never_held_back(capture: str) -> None:
    bench = Bench(config(capture))
    bench.poll()
    for _ in range(50):
        bench.press()
        bench.poll()
        bench.release()
        bench.poll()
    assert bench.told == 50
    assert "input.chattered" not in bench.kinds()


def test_a_contact_must_stay_for_its_debounce_time() -> None:
    bench = Bench(config("level", zone="contact", debounce_ms=200), period_s=0.1)
    bench.poll()
    bench.press()
    bench.poll()
    bench.release()
    bench.poll()
    assert bench.told == 0
    bench.press()
    for _ in range(4):
        bench.poll()
    assert bench.told == 1
    assert bench.kinds() == ["alarm.raised"]


def test_a_cut_wire_of_a_normally_closed_button_is_an_alarm() -> None:
    bench = Bench(config("counter", is_nc=True))
    bench.poll()
    for _ in range(5):
        bench.poll(level_is=False)  # no current any more; the counter stands still
    assert bench.told == 1


def test_an_unreadable_memory_is_unknown_and_not_off() -> None:
    assert Memory.decode("") is None
    assert Memory.decode("{}") is None
    assert Memory.decode('{"life": "1", "later_field": 2}') is None
    assert Memory.decode(Memory(life="1", number=3).encode()) == Memory(life="1", number=3)
