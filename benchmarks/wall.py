"""From the button to the painted wall, poll wait included; an acknowledgement on every screen; frames while alarms rain.

`press_to_painted_ms` is timed from the moment the module's contact is told to close until the browser's frame after the
row and the mark were drawn, with 2,600 modules polled every 500 ms. Beside it, in the same run and for the same presses,
a page that asks for the open alarms once a second, as `dcc.Interval` would.
"""

from __future__ import annotations

import json
import random
import socket
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from playwright.sync_api import Page

from benchmarks.bench import DEMO_PASSWORD, Bench, Product, percentiles, product
from benchmarks.path import wall
from data.core import clock, stream
from data.core.events import Event, Kind, event_id_of
from data.core.settings import Settings, read
from data.core.spool import Sender, Spool
from devices.demo import control_socket, modules_file

FIGURES = ("press_to_painted_ms", "ack_everywhere_ms", "wall_storm_fps")
POLL_MS, PRESSES, ACKS, STORM = 500, 120, 100, 1_000
STORM_S = 10.0
PRESS_LIMIT_MS, ACK_LIMIT_MS, LEAST_FPS = 1_000, 1_000, 30
UP_SHARE = 0.98  # of the modules; the rest may be having a demo power cut

POLLING = """() => {
  window.polled = {};
  setInterval(async () => {
    const found = await (await fetch('/api/v1/alarms', {cache: 'no-store'})).json();
    requestAnimationFrame(() => requestAnimationFrame(() => {
      for (const alarm of found.alarms) window.polled[alarm.alarm_id] = window.polled[alarm.alarm_id] || Date.now();
    }));
  }, 1000);
}"""
PAINTED = "() => campus.painted.filter((one) => one.how === 'live').map((one) => [one.alarm_id, one.press, Date.parse(one.painted_at)])"
ACKED = """() => {
  window.acked = {};
  const painted = (id) => requestAnimationFrame(() => requestAnimationFrame(() => (window.acked[id] = Date.now())));
  campus.state.on('moved', (alarm) => painted(alarm.alarm_id));
}"""
FRAMES = """() => {
  const frames = (window.frames10 = []);
  let last = performance.now();
  (function look() { const now = performance.now(); frames.push(now - last); last = now; requestAnimationFrame(look); })();
}"""


def run(bench: Bench) -> None:
    with product(poll_ms=POLL_MS) as running, wall(running) as page:
        settings = read(running.env)
        modules = _up(settings)
        peer = _polling(running, page)
        alarms = _presses(bench, running, page, peer, settings, modules)
        peer.context.close()
        _acknowledge(bench, running, page, alarms)
        _storm(bench, running, page, settings, modules)


def _up(settings: Settings) -> list[tuple[int, str]]:
    """(number for the player from 1, code) of the demo modules, once nearly all of them answer."""
    listed = [str(one["code"]) for one in json.loads(modules_file(settings.data_dir).read_text(encoding="utf-8"))]
    until = time.monotonic() + 240
    with psycopg.connect(settings.owner_dsn, autocommit=True) as conn:
        while True:
            up = {row[0] for row in conn.execute("select code from device where kind = 'module' and state = 'up'").fetchall()}
            if len(up) >= UP_SHARE * len(listed) or time.monotonic() > until:
                return [(number, code) for number, code in enumerate(listed, 1) if code in up]
            time.sleep(1)


def _enter(running: Product, page: Page, login: str) -> Page:
    """A second screen in the same browser, logged in as `login`, on the page that comes first for them."""
    assert page.context.browser is not None
    other = page.context.browser.new_context(viewport={"width": 1920, "height": 1080}).new_page()
    other.goto(running.url + "/login")
    other.get_by_test_id("login-user").fill(login)
    other.get_by_test_id("login-password").fill(DEMO_PASSWORD)
    other.get_by_test_id("login-submit").click()
    other.wait_for_load_state()
    return other


def _polling(running: Product, page: Page) -> Page:
    """A second screen that asks once a second and draws nothing else."""
    other = _enter(running, page, "commander")
    other.goto(running.url + "/admin")
    other.evaluate(POLLING)
    return other


def _close_contact(settings: Settings, number: int) -> float:
    """Press a button of the player; when, in ms of the wall clock, taken before it was told to."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(control_socket(settings)))
        pressed_ms = time.time() * 1000
        line.sendall(json.dumps({"press": str(number)}).encode() + b"\n")
        line.makefile("rb").readline()
    return pressed_ms


def _alarm_ids(settings: Settings, codes: list[str]) -> dict[str, int]:
    with psycopg.connect(settings.owner_dsn, autocommit=True) as conn:
        query = "select d.code, a.alarm_id from alarm a join device d using (device_id) where a.state <> 'closed' and d.code = any(%s)"
        return dict(conn.execute(query, (codes,)).fetchall())


def _presses(bench: Bench, running: Product, page: Page, peer: Page, settings: Settings, modules: list[tuple[int, str]]) -> list[int]:
    """Press, wait a moment, press elsewhere; the alarms that came of it."""
    dice, shares = random.Random(2), running.shares()
    chosen = dice.sample(modules, PRESSES)
    shares.start()
    pressed: dict[str, float] = {}
    for number, code in chosen:
        pressed[code] = _close_contact(settings, number)
        page.wait_for_timeout(dice.uniform(100, 400))
    until = time.monotonic() + 15
    while time.monotonic() < until and len(page.evaluate(PAINTED)) < PRESSES:
        page.wait_for_timeout(100)
    page.wait_for_timeout(1500)
    used = shares.stop()
    alarms = _alarm_ids(settings, list(pressed))
    code_of = {alarm_id: code for code, alarm_id in alarms.items()}
    ours = [at - pressed[code_of[alarm_id]] for alarm_id, press, at in page.evaluate(PAINTED) if press == 1 and alarm_id in code_of]
    polled: dict[str, float] = peer.evaluate("() => window.polled")
    theirs = [at - pressed[code_of[int(alarm_id)]] for alarm_id, at in polled.items() if int(alarm_id) in code_of]
    ours_p99, theirs_p99 = percentiles(ours)["p99"], percentiles(theirs)["p99"]
    bench.line(
        "press_to_painted_ms",
        ours_p99,
        "ms",
        samples=ours,
        limit=PRESS_LIMIT_MS,
        peer="the same presses on a page that asks once a second",
        ratio=ours_p99 / theirs_p99,
        peer_ms=percentiles(theirs),
        not_painted=PRESSES - len(ours),
        modules=len(modules),
        poll_ms=POLL_MS,
        shares=used,
    )
    return list(alarms.values())


def _acknowledge(bench: Bench, running: Product, page: Page, alarms: list[int]) -> None:
    """One screen acknowledges; how long until a second one, of somebody else, has painted it."""
    other = _enter(running, page, "dispatcher")
    other.wait_for_selector('[data-testid="live-state"][data-state="open"]', timeout=60_000)
    other.wait_for_timeout(3_000)
    other.evaluate(ACKED)
    shares = running.shares()
    shares.start()
    asked: dict[int, float] = {}
    for alarm_id in alarms[:ACKS]:
        asked[alarm_id] = page.evaluate("(id) => { const at = Date.now(); campus.act.acknowledge({alarm_id: id}); return at; }", alarm_id)
        page.wait_for_timeout(100)
    until = time.monotonic() + 15
    while time.monotonic() < until and len(other.evaluate("() => window.acked")) < len(asked):
        other.wait_for_timeout(100)
    seen: dict[str, float] = other.evaluate("() => window.acked")
    samples = [at - asked[int(alarm_id)] for alarm_id, at in seen.items() if int(alarm_id) in asked]
    other.context.close()
    bench.line(
        "ack_everywhere_ms",
        percentiles(samples)["p99"],
        "ms",
        samples=samples,
        limit=ACK_LIMIT_MS,
        not_seen=len(asked) - len(samples),
        browsers=2,
        shares=shares.stop(),
    )


def _storm(bench: Bench, running: Product, page: Page, settings: Settings, modules: list[tuple[int, str]]) -> None:
    """A thousand alarms in ten seconds on one screen: its frames a second, the slowest one, and whether all were painted."""
    shares = running.shares()
    before = len(page.evaluate(PAINTED))
    with tempfile.TemporaryDirectory() as scratch:
        spool = Spool(Path(scratch) / "storm.sqlite", "bench-storm")
        sender = Sender(spool, stream.connect(settings.redis))
        sender.start()
        page.evaluate(FRAMES)
        shares.start()
        began = time.monotonic()
        for number in range(STORM):
            spool.append(_alarm(modules[-1 - number % len(modules)][1], number))
            wait_s = began + number * STORM_S / STORM - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
        length_s = time.monotonic() - began
        frames: list[float] = page.evaluate("() => window.frames10.slice(1)")
        used = shares.stop()
        until = time.monotonic() + 30
        while time.monotonic() < until and len(page.evaluate(PAINTED)) - before < STORM:
            page.wait_for_timeout(200)
        painted: list[dict[str, Any]] = page.evaluate("() => campus.painted.filter((one) => one.how === 'live')")
        sender.stop()
        spool.close()
    took = [_ms(one["painted_at"]) - _ms(one["event_at"]) for one in painted[before:]]
    bench.line(
        "wall_storm_fps",
        len(frames) / length_s,
        "fps",
        samples=[1000 / frame for frame in frames if frame > 0],
        limit=LEAST_FPS,
        slowest_frame_ms=round(max(frames), 1),
        alarms=STORM,
        seconds=round(length_s, 1),
        not_painted=STORM - len(took),
        painted_ms=percentiles(took),
        rows_drawn=page.get_by_test_id("alarm-row").count(),
        shares=used,
    )


def _alarm(code: str, number: int) -> Event:
    return Event(
        event_id=event_id_of("bench-storm", number),
        kind=Kind.ALARM_RAISED,
        source="bench-storm",
        subject=code,
        channel=0,
        event_at=clock.now(),
        demo=True,
        data={"zone": "panic", "press": number, "count": 1, "capture": "counter", "while_down": False, "mode": "live"},
    )


def _ms(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() * 1000
