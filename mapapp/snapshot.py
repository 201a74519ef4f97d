"""What a browser needs to start with, and which parts of the product are up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import psycopg
import redis

from data.core import clock, db, feed
from data.core.access import Principal
from data.rooms import monitor, response, warning
from mapapp.services import Services

ROLES = ("web", "ingest", "devices", "vision", "players")
_HEARTBEATS = {"devices": "campus:worker:devices-1", "vision": "campus:worker:vision-1"}
_WAIT_S = 0.5


def snapshot(services: Services, principal: Principal) -> tuple[int, dict[str, Any]]:
    """The state behind the map for one person, and the number of the outbox it belongs to.

    Blocks. Everything is read as of one moment, so that the messages after that number fit on it exactly.
    """
    with services.pool.connection() as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        try:
            with db.scoped(conn, principal.scope) as scoped:
                seq = feed.bounds(scoped)[1]
                return seq, {"seq": seq, "now": clock.iso(clock.now()), **_state(scoped, principal)}
        finally:
            conn.isolation_level = None


def _state(conn: db.Connection, principal: Principal) -> dict[str, Any]:
    return {
        "alarms": response.open_alarms(conn) if principal.may("alarm.view") else [],
        "candidates": warning.open_candidates(conn) if principal.may("candidate.view") else [],
        "units": response.units(conn) if principal.may("unit.view") else [],
        "commands": monitor.recent_commands(conn) if principal.may("device.view") else [],
    }


async def roles(services: Services) -> list[dict[str, Any]]:
    """The parts of the product and whether each is up, as the supervisor or, without one, the workers' heartbeats say."""
    names = [name for name in ROLES if name != "players" or services.settings.demo]
    keys = [*(f"campus:role:{name}" for name in names), *_HEARTBEATS.values()]
    try:
        found: Sequence[bytes | str | None] = await asyncio.wait_for(services.redis_async.mget(keys), _WAIT_S)
    except (redis.RedisError, OSError, TimeoutError):
        return [{"role": "web", "up": True}, {"role": "redis", "up": False}]
    reports = {name: _report(said) for name, said in zip(names, found, strict=False) if said}
    if reports:
        return [{"role": name, "up": name == "web" or reports.get(name, False)} for name in names]
    beats = dict(zip(_HEARTBEATS, found[len(names) :], strict=True))
    return [{"role": "web", "up": True}, *({"role": name, "up": said is not None} for name, said in beats.items())]


def _report(said: bytes | str) -> bool:
    try:
        return json.loads(said)["up"] is True
    except (ValueError, KeyError, TypeError):
        return False
