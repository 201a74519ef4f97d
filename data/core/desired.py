"""What a worker shall do, signed: snapshots of its configuration and single commands, from ingest down to the workers.

Redis only carries them and may be written to by anyone who reaches it, so every message is signed with Ed25519: ingest
holds the private key (`desired.key`, 0600), workers the public one (`desired.pub`). A message names the worker it is for
and what it is (snapshot or command), so one cannot be passed off as another. Nothing unsigned, older than what
is already in force, expired or meant for someone else is applied; it raises or is reported as `Refused`.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_FILE, PUBLIC_FILE = "desired.key", "desired.pub"
WAKE = "campus:desired:wake"  # pub/sub: the name of the worker whose snapshot changed
COMMANDS_KEPT = 1000  # a worker that was away longer finds its commands expired anyway


class Refused(ValueError):
    """A message that must not be applied.

    Attributes:
        reason: `signature`, `malformed`, `worker`, `old`, `expired` or `fence`.
        body: what it asked for, {} when that cannot be trusted.
    """

    def __init__(self, reason: str, body: dict[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.reason, self.body = reason, body or {}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole configuration of one worker."""

    version: int
    body: dict[str, Any]


def _key(worker: str) -> str:
    return f"campus:desired:{worker}"


def _commands(worker: str) -> str:
    return f"campus:command:{worker}"


def _pack(kind: str, worker: str, version: int, body: dict[str, Any]) -> bytes:
    envelope = {"kind": kind, "worker": worker, "version": version, "body": body}
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


class Signer:
    """Ingest's side."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def load_or_make(cls, secret_dir: Path) -> Signer:
        """The signer whose key is in `secret_dir`; made there when there is none, with the public half beside it."""
        path = secret_dir / KEY_FILE
        secret_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            raw = Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
            )
            new = path.with_name(f"{KEY_FILE}.{os.getpid()}")
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(new, path)  # fails where another process was first: its key is the one that counts
            except FileExistsError:
                pass
            finally:
                new.unlink()
        key = Ed25519PrivateKey.from_private_bytes(path.read_bytes())
        public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        _replace_file(secret_dir / PUBLIC_FILE, public)
        return cls(key)

    @property
    def public_key(self) -> Ed25519PublicKey:
        return self._key.public_key()

    def publish(self, client: redis.Redis, worker: str, body: dict[str, Any], version: int) -> None:
        """Put the snapshot in force; versions of one worker only rise."""
        packed = _pack("snapshot", worker, version, body)
        fields: dict[Any, Any] = {"version": version, "body": packed, "signature": self._key.sign(packed)}
        pipe = client.pipeline(transaction=True)
        pipe.hset(_key(worker), mapping=fields)
        pipe.publish(WAKE, worker)
        pipe.execute()

    def command(self, client: redis.Redis, worker: str, body: dict[str, Any]) -> None:
        """Send one command; `body` carries `command_id`, `expires_at` (ISO-8601) and `fence`."""
        packed = _pack("command", worker, int(body["fence"]), body)
        client.xadd(_commands(worker), {"b": packed, "s": self._key.sign(packed)}, maxlen=COMMANDS_KEPT, approximate=True)


def load_public_key(secret_dir: Path, *, wait_s: float = 0.0) -> Ed25519PublicKey:
    """The workers' half of the key.

    Args:
        wait_s: how long ingest may still take to make it (first start of everything).
    Raises:
        FileNotFoundError: it is not there after that time.
    """
    deadline = time.monotonic() + wait_s
    while not (secret_dir / PUBLIC_FILE).exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    return Ed25519PublicKey.from_public_bytes((secret_dir / PUBLIC_FILE).read_bytes())


class Desired:
    """A worker's side.

    Args:
        cache: file for the last good snapshot, so that a worker starts without Redis; None keeps nothing on disk.
        last_fence: the highest command number already seen (a worker keeps it over a restart).
        start_id: stream position to read commands from; "0" reads all that are kept.
    """

    def __init__(
        self,
        client: redis.Redis,
        worker: str,
        public_key: Ed25519PublicKey,
        cache: Path | None,
        *,
        last_fence: int = 0,
        start_id: str = "0",
        on_refused: Callable[[Refused], None] | None = None,
    ) -> None:
        self._redis, self._worker, self._public_key, self._cache = client, worker, public_key, cache
        self.last_fence, self.last_id = last_fence, start_id
        self._on_refused = on_refused
        self._current: Snapshot | None = self._cached()
        self._refused: bytes = b""

    def current(self) -> Snapshot | None:
        """The newest good snapshot; the last one in force while Redis is away or holds a bad one; None before the first.

        Raises:
            Refused: what Redis holds is not signed, not ours or older; raised once per bad message, then the last good
                one is returned.
        """
        try:
            version: Any = self._redis.hget(_key(self._worker), "version")
            if self._current and version == str(self._current.version).encode():
                return self._current  # asked twice a second: half a megabyte for 2,600 modules
            fields: Any = self._redis.hgetall(_key(self._worker))
        except redis.RedisError:
            return self._current
        packed, signature = fields.get(b"body", b""), fields.get(b"signature", b"")
        if not packed or packed == self._refused:
            return self._current
        try:
            snapshot = self._snapshot(packed, signature)
        except Refused:
            self._refused = packed
            raise
        if self._current is None or snapshot != self._current:
            self._current = snapshot
            self._keep(packed, signature)
        return self._current

    def _snapshot(self, packed: bytes, signature: bytes) -> Snapshot:
        version, body = self._open("snapshot", packed, signature)
        if self._current and version < self._current.version:
            raise Refused("old", body)
        return Snapshot(version, body)

    def commands(self, block_ms: int) -> list[dict[str, Any]]:
        """The commands that arrived, oldest first, each signed, ours, unexpired and not below the last number seen.

        The others go to `on_refused` and are not returned. Waits up to `block_ms` (0: not at all).

        Raises:
            redis.RedisError: Redis is away; nothing was taken.
        """
        answer: Any = self._redis.xread({_commands(self._worker): self.last_id}, count=100, block=block_ms or None)
        good: list[dict[str, Any]] = []
        pairs = answer.items() if isinstance(answer, dict) else answer or []
        for _, entries in pairs:
            for entry_id, fields in entries:
                self.last_id = entry_id.decode()
                try:
                    good.append(self._command(fields))
                except Refused as err:
                    if self._on_refused:
                        self._on_refused(err)
        return good

    def _command(self, fields: dict[bytes, bytes]) -> dict[str, Any]:
        fence, body = self._open("command", fields.get(b"b", b""), fields.get(b"s", b""))
        try:
            expires_at = datetime.fromisoformat(str(body["expires_at"]))
            is_expired = expires_at <= datetime.now(UTC)
        except (KeyError, ValueError, TypeError) as err:
            raise Refused("malformed", body) from err
        if fence <= self.last_fence:
            raise Refused("fence", body)
        self.last_fence = fence
        if is_expired:
            raise Refused("expired", body)
        return body

    def _open(self, kind: str, packed: bytes, signature: bytes) -> tuple[int, dict[str, Any]]:
        try:
            self._public_key.verify(signature, packed)
        except InvalidSignature as err:
            raise Refused("signature") from err
        try:
            envelope = json.loads(packed)
            version, body = int(envelope["version"]), envelope["body"]
            is_ours = envelope["kind"] == kind and envelope["worker"] == self._worker
        except (ValueError, KeyError, TypeError) as err:
            raise Refused("malformed") from err
        if not is_ours or not isinstance(body, dict):
            raise Refused("worker")
        return version, body

    def _keep(self, packed: bytes, signature: bytes) -> None:
        if self._cache:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            try:
                _replace_file(self._cache, base64.b64encode(signature) + b"\n" + packed)
            except OSError as err:
                raise Refused("cache", {"error": err.strerror or ""}) from err

    def _cached(self) -> Snapshot | None:
        """The snapshot on disk, None where there is none or somebody changed it."""
        if not self._cache:
            return None
        try:
            signature, _, packed = self._cache.read_bytes().partition(b"\n")
            version, body = self._open("snapshot", packed, base64.b64decode(signature, validate=True))
        except (OSError, ValueError):
            return None
        return Snapshot(version, body)


def _replace_file(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
