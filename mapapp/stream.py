"""GET /live/sse: the route of the live stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import Request
from starlette.responses import Response

from mapapp import guard, registry
from mapapp.live import Client, Hub

RETRY_MS = 1000  # what EventSource waits before it comes back by itself
_HEAD = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class EventStream(Response):
    """Sends what the hub queues for one client until it goes, falls behind, or its session ends."""

    def __init__(self, hub: Hub, client: Client, first: bytes) -> None:
        super().__init__(media_type="text/event-stream")
        self._hub, self._client, self._first = hub, client, first

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        client = self._client
        client.task = asyncio.current_task()
        listener = asyncio.create_task(_gone(receive, client))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEAD)})
            await send({"type": "http.response.body", "body": f"retry: {RETRY_MS}\n\n".encode() + self._first, "more_body": True})
            while True:
                await client.wake.wait()
                client.wake.clear()
                data = client.take()
                if data:
                    client.sending_since = time.monotonic()
                    await send({"type": "http.response.body", "body": data, "more_body": True})
                    client.sending_since = None
                if client.is_over:
                    break
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError:
            return  # the browser went in the middle of a frame; it asks again from the last whole one
        finally:
            listener.cancel()
            self._hub.leave(client)


async def _gone(receive: Receive, client: Client) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    client.end()


@registry.route("GET", "/live/sse", requires=registry.LOGGED_IN, include_in_schema=False)
async def live_stream(request: Request, after: str = "") -> Response:
    """Everything that happens, as it happens. `Last-Event-ID`, or `?after=` of a stream that was made anew, resumes."""
    visit = guard.visit()
    hub = visit.services.hub
    client = await hub.join(visit.person, visit.session_hash)
    try:
        first = await hub.opening(client, request.headers.get("last-event-id", "") or after)
    except BaseException:
        hub.leave(client)
        raise
    return EventStream(hub, client, first)
