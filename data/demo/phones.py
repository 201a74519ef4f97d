"""The phones of the demo's moving units: positions along the roads, and now and then a call for help. Only through the API."""

from __future__ import annotations

import bisect
import heapq
import random
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from data.demo.door import Door, Shut, Turned

_LOG = structlog.get_logger(__name__)

EVERY_S, QUIET_EVERY_S = 5.0, 60.0
FIRST_SOS_S, SOS_EVERY_S = 300.0, 1200.0
PAUSE_S, LONGEST_PAUSE_S = 1.0, 15.0
_JITTER_DEG = 0.00003  # about 3 m, as a phone among houses
Way = Sequence[Sequence[float]]  # longitude, latitude, seconds since the start


def place_on(way: Way, elapsed_s: float) -> tuple[float, float]:
    """Where somebody is who drives `way` to its end and back again, for ever: longitude, latitude."""
    length_s = way[-1][2]
    at_s = elapsed_s % (2 * length_s)
    at_s = min(at_s, 2 * length_s - at_s)
    row = max(1, min(bisect.bisect_right(way, at_s, key=lambda stop: stop[2]), len(way) - 1))
    (lon, lat, since_s), (next_lon, next_lat, until_s) = way[row - 1], way[row]
    share = (at_s - since_s) / (until_s - since_s) if until_s > since_s else 0.0
    return lon + (next_lon - lon) * share, lat + (next_lat - lat) * share


class Phones:
    """All phones in one thread; each reports on its own, as if it were alone."""

    def __init__(
        self, door: Door, phones: Sequence[Mapping[str, Any]], tokens: Mapping[str, str], *, is_quiet: bool, seed: int = 1
    ) -> None:
        self._door, self._phones, self._tokens, self._is_quiet = door, list(phones), tokens, is_quiet
        self._rng = random.Random(seed)
        self._is_heard: bool | None = None
        self.sent = 0

    def run(self, stop: threading.Event) -> None:
        """Report until `stop` is set. A phone that is not heard drops the position and goes on driving."""
        every_s = QUIET_EVERY_S if self._is_quiet else EVERY_S
        begun = time.monotonic()
        due = [(begun + every_s * number / max(len(self._phones), 1), number) for number in range(len(self._phones))]
        heapq.heapify(due)
        call_s = begun + FIRST_SOS_S
        pause_s = PAUSE_S
        while due and not stop.wait(max(0.0, due[0][0] - time.monotonic())):
            when, number = heapq.heappop(due)
            heapq.heappush(due, (max(when + every_s, time.monotonic() - every_s), number))
            try:
                self.report(number, time.monotonic() - begun)
                if not self._is_quiet and time.monotonic() >= call_s:
                    call_s = time.monotonic() + self._rng.expovariate(1 / SOS_EVERY_S) + 60
                    self.call(self._rng.randrange(len(self._phones)), time.monotonic() - begun)
                pause_s = PAUSE_S
            except (Shut, Turned) as err:
                self._heard(False, str(err))
                stop.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        self._door.close()

    def report(self, number: int, elapsed_s: float) -> None:
        """One position of one phone. Raises: Shut, Turned."""
        phone = self._phones[number]
        fix = {
            "client_id": str(uuid.UUID(int=self._rng.getrandbits(128), version=4)),
            "at": datetime.now(UTC).isoformat(),
            **self._spot(phone, elapsed_s),
        }
        self._door.post("/api/v1/positions", [fix], self._tokens[phone["login"]])
        self.sent += 1
        self._heard(True)

    def call(self, number: int, elapsed_s: float) -> None:
        """One phone calls for help where it is. Raises: Shut, Turned."""
        phone = self._phones[number]
        self._door.post("/api/v1/sos", {"client_id": str(uuid.uuid4()), **self._spot(phone, elapsed_s)}, self._tokens[phone["login"]])

    def _spot(self, phone: Mapping[str, Any], elapsed_s: float) -> dict[str, float]:
        lon, lat = place_on(phone["way"], elapsed_s)
        shake = self._rng.uniform(-_JITTER_DEG, _JITTER_DEG), self._rng.uniform(-_JITTER_DEG, _JITTER_DEG)
        return {"lon": round(lon + shake[0], 7), "lat": round(lat + shake[1], 7), "accuracy_m": round(self._rng.uniform(4, 14), 1)}

    def _heard(self, is_heard: bool, why: str = "") -> None:
        if is_heard != self._is_heard:
            self._is_heard = is_heard
            _LOG.info("demo phones are heard" if is_heard else "demo phones are not heard", why=why)
