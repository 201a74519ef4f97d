"""One input as a state machine: samples in, events out. No clock, no socket, no disk.

What is remembered (`Memory`) is stored with the events it led to, in one transaction, so that a worker killed at any
moment goes on where the stored part ends: a press is one event, never none and never two. The ids are made from the
memory, so a repetition has the id of the first.

`level`    active after `debounce_s`; a press that starts and ends between two samples is not seen.
`counter`  every count above the remembered one is a press; so is a level that is active though nothing was counted
           (a normally closed button counts only when it is let go, a counter may stand still). Such a press is told
           ahead of its count. A count below the remembered one is a wrap or a restarted module.
`latch`    a set latch is one press; it is cleared only after the event was stored.
Nothing is ever suppressed at a panic input; a contact that flaps is told once and then counted.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from data.core.events import Event, Kind, event_id_of
from devices.plan import Input

MOST_EVENTS = 20  # presses of one sample that get an event each; more are one event with their count
LARGEST_DELTA = 10_000  # counts between two samples that a finger, a bouncing contact or a noisy wire can make
WRAP_DELTA = 1_000  # a count that went back and is this near after the wrap has wrapped; else the module restarted
CHATTER_ALARMS, CHATTER_S = 5, 60.0  # more alarms of one contact in this time are one `input.chattered`
SAME_PRESS_S = 10.0
CLEAR_TRIES = 3  # a latch still set after this many clears is stuck


@dataclass(frozen=True, slots=True)
class Memory:
    """What survives the worker; `life` marks when it began, so that ids of an earlier, lost memory are not repeated."""

    life: str
    is_active: bool = False
    number: int = 0  # presses so far
    count: int | None = None  # the counter's last value
    round: int = 0  # how often the counter began again
    ahead: int = 0  # 1: a press was told by the level, its count is still to come
    latch: str = "idle"  # idle, raised (stored, not cleared), clearing (the clear was sent, nobody knows whether it arrived)
    clearing_s: float = 0.0  # when, seconds since 1970
    changes: int = 0  # levels told so far

    def encode(self) -> str:
        return json.dumps({name: getattr(self, name) for name in self.__slots__}, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str | None) -> Memory | None:
        """None for no memory or one that cannot be read: the input is then unknown, not off."""
        try:
            return cls(**json.loads(text)) if text else None
        except (ValueError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at an input; None where it was not read."""

    at: datetime  # UTC
    mono_s: float
    uncertainty_ms: int  # how long ago the sample before was
    level: bool | None = None  # as the module says, polarity not applied
    count: int | None = None
    latch: bool | None = None
    is_after_gap: bool = False  # first sample after the worker's start or a lost device: what happened, happened meanwhile


@dataclass(slots=True)
class Seen:
    """What a sample led to."""

    events: list[Event] = field(default_factory=list)
    fault: str = ""  # the answer makes no sense: a code for device.faulted, never an alarm
    is_restarted: bool = False
    wants_clear: bool = False


class Point:
    """One input in use."""

    def __init__(
        self, device: str, source: str, config: Input, memory: Memory | None, *, modulus: int = 1 << 32, demo: bool = False
    ) -> None:
        self.config, self.memory = config, memory
        self._device, self._source, self._demo, self._modulus = device, source, demo, modulus
        self._pending_since: float | None = None  # a level that differs, waiting out the debounce
        self._raised_at: deque[float] = deque(maxlen=CHATTER_ALARMS)
        self._chatter = 0  # alarms held back since the flapping began
        self._chatter_at = 0.0
        self._clear_tries = 0
        self._back_to: int | None = None  # the counter's value before it went back
        self._jumped: int | None = None  # a value too far up to be presses, not yet believed

    @property
    def is_settled(self) -> bool:
        """An unchanged sample would lead to nothing; the caller may skip it."""
        memory = self.memory
        if memory is None or self._pending_since is not None or self._chatter or self._jumped is not None:
            return False
        return memory.latch == "idle" and (memory.ahead == 0 or memory.is_active)

    @property
    def wants_level(self) -> bool:
        """Its level matters now, though it is not what presses are seen by."""
        return self.memory is None or self.memory.is_active or self._pending_since is not None

    def see(self, sample: Sample) -> Seen:
        """Take in a sample; `memory` is then what must be stored together with the events."""
        seen = Seen()
        is_new = self.memory is None
        if self.memory is None:
            self.memory = Memory(life=f"{sample.at.timestamp():.6f}", count=sample.count)
        self._end_chatter(sample, seen)
        is_active = self._level(sample)
        if self.config.capture == "counter":
            self._count(sample, is_active, seen, is_new=is_new)
        elif self.config.capture == "latch":
            self._latch(sample, is_active, seen, is_new=is_new)
        else:
            self._by_level(sample, is_active, seen, is_new=is_new)
        return seen

    def cleared(self) -> None:
        """The module confirmed that the latch is clear."""
        if self.memory:
            self.memory = replace(self.memory, latch="idle")
        self._clear_tries = 0

    def clearing(self, at: datetime) -> None:
        """The latch is about to be cleared; whether it was is not known before `cleared`."""
        if self.memory:
            self.memory = replace(self.memory, latch="clearing", clearing_s=at.timestamp())
        self._clear_tries += 1

    def not_cleared(self) -> None:
        """The module refused the clear: the latch still holds the press that was told."""
        if self.memory:
            self.memory = replace(self.memory, latch="raised")

    def _level(self, sample: Sample) -> bool | None:
        """The level that counts: polarity applied, debounced; None when not known."""
        if sample.level is None or self.memory is None:
            return None
        is_active = sample.level != self.config.is_nc
        if is_active == self.memory.is_active:
            self._pending_since = None
            return is_active
        if self.config.debounce_s > 0:
            if self._pending_since is None:
                self._pending_since = sample.mono_s
            if sample.mono_s - self._pending_since < self.config.debounce_s:
                return None
        self._pending_since = None
        return is_active

    def _by_level(self, sample: Sample, is_active: bool | None, seen: Seen, *, is_new: bool) -> None:
        memory = self._memory()
        if is_active is None or is_active == memory.is_active:
            return
        if is_active:
            self._become(is_active=True)
            self._raise(sample, seen, 1, key=f"level {self._memory().changes}", is_while_down=is_new or sample.is_after_gap)
        else:
            self._rest(sample, seen)

    def _count(self, sample: Sample, is_active: bool | None, seen: Seen, *, is_new: bool) -> None:
        was_active = self._memory().is_active
        if sample.count is not None and not is_new:
            if self._memory().count is None:
                self.memory = replace(self._memory(), count=sample.count)
            presses = self._delta(self._memory(), sample.count, is_active, seen)
            if presses:
                self._presses(sample, seen, presses, sample.count)
        if is_active:
            memory = self._memory()
            is_told = memory.ahead > 0 if self.config.is_nc else memory.is_active
            if not memory.is_active:
                self._become(is_active=True)
            if not is_told:
                self.memory = replace(self._memory(), ahead=1)
                key = f"level {self._memory().number + 1} {self._memory().changes}"
                self._raise(sample, seen, 1, key=key, is_while_down=is_new or sample.is_after_gap)
        elif is_active is False and self._memory().is_active:
            self._rest(sample, seen)
        elif is_active is False and not was_active and self._memory().ahead:
            # At rest for two samples: the count that was to come never came and must not swallow another press.
            self.memory = replace(self._memory(), ahead=0)

    def _delta(self, memory: Memory, count: int, is_active: bool | None, seen: Seen) -> int:
        """New presses by the counter; the memory then holds its value."""
        before = self._origin(memory.count or 0, count)
        delta, rounds, known = count - before, memory.round, memory.ahead
        if delta < 0:
            rounds += 1
            if delta % self._modulus <= WRAP_DELTA:
                delta %= self._modulus
            else:
                seen.is_restarted, self._back_to = True, before
                delta, known = count, 0  # what it counts now was pressed since; better one too many than one lost
        if delta > LARGEST_DELTA:
            seen.fault, self._jumped = "counter_jump", count
            return 0
        if not seen.is_restarted and count != memory.count:
            self._back_to = None
        self._jumped = None
        known = min(known, delta)
        # A normally open button's count follows its level at once; only a normally closed one's waits for the release.
        is_still_ahead = self.config.is_nc and (is_active or not seen.is_restarted)
        ahead = memory.ahead - known if is_still_ahead else 0
        if (count, rounds, ahead) != (memory.count, memory.round, memory.ahead):
            self.memory = replace(memory, count=count, round=rounds, ahead=ahead)
        return delta - known

    def _origin(self, before: int, count: int) -> int:
        """The value to count from: nonsense between two good answers (zeros of a busy gateway, a wild number) is no press."""
        if count == self._back_to and count - before > MOST_EVENTS:
            return count  # as before it went back, in one step nobody can press
        if self._jumped is not None and not 0 <= count - before <= LARGEST_DELTA and 0 <= count - self._jumped <= LARGEST_DELTA:
            return self._jumped  # it stays there: the counter was set
        return before

    def _presses(self, sample: Sample, seen: Seen, presses: int, count: int) -> None:
        """Tell new presses, each by the counter's value after it."""
        if not self.config.is_nc and not self._memory().is_active:
            self._become(is_active=True)  # until the level says otherwise
        if presses > MOST_EVENTS:
            self._raise(sample, seen, presses, key=f"counter {self._memory().round} {count}", is_while_down=sample.is_after_gap)
            return
        for value in range(count - presses + 1, count + 1):
            self._raise(sample, seen, 1, key=f"counter {self._memory().round} {value % self._modulus}", is_while_down=sample.is_after_gap)

    def _latch(self, sample: Sample, is_active: bool | None, seen: Seen, *, is_new: bool) -> None:
        memory = self._memory()
        if sample.latch:
            seen.wants_clear = True
            if self._clear_tries >= CLEAR_TRIES:
                seen.fault = "latch_stuck"
            elif not self._is_same_press(memory, sample):
                self.memory = replace(memory, latch="raised", is_active=True)
                self._raise(sample, seen, 1, key=f"latch {memory.number + 1}", is_while_down=is_new or sample.is_after_gap)
        elif sample.latch is False and memory.latch != "idle":
            self.cleared()
        if is_active is None:
            return
        if is_active and is_new and not sample.latch:
            self._become(is_active=True)
            self._raise(sample, seen, 1, key="first", is_while_down=True)
        elif is_active and not self._memory().is_active:
            self._become(is_active=True)
        elif not is_active and self._memory().is_active:
            self._rest(sample, seen)

    @staticmethod
    def _is_same_press(memory: Memory, sample: Sample) -> bool:
        """Whether a set latch shows a press that was told before the worker died or lost the module.

        When the clear may have arrived, a latch set within `SAME_PRESS_S` belongs to the alarm that was just raised;
        later it is another press.
        """
        if memory.latch == "clearing":
            return 0 <= sample.at.timestamp() - memory.clearing_s < SAME_PRESS_S
        return memory.latch == "raised"

    def _memory(self) -> Memory:
        assert self.memory is not None  # made by `see` before anything else
        return self.memory

    def _become(self, *, is_active: bool) -> None:
        memory = self._memory()
        self.memory = replace(memory, is_active=is_active, changes=memory.changes + 1)

    def _rest(self, sample: Sample, seen: Seen) -> None:
        self._become(is_active=False)
        if not self._chatter:
            seen.events.append(self._event(Kind.INPUT_RESTORED, sample, f"rest {self._memory().changes}", {"zone": self.config.zone}))

    def _raise(self, sample: Sample, seen: Seen, presses: int, *, key: str, is_while_down: bool) -> None:
        self.memory = replace(self._memory(), number=self._memory().number + presses)
        if self.config.zone != "panic" and self._is_chattering(sample, seen):
            return
        data = {
            "zone": self.config.zone,
            "press": self._memory().number,
            "count": presses,
            "capture": self.config.capture,
            "while_down": is_while_down,
            "mode": self.config.mode,
        }
        seen.events.append(self._event(Kind.ALARM_RAISED, sample, key, data))

    def _is_chattering(self, sample: Sample, seen: Seen) -> bool:
        """Counts the alarm; True when it is held back."""
        if self._chatter:
            self._chatter += 1
            self._chatter_at = sample.mono_s
            return True
        if len(self._raised_at) == CHATTER_ALARMS and sample.mono_s - self._raised_at[0] <= CHATTER_S:
            self._chatter, self._chatter_at = 1, sample.mono_s
            data = {"zone": self.config.zone, "count": CHATTER_ALARMS + 1, "window_s": int(CHATTER_S), "is_over": False}
            seen.events.append(self._event(Kind.INPUT_CHATTERED, sample, f"chatter {self._memory().number}", data))
            return True
        self._raised_at.append(sample.mono_s)
        return False

    def _end_chatter(self, sample: Sample, seen: Seen) -> None:
        if self._chatter and sample.mono_s - self._chatter_at > CHATTER_S:
            data = {"zone": self.config.zone, "count": self._chatter, "window_s": int(CHATTER_S), "is_over": True}
            seen.events.append(self._event(Kind.INPUT_CHATTERED, sample, f"calm {self._memory().number}", data))
            self._chatter = 0
            self._raised_at.clear()
            if self._memory().is_active:  # the last alarm was held back and the reason is still there
                self._raise(sample, seen, 1, key=f"left {self._memory().number}", is_while_down=False)
            else:
                seen.events.append(
                    self._event(Kind.INPUT_RESTORED, sample, f"calm rest {self._memory().number}", {"zone": self.config.zone})
                )

    def _event(self, kind: Kind, sample: Sample, key: str, data: dict[str, Any]) -> Event:
        return Event(
            event_id=event_id_of(self._device, self.config.channel, kind.value, self._memory().life, key),
            kind=kind,
            source=self._source,
            subject=self._device,
            channel=self.config.channel,
            event_at=sample.at,
            uncertainty_ms=sample.uncertainty_ms,
            demo=self._demo,
            data=data,
        )
