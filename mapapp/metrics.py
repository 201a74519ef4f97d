"""Figures of one web process for Prometheus; nothing in them names a person or a school."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_PAINT_S = (0.05, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)


class Metrics:
    """One registry per app, so that two apps in one process (tests) do not share numbers."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter("campus_requests", "Answers by kind of door and status", ["kind", "status"], registry=self._registry)
        self.seconds = Histogram("campus_request_seconds", "Time to the first byte of an answer", ["kind"], registry=self._registry)
        self.live_clients = Gauge("campus_live_clients", "Open live streams", registry=self._registry)
        self.live_events = Counter("campus_live_events", "Messages of the outbox handed to the streams", registry=self._registry)
        self.live_cut = Counter("campus_live_cut", "Streams cut off because the browser was too slow", registry=self._registry)
        self.live_age = Gauge("campus_live_age_seconds", "Since the outbox was last read", registry=self._registry)
        self.painted = Histogram(
            "campus_painted_seconds", "From the press to the wall, as browsers report it", buckets=_PAINT_S, registry=self._registry
        )

    def text(self) -> bytes:
        """The exposition format, UTF-8."""
        return generate_latest(self._registry)
