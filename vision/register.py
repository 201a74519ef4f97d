"""The worker's register: opened in memory, never written anywhere, forgotten when nobody renews it."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime, timedelta

import numpy as np

from data.core import seal
from vision.embed import LENGTH
from vision.match import Entry, Register

KEPT = timedelta(minutes=15)  # ingest renews it every minute; an old one put back in Redis does not live longer than this
AHEAD = timedelta(minutes=2)  # how far the clocks of two machines may be apart


class BadRegister(ValueError):
    """The bytes are not a register for this worker, or an old one."""


class Keeper:
    """Holds the newest register; `current` is safe from every thread."""

    def __init__(self, key: bytes, worker: str) -> None:
        """Args: key: derived from the master key for the purpose `register <worker>`."""
        self._key, self._label = key, f"register:{worker}"
        self._made_at = datetime.min.replace(tzinfo=UTC)
        self._register = Register()
        self._last = b""

    def take(self, packed: bytes, now: datetime) -> bool:
        """Take a sealed register if it is newer; True when it replaced the one before.

        Raises:
            BadRegister: it was not sealed for this worker, is damaged, or is older than the one held or than `KEPT`.
        """
        if packed == self._last:
            return False
        try:
            raw = json.loads(seal.unseal(self._key, packed, self._label))
            made_at = datetime.fromisoformat(raw["made_at"])
            entries = [
                Entry(
                    entry_id=int(item["entry_id"]),
                    cameras=frozenset(item["cameras"]),
                    model_sha256=item["model_sha256"],
                    template=np.frombuffer(base64.b64decode(item["template"], validate=True), "<f4").reshape(LENGTH),
                    until=datetime.fromisoformat(item["until"]),
                )
                for item in raw["entries"]
            ]
        except (seal.NotOpened, ValueError, KeyError, TypeError, binascii.Error) as err:
            raise BadRegister(type(err).__name__) from err
        if made_at < self._made_at or not now - KEPT < made_at < now + AHEAD:
            raise BadRegister("old")
        self._made_at, self._register, self._last = made_at, Register(entries), packed
        return True

    def current(self, now: datetime) -> Register:
        """The register, empty when it has not been renewed in time."""
        if self._register.entries and now - self._made_at > KEPT:
            self._register, self._last = Register(), b""
        return self._register

    def age_s(self, now: datetime) -> float | None:
        """Seconds since it was made; None before the first."""
        return None if self._made_at.year == 1 else (now - self._made_at).total_seconds()
