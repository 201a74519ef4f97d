"""What walls report: how long a press took to be seen."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Body
from pydantic import BaseModel

from data.core import clock
from data.rooms import wall
from mapapp import guard, registry

LONGEST_S = 3600.0  # more is a clock that is wrong, not a wall that is late


class Painted(BaseModel):
    """A press that a browser has painted; `painted_at` is by its own clock, corrected by the server's."""

    alarm_id: int
    press: int
    event_at: datetime
    painted_at: datetime
    how: Literal["live", "start", "snapshot"] = "live"


@registry.route("POST", "/api/v1/painted", requires="wall.view", include_in_schema=False)
def painted(painted: Annotated[list[Painted], Body(embed=True, max_length=500)]) -> dict[str, Any]:
    """Count the time from the press to the wall; what was there before the page was opened is no measurement."""
    histogram, taken = guard.visit().services.metrics.painted, 0
    for one in painted:
        seconds = (one.painted_at - one.event_at).total_seconds() if one.event_at.tzinfo and one.painted_at.tzinfo else -1.0
        if one.how == "live" and 0 <= seconds <= LONGEST_S:
            histogram.observe(seconds)
            taken += 1
    return {"taken": taken}


@registry.route("GET", "/api/v1/alarms/histogram", requires="alarm.view")
def histogram() -> dict[str, Any]:
    """Alarms of the last 24 hours in steps, and how fast they were acknowledged."""
    with guard.visit().transaction() as conn:
        return wall.day_of_alarms(conn, clock.now())
