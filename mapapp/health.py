"""For supervisors and monitors: is the process well, can it do its work, its figures; and the description of the API."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import redis
from fastapi import Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import JSONResponse, RedirectResponse, Response

from data.core import access
from mapapp import guard, registry

LATE_S = 5.0  # the outbox is looked at every second


@registry.route("GET", "/healthz", requires=access.PUBLIC, include_in_schema=False)
async def healthz() -> Response:
    """200 while the process can be left alone; 500 when it has to be started again."""
    is_well = guard.visit().services.hub.is_alive
    return JSONResponse({"ok": is_well}, status_code=200 if is_well else 500)


@registry.route("GET", "/readyz", requires=access.PUBLIC, include_in_schema=False)
def readyz() -> Response:
    """200 when the database answers and the outbox is read; Redis away is said, and does not make it unready."""
    services = guard.visit().services
    found: dict[str, Any] = {}
    begun = time.monotonic()
    try:
        with services.pool.connection(timeout=2.0) as conn:
            conn.execute("select 1")
        found["database"] = {"ok": True, "ms": round((time.monotonic() - begun) * 1000, 1)}
    except (psycopg.OperationalError, psycopg.InterfaceError):
        found["database"] = {"ok": False}
    try:
        found["redis"] = {"ok": bool(services.redis.ping())}
    except (redis.RedisError, OSError):
        found["redis"] = {"ok": False}
    age_s = services.hub.age_s
    found["stream"] = {"ok": age_s < LATE_S, "age_s": round(age_s, 2) if age_s < 1e6 else None}
    is_ready = found["database"]["ok"] and found["stream"]["ok"]
    return JSONResponse({"ok": is_ready, **found}, status_code=200 if is_ready else 503)


@registry.route("GET", "/metrics", requires=access.PUBLIC, include_in_schema=False)
def metrics() -> Response:
    """Prometheus' text format."""
    services = guard.visit().services
    services.metrics.live_age.set(services.hub.age_s)
    return Response(services.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@registry.route("GET", "/api/v1/openapi.json", requires=registry.LOGGED_IN, include_in_schema=False)
def openapi(request: Request) -> Response:
    """The API as OpenAPI 3.1, for those who may use it."""
    app = request.app
    return JSONResponse(get_openapi(title=app.title, version=app.version, routes=app.routes))


@registry.route("GET", "/favicon.ico", requires=access.PUBLIC, include_in_schema=False)
async def favicon() -> Response:
    """Browsers ask for this one whatever a page says."""
    return RedirectResponse("/assets/favicon.svg", status_code=301)
