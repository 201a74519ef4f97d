"""A plain SSE reader for tests: frames in a list, filled by a thread."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from tests.web.conftest import Browser


@dataclass(frozen=True, slots=True)
class Frame:
    seq: int | None
    kind: str
    body: Any


class Stream:
    """An open /live/sse of a browser; `close` it, or use it in a `with`."""

    def __init__(self, browser: Browser, *, last_id: int | None = None, after: int | None = None) -> None:
        self.frames: list[Frame] = []
        self.status = 0
        self.ended_by: Exception | None = None
        self.is_over = threading.Event()
        self._head = {"Last-Event-ID": str(last_id)} if last_id is not None else {}
        self._path = "/live/sse" + (f"?after={after}" if after is not None else "")
        self._client = httpx.Client(base_url=browser.url, cookies=browser.client.cookies, timeout=httpx.Timeout(10, read=30))
        self._opened = threading.Event()
        self._response: httpx.Response | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        assert self._opened.wait(10)

    def _read(self) -> None:
        try:
            with self._client.stream("GET", self._path, headers=self._head) as answer:
                self.status, self._response = answer.status_code, answer
                self._opened.set()
                if answer.status_code == 200:
                    self._frames_of(answer)
        except (httpx.HTTPError, httpx.StreamError, OSError) as err:
            self.ended_by = err
        self._opened.set()
        self.is_over.set()

    def _frames_of(self, answer: httpx.Response) -> None:
        seq, kind = None, ""
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                seq = int(value)
            elif name == "event":
                kind = value
            elif name == "data":
                self.frames.append(Frame(seq, kind, json.loads(value)))
                seq, kind = None, ""

    def of(self, *kinds: str) -> list[Frame]:
        return [frame for frame in self.frames if frame.kind in kinds]

    def wait(self, check: Callable[[Stream], Any], seconds: float = 5.0) -> Any:
        until = time.monotonic() + seconds
        while True:
            found = check(self)
            if found:
                return found
            assert time.monotonic() < until, f"not within {seconds} s; so far {self.frames}"
            time.sleep(0.005)

    def close(self) -> None:
        if self._response is not None:
            # Another thread reads it: only the socket's end reaches that thread.
            stream = self._response.extensions.get("network_stream")
            raw = stream.get_extra_info("socket") if stream is not None else None
            if raw is not None and not self.is_over.is_set():
                with suppress(OSError):  # the server was faster
                    raw.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._client.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
