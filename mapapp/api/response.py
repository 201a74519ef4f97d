"""Alarms, calls for help and positions over HTTP; the wall and the phones use the same doors."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import redis
from fastapi import Body, Query
from pydantic import BaseModel, Field

from data.core import clock, outbox
from data.rooms import response
from mapapp import guard, registry
from mapapp.reader import MOVED

MOST_POSITIONS = 500  # a call; a phone that was away sends several
_Text = Annotated[str, Field(max_length=response.LONGEST_NOTE)]


class Close(BaseModel):
    """Why an alarm is over."""

    cause: Literal["real", "false", "accidental", "test", "drill", "fault"]
    note: _Text = ""


class Sos(BaseModel):
    """A call for help; without a position it is a call all the same."""

    client_id: Annotated[str, Field(min_length=8, max_length=64)]
    lon: float | None = None
    lat: float | None = None
    accuracy_m: float | None = None


class Position(BaseModel):
    """One position of a phone; `client_id` (a UUID) makes sending it twice harmless."""

    client_id: Annotated[str, Field(max_length=64)]
    at: datetime
    lon: float
    lat: float
    accuracy_m: float | None = None


@registry.route("GET", "/api/v1/alarms", requires="alarm.view")
def alarms(
    since: datetime | None = None,
    until: datetime | None = None,
    school_id: int | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> dict[str, Any]:
    """Every open alarm, whatever its age; with `since` or `until` those raised in that period."""
    with guard.visit().transaction() as conn:
        if since is None and until is None:
            found = [row for row in response.open_alarms(conn) if school_id is None or row["school_id"] == school_id]
            return {"alarms": found, "more": False}
        end = until or clock.now()
        past, more = response.past_alarms(conn, since or end - timedelta(days=1), end, school_id=school_id, limit=limit)
    return {"alarms": past, "more": more}


@registry.route("GET", "/api/v1/alarms/{alarm_id:int}", requires="alarm.view")
def alarm(alarm_id: int) -> dict[str, Any]:
    """One alarm: its body, the place and whom to call, its history, outputs, cameras that see it, units near it."""
    visit = guard.visit()
    with visit.transaction() as conn:
        found = response.alarm_detail(conn, alarm_id)
        found["cameras"] = response.linked_cameras(conn, alarm_id) if visit.person.may("camera.view") else []
        found["units"] = response.nearest_units(conn, alarm_id) if visit.person.may("unit.view") else []
    return found


@registry.route("POST", "/api/v1/alarms/{alarm_id:int}/acknowledge", requires="alarm.acknowledge")
def acknowledge(alarm_id: int) -> dict[str, Any]:
    """Take an alarm; every screen shows who has it."""
    visit = guard.visit()
    with visit.act() as conn:
        return response.acknowledge(conn, visit.person, alarm_id)


@registry.route("POST", "/api/v1/alarms/{alarm_id:int}/close", requires="alarm.close")
def close(alarm_id: int, why: Close) -> dict[str, Any]:
    """End an alarm for a reason."""
    visit = guard.visit()
    with visit.act() as conn:
        return response.close(conn, visit.person, alarm_id, why.cause, why.note)


@registry.route("POST", "/api/v1/sos", requires="sos.raise")
def sos(call: Sos) -> dict[str, Any]:
    """Call for help. The same `client_id` again gives the same alarm."""
    visit = guard.visit()
    with visit.act() as conn:
        return response.raise_sos(conn, visit.person, call.lon, call.lat, call.accuracy_m, call.client_id)


@registry.route("POST", "/api/v1/positions", requires="position.report")
def positions(fixes: Annotated[list[Position], Body(max_length=MOST_POSITIONS)]) -> dict[str, Any]:
    """Positions a phone has collected, in any order."""
    visit = guard.visit()
    with visit.transaction() as conn:
        moved = response.record_positions(conn, visit.person, [fix.model_dump() for fix in fixes])
    if moved is not None:
        with suppress(redis.RedisError, OSError):  # it is stored; screens see the next one
            visit.services.redis.publish(MOVED, outbox.dumps(moved))
    return {"taken": len(fixes), "moved": moved is not None}
