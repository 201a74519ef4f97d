"""A camera worker with real streams and a real Redis, told what to do as ingest would tell it."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import redis as redis_client

from data.core import desired, events, seal, stream
from data.core.settings import Settings
from vision import demo_pack
from vision.demo import Players
from vision.gate import SOURCE, Worker

Wait = Callable[..., Any]


class Rig:
    """One worker, its demo players, and ingest's side of Redis."""

    def __init__(self, settings: Settings, redis: redis_client.Redis, players: Players, wait_for: Wait) -> None:
        self.settings, self.redis, self.players, self.wait_for = settings, redis, players, wait_for
        self.signer = desired.Signer.load_or_make(settings.secret_dir)
        self.key = seal.master_key(settings.master_key_file)
        self._version = 0
        self.worker: Worker | None = None

    def start(self) -> Worker:
        self.worker = Worker(self.settings)
        self.worker.start()
        return self.worker

    def stop(self) -> None:
        if self.worker is not None:
            self.worker.stop()
        self.worker = None

    def camera(
        self, code: str, url: str = "", *, gate: dict[str, Any] | None = None, fps: float = 5.0, demo: bool = True, **query: str
    ) -> dict[str, Any]:
        """An entry of a snapshot; without a URL its drawn stream over HTTP."""
        asked = "&".join(f"{key}={value}" for key, value in query.items())
        own = f"http://127.0.0.1:{self.players.mjpeg_port}/cam/{code}?fps=10&{asked}"
        return {"camera": code, "url": url or own, "mode": "gate" if gate else "health", "fps": fps, "demo": demo, "gate": gate}

    def gate(self, model_sha256: str, **changes: Any) -> dict[str, Any]:
        until = (datetime.now(UTC) + timedelta(days=30)).isoformat()
        values = {"threshold": 0.55, "assessment": "PIA", "model_sha256": model_sha256, "zone": [0, 0, 1, 1], "valid_until": until}
        return values | changes

    def publish(self, *cameras: dict[str, Any]) -> None:
        self._version += 1
        self.signer.publish(self.redis, SOURCE, {"cameras": list(cameras)}, self._version)

    def enter(self, *entries: dict[str, Any], made_at: datetime | None = None, worker: str = SOURCE) -> None:
        """Publish the sealed register."""
        body = json.dumps({"made_at": (made_at or datetime.now(UTC)).isoformat(), "entries": list(entries)}).encode()
        self.redis.set(f"campus:register:{SOURCE}", seal.seal(seal.derive(self.key, f"register {worker}"), body, f"register:{worker}"))

    def entry(
        self, template: np.ndarray, model_sha256: str, cameras: Sequence[str], *, entry_id: int = 1, valid: timedelta = timedelta(days=1)
    ) -> dict[str, Any]:
        packed, until = base64.b64encode(template.astype("<f4").tobytes()).decode(), (datetime.now(UTC) + valid).isoformat()
        known = {"entry_id": entry_id, "schools": [1], "cameras": list(cameras)}
        return known | {"model_sha256": model_sha256, "template": packed, "until": until}

    def said(self, kind: events.Kind, camera: str = "") -> list[events.Event]:
        """Events of a kind that have arrived in Redis, in order."""
        bodies = [fields[b"b"] for _, fields in self.redis.xrange(stream.EVENT)]  # type: ignore[union-attr]
        found = [events.decode(body) for body in bodies]
        return [event for event in found if event.kind is kind and camera in ("", event.subject)]

    def states(self, camera: str) -> list[str]:
        return [event.data["state"] for event in self.said(events.Kind.CAMERA_CHANGED, camera)]

    def beat(self) -> dict[str, Any]:
        return json.loads(self.redis.get(f"campus:worker:{SOURCE}") or "{}")  # type: ignore[arg-type]


@pytest.fixture
def players() -> Iterator[Players]:
    made = Players(tz=ZoneInfo("Asia/Shanghai"), mjpeg_port=0, rtsp_port=0)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def demo_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo pack, built once."""
    folder = tmp_path_factory.mktemp("demo-pack")
    demo_pack.build(folder)
    return folder


@pytest.fixture
def rig(settings: Settings, redis: redis_client.Redis, players: Players, wait_for: Wait, demo_models: Path) -> Iterator[Rig]:
    folder = Path(tempfile.mkdtemp(prefix="campus-vision-"))
    shutil.copytree(demo_models, folder / "models-demo")
    made = Rig(replace(settings, data_dir=folder, redis_url=settings.redis), redis, players, wait_for)
    yield made
    made.stop()
    shutil.rmtree(made.settings.run_dir, ignore_errors=True)
    shutil.rmtree(folder)
