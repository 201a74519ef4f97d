"""200 wall browsers on one web process at 20 events a second: its share of a core, how late messages are, whether all arrive.

The peer is what Dash offers by itself: the same 200 browsers asking once a second (a plain GET of the open alarms, which
costs the server less than a dcc.Interval's callback).
"""

from __future__ import annotations

import asyncio
import http.cookies
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psutil

from benchmarks.bench import DEMO_PASSWORD, Bench, product
from data.core import db, outbox, stream
from data.core.settings import Settings, read

FIGURES = ("sse_200_clients_core", "sse_200_clients_late_ms")
CLIENTS, PER_S, SECONDS, WARM_S = 200, 20, 20, 3
LIMIT_CORE = 0.25
KIND = "bench.changed"


@dataclass(slots=True)
class Tally:
    """What one client has seen: numbers of messages, and for each how long it took in milliseconds."""

    seen: list[int] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)


def log_in(url: str, login: str, password: str) -> str:
    """The Cookie header of a new session."""
    body = urllib.parse.urlencode({"login": login, "password": password}).encode()
    asked = urllib.request.Request(url + "/login", body, {"Origin": url, "Accept": "application/json"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        jar = http.cookies.SimpleCookie()
        for line in answer.headers.get_all("set-cookie"):
            jar.load(line)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())


async def _listen(host: str, port: int, cookie: str, tally: Tally, opened: asyncio.Semaphore) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET /live/sse HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n".encode())
    assert b" 200 " in await reader.readline()
    opened.release()
    wanted = f"event: {KIND}".encode()
    try:
        while line := await reader.readline():
            if line.startswith(wanted):
                number, _, sent = (await reader.readline()).split(b'"')[3].partition(b"|")
                tally.seen.append(int(number))
                tally.late_ms.append((time.perf_counter() - float(sent)) * 1000)
    finally:
        writer.close()


async def _poll(host: str, port: int, cookie: str, until: float, late_ms: list[float]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    asked = f"GET /api/v1/alarms HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n".encode()
    while time.perf_counter() < until:
        begun = time.perf_counter()
        writer.write(asked)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        late_ms.append((time.perf_counter() - begun) * 1000)
        await asyncio.sleep(max(0.0, 1.0 - (time.perf_counter() - begun)))
    writer.close()


def emit(settings: Settings, count: int, per_s: float) -> None:
    """Put `count` messages into the outbox at a steady pace, each committed and announced on its own."""
    client = stream.connect(settings.redis)
    with db.connect(settings.app_dsn) as conn:
        begun = time.perf_counter()
        for number in range(count):
            time.sleep(max(0.0, begun + number / per_s - time.perf_counter()))
            with conn.transaction():
                seq = outbox.put(conn, KIND, "alarm.view", {"sent": f"{number}|{time.perf_counter()}"})
            outbox.wake(client, seq)


def _share(pid: int, act: Callable[[], None]) -> float:
    """The process's share of one core while `act` runs."""
    process, begun = psutil.Process(pid), time.perf_counter()
    before = process.cpu_times()
    act()
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / (time.perf_counter() - begun)


def measure(settings: Settings, url: str, web_pid: int, cookie: str) -> tuple[float, list[Tally], float, list[float]]:
    """Shares of a core of pushing and of polling, with what every client saw and how long every poll took."""
    host, port = url.removeprefix("http://").split(":")
    tallies = [Tally() for _ in range(CLIENTS)]
    polls: list[float] = []
    shares: list[float] = []

    async def push() -> None:
        opened = asyncio.Semaphore(0)
        tasks = [asyncio.create_task(_listen(host, int(port), cookie, tally, opened)) for tally in tallies]
        for _ in tallies:
            await opened.acquire()
        await asyncio.sleep(WARM_S)
        sender = threading.Thread(target=emit, args=(settings, PER_S * SECONDS, PER_S))
        sender.start()
        shares.append(await asyncio.to_thread(_share, web_pid, sender.join))
        await asyncio.sleep(1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def poll() -> None:
        until = time.perf_counter() + SECONDS
        work = asyncio.gather(*(_poll(host, int(port), cookie, until, polls) for _ in tallies))
        shares.append(await asyncio.to_thread(_share, web_pid, lambda: time.sleep(SECONDS)))
        await work

    asyncio.run(push())
    asyncio.run(poll())
    return shares[0], tallies, shares[1], polls


def report(bench: Bench, found: tuple[float, list[Tally], float, list[float]]) -> None:
    """Print the figures; a message that did not arrive, or came twice, is an error and not a figure."""
    pushed, tallies, polled, polls = found
    expected = list(range(PER_S * SECONDS))
    assert all(tally.seen == expected for tally in tallies), "a client has missed a message or has it twice"
    late = [value for tally in tallies for value in tally.late_ms]
    facts: dict[str, Any] = {"clients": CLIENTS, "events_per_s": PER_S, "delivered": len(late), "expected": len(expected) * CLIENTS}
    peer = "200 browsers asking GET /api/v1/alarms once a second"
    bench.line(
        "sse_200_clients_core",
        pushed,
        "core",
        limit=LIMIT_CORE,
        peer=peer,
        ratio=pushed / polled if polled else None,
        peer_core=round(polled, 3),
        **facts,
    )
    # Asked once a second, a message waits half a second in the mean and a whole one at worst, besides the answer itself.
    mean_ms = 500 + sum(polls) / len(polls)
    share = sorted(late)[int(len(late) * 0.99)] / (1000 + max(polls))
    bench.line(
        "sse_200_clients_late_ms",
        sorted(late)[int(len(late) * 0.99)],
        "ms",
        samples=late,
        peer=peer,
        ratio=share,
        peer_mean_ms=round(mean_ms),
        **facts,
    )


def run(bench: Bench) -> None:
    with product() as running:
        web = next(one.pid for one in psutil.Process(running.pid).children(recursive=True) if "web" in one.cmdline()[2:3])
        report(bench, measure(read(running.env), running.url, web, log_in(running.url, "commander", DEMO_PASSWORD)))
