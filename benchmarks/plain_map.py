"""The peer of benchmarks/map.py: schools, cameras and cells as three plain `dl.GeoJSON` layers on one canvas."""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import dash
import dash_leaflet as dl
import psycopg
import uvicorn
from dash import html
from fastapi import FastAPI, Response
from playwright.sync_api import Browser, Page, ViewportSize

from data.core.settings import Settings

READY_MS = 120_000
CENTRE: Any = [22.62, 114.12]  # of the demo city, degrees; given as bounds, dash-leaflet 1.1.3 fails at the first pan
TABLES: dict[str, LiteralString] = {
    "schools": "select ST_AsGeoJSON(t, 'geom', 6) from (select school_id as id, code, name_zh, geom from school) t",
    "cameras": "select ST_AsGeoJSON(t, 'geom', 6) from (select camera_id as id, azimuth_deg, fov_deg, state, geom from camera) t",
    "cells": "select ST_AsGeoJSON(t, 'geom', 6) from (select cell_id as id, code, geom from cell) t",
}
# dash-leaflet makes its maps itself: the handle is caught at the moment Leaflet arrives.
CATCH_MAP = """Object.defineProperty(window, "L", { configurable: true, set(leaflet) {
  Object.defineProperty(window, "L", { value: leaflet, writable: true });
  leaflet.Map.addInitHook(function () { window.plainMap = this; });
} });
window.plain = { dot: (feature, latlng) => L.circleMarker(latlng, { radius: 3, weight: 1 }) };"""
ALL_THERE = """(wanted) => {
  let count = 0;
  window.plainMap.eachLayer((layer) => { if (layer.feature) count += 1; });
  return count >= wanted;
}"""
AFTER_FRAME = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"
PAN = """async () => {
  const rest = (ms) => new Promise((done) => setTimeout(done, ms));
  const frames = [];
  let isOn = true, last = performance.now();
  (function look() {
    const now = performance.now();
    frames.push(now - last);
    last = now;
    if (isOn) requestAnimationFrame(look);
  })();
  for (const step of [[700, 0], [0, 450], [-900, 0], [0, -600]]) {
    const ended = new Promise((done) => window.plainMap.once("moveend", done));
    window.plainMap.panBy(step, { animate: true, duration: 1, easeLinearity: 0.5 });
    await ended;
    await rest(100);
  }
  isOn = false;
  return frames.slice(1);
}"""
HEAP = "() => { gc(); gc(); return performance.memory.usedJSHeapSize / 1e6; }"


class Peer:
    """The running peer."""

    def __init__(self, url: str, features: int) -> None:
        self._url, self._features = url, features

    @contextmanager
    def _page(self, browser: Browser, size: ViewportSize) -> Iterator[Page]:
        context = browser.new_context(viewport=size)
        page = context.new_page()
        page.add_init_script(CATCH_MAP)
        page.goto(self._url)
        page.wait_for_function("() => window.plainMap", timeout=READY_MS)
        page.wait_for_function(ALL_THERE, arg=self._features, timeout=READY_MS, polling=100)
        yield page
        context.close()

    def first_paint_ms(self, browser: Browser, size: ViewportSize) -> float:
        """From the start of navigation to the frame in which all features are there."""
        with self._page(browser, size) as page:
            return page.evaluate(AFTER_FRAME)

    def pan(self, browser: Browser, size: ViewportSize) -> tuple[float, float, float]:
        """Median frames a second, worst frame in ms, heap in MB."""
        with self._page(browser, size) as page:
            page.wait_for_timeout(2500)
            frames = page.evaluate(PAN)
            heap = page.evaluate(HEAP)
        return round(1000 / statistics.median(frames), 1), round(max(frames), 1), heap


@contextmanager
def plain_map(settings: Settings) -> Iterator[Peer]:
    """Serve the peer on a free port, its data read once."""
    bodies: dict[str, bytes] = {}
    features = 0
    with psycopg.connect(settings.owner_dsn) as conn:
        for name, query in TABLES.items():
            found = [row[0] for row in conn.execute(query)]
            bodies[name] = ('{"type":"FeatureCollection","features":[' + ",".join(found) + "]}").encode()
            features += len(found)
    server = uvicorn.Server(uvicorn.Config(_app(bodies), log_level="error"))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Peer(f"http://127.0.0.1:{listener.getsockname()[1]}/", features)
    server.should_exit = True
    thread.join(10)


def _app(bodies: dict[str, bytes]) -> FastAPI:
    server = FastAPI()

    @server.get("/data/{name}")
    def data(name: str) -> Response:
        return Response(bodies[name], media_type="application/geo+json")

    shown: list[Any] = [
        dl.GeoJSON(url=f"/data/{name}", id=name, pointToLayer={"variable": "plain.dot"}) for name in ("cells", "cameras", "schools")
    ]
    app = dash.Dash("plain_map", server=server, backend="fastapi", compress=True, update_title=None)  # pyright: ignore[reportArgumentType]
    app.layout = html.Div(dl.Map(shown, center=CENTRE, zoom=11, preferCanvas=True, attributionControl=False, style={"height": "100vh"}))
    return server
