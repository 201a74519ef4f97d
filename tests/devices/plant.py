"""A worker and what is around it, for tests that go from the module to the stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import redis as redis_client

from data.core import events, settings
from data.core.desired import Signer
from data.core.events import Event
from devices.worker import Worker
from tests.devices.conftest import OwnRedis
from tests.devices.sim import SimModule


def config(
    module: SimModule, device: str = "M1", *, capture: str = "", zone: str = "panic", poll_ms: int = 100, **more: Any
) -> dict[str, Any]:
    """A module's entry in the desired snapshot, one input and, where there is one, one output."""
    panel = {"channel": 0, "zone": zone, "polarity": "no", "debounce_ms": 0, "self_locking": True, "capture": capture or None}
    siren = {"channel": 0, "zone": "siren", "max_on_s": 180}
    found = {
        "device": device,
        "profile": module.profile.id,
        "transport": "tcp",
        "host": module.host,
        "port": module.port,
        "unit": module.unit,
        "poll_ms": poll_ms,
        "demo": False,
        "inputs": [panel],
        "outputs": [siren] if module.profile.output_count else [],
    }
    return found | more


class Plant:
    """Data directory, Redis and ingest's signature of one test."""

    def __init__(self, folder: Path, server: OwnRedis) -> None:
        self.folder, self.server = folder, server
        self.settings = settings.read({"DATA_DIR": str(folder), "CAMPUS_REDIS_URL": server.url})
        self.signer = Signer.load_or_make(folder / "secret")
        self.client: redis_client.Redis = server.client()
        self.version = self.fence = 0
        self._seen: dict[str, list[Event]] = {"campus:panic": [], "campus:event": []}
        self._last = dict.fromkeys(self._seen, "0")

    def publish(self, *modules: dict[str, Any]) -> None:
        self.version += 1
        self.signer.publish(self.client, "devices-1", {"modules": list(modules)}, self.version)

    def command(self, device: str, act: str, *, seconds: float = 10, **more: Any) -> str:
        self.fence += 1
        command_id = f"c{self.fence}"
        body = {"command_id": command_id, "device": device, "channel": 0, "act": act, "on_s": 0, "max_on_s": 180, "fence": self.fence,
                "expires_at": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()}  # fmt: skip
        self.signer.command(self.client, "devices-1", body | more)
        return command_id

    def entries(self, kind: str = "") -> list[Event]:
        """What was seen in the streams so far, panic first, each as often as it was there."""
        for name, seen in self._seen.items():
            entries: Any = self.client.xrange(name, min=f"({self._last[name]}")
            for entry_id, fields in entries:
                seen.append(events.decode(fields[b"b"]))
                self._last[name] = entry_id.decode()
        return [event for seen in self._seen.values() for event in seen if not kind or event.kind.value == kind]

    def events(self, kind: str = "") -> list[Event]:
        """The same, every event once: after a restart a worker sends again what PostgreSQL has not confirmed."""
        return list({event.event_id: event for event in reversed(self.entries(kind))}.values())[::-1]

    def alarms(self) -> list[Event]:
        return self.events("alarm.raised")


async def until(check: Callable[[], Any], seconds: float = 5.0) -> Any:
    """The first true answer within `seconds`."""
    end = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def working(plant: Plant) -> AsyncIterator[Worker]:
    """A running worker."""
    worker = Worker(plant.settings)
    task = asyncio.create_task(worker.run())
    await until(lambda: hasattr(worker, "_control") or task.done())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(task, 10)
