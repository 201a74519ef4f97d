"""The map in a real browser: how soon it stands, how it pans, what it keeps in memory; and a tile from the server.

Beside it, in the same run: the same wall with no layer at all (the floor), and the same features as three plain
`dl.GeoJSON` layers, which is what dash-leaflet gives without a layer of its own.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg
from playwright.sync_api import Browser, Page, Route, ViewportSize, sync_playwright

import layers
from benchmarks.bench import DEMO_PASSWORD, Bench, Product, percentiles, product
from benchmarks.plain_map import plain_map
from data.core.settings import read

FIGURES = ("first_paint_ratio", "first_paint_ms", "dense_paint_ms", "pan_fps", "pan_worst_ms", "heap_mb", "tile_ms")
SIZE: ViewportSize = {"width": 1920, "height": 1080}
OPENINGS = 7  # of each kind, in turn
TILES = 300  # of each layer
FLAGS = (  # noqa: SIM905 - one word a line says nothing more
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --enable-precise-memory-info --js-flags=--expose-gc"
).split()
DENSE = {"lat": 22.56, "lon": 114.07}  # where the schools stand closest
PAN_ZOOMS = (11, 13, 14, 16)
READY_MS = 60_000

# The moment counts when the frame after the last change was handed to the screen.
EMPTY = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"
FULL = f"() => campus.layers.ready.then({EMPTY})"
SHOWN = "() => document.querySelector('#wall[data-ready=\"1\"]') && window.campus.map && campus.layers.grounds"
DENSE_PAINT = """async ({ lat, lon, zoom }) => {
  const { grid } = campus.layers.grounds;
  const begun = performance.now();
  const loaded = new Promise((done) => grid.once("load", done));
  campus.map.setView([lat, lon], zoom, { animate: false });
  await loaded;
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return performance.now() - begun;
}"""
PAN = """async ({ lat, lon, zoom }) => {
  const rest = (ms) => new Promise((done) => setTimeout(done, ms));
  campus.map.setView([lat, lon], zoom, { animate: false });
  await rest(2500);
  const frames = [];
  let isOn = true, last = performance.now();
  (function look() {
    const now = performance.now();
    frames.push(now - last);
    last = now;
    if (isOn) requestAnimationFrame(look);
  })();
  for (const step of [[700, 0], [0, 450], [-900, 0], [0, -600]]) {
    const ended = new Promise((done) => campus.map.once("moveend", done));
    campus.map.panBy(step, { animate: true, duration: 1, easeLinearity: 0.5 });
    await ended;
    await rest(100);
  }
  isOn = false;
  return frames.slice(1);
}"""
DRAWN = """() => {
  const count = (id) => {
    const painter = campus.layers.grounds.grid.painters.find((one) => one.id === id);
    let all = 0;
    for (const { data } of painter.source.kept.values()) all += data ? data.count : 0;
    return all;
  };
  return { schools: campus.layers.schools.marks.size, cameras: count("cameras"), cells: count("cells") };
}"""
HEAP = "() => { gc(); gc(); return performance.memory.usedJSHeapSize / 1e6; }"


def run(bench: Bench) -> None:
    with product() as running, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        _first_paint(bench, running, browser)
        _movement(bench, running, browser)
        browser.close()
        _tiles(bench, running)


@contextmanager
def _wall(running: Product, browser: Browser, *, is_empty: bool = False) -> Iterator[Page]:
    """The commander's wall with nothing kept from before; without layers when `is_empty`."""
    context = browser.new_context(viewport=SIZE)
    page = context.new_page()
    page.goto(running.url + "/login")
    page.get_by_test_id("login-user").fill("commander")
    page.get_by_test_id("login-password").fill(DEMO_PASSWORD)
    if is_empty:
        context.route("**/tiles", lambda route: route.fulfill(json=[]))
        context.route("**/tiles/schools", _no_schools)
    page.get_by_test_id("login-submit").click()
    page.wait_for_function(SHOWN, timeout=READY_MS)
    yield page
    context.close()


def _no_schools(route: Route) -> None:
    route.fulfill(json={"type": "FeatureCollection", "features": []})


def _first_paint(bench: Bench, running: Product, browser: Browser) -> None:
    full: list[float] = []
    empty: list[float] = []
    plain: list[float] = []
    with plain_map(read(running.env)) as peer:
        for number in range(OPENINGS + 1):
            with _wall(running, browser) as page:
                full.append(page.evaluate(FULL))
            with _wall(running, browser, is_empty=True) as page:
                empty.append(page.evaluate(EMPTY))
            if number % 3 == 0:
                plain.append(peer.first_paint_ms(browser, SIZE))
        del full[0], empty[0]  # the server's own first time
    ratio = statistics.median(full) / statistics.median(empty)
    bench.line(
        "first_paint_ratio",
        ratio,
        "ratio",
        limit=1.7,
        peer="the same wall without layers",
        ratio=ratio,
        empty_ms=percentiles(empty),
        plain_geojson_ms=percentiles(plain),
    )
    against = statistics.median(full) / statistics.median(plain)
    bench.line("first_paint_ms", statistics.median(full), "ms", samples=full, limit=2500, peer="plain dl.GeoJSON", ratio=against)


def _movement(bench: Bench, running: Product, browser: Browser) -> None:
    with _wall(running, browser) as page:
        page.evaluate(FULL)
        dense = [page.evaluate(DENSE_PAINT, DENSE | {"zoom": zoom}) for zoom in (13, 14)]
        drawn = page.evaluate(DRAWN)
        bench.line("dense_paint_ms", max(dense), "ms", samples=dense, limit=2500, zooms=[13, 14], loaded=drawn)
        every: list[float] = []
        for zoom in PAN_ZOOMS:
            frames = page.evaluate(PAN, DENSE | {"zoom": zoom})
            every += frames
            bench.line("pan_fps", 1000 / statistics.median(frames), "fps", samples=[1000 / f for f in frames if f > 0], limit=40, zoom=zoom)
        heap = page.evaluate(HEAP)
    with _wall(running, browser, is_empty=True) as page:
        page.wait_for_timeout(1000)
        floor = page.evaluate(PAN, DENSE | {"zoom": 11})
    bench.line("pan_worst_ms", max(every), "ms", samples=every, limit=120, empty_worst_ms=round(max(floor), 1))
    with plain_map(read(running.env)) as peer:
        plain_fps, plain_worst, plain_heap = peer.pan(browser, SIZE)
    bench.line(
        "heap_mb", heap, "MB", limit=40, peer="plain dl.GeoJSON", ratio=heap / plain_heap, plain_fps=plain_fps, plain_worst_ms=plain_worst
    )


def _tiles(bench: Bench, running: Product) -> None:
    """Every tile is asked once, so none comes from the server's memory."""
    with psycopg.connect(read(running.env).owner_dsn) as conn:
        schools = conn.execute("select ST_X(geom), ST_Y(geom) from school order by school_id").fetchall()
    rng = random.Random(1)
    with httpx.Client(base_url=running.url, headers={"Origin": running.url, "Accept": "application/json"}) as client:
        client.post("/login", data={"login": "commander", "password": DEMO_PASSWORD}).raise_for_status()
        for layer in layers.LAYERS.values():
            if layer.tile_zooms is None:
                continue
            times: list[float] = []
            largest = 0
            asked = set()
            for lon, lat in rng.sample(schools, min(TILES * 2, len(schools))):
                tile = _tile(lon, lat, rng.randint(13, layer.tile_zooms[1]))
                if tile in asked or len(asked) == TILES:
                    continue
                asked.add(tile)
                begun = time.perf_counter()
                answer = client.get(f"/tiles/{layer.id}/{tile[0]}/{tile[1]}/{tile[2]}")
                times.append((time.perf_counter() - begun) * 1000)
                answer.raise_for_status()
                largest = max(largest, int(answer.headers["content-length"]))
            bench.line("tile_ms", percentiles(times)["p99"], "ms", samples=times, limit=40, layer=layer.id, largest_bytes=largest)


def _tile(lon: float, lat: float, z: int) -> tuple[int, int, int]:
    y = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
    return z, int((lon + 180) / 360 * 2**z), int(y * 2**z)
