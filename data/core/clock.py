"""Time as the product keeps it: UTC, aware, and steady where durations or order depend on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import overload

STEP_MS = 500.0  # the wall clock moved by more than this against the monotonic one: a `clock.stepped` event


def now() -> datetime:
    """This moment, UTC."""
    return datetime.now(UTC)


@overload
def iso(moment: datetime) -> str: ...
@overload
def iso(moment: None) -> None: ...
def iso(moment: datetime | None) -> str | None:
    """ISO-8601 in UTC with microseconds, the form of every time that leaves the product; None stays None."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds") if moment is not None else None


class Steady:
    """UTC that does not jump: the wall clock at the start, carried on by the monotonic one.

    A poll loop stamps its events with it, so setting the machine's clock never swaps two presses.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._anchor()

    def _anchor(self) -> None:
        self._wall_s, self._monotonic_s = self._wall(), self._monotonic()

    def now(self) -> datetime:
        """UTC, never earlier than the answer before until `step_ms` has told of a jump."""
        elapsed_s = self._monotonic() - self._monotonic_s
        return datetime.fromtimestamp(self._wall_s, UTC) + timedelta(seconds=elapsed_s)

    def step_ms(self) -> float:
        """How far the wall clock has jumped since the last jump, in ms; 0.0 within `STEP_MS`. A jump is told once and then followed."""
        drift_ms = ((self._wall() - self._wall_s) - (self._monotonic() - self._monotonic_s)) * 1000
        if abs(drift_ms) <= STEP_MS:
            return 0.0
        self._anchor()
        return drift_ms
