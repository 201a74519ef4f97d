"""Real Modbus modules for the tests: pymodbus' own simulator behind its own TCP server, shaped by a profile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from devices.profile import Map, Profile

SIZE = 4224  # the highest address of the shipped profiles is 0x1007


class SimModule:
    """One module whose buttons can be pressed."""

    def __init__(self, profile: Profile, unit: int = 1, *, framer: FramerType = FramerType.SOCKET) -> None:
        self.profile, self.unit, self._framer = profile, unit, framer
        self.port = 0
        self.host = "127.0.0.1"
        self._server: ModbusTcpServer | None = None

    async def start(self, port: int = 0) -> None:
        device = SimDevice(
            id=self.unit,
            simdata=(
                [SimData(0, values=[False] * SIZE, datatype=DataType.BITS)],
                [SimData(0, values=[False] * SIZE, datatype=DataType.BITS)],
                [SimData(0, count=SIZE, values=0, datatype=DataType.REGISTERS)],
                [SimData(0, count=SIZE, values=0, datatype=DataType.REGISTERS)],
            ),
        )
        self._server = ModbusTcpServer(device, framer=self._framer, address=(self.host, port))
        await self._server.serve_forever(background=True)
        self.port = self._server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    async def stop(self) -> None:
        if self._server:
            await self._server.shutdown()
            await asyncio.sleep(0)

    async def write(self, fc: int, address: int, values: list[int]) -> None:
        assert self._server
        await self._server.async_setValues(self.unit, fc, address, [bool(v) for v in values] if fc in (1, 2) else values)

    async def read(self, fc: int, address: int, count: int = 1) -> list[int]:
        assert self._server
        return [int(v) for v in await self._server.async_getValues(self.unit, fc, address, count)]

    def _at(self, where: Map, channel: int) -> int:
        return where.block.address + where.offset + where.stride * channel

    async def count(self, channel: int, value: int | None = None) -> int:
        """The counter of an input; set to `value` when given."""
        where = self.profile.counter
        assert where
        address = self._at(where, channel)
        if value is not None:
            words = [value >> 16, value & 0xFFFF]
            await self.write(where.block.fc, address, words if where.words == "hi-lo" else words[::-1])
        answer = await self.read(where.block.fc, address, where.width)
        return where.value(answer, channel, channel)

    async def press(self, channel: int = 0) -> None:
        """The contact closes: level on, one count, latch set, as far as the module has them."""
        if self.profile.level:
            await self.write(self.profile.level.block.fc, self._at(self.profile.level, channel), [1])
        if self.profile.counter:
            await self.count(channel, (await self.count(channel) + 1) % self.profile.counter.modulus)
        if self.profile.latch:
            await self.write(self.profile.latch.block.fc, self._at(self.profile.latch, channel), [1])

    async def release(self, channel: int = 0) -> None:
        if self.profile.level:
            await self.write(self.profile.level.block.fc, self._at(self.profile.level, channel), [0])

    async def tap(self, channel: int = 0, hold_s: float = 0.0) -> None:
        await self.press(channel)
        await asyncio.sleep(hold_s)
        await self.release(channel)

    async def output(self, channel: int) -> int:
        where = self.profile.output_readback
        assert where
        return (await self.read(where.block.fc, self._at(where, channel)))[0]


@asynccontextmanager
async def sim(profile: Profile, **kwargs: object) -> AsyncIterator[SimModule]:
    module = SimModule(profile, **kwargs)  # type: ignore[arg-type]
    await module.start()
    try:
        yield module
    finally:
        await module.stop()
