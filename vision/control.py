"""The thread that listens to ingest: snapshots and the sealed register in, heartbeat out. Looking at frames never waits for Redis."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import redis
import structlog

from data.core import clock
from data.core.desired import Desired, Refused, Snapshot, load_public_key
from vision.register import BadRegister, Keeper

_LOG = structlog.get_logger(__name__)

LOOK_S = 0.5
BEAT_S, BEAT_TTL_S = 2.0, 10


class Control:
    """Calls back from its own thread; `beat` gives None when the worker is not well, and then no heartbeat goes out."""

    def __init__(
        self,
        client: redis.Redis,
        worker: str,
        secret_dir: Path,
        cache: Path,
        keeper: Keeper,
        *,
        on_snapshot: Callable[[Snapshot], None],
        beat: Callable[[], Mapping[str, Any] | None],
    ) -> None:
        self._redis, self._worker, self._secret_dir, self._cache, self._keeper = client, worker, secret_dir, cache, keeper
        self._on_snapshot, self._beat = on_snapshot, beat
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._desired: Desired | None = None
        self._version: int | None = None
        self._beat_at = 0.0
        self._is_down = False
        self._refused_register = b""
        self.refused = 0  # messages nobody may obey, since the start

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End; the heartbeat key goes with us, so that others see it at once."""
        self._stopping.set()
        self._thread.join(timeout_s)
        try:
            self._redis.delete(f"campus:worker:{self._worker}")
        except redis.RedisError:
            return

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._heartbeat()
            self._look()
            self._stopping.wait(LOOK_S)

    def _look(self) -> None:
        try:
            if self._desired is None:
                # Not there until ingest has made it, at the first start of everything.
                key = load_public_key(self._secret_dir)
                self._desired = Desired(self._redis, self._worker, key, self._cache)
            snapshot = self._desired.current()
            if snapshot is not None and snapshot.version != self._version:
                self._on_snapshot(snapshot)
                self._version = snapshot.version
            self._renew_register()
            if self._is_down:
                _LOG.info("redis answers again")
            self._is_down = False
        except FileNotFoundError:
            return
        except Refused as err:
            self.refused += 1
            _LOG.error("a configuration was refused", reason=err.reason)
        except redis.RedisError as err:
            if not self._is_down:
                _LOG.warning("redis does not answer, the last configuration stays", error=str(err))
            self._is_down = True

    def _renew_register(self) -> None:
        packed: Any = self._redis.get(f"campus:register:{self._worker}")
        if not packed or packed == self._refused_register:
            return
        try:
            self._keeper.take(packed, clock.now())
        except BadRegister as err:
            self._refused_register = packed  # once: it lies there until ingest renews it
            self.refused += 1
            _LOG.error("a register was refused", reason=str(err))

    def _heartbeat(self) -> None:
        if time.monotonic() - self._beat_at < BEAT_S:
            return
        said = self._beat()
        if said is None:
            return
        self._beat_at = time.monotonic()
        body = {"source": self._worker, "at": clock.iso(clock.now()), "pid": os.getpid(), "refused": self.refused, **said}
        try:
            self._redis.set(f"campus:worker:{self._worker}", json.dumps(body), ex=BEAT_TTL_S)
        except redis.RedisError:
            return
