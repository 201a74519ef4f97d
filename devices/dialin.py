"""Modules that dial in: a DTU behind a mobile router opens the connection and says who it is with its first bytes."""

from __future__ import annotations

import asyncio
from typing import cast

import structlog

_LOG = structlog.get_logger(__name__)

LONGEST_ID = 64  # bytes of a registration packet
SETTLE_S = 0.2  # an id that begins another one may still grow
UNKNOWN_S = 5.0  # a connection that does not say who it is


class DialIn:
    """One listening port and the modules expected there, by registration packet."""

    def __init__(self) -> None:
        self.port = 0
        self._server: asyncio.Server | None = None
        self._waiting: dict[bytes, asyncio.Future[asyncio.Transport]] = {}
        self._arrived: dict[bytes, asyncio.Transport] = {}
        self._known: set[bytes] = set()
        self._guests: set[asyncio.Transport] = set()

    async def listen(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one. Raises OSError when the port is taken."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Guest(self), host, port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    def expect(self, code: bytes) -> None:
        """A module with this registration packet may connect."""
        if not 1 <= len(code) <= LONGEST_ID:
            raise ValueError(f"a registration packet has 1 to {LONGEST_ID} bytes")
        self._known.add(code)

    def dismiss(self, code: bytes) -> None:
        """The module is no longer configured."""
        self._known.discard(code)
        transport = self._arrived.pop(code, None)
        if transport:
            transport.abort()

    async def accept(self, code: bytes) -> asyncio.Transport:
        """The newest connection of this module; waits until there is one."""
        transport = self._arrived.pop(code, None)
        if transport and not transport.is_closing():
            return transport
        future = self._waiting[code] = asyncio.get_running_loop().create_future()
        try:
            return await future
        finally:
            if self._waiting.get(code) is future:
                del self._waiting[code]

    def close(self) -> None:
        """Stop listening and drop every connection nobody has taken."""
        if self._server:
            self._server.close()
        for transport in [*self._arrived.values(), *self._guests]:
            transport.abort()
        self._arrived.clear()

    def candidates(self, seen: bytes) -> set[bytes]:
        """Expected packets that begin with these bytes."""
        return {code for code in self._known if code.startswith(seen)}

    def arrive(self, code: bytes, transport: asyncio.Transport) -> None:
        """Hand the connection to whoever waits for this module; an older unused one is the ghost of a lost line."""
        future = self._waiting.get(code)
        if future and not future.done():
            future.set_result(transport)
            return
        ghost = self._arrived.pop(code, None)
        if ghost:
            ghost.abort()
        self._arrived[code] = transport


class _Guest(asyncio.Protocol):
    """A connection that has not yet said who it is."""

    def __init__(self, hub: DialIn) -> None:
        self._hub, self._seen = hub, b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is not a subclass
        self._hub._guests.add(self._transport)
        self._timer = asyncio.get_running_loop().call_later(UNKNOWN_S, self._refuse)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def data_received(self, data: bytes) -> None:
        self._seen += data
        seen = self._seen.rstrip(b"\r\n")
        candidates = self._hub.candidates(seen)
        if not candidates:
            self._refuse()
        elif candidates == {seen}:
            self._welcome()
        elif seen in candidates:
            self._rearm()

    def _rearm(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(SETTLE_S, self._welcome)

    def _welcome(self) -> None:
        self._leave()
        self._hub.arrive(self._seen.rstrip(b"\r\n"), self._transport)

    def _refuse(self) -> None:
        _LOG.warning("an unknown module dialled in", seen=self._seen[:LONGEST_ID].hex())
        self._leave()
        self._transport.abort()

    def _leave(self) -> None:
        self._hub._guests.discard(self._transport)
        if self._timer:
            self._timer.cancel()
            self._timer = None
