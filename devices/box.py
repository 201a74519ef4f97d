"""One demo module: registers shaped by a profile, served over Modbus TCP with as little work as a request allows.

A player, not a driver: it answers requests 1-6, 15 and 16 as the specification says, with exceptions 1 (function), 2
(address) and 3 (value). Answers are kept until a register changes, so an idle poll costs one look-up.
"""

from __future__ import annotations

import asyncio
import struct
from typing import cast

from devices.profile import Map, Profile

BITS, WORDS = (1, 2), (3, 4)
MOST_ANSWERS = 32
HIGHEST = 8192  # addresses a box has, per kind of register
_HEAD = struct.Struct(">HHHBB")
_PAIR = struct.Struct(">HH")


class Box:
    """The registers and the listening port of one module."""

    def __init__(self, profile: Profile, host: str, port: int, unit: int = 1) -> None:
        self.profile, self.host, self.port, self.unit = profile, host, port, unit
        self._registers: dict[int, dict[int, int]] = {kind: {} for kind in (*BITS, *WORDS)}
        self._answers: dict[bytes, bytes] = {}
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Transport] = set()

    @property
    def is_silent(self) -> bool:
        """Without power: nobody can connect."""
        return self._server is None

    async def listen(self) -> None:
        """Take connections; port 0 takes a free one. Raises OSError."""
        if self._server is None:
            self._server = await asyncio.get_running_loop().create_server(lambda: _Line(self), self.host, self.port, backlog=4)
            self.port = self._server.sockets[0].getsockname()[1]

    def silence(self) -> None:
        """Lose the power: connections break; the registers are kept, as in a module with a battery."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for line in list(self._lines):
            line.abort()

    def get(self, kind: int, address: int) -> int:
        """A register by the function code that reads it."""
        return self._registers[kind].get(address, 0)

    def set(self, kind: int, address: int, value: int) -> None:
        self._registers[kind][address] = value
        self._answers.clear()

    def press(self, channel: int = 0) -> None:
        """The contact closes: level on, one more count, latch set, as far as the module has them."""
        profile = self.profile
        if profile.level:
            self.set(profile.level.block.fc, _at(profile.level, channel), 1)
        if profile.counter:
            self._count(profile.counter, channel)
        if profile.latch:
            self.set(profile.latch.block.fc, _at(profile.latch, channel), 1)

    def release(self, channel: int = 0) -> None:
        """The contact opens."""
        if self.profile.level:
            self.set(self.profile.level.block.fc, _at(self.profile.level, channel), 0)

    def presses(self, channel: int = 0) -> int:
        """What the counter shows; without a counter 1 while pressed."""
        where = self.profile.counter or self.profile.level
        if where is None:
            return 0
        words = [self.get(where.block.fc, _at(where, channel) + n) for n in range(where.width)]
        return where.value(words, channel, channel)

    def _count(self, where: Map, channel: int) -> None:
        value, address, kind = (self.presses(channel) + 1) % where.modulus, _at(where, channel), where.block.fc
        if where.width == 1:
            self.set(kind, address, value)
            return
        words = (value >> 16, value & 0xFFFF)
        for offset, word in enumerate(words if where.words == "hi-lo" else words[::-1]):
            self.set(kind, address + offset, word)

    def answer(self, pdu: bytes) -> bytes:
        """The answer to a request, both without header."""
        found = self._answers.get(pdu)
        if found is None:
            found = self._work_out(pdu)
            if pdu[0] in (*BITS, *WORDS) and len(self._answers) < MOST_ANSWERS:
                self._answers[pdu] = found
        return found

    def _work_out(self, pdu: bytes) -> bytes:
        fc = pdu[0]
        if fc not in (1, 2, 3, 4, 5, 6, 15, 16):
            return bytes((fc | 0x80, 1))
        if len(pdu) < 5:
            return bytes((fc | 0x80, 3))
        address, second = _PAIR.unpack_from(pdu, 1)
        if fc in (*BITS, *WORDS):
            return self._read(fc, address, second)
        return self._write(pdu, address, second)

    def _read(self, fc: int, address: int, count: int) -> bytes:
        if not 1 <= count <= (2000 if fc in BITS else 125):
            return bytes((fc | 0x80, 3))
        if address + count > HIGHEST:
            return bytes((fc | 0x80, 2))
        held = self._registers[fc]
        values = [held.get(address + n, 0) for n in range(count)]
        if fc in WORDS:
            return struct.pack(f">BB{count}H", fc, 2 * count, *values)
        packed = sum(bool(value) << n for n, value in enumerate(values)).to_bytes((count + 7) // 8, "little")
        return bytes((fc, len(packed))) + packed

    def _write(self, pdu: bytes, address: int, second: int) -> bytes:
        fc = pdu[0]
        kind = 1 if fc in (5, 15) else 3
        if fc in (5, 6):
            if fc == 5 and second not in (0, 0xFF00):
                return bytes((fc | 0x80, 3))
            values = [int(second == 0xFF00)] if fc == 5 else [second]
        else:
            body = pdu[6:]
            size = (second + 7) // 8 if fc == 15 else 2 * second
            if not 1 <= second <= (1968 if fc == 15 else 123) or len(pdu) < 6 or pdu[5] != size or len(body) != size:
                return bytes((fc | 0x80, 3))
            bits = int.from_bytes(body, "little")
            values = [bits >> n & 1 for n in range(second)] if fc == 15 else list(struct.unpack(f">{second}H", body))
        if address + len(values) > HIGHEST:
            return bytes((fc | 0x80, 2))
        for offset, value in enumerate(values):
            self.set(kind, address + offset, value)
        return pdu[:5]


def _at(where: Map, channel: int) -> int:
    return where.block.address + where.offset + where.stride * channel


class _Line(asyncio.Protocol):
    """One connection to a box."""

    __slots__ = ("_box", "_rest", "_transport")

    def __init__(self, box: Box) -> None:
        self._box, self._rest = box, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is not a subclass
        self._box._lines.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._box._lines.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data, self._rest = self._rest + data, b""
        while len(data) >= 8:
            tid, protocol, length, unit, _ = _HEAD.unpack_from(data)
            if protocol or not 2 <= length <= 254:
                self._transport.abort()
                return
            if len(data) < 6 + length:
                break
            if unit == self._box.unit:
                answer = self._box.answer(data[7 : 6 + length])
                self._transport.write(struct.pack(">HHHB", tid, 0, len(answer) + 1, unit) + answer)
            data = data[6 + length :]
        self._rest = data
