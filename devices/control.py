"""The thread that listens to ingest: snapshots and commands in, heartbeat out. The poll loop never waits for Redis."""

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
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from data.core import clock
from data.core.desired import Desired, Refused, Snapshot, load_public_key

_LOG = structlog.get_logger(__name__)

BLOCK_MS = 500  # a command is there at once; a new configuration within this time
BEAT_S, BEAT_TTL_S = 2.0, 10


class Control:
    """Calls back from its own thread.

    Args:
        client: a Redis client of its own.
        beat: what the worker says of itself, called every `BEAT_S`; None: the worker is not well, no heartbeat goes out.
        on_refused: a command that was signed but must not be done (expired, or of an older number).
    """

    def __init__(
        self,
        client: redis.Redis,
        worker: str,
        secret_dir: Path,
        cache: Path,
        *,
        fence: int,
        start_id: str,
        on_snapshot: Callable[[Snapshot], None],
        on_command: Callable[[Mapping[str, Any], int, str], None],
        on_refused: Callable[[Refused], None],
        beat: Callable[[], Mapping[str, Any] | None],
    ) -> None:
        self._redis, self._worker, self._secret_dir, self._cache = client, worker, secret_dir, cache
        self._fence, self._start_id = fence, start_id
        self._on_snapshot, self._on_command, self._on_refused, self._beat = on_snapshot, on_command, on_refused, beat
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._beat_at = 0.0
        self._version: int | None = None
        self._is_down = False
        self.refused = 0  # messages nobody may obey, since the start

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End within one `BLOCK_MS`; the heartbeat key goes with us, so that others see it at once."""
        self._stopping.set()
        self._thread.join(timeout_s)
        try:
            self._redis.delete(f"campus:worker:{self._worker}")
        except redis.RedisError:
            return

    def _run(self) -> None:
        desired: Desired | None = None
        while not self._stopping.is_set():
            self._heartbeat()
            if desired is None:
                key = self._public_key()
                if key is None:
                    self._stopping.wait(BLOCK_MS / 1000)
                    continue
                desired = Desired(
                    self._redis, self._worker, key, self._cache, last_fence=self._fence, start_id=self._start_id, on_refused=self._refuse
                )
            self._look(desired)

    def _public_key(self) -> Ed25519PublicKey | None:
        """None until ingest has made it, at the first start of everything."""
        try:
            return load_public_key(self._secret_dir)
        except (OSError, ValueError):
            return None

    def _look(self, desired: Desired) -> None:
        try:
            snapshot = desired.current()
            if snapshot is not None and snapshot.version != self._version:
                self._version = snapshot.version
                self._on_snapshot(snapshot)
            for command in desired.commands(BLOCK_MS):
                self._on_command(command, desired.last_fence, desired.last_id)
            if self._is_down:
                _LOG.info("redis answers again")
            self._is_down = False
        except Refused as err:
            self.refused += 1
            _LOG.error("a configuration was refused", reason=err.reason)
        except redis.RedisError as err:
            if not self._is_down:
                _LOG.warning("redis does not answer, the last configuration stays", error=str(err))
            self._is_down = True
            self._stopping.wait(BLOCK_MS / 1000)

    def _refuse(self, err: Refused) -> None:
        self.refused += 1
        _LOG.error("a command was refused", reason=err.reason)
        if err.reason in ("expired", "fence", "malformed") and err.body:
            self._on_refused(err)

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
