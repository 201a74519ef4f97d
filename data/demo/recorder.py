"""The recorders of the demo city: they say every few minutes how each camera behind them is. Only through the API."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from data.demo.door import Door, Shut, Turned

_LOG = structlog.get_logger(__name__)

BATCH = 2_000  # cameras a report
ROUND_S = 270.0  # every camera once in this time: without a word for ten minutes it would be unknown
FIRST_ROUND_S = 25.0  # a new wall shows the cameras soon
BAD_SHARE = 0.012
CHANGES_A_REPORT = 1  # cameras that fail or come back, in the mean
PAUSE_S, LONGEST_PAUSE_S = 2.0, 30.0
_BAD = (("lost", "no_signal", 0.7), ("frozen", "same_picture", 0.12), ("dark", "too_dark", 0.1), ("covered", "no_structure", 0.08))


class Recorders:
    """All recorders in one thread."""

    def __init__(self, door: Door, recorders: Sequence[Mapping[str, Any]], token: str, *, is_quiet: bool, seed: int = 1) -> None:
        self._door, self._token, self._is_quiet = door, token, is_quiet
        self._rng = random.Random(seed)
        self.batches = [held["cameras"][start : start + BATCH] for held in recorders for start in range(0, len(held["cameras"]), BATCH)]
        cameras = [code for batch in self.batches for code in batch]
        self._bad = {code: self._fault() for code in self._rng.sample(cameras, round(BAD_SHARE * len(cameras)))}
        self._is_heard: bool | None = None
        self.rounds = 0

    def _fault(self) -> tuple[str, str]:
        state, reason, _ = self._rng.choices(_BAD, [share for _, _, share in _BAD])[0]
        return state, reason

    def run(self, stop: threading.Event) -> None:
        """Report until `stop` is set; a report that was not taken is made again."""
        pause_s = PAUSE_S
        while self.batches and not stop.is_set():
            share_s = (ROUND_S if self.rounds else FIRST_ROUND_S) / len(self.batches)
            for batch in self.batches:
                while not stop.is_set():
                    try:
                        self.report(batch)
                    except (Shut, Turned) as err:
                        self._heard(False, str(err))
                        stop.wait(pause_s)
                        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                    else:
                        pause_s = PAUSE_S
                        break
                if stop.wait(share_s):
                    break
                if self.rounds and not self._is_quiet:
                    self._change(batch)
            self.rounds += 1
        self._door.close()

    def report(self, batch: Sequence[str]) -> dict[str, Any]:
        """Say how the cameras of one batch are. Raises: Shut, Turned."""
        at = datetime.now(UTC).isoformat()
        lines = []
        for code in batch:
            state, reason = self._bad.get(code, ("ok", ""))
            lines.append({"camera": code, "state": state, "reason": reason, "at": at})
        answer = self._door.post("/api/v1/recorders/status", lines, self._token)
        self._heard(True)
        return answer

    def _change(self, batch: Sequence[str]) -> None:
        """One camera fails, one comes back, each as often as the other."""
        for code in self._rng.sample(batch, min(CHANGES_A_REPORT, len(batch))):
            self._bad.setdefault(code, self._fault())
        held = [code for code in batch if code in self._bad]
        if len(held) > BAD_SHARE * len(batch):
            del self._bad[self._rng.choice(held)]

    def _heard(self, is_heard: bool, why: str = "") -> None:
        if is_heard != self._is_heard:
            self._is_heard = is_heard
            _LOG.info("demo recorders are heard" if is_heard else "demo recorders are not heard", why=why)
