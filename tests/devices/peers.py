"""Modbus peers that misbehave on order, over real TCP."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvloop
from pymodbus.framer import FramerRTU


def mbap(tid: int, unit: int, pdu: bytes, *, protocol: int = 0) -> bytes:
    return struct.pack(">HHHB", tid, protocol, len(pdu) + 1, unit) + pdu


def rtu(unit: int, pdu: bytes) -> bytes:
    frame = bytes([unit]) + pdu
    return frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big")


@dataclass
class Request:
    """A request as the peer saw it, with the means to answer."""

    number: int  # from 1, over all connections
    tid: int
    unit: int
    pdu: bytes
    writer: asyncio.StreamWriter

    @property
    def fc(self) -> int:
        return self.pdu[0]

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def bits(self, *values: int) -> bytes:
        """PDU of a good answer to a read of up to 8 bits."""
        return bytes([self.fc, 1, sum(v << i for i, v in enumerate(values))])


@dataclass
class Peer:
    port: int = 0
    connections: int = 0
    requests: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)


Answer = Callable[[Request], Awaitable[None]]


@asynccontextmanager
async def peer(answer: Answer, *, is_rtu: bool = False, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Peer]:
    """A server that calls `answer` for every request it reads (requests of 8 PDU bytes at most: reads, single writes)."""
    state = Peer()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state.connections += 1
        state.writers.append(writer)
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            while True:
                tid, unit = 0, 0
                if is_rtu:
                    frame = await reader.readexactly(8)
                    unit, pdu = frame[0], frame[1:-2]
                else:
                    head = await reader.readexactly(7)
                    tid, _, length, unit = struct.unpack(">HHHB", head)
                    pdu = await reader.readexactly(length - 1)
                state.requests += 1
                await answer(Request(state.requests, tid, unit, pdu, writer))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, host, port)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def run(main: Coroutine[Any, Any, None], *, seconds: float = 60) -> None:
    """Run on the loop the worker uses."""
    uvloop.run(asyncio.wait_for(main, seconds))
