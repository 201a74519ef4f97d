"""A worker of the chaos test: the real spool and the real sender, numbering what it emits.

    python -m tests.chaos.emitter DATA_DIR REDIS_URL RATE REPLAY

The number of the last event lies in the spool as a baseline, stored in the event's own transaction: after a kill -9 the
next life goes on exactly there, and at the end that number is the truth about what was emitted.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from data.core import clock, stream
from data.core.events import Event, Kind, event_id_of
from data.core.spool import Sender, Spool

SOURCE = "devices-1"
MODULES = ("mod-n", "mod-s")


def event_of(number: int) -> Event:
    """The event with this number: every fourth a press, the others words of a device."""
    subject = MODULES[number % 2]
    kind = (Kind.ALARM_RAISED, Kind.DEVICE_LOST, Kind.DEVICE_RESTARTED, Kind.DEVICE_BACK)[number % 4]
    is_press = kind is Kind.ALARM_RAISED
    return Event(
        event_id=event_id_of("chaos", number),
        kind=kind,
        source=SOURCE,
        subject=subject,
        channel=number // 4 % 3 if is_press else None,
        event_at=clock.now(),
        data={"press": number, "count": 1} if is_press else {"reason": "chaos"},
    )


def main(data_dir: Path, url: str, rate: float, is_replayed: bool) -> None:
    """Emit until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    spool = Spool(data_dir / "emitter.sqlite", SOURCE)
    sender = Sender(spool, stream.connect(url), replay=is_replayed)
    sender.start()
    number = int(spool.baseline("number") or 0)
    while not stop.wait(1 / rate):
        number += 1
        spool.append(event_of(number), baseline={"number": number})
    sender.stop()
    spool.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4] == "1")
