"""Whether a module answers: said once when it is lost, once when it is back, never in between. Pure, no clock of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from data.core.events import Event, Kind, event_id_of

FAILURES, SILENCE_S = 3, 2.0  # both must be reached before a module is lost: one lost packet is no outage
FIRST_PAUSE_S, LONGEST_PAUSE_S, SUSPECT_PAUSE_S = 1.0, 30.0, 0.25


@dataclass(slots=True)
class Health:
    """The state of one module's link.

    Attributes:
        state: unknown (never answered), up, lost (no answer) or fault (answers without sense).
        since: when it left `up`, UTC; None while it is up.
    """

    device: str
    source: str
    demo: bool
    state: str = "unknown"
    since: datetime | None = None
    reason: str = ""
    failures: int = 0
    pause_s: float = FIRST_PAUSE_S
    _good_mono_s: float | None = None
    _is_fault: bool = False

    @classmethod
    def restore(cls, device: str, source: str, demo: bool, stored: str | None) -> Health:
        """The state an earlier worker stored; unknown when there is none."""
        made = cls(device, source, demo)
        try:
            raw = json.loads(stored) if stored else {}
            made.since = datetime.fromisoformat(raw["since"]) if raw.get("since") else None
            made.state, made.reason = raw.get("state", "unknown"), raw.get("reason", "")
        except (ValueError, TypeError, AttributeError):
            return cls(device, source, demo)
        return made

    def stored(self) -> str:
        """What `restore` reads."""
        return json.dumps({"state": self.state, "since": self.since.isoformat() if self.since else None, "reason": self.reason})

    @property
    def is_up(self) -> bool:
        return self.state == "up"

    def good(self, at: datetime, mono_s: float) -> Event | None:
        """It answered with sense. An event when it was not up before; its gap is None where it never was up."""
        self._good_mono_s, self.failures, self.pause_s = mono_s, 0, FIRST_PAUSE_S
        if self.state == "up":
            return None
        gap_s = round(max((at - self.since).total_seconds(), 0.0), 3) if self.since else None
        self.state, self.since, self.reason = "up", None, ""
        return self._event(Kind.DEVICE_BACK, at, {"reason": "", "gap_s": gap_s})

    def touch(self, mono_s: float) -> None:
        """It answered as before: the cheap half of `good` for a module that is up."""
        self._good_mono_s = mono_s

    def bad(self, reason: str, at: datetime, mono_s: float, *, is_fault: bool, is_sure: bool = False) -> Event | None:
        """It did not answer, or without sense. An event when that makes it lost or faulted.

        Args:
            is_fault: it answers; what it says is wrong.
            is_sure: no second look is needed (another module lives behind the address).
        """
        if is_fault != self._is_fault:
            self._is_fault, self.failures = is_fault, 0
        self.failures += 1
        if self._good_mono_s is None:
            self._good_mono_s = mono_s
        state = "fault" if is_fault else "lost"
        is_long = self.failures >= FAILURES and mono_s - self._good_mono_s >= SILENCE_S
        if (self.state == state and (self.reason == reason or not is_fault)) or not (is_long or is_sure):
            return None
        if self.since is None:
            self.since = at - timedelta(seconds=max(mono_s - self._good_mono_s, 0.0))
        self.state, self.reason = state, reason
        return self._event(Kind.DEVICE_FAULTED if is_fault else Kind.DEVICE_LOST, at, {"reason": reason})

    def next_pause_s(self, jitter: float) -> float:
        """How long to wait before the next try: quickly while in doubt, then 1 s doubling to 30 s. `jitter` is 0..1."""
        if self.state not in ("lost", "fault"):
            return SUSPECT_PAUSE_S
        pause_s = self.pause_s * (0.8 + 0.4 * jitter)
        self.pause_s = min(self.pause_s * 2, LONGEST_PAUSE_S)
        return pause_s

    def _event(self, kind: Kind, at: datetime, data: dict[str, Any]) -> Event:
        return Event(
            event_id=event_id_of(self.device, kind.value, at.isoformat(), data["reason"]),
            kind=kind,
            source=self.source,
            subject=self.device,
            event_at=at,
            demo=self.demo,
            data={"gap_s": None, **data},
        )
