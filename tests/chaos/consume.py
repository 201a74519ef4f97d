"""One consumer of the chaos test, the product's own: `python -m tests.chaos.consume NAME` with the settings in the environment."""

from __future__ import annotations

import signal
import sys

from data.core.settings import read
from data.ingest.consumer import Consumer

if __name__ == "__main__":
    consumer = Consumer(read(), sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: consumer.stop())
    consumer.run()
