"""Outputs, recorders' reports and live pictures over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Body
from pydantic import BaseModel, Field
from starlette.responses import Response

from data.rooms import monitor, watch
from mapapp import errors, frames, guard, registry

_LOOKS = watch.Record()


class Command(BaseModel):
    """What an output shall do; `on_s` 0 is as long as it may."""

    channel: Annotated[int, Field(ge=0, le=255)]
    act: Literal["on", "off", "pulse"]
    on_s: Annotated[int, Field(ge=0, le=3600)] = 0
    alarm_id: int | None = None


class Report(BaseModel):
    """What a recorder says of one camera behind it."""

    camera: Annotated[str, Field(max_length=32)]
    state: Annotated[str, Field(max_length=32)]
    reason: Annotated[str, Field(max_length=monitor.LONGEST_REASON)] = ""
    at: datetime


@registry.route("POST", "/api/v1/devices/{device_id:int}/command", requires="device.command")
def command(device_id: int, wish: Command) -> dict[str, Any]:
    """Switch an output (a siren). The answer is the request; what came of it arrives on the stream."""
    visit = guard.visit()
    with visit.act() as conn:
        return monitor.request_command(conn, visit.person, device_id, wish.channel, wish.act, wish.on_s, alarm_id=wish.alarm_id)


@registry.route("POST", "/api/v1/recorders/status", requires="device.report")
def recorder_status(reports: Annotated[list[Report], Body(max_length=monitor.MOST_REPORTS)]) -> dict[str, Any]:
    """The state of every camera behind a recorder, at least every ten minutes; with an API token."""
    visit = guard.visit()
    with visit.act() as conn:
        return monitor.report_cameras(conn, visit.person, [report.model_dump() for report in reports])


@registry.route("GET", "/live/frame/{camera_id:int}", requires="camera.live", include_in_schema=False)
def frame(camera_id: int, reason: str = "") -> Response:
    """The newest picture of a camera with its age; looking is written down, with the alarm or the given reason."""
    visit = guard.visit()
    with visit.transaction() as conn:
        view = watch.look(conn, visit.person, camera_id, reason=reason, record=_LOOKS)
    try:
        if not view.is_held:
            raise frames.NoFrame("unknown_camera")
        found = frames.fetch(visit.services.settings.frames_socket, view.code)
    except frames.NoFrame as err:
        return errors.as_json(errors.NO_PICTURE, headers={"X-Reason": str(err)})
    return Response(
        found.jpeg, media_type="image/jpeg", headers={"X-Age-Ms": str(found.age_ms), "X-Frame-At": found.at, "Cache-Control": "no-store"}
    )
