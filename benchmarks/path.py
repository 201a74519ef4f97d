"""From a worker's spool to the wall: how long an event takes once it was seen, and what a storm does to a panic press.

`path_ms` is the way without the wait for the next poll: spool, Redis, ingest, PostgreSQL, live stream, animation frame
of a real browser. `storm_panic_ms` is the same while 20,000 states of devices are queued and every one of them is shown.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import redis
from playwright.sync_api import Page, sync_playwright

from benchmarks.bench import DEMO_PASSWORD, Bench, Product, percentiles, product
from data.core import clock, stream
from data.core.events import Event, Kind, encode, event_id_of
from data.core.settings import Settings, read
from data.core.spool import Sender, Spool

FIGURES = ("path_ms", "storm_panic_ms")
PRESSES, STORM, STORM_PRESSES = 200, 20_000, 20
POLL_MS = 2000
PATH_LIMIT_MS, STORM_LIMIT_MS = 150, 1000


def run(bench: Bench) -> None:
    with product(poll_ms=POLL_MS) as running, wall(running) as page, tempfile.TemporaryDirectory() as scratch:
        settings = read(running.env)
        client = stream.connect(settings.redis)
        devices = _devices(settings)
        spool = Spool(Path(scratch) / "bench.sqlite", "bench-1")
        sender = Sender(spool, client)
        sender.start()
        _path(bench, running, page, settings, spool, devices)
        _storm(bench, running, page, settings, client, devices)
        sender.stop()
        spool.close()


@contextmanager
def wall(running: Product) -> Iterator[Page]:
    """The wall in Debian's chromium, logged in as the commander, the map painted."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        page.goto(running.url + "/login")
        page.get_by_test_id("login-user").fill("commander")
        page.get_by_test_id("login-password").fill(DEMO_PASSWORD)
        page.get_by_test_id("login-submit").click()
        page.get_by_test_id("map").wait_for(timeout=60_000)
        page.wait_for_function("() => window.campus && window.campus.map && Array.isArray(window.campus.painted)", timeout=60_000)
        page.wait_for_timeout(5_000)
        yield page
        browser.close()


def _devices(settings: Settings, least: int = 2_000) -> list[str]:
    """Codes of modules with a panic button at channel 0, once nearly all of them answer."""
    until = time.monotonic() + 180
    with psycopg.connect(settings.owner_dsn, autocommit=True) as conn:
        while True:
            rows = conn.execute(
                "select d.code from device d join point p using (device_id) where d.is_enabled and d.state = 'up'"
                " and p.direction = 'in' and p.channel = 0 and p.zone = 'panic' order by d.code"
            ).fetchall()
            if len(rows) >= least or time.monotonic() > until:
                return [row[0] for row in rows]
            time.sleep(1)


def _press(source: str, device: str, number: int, seq: int = 0) -> Event:
    now = clock.now()
    return Event(
        event_id=event_id_of(source, "press", number),
        kind=Kind.ALARM_RAISED,
        source=source,
        subject=device,
        channel=0,
        event_at=now,
        seq=seq,
        spooled_at=now if seq else None,
        demo=True,
        data={"zone": "panic", "press": number, "count": 1, "capture": "counter", "while_down": False, "mode": "live"},
    )


def _painted(page: Page, pressed: list[Event], seconds: float) -> list[float]:
    """Milliseconds from each press to its frame; a press that was not painted within `seconds` is missing."""
    wanted = {event.event_at for event in pressed}
    until = time.monotonic() + seconds
    while True:
        found: Any = page.evaluate("() => window.campus.painted.map(p => [p.event_at, p.painted_at])")
        moments = [(datetime.fromisoformat(event_at), datetime.fromisoformat(painted_at)) for event_at, painted_at in found]
        took = {event_at: painted_at - event_at for event_at, painted_at in moments if event_at in wanted}
        if len(took) == len(wanted) or time.monotonic() > until:
            return [span / timedelta(milliseconds=1) for span in took.values()]
        page.wait_for_timeout(100)


def _committed(settings: Settings, source: str) -> list[float]:
    """Milliseconds from the press to its commit, for every press of a source."""
    with psycopg.connect(settings.owner_dsn) as conn:
        rows = conn.execute(
            "select extract(epoch from stored_at - event_at) * 1000 from event where source = %s and kind = 'alarm.raised'", (source,)
        ).fetchall()
    return [float(row[0]) for row in rows]


def _path(bench: Bench, running: Product, page: Page, settings: Settings, spool: Spool, devices: list[str]) -> None:
    dice, shares = random.Random(1), running.shares()
    shares.start()
    pressed: list[Event] = []
    for number in range(1, PRESSES + 1):
        pressed.append(spool.append(_press("bench-1", dice.choice(devices), number)))
        page.wait_for_timeout(dice.uniform(50, 250))
    samples = _painted(page, pressed, 20)
    bench.line(
        "path_ms",
        sorted(samples)[int(len(samples) * 0.99)],
        "ms",
        samples=samples,
        limit=PATH_LIMIT_MS,
        not_painted=PRESSES - len(samples),
        committed_ms=percentiles(_committed(settings, "bench-1")),
        modules=2600,
        poll_ms=POLL_MS,
        shares=shares.stop(),
    )


def _storm(bench: Bench, running: Product, page: Page, settings: Settings, client: redis.Redis, devices: list[str]) -> None:
    """Queue 20,000 lost and back again, press while ingest works through them, count what came of it."""
    shares, seq = running.shares(), 0
    pipe = client.pipeline(transaction=False)
    for number in range(STORM):
        seq += 1
        kind = Kind.DEVICE_BACK if number >= STORM // 2 else Kind.DEVICE_LOST
        event = Event(
            event_id=event_id_of("storm-1", number),
            kind=kind,
            source="storm-1",
            subject=devices[number % len(devices)],
            event_at=clock.now(),
            seq=seq,
            demo=True,
            data={"reason": "timeout"},
        )
        stream.publish(pipe, encode(event), is_panic=False)
    shares.start()
    began = time.monotonic()
    pipe.execute()
    pressed: list[Event] = []
    for number in range(STORM_PRESSES):
        seq += 1
        pressed.append(_press("storm-1", devices[-1 - number], number, seq))
        stream.publish(client, encode(pressed[-1]), is_panic=True)
        page.wait_for_timeout(100)
    queued = sum(stream.Reader(client, "bench").lag().values())
    with psycopg.connect(settings.owner_dsn, autocommit=True) as conn:
        while sum(stream.Reader(client, "bench").lag().values()) and time.monotonic() - began < 120:
            page.wait_for_timeout(100)
        drained_s = time.monotonic() - began
        stored = conn.execute("select count(*) from event where source = 'storm-1'").fetchone()
    samples = _painted(page, pressed, 20)
    bench.line(
        "storm_panic_ms",
        max(samples, default=float("inf")),
        "ms",
        samples=samples,
        limit=STORM_LIMIT_MS,
        not_painted=STORM_PRESSES - len(samples),
        committed_ms=percentiles(_committed(settings, "storm-1")),
        events=STORM + STORM_PRESSES,
        lost=STORM + STORM_PRESSES - (stored[0] if stored else 0),
        still_queued_at_last_press=queued,
        drained_s=round(drained_s, 1),
        shares=shares.stop(),
    )
