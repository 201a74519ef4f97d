"""A Modbus link that never lies: pymodbus, with every byte looked at before it is believed.

    LinkError
    ├── LinkDown    nobody answered: reason `refused`, `timeout` or `closed`
    ├── BadAnswer   something answered, but not this request: reason `wrong_answer`; the socket is dropped
    └── Declined    the module said no (a Modbus exception): reason `declined`, `code` says why; the socket stays

Bare pymodbus 3.16.1 hands a late RTU answer to the next request (a false alarm on the wrong button), takes an answer
with another function code or without data for good, and waits out its time-outs when the peer has long closed. The
guard sits in pymodbus' packet trace: an answer must fit the request in transaction, unit, function, length and, for a
write, in address and value, or it never reaches the decoder. It relies on `client.ctx` (`pdu_send`, `getNextTID`,
`response_future`, `recv_buffer`), which pymodbus does not promise: the hazards table in tests/devices/test_link.py must
pass before the pin moves.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.framer import FramerRTU, FramerType
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest, WriteMultipleCoilsRequest, WriteSingleCoilRequest
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

_MBAP = struct.Struct(">HHH")  # transaction, protocol, length of what follows
_ECHO = struct.Struct(">HH")  # address and value, or address and count, of a write's answer
_BITS = (1, 2)
GRACE_S = 0.02  # after a time-out: a few turns of the loop, for what lies in the socket already
CONNECT_TURNS = 5  # turns of the loop from the kernel's word that it is connected to our knowing it
NEVER_S = 60.0  # pymodbus' own time-out, which ours always comes before
_READS: dict[int, type[ModbusPDU]] = {
    1: ReadCoilsRequest,
    2: ReadDiscreteInputsRequest,
    3: ReadHoldingRegistersRequest,
    4: ReadInputRegistersRequest,
}


class LinkError(Exception):
    """A request got no usable answer; `reason` is a code, never a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LinkDown(LinkError):
    """Nobody answered."""


class BadAnswer(LinkError):
    """The answer does not belong to the request."""


class Declined(LinkError):
    """The module answered with a Modbus exception; `code` is the specification's (1 function, 2 address, 4 failure, 6 busy)."""

    def __init__(self, code: int) -> None:
        super().__init__("declined")
        self.code = code


@dataclass(frozen=True, slots=True)
class Read:
    """One read request; `address` is the zero-based PDU address."""

    fc: int
    address: int
    count: int


class ModbusLink(Protocol):
    """What the rest of the room knows of Modbus; another library can take pymodbus' place behind it."""

    async def open(self) -> None:
        """Connect. Raises LinkDown."""
        ...

    async def read(self, request: Read) -> Sequence[int]:
        """Bits (0 or 1) or registers (0..65535), exactly `count` of them. Raises LinkError."""
        ...

    async def write(self, fc: int, address: int, values: Sequence[int]) -> None:
        """Write coils (fc 5, 15) or registers (fc 6, 16). Raises LinkError."""
        ...

    def close(self) -> None:
        """Drop the connection at once; safe at any time and more than once."""
        ...


class _Expected:
    """What the answer to the outstanding request must look like."""

    __slots__ = ("byte_count", "echo", "fc", "unit")

    def __init__(self, unit: int, fc: int, byte_count: int, echo: tuple[int, int] | None) -> None:
        self.unit, self.fc, self.byte_count, self.echo = unit, fc, byte_count, echo


class GuardedLink:
    """`ModbusLink` over pymodbus: one module, one socket, one request at a time.

    Args:
        framer: SOCKET for Modbus TCP, RTU for RTU over TCP.
        accept: for modules that dial in: waits for the module's connection and hands over its transport.
        on_down: called at once when the peer closes, also between requests.
        chatter: bytes the module sends unasked (a DTU's registration packet as heartbeat); they are skipped.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        unit: int = 1,
        timeout_s: float = 0.5,
        framer: FramerType = FramerType.SOCKET,
        accept: Callable[[], Awaitable[asyncio.Transport]] | None = None,
        chatter: bytes = b"",
        on_down: Callable[[], None] | None = None,
    ) -> None:
        if not 1 <= unit <= 255:
            raise ValueError(f"unit {unit}: 1 to 255; 0 is a broadcast nobody answers")
        self.host, self.port, self.unit, self.timeout_s = host, port, unit, timeout_s
        self._framer, self._accept, self._chatter, self._on_down = framer, accept, chatter, on_down
        self._is_rtu = framer is FramerType.RTU
        self._client: AsyncModbusTcpClient | None = None
        self._expected: _Expected | None = None
        self._requests: dict[Read, tuple[ModbusPDU, _Expected]] = {}
        self._failure: LinkError | None = None

    @property
    def is_open(self) -> bool:
        """False as soon as the peer's close was seen, even between requests."""
        return self._client is not None and self._failure is None

    async def open(self) -> None:
        self.close()
        # A new client each time: the old transport's end is reported late and would be taken for the new one's.
        client = AsyncModbusTcpClient(
            self.host,
            port=self.port,
            framer=self._framer,
            timeout=NEVER_S,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._look,
            trace_connect=self._connected,
        )
        self._failure = None
        work: asyncio.Task[asyncio.Transport | bool] = asyncio.create_task(self._connect(client))
        try:
            done, _ = await asyncio.wait({work}, timeout=self.timeout_s)
            for _ in range(CONNECT_TURNS):
                if not done:
                    done, _ = await asyncio.wait({work}, timeout=GRACE_S / CONNECT_TURNS)
        finally:
            if not work.done():
                work.cancel()
                work.add_done_callback(lambda _: _abort(client))  # it may still succeed: nobody would close that socket
        if not done:
            raise LinkDown("timeout")
        if not work.result():
            raise LinkDown("refused")
        self._client = client

    async def _connect(self, client: AsyncModbusTcpClient) -> bool:
        if self._accept is None:
            return await client.connect()
        transport = await self._accept()
        transport.set_protocol(client.ctx)
        client.ctx.connection_made(transport)
        return True

    async def read(self, request: Read) -> Sequence[int]:
        made = self._requests.get(request)
        if made is None:
            count = request.count
            byte_count = (count + 7) // 8 if request.fc in _BITS else 2 * count
            pdu = _READS[request.fc](address=request.address, count=count, dev_id=self.unit)
            made = self._requests[request] = (pdu, _Expected(self.unit, request.fc, byte_count, None))
        response = await self._execute(*made)
        if request.fc in _BITS:
            return response.bits[: request.count]
        return response.registers

    async def write(self, fc: int, address: int, values: Sequence[int]) -> None:
        pdu: ModbusPDU
        if fc == 5:
            pdu, echo = WriteSingleCoilRequest(address=address, bits=[bool(values[0])], dev_id=self.unit), 0xFF00 if values[0] else 0
        elif fc == 6:
            pdu, echo = WriteSingleRegisterRequest(address=address, registers=[values[0]], dev_id=self.unit), values[0]
        elif fc == 15:
            pdu, echo = WriteMultipleCoilsRequest(address=address, bits=[bool(v) for v in values], dev_id=self.unit), len(values)
        elif fc == 16:
            pdu, echo = WriteMultipleRegistersRequest(address=address, registers=list(values), dev_id=self.unit), len(values)
        else:
            raise ValueError(f"function code {fc} does not write")
        await self._execute(pdu, _Expected(self.unit, fc, 0, (address, echo)))

    def close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        self._expected = None
        _abort(client)

    async def _execute(self, pdu: ModbusPDU, expected: _Expected) -> ModbusPDU:
        client = self._client
        if client is None or self._failure is not None:
            failure = self._failure or LinkDown("closed")
            self.close()
            raise failure
        # pymodbus' own `execute` waits with `wait_for`, which under load loses a cancel or lets its own one out (Python
        # 3.11), and cannot be told that the peer has gone. So the same steps without it, and without its retries.
        loop, ctx = asyncio.get_running_loop(), client.ctx
        ctx.recv_buffer = b""
        ctx.response_future = future = loop.create_future()
        pdu.transaction_id = ctx.getNextTID()
        self._expected = expected
        timer = loop.call_later(self.timeout_s, self._overdue, loop, future)
        try:
            ctx.pdu_send(pdu)
            response: ModbusPDU = await future
        except (LinkError, asyncio.CancelledError):
            self.close()  # its answer may still come and must not meet the next request
            raise
        finally:
            timer.cancel()
        self._expected = None
        if response.isError():
            raise Declined(response.exception_code)
        return response

    def _overdue(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[ModbusPDU]) -> None:
        """Time is up. Where the loop itself was late, the answer lies in the socket and is read before the grace ends."""
        if not future.done():
            loop.call_later(GRACE_S, self._time_out, future)

    @staticmethod
    def _time_out(future: asyncio.Future[ModbusPDU]) -> None:
        if not future.done():
            future.set_exception(LinkDown("timeout"))

    def _connected(self, is_connected: bool) -> None:
        if not is_connected:
            self._fail(LinkDown("closed"))
            if self._on_down:
                self._on_down()

    def _fail(self, failure: LinkError) -> None:
        """End the outstanding request now, not after pymodbus' time-out."""
        self._failure = failure
        if self._client is not None and self._expected is not None:
            future = self._client.ctx.response_future
            if not future.done():
                future.set_exception(failure)

    def _look(self, is_sending: bool, data: bytes) -> bytes:
        """pymodbus' packet trace: what it returns is all that pymodbus sees."""
        if is_sending:
            return data
        if self._chatter:
            data = data.replace(self._chatter, b"")  # should a frame contain it, its checksum fails: a time-out, never a value
        expected = self._expected
        if expected is None:
            # Unasked bytes. With a transaction number they cannot be mistaken; without one they would be the next answer.
            if self._is_rtu and data:
                self._fail(BadAnswer("wrong_answer"))
            return b""
        try:
            return _rtu_answer(data, expected) if self._is_rtu else self._tcp_answer(data, expected)
        except BadAnswer as err:
            self._fail(err)
            return b""

    def _tcp_answer(self, data: bytes, expected: _Expected) -> bytes:
        """The frame that answers, b"" while it is not complete. Raises BadAnswer."""
        asked_tid = self._client.ctx.request_transaction_id if self._client else 0
        while len(data) >= 6:
            tid, protocol, length = _MBAP.unpack_from(data)
            if protocol or not 3 <= length <= 254:
                raise BadAnswer("wrong_answer")
            frame, data = data[: 6 + length], data[6 + length :]
            if tid != asked_tid and tid:
                continue  # late: it answers a request we gave up
            if len(frame) < 6 + length:
                return b""
            unit, fc, third = frame[6:9]
            if fc == expected.fc | 0x80:
                fits = length == 3
            elif expected.echo is None:
                fits = fc == expected.fc and third == expected.byte_count and length == 3 + third
            else:
                fits = fc == expected.fc and length == 6 and _ECHO.unpack_from(frame, 8) == expected.echo
            if not tid or unit != expected.unit or not fits:
                raise BadAnswer("wrong_answer")
            return frame
        return b""


def _abort(client: AsyncModbusTcpClient) -> None:
    transport = cast(asyncio.Transport | None, client.ctx.transport)  # uvloop's own is not a subclass
    client.close()
    if transport is not None:
        transport.abort()  # a polite close would wait for a peer that lost its power


def _rtu_answer(data: bytes, expected: _Expected) -> bytes:
    """The frame that answers, b"" while it is not complete. Raises BadAnswer."""
    if data and data[0] != expected.unit:
        raise BadAnswer("wrong_answer")
    if len(data) < 3:
        return b""
    is_exception = data[1] == expected.fc | 0x80
    if not is_exception and (data[1] != expected.fc or (expected.echo is None and data[2] != expected.byte_count)):
        raise BadAnswer("wrong_answer")
    length = 3 if is_exception else 6 if expected.echo else 3 + expected.byte_count
    if len(data) < length + 2:
        return b""
    is_sound = len(data) == length + 2 and FramerRTU.compute_CRC(data[:length]) == int.from_bytes(data[length:], "big")
    if not is_sound or not (is_exception or expected.echo is None or _ECHO.unpack_from(data, 2) == expected.echo):
        raise BadAnswer("wrong_answer")
    return data
