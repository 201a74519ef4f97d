"""Our own files and the framework's, compressed once: squeezing 2.5 MB of scripts anew for every page would hold up the live stream."""

from __future__ import annotations

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

ROOTS = ("/_dash-component-suites/", "/assets/")
LEAST_BYTES = 1024
MOST_FILES = 300
LEVEL = 6
_TEXT = (b"javascript", b"text/", b"json", b"svg")


class Pack:
    """Middleware for files whose address names their version (`?m=`, or a fingerprint in the name)."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._kept: OrderedDict[tuple[str, bytes], tuple[list[tuple[bytes, bytes]], bytes]] = OrderedDict()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if not _is_versioned(scope) or b"gzip" not in dict(scope["headers"]).get(b"accept-encoding", b""):
            await self._app(scope, receive, send)
            return
        key = (scope["path"], scope["query_string"])
        if key not in self._kept:
            found = await self._fetch(scope, receive)
            if found is None:
                await self._app(scope, receive, send)
                return
            self._kept[key] = found
            if len(self._kept) > MOST_FILES:
                self._kept.popitem(last=False)
        head, body = self._kept[key]
        await send({"type": "http.response.start", "status": 200, "headers": list(head)})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _fetch(self, scope: MutableMapping[str, Any], receive: Receive) -> tuple[list[tuple[bytes, bytes]], bytes] | None:
        """The answer of the app, compressed in a thread; None for what is not worth it or not there."""
        said: list[Message] = []

        async def collect(message: Message) -> None:
            said.append(message)

        plain = [
            (name, value)
            for name, value in scope["headers"]
            if name not in (b"accept-encoding", b"if-none-match", b"if-modified-since", b"range")
        ]
        await self._app({**scope, "headers": plain}, receive, collect)
        body = b"".join(message.get("body", b"") for message in said[1:])
        head = [(name.lower(), value) for name, value in said[0]["headers"]]
        kind = dict(head).get(b"content-type", b"")
        if said[0]["status"] != 200 or len(body) < LEAST_BYTES or not any(part in kind for part in _TEXT):
            return None
        packed = await asyncio.to_thread(gzip.compress, body, LEVEL, mtime=0)
        kept = [(name, value) for name, value in head if name not in (b"content-length", b"etag", b"last-modified", b"accept-ranges")]
        kept += [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding"), (b"content-length", str(len(packed)).encode())]
        return kept, packed


def _is_versioned(scope: MutableMapping[str, Any]) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(ROOTS):
        return False
    return b"m=" in scope["query_string"] or ".v" in scope["path"]
