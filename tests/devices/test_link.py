"""The hazards table: what bare pymodbus does with a bad peer, and what the guarded link does.

Must pass before the pin of pymodbus moves: the guard leans on parts pymodbus does not promise.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerType

from devices.dialin import DialIn
from devices.link import BadAnswer, Declined, GuardedLink, LinkDown, LinkError, Read
from tests.devices.peers import Request, mbap, peer, rtu, run

TIMEOUT_S = 0.3  # machines that run tests are busy: at once means well before this
ONE = Read(2, 0, 1)  # one discrete input
EIGHT = Read(2, 0, 8)
WORDS = Read(3, 0, 4)


def guarded(port: int, **kwargs: Any) -> GuardedLink:
    return GuardedLink("127.0.0.1", port, timeout_s=TIMEOUT_S, **kwargs)


async def bare(port: int, **kwargs: Any) -> AsyncModbusTcpClient:
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=TIMEOUT_S, **kwargs)
    assert await client.connect()
    return client


async def fails(link: GuardedLink, kind: type[LinkError], reason: str, request: Read = EIGHT) -> float:
    """Seconds until the read failed as expected."""
    started = time.monotonic()
    with pytest.raises(kind) as failure:
        await link.read(request)
    assert failure.value.reason == reason
    return time.monotonic() - started


def test_good_answers_are_read_exactly() -> None:
    async def answer(request: Request) -> None:
        body = bytes([3, 8, 0, 1, 0, 2, 0xFF, 0xFF, 0, 4]) if request.fc == 3 else request.bits(1, 0, 1)
        for byte in mbap(request.tid, request.unit, body):  # byte by byte: TCP owes nobody a whole frame
            request.send(bytes([byte]))
            await asyncio.sleep(0)

    async def main() -> None:
        async with peer(answer) as there:
            link = guarded(there.port)
            await link.open()
            assert list(await link.read(Read(2, 0, 3))) == [1, 0, 1]
            assert list(await link.read(WORDS)) == [1, 2, 65535, 4]
            assert there.connections == 1
            link.close()

    run(main())


def test_a_peer_that_closes_during_a_request_is_noticed_at_once() -> None:
    async def answer(request: Request) -> None:
        request.writer.close()

    async def main() -> None:
        async with peer(answer) as there:
            link = guarded(there.port)
            await link.open()
            assert await fails(link, LinkDown, "closed") < TIMEOUT_S * 0.7
            assert not link.is_open

            client = await bare(there.port, retries=3)
            started = time.monotonic()
            with pytest.raises(ModbusException):
                await client.read_discrete_inputs(0, count=8)
            assert time.monotonic() - started >= 4 * TIMEOUT_S * 0.9, "bare pymodbus waits out every retry"
            client.close()

    run(main())


def test_a_peer_that_closes_between_requests_is_noticed_before_the_next() -> None:
    async def answer(request: Request) -> None:
        request.send(mbap(request.tid, request.unit, request.bits(0)))

    async def main() -> None:
        async with peer(answer) as there:
            link = guarded(there.port)
            await link.open()
            await link.read(EIGHT)
            assert link.is_open
            there.writers[0].close()
            until = time.monotonic() + 1
            while link.is_open and time.monotonic() < until:
                await asyncio.sleep(0.001)
            assert not link.is_open
            assert await fails(link, LinkDown, "closed") < TIMEOUT_S * 0.7

    run(main())


def test_a_black_hole_costs_one_time_out_and_gets_a_new_socket() -> None:
    async def answer(request: Request) -> None:
        if request.number > 2:
            request.send(mbap(request.tid, request.unit, request.bits(1)))

    async def main() -> None:
        async with peer(answer) as there:
            client = await bare(there.port, retries=0)
            with pytest.raises(ModbusException):
                await client.read_discrete_inputs(0, count=8)
            assert client.connected, "bare pymodbus goes on with the dead socket"
            client.close()

            link = guarded(there.port)
            await link.open()
            assert TIMEOUT_S * 0.9 <= await fails(link, LinkDown, "timeout") < TIMEOUT_S * 2
            assert not link.is_open
            await link.open()
            assert list(await link.read(ONE)) == [1]
            assert there.connections == 3
            link.close()

    run(main())


def test_nobody_listening_and_a_closed_port_have_their_own_reason(free_port: Any) -> None:
    async def main() -> None:
        link = guarded(free_port())
        with pytest.raises(LinkDown) as failure:
            await link.open()
        assert failure.value.reason == "refused"

    run(main())


def test_a_late_answer_over_rtu_never_answers_the_next_request() -> None:
    """The first answer (pressed) comes while the second request (not pressed) waits: the false alarm of facts."""

    async def answer(request: Request) -> None:
        if request.number % 2:
            asyncio.get_running_loop().call_later(TIMEOUT_S * 1.3, request.send, rtu(1, request.bits(1)))
        else:
            await asyncio.sleep(TIMEOUT_S * 0.6)
            request.send(rtu(1, request.bits(0)))

    async def main() -> None:
        async with peer(answer, is_rtu=True) as there:
            client = await bare(there.port, retries=0, framer=FramerType.RTU)
            with pytest.raises(ModbusException):
                await client.read_discrete_inputs(0, count=8)
            false_alarm = await client.read_discrete_inputs(0, count=8)
            assert false_alarm.bits[0] is True, "pymodbus has learnt: this row of the table can go"
            client.close()
            await asyncio.sleep(TIMEOUT_S)

            there.requests = 0
            link = guarded(there.port, framer=FramerType.RTU)
            await link.open()
            await fails(link, LinkDown, "timeout")
            await link.open()
            assert list(await link.read(ONE)) == [0]
            link.close()

    run(main())


def test_a_late_answer_over_tcp_is_skipped_by_its_transaction() -> None:
    async def answer(request: Request) -> None:
        if request.number > 1:
            request.send(mbap(request.tid - 1, 1, request.bits(1)) + mbap(request.tid, 1, request.bits(0)))
        else:
            request.send(mbap(request.tid, 1, request.bits(0)))

    async def main() -> None:
        async with peer(answer) as there:
            link = guarded(there.port)
            await link.open()
            for _ in range(3):
                assert list(await link.read(ONE)) == [0]
            assert there.connections == 1
            link.close()

    run(main())


def test_a_repeated_answer_over_rtu_drops_the_socket_before_the_next_request() -> None:
    async def answer(request: Request) -> None:
        request.send(rtu(1, request.bits(1)))
        if request.number == 1:
            asyncio.get_running_loop().call_later(0.02, request.send, rtu(1, request.bits(1)))

    async def main() -> None:
        async with peer(answer, is_rtu=True) as there:
            link = guarded(there.port, framer=FramerType.RTU)
            await link.open()
            await link.read(ONE)
            await asyncio.sleep(0.06)
            await fails(link, BadAnswer, "wrong_answer")
            link.close()

    run(main())


WRONG_TCP = {
    "other-function": lambda r: mbap(r.tid, r.unit, bytes([4, 2, 0, 0])),
    "no-data": lambda r: mbap(r.tid, r.unit, bytes([2, 0])),
    "transaction-0": lambda r: mbap(0, r.unit, r.bits(1)),
    "foreign-unit": lambda r: mbap(r.tid, r.unit + 1, r.bits(1)),
    "too-short": lambda r: mbap(r.tid, r.unit, bytes([2])),
    "too-long": lambda r: mbap(r.tid, r.unit, bytes([2, 2, 1, 1])),
    "byte-count-lies": lambda r: mbap(r.tid, r.unit, bytes([2, 3, 1])),
    "trailing-byte": lambda r: mbap(r.tid, r.unit, bytes([2, 1, 1, 0])),
    "other-protocol": lambda r: mbap(r.tid, r.unit, r.bits(1), protocol=7),
    "long-exception": lambda r: mbap(r.tid, r.unit, bytes([0x82, 2, 2])),
    "exception-of-another": lambda r: mbap(r.tid, r.unit, bytes([0x84, 2])),
    "http": lambda r: b"HTTP/1.1 400 Bad Request\r\n\r\n",
}
WRONG_RTU = {
    "other-function": lambda r: rtu(r.unit, bytes([4, 2, 0, 0])),
    "no-data": lambda r: rtu(r.unit, bytes([2, 0])),
    "foreign-unit": lambda r: rtu(r.unit + 1, r.bits(1)),
    "checksum": lambda r: rtu(r.unit, r.bits(1))[:-1] + b"\x00",
    "two-answers": lambda r: rtu(r.unit, r.bits(0)) + rtu(r.unit, r.bits(1)),
    "noise-before": lambda r: b"\x00\xff" + rtu(r.unit, r.bits(1)),
}
BARE_BELIEVES = {"other-function", "no-data", "too-short", "transaction-0", "too-long", "byte-count-lies", "trailing-byte"}


@pytest.mark.parametrize("row", WRONG_TCP)
def test_a_wrong_answer_over_tcp_is_refused_and_the_socket_dropped(row: str) -> None:
    async def answer(request: Request) -> None:
        request.send(WRONG_TCP[row](request))

    async def main() -> None:
        async with peer(answer) as there:
            link = guarded(there.port)
            await link.open()
            assert await fails(link, BadAnswer, "wrong_answer") < TIMEOUT_S * 0.7
            assert not link.is_open

            client = await bare(there.port, retries=0)
            try:
                response = await client.read_discrete_inputs(0, count=8)
                believed = not response.isError()
            except ModbusException:
                believed = False
            client.close()
            assert believed == (row in BARE_BELIEVES), "pymodbus changed its mind: read its notes and this table again"

    run(main())


@pytest.mark.parametrize("row", WRONG_RTU)
def test_a_wrong_answer_over_rtu_is_refused_and_the_socket_dropped(row: str) -> None:
    async def answer(request: Request) -> None:
        request.send(WRONG_RTU[row](request))

    async def main() -> None:
        async with peer(answer, is_rtu=True) as there:
            link = guarded(there.port, framer=FramerType.RTU)
            await link.open()
            assert await fails(link, BadAnswer, "wrong_answer") < TIMEOUT_S * 0.7
            assert not link.is_open

    run(main())


@pytest.mark.parametrize("is_rtu", [False, True], ids=["tcp", "rtu"])
def test_half_an_answer_is_a_time_out_and_not_a_value(is_rtu: bool) -> None:
    async def answer(request: Request) -> None:
        whole = rtu(1, request.bits(1)) if is_rtu else mbap(request.tid, 1, request.bits(1))
        request.send(whole[:-1])

    async def main() -> None:
        async with peer(answer, is_rtu=is_rtu) as there:
            link = guarded(there.port, framer=FramerType.RTU if is_rtu else FramerType.SOCKET)
            await link.open()
            await fails(link, LinkDown, "timeout")

    run(main())


def test_fewer_registers_than_asked_are_refused() -> None:
    async def answer(request: Request) -> None:
        request.send(mbap(request.tid, 1, bytes([3, 4, 0, 1, 0, 2])))

    async def main() -> None:
        async with peer(answer) as there:
            link = guarded(there.port)
            await link.open()
            await fails(link, BadAnswer, "wrong_answer", WORDS)

    run(main())


@pytest.mark.parametrize("is_rtu", [False, True], ids=["tcp", "rtu"])
def test_a_refusal_of_the_module_keeps_the_socket(is_rtu: bool) -> None:
    async def answer(request: Request) -> None:
        body = bytes([request.fc | 0x80, 6]) if request.number == 1 else request.bits(1)
        request.send(rtu(1, body) if is_rtu else mbap(request.tid, 1, body))

    async def main() -> None:
        async with peer(answer, is_rtu=is_rtu) as there:
            link = guarded(there.port, framer=FramerType.RTU if is_rtu else FramerType.SOCKET)
            await link.open()
            await fails(link, Declined, "declined")
            assert list(await link.read(ONE)) == [1]
            assert there.connections == 1
            link.close()

    run(main())


@pytest.mark.parametrize("is_rtu", [False, True], ids=["tcp", "rtu"])
def test_a_write_is_only_done_when_the_module_repeats_it(is_rtu: bool) -> None:
    async def answer(request: Request) -> None:
        body = request.pdu if request.number < 3 else request.pdu[:3] + b"\x00\x00"
        request.send(rtu(1, body) if is_rtu else mbap(request.tid, 1, body))

    async def main() -> None:
        async with peer(answer, is_rtu=is_rtu) as there:
            link = guarded(there.port, framer=FramerType.RTU if is_rtu else FramerType.SOCKET)
            await link.open()
            await link.write(5, 16, [1])
            await link.write(6, 3, [77])
            with pytest.raises(BadAnswer):
                await link.write(5, 16, [1])

    run(main())


def test_a_cancelled_read_leaves_nothing_behind() -> None:
    async def answer(request: Request) -> None:
        await asyncio.sleep(0.05)
        request.send(rtu(1, request.bits(1)))

    async def main() -> None:
        async with peer(answer, is_rtu=True) as there:
            link = guarded(there.port, framer=FramerType.RTU)
            await link.open()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(link.read(ONE), 0.01)
            assert not link.is_open, "its answer may still come"

    run(main())


def test_a_module_that_dials_in_is_read_over_its_own_connection_and_may_chatter() -> None:
    async def module(port: int, code: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for byte in code:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.002)
        for number in range(2):
            request = await reader.readexactly(8)
            writer.write(code)  # the DTU's heartbeat, just before the answer
            writer.write(rtu(request[0], bytes([2, 1, number])))
            await writer.drain()
            writer.write(code)  # and once more between requests
        await reader.read()
        writer.close()

    async def main() -> None:
        hub = DialIn()
        await hub.listen("127.0.0.1", 0)
        for code in (b"DTU-1", b"DTU-10"):
            hub.expect(code)
        links = {
            code: GuardedLink("", 0, timeout_s=1, framer=FramerType.RTU, chatter=code, accept=lambda c=code: hub.accept(c))
            for code in (b"DTU-1", b"DTU-10")
        }
        modules = [asyncio.create_task(module(hub.port, code)) for code in links]
        for link in links.values():
            await link.open()
            assert list(await link.read(ONE)) == [0]
            await asyncio.sleep(0.02)
            assert list(await link.read(ONE)) == [1]
            link.close()
        await asyncio.gather(*modules)
        hub.close()

    run(main())


async def _is_cut(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True


def test_an_unknown_module_that_dials_in_is_sent_away_and_one_that_stays_out_is_a_time_out() -> None:
    async def main() -> None:
        hub = DialIn()
        await hub.listen("127.0.0.1", 0)
        hub.expect(b"DTU-1")
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
        writer.write(b"WHO-AM-I")
        assert await _is_cut(reader)
        writer.close()
        link = GuardedLink("", 0, timeout_s=0.1, framer=FramerType.RTU, accept=lambda: hub.accept(b"DTU-1"))
        with pytest.raises(LinkDown):
            await link.open()
        hub.close()

    run(main())
