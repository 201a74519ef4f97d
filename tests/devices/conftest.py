"""What the tests of the devices room share.

Fixtures:
    own_redis -> OwnRedis   function; a Redis server of the test alone: `.start()`, `.kill()` (-9), `.wipe()` its data,
                            `.client()`; AOF on, every write synced.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from data.core import events


class OwnRedis:
    """A redis-server that may be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.socket = folder, folder / "r.sock"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("valkey-server") or shutil.which("redis-server")
        assert program
        (self.folder / "data").mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder / "data"), "--save", "",
             "--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 10
        client = self.client()
        while True:
            try:
                client.ping()
                break
            except redis_client.ConnectionError:
                assert time.monotonic() < until, "redis-server did not start"
                time.sleep(0.02)
        client.close()

    def client(self) -> redis_client.Redis:
        return redis_client.Redis.from_url(self.url, socket_timeout=10)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def wipe(self) -> None:
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def ids(self, *, is_panic: bool = True) -> list[str]:
        """Event ids in the stream, in order, repetitions included."""
        client = self.client()
        entries: Any = client.xrange("campus:panic" if is_panic else "campus:event")
        client.close()
        return [events.decode(fields[b"b"]).event_id for _, fields in entries]


@pytest.fixture
def own_redis() -> Iterator[OwnRedis]:
    folder = Path(tempfile.mkdtemp(prefix="campus-r-"))
    server = OwnRedis(folder)
    server.start()
    yield server
    server.kill()
    shutil.rmtree(folder, ignore_errors=True)
