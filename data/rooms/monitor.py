"""Devices and cameras: what state they are in, by what evidence, what they shall do.

Nothing is healthy without evidence. A device or a camera with a stream is vouched for by its worker, which
says every change and is heard by its heartbeat; a camera behind a recorder by the recorder's reports.

Messages: `device.changed` {device_id, code, kind, school_id, state, reason, state_at, seen_at, demo}, one a
device; `camera.changed` {school_id, cameras: [{camera_id, code, state, reason, state_at, seen_at, evidence,
demo}]}, one a school; `command.changed`, one command with its device, output, state and who asked.

Errors: MonitorError ├── NotThere  └── BadCommand; BadReport for a recorder's report nobody can read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from data.core import audit, clock, db, outbox, queries
from data.core.access import Principal
from data.core.db import Row
from data.core.events import Event, Kind, MalformedEvent

CAMERA_STATES = frozenset({"unknown", "ok", "lost", "frozen", "dark", "bright", "blurred", "covered", "moved"})
RECORDER_EVIDENCE_S = 600.0  # two reports of a recorder that reports every five minutes
RENEW_S = 120.0  # a repeated report is written at most this often: 30,000 cameras must not be 30,000 writes a minute
SILENT_S = 15.0  # a worker's heartbeat lives 10 s
COMMAND_EXPIRES_S = 10.0  # a siren that starts later than this surprises people
COMMAND_GRACE_S = 2.0  # for an answer on its way
LONGEST_PULSE_S = 10
HEALTH_FPS, GATE_FPS = 0.5, 2.0  # frames a second a worker looks at: whether a camera is well, and who passes a gate
MOST_REPORTS = 5000
AT_ONCE = 500  # rows a timed job changes in one transaction: a press waits for it
LONGEST_REASON = 200
LONGEST_GAP_S = 31 * 86_400.0
CLOCK_AHEAD = timedelta(minutes=5)

_DEVICE_STATE = {Kind.DEVICE_LOST: "lost", Kind.DEVICE_BACK: "up", Kind.DEVICE_FAULTED: "fault"}

_SQL = queries.load("monitor")


class MonitorError(Exception):
    """An act on a device that is not possible; `key` names the sentence for people."""

    key = "device.error"


class NotThere(MonitorError, LookupError):
    """No such device or output, or not for this person: the answer is the same."""

    key = "device.not_there"


class BadCommand(MonitorError, ValueError):
    """An act this output does not have, or longer than it may be on."""

    key = "command.bad"


class BadReport(ValueError):
    """A recorder's report with an unknown state, a time without a zone or to come, or too many lines."""

    key = "report.bad"


def _plain(row: Row) -> Row:
    return {
        key: clock.iso(value) if isinstance(value, datetime) else str(value) if isinstance(value, UUID) else value
        for key, value in row.items()
    }


def _stamp(row: Row) -> dict[str, Any]:
    return {key: row[key] for key in ("district_code", "street_code", "school_id")}


def _without_stamp(row: Row) -> Row:
    return {key: value for key, value in row.items() if key not in ("district_code", "street_code", "is_news")}


def _tell_devices(conn: db.Connection, rows: Iterable[Row]) -> None:
    outbox.put_many(conn, "device.changed", "device.view", [{"body": _without_stamp(row), **_stamp(row)} for row in rows])


def _tell_cameras(conn: db.Connection, rows: Iterable[Row]) -> None:
    """One message a school; `rows` come in the order of their schools."""
    told: list[Row] = []
    for school_id, group in groupby(rows, key=lambda row: row["school_id"]):
        cameras = list(group)
        body = {"school_id": school_id, "cameras": [_without_stamp(row) for row in cameras]}
        told.append({"body": body, **_stamp(cameras[0])})
    outbox.put_many(conn, "camera.changed", "camera.view", told)


def _text(event: Event, name: str) -> str:
    value = event.data.get(name, "")
    if not isinstance(value, str):
        raise MalformedEvent(f"{name} must be text")
    return value[:LONGEST_REASON]


def change_device(conn: db.Connection, event: Event) -> None:
    """A device was lost, is back, or answers without sense; an older word than the one known changes nothing."""
    gap_s = event.data.get("gap_s", 0)
    outbox.hold(conn)
    values = {
        "subject": event.subject,
        "source": event.source,
        "seq": event.seq,
        "event_at": event.event_at,
        "state": _DEVICE_STATE[event.kind],
        "reason": _text(event, "reason"),
        "gap_s": float(gap_s) if isinstance(gap_s, int | float) and 0 <= gap_s <= LONGEST_GAP_S else 0.0,
    }
    row = conn.execute(_SQL["change_device"], values).fetchone()
    if row is not None and row["is_news"]:
        _tell_devices(conn, [row])


def change_camera(conn: db.Connection, event: Event) -> None:
    """A camera's own stream shows another state.

    Raises:
        MalformedEvent: a state that no camera has.
    """
    state = _text(event, "state")
    if state not in CAMERA_STATES:
        raise MalformedEvent(f"no camera is {state!r}")
    outbox.hold(conn)
    values = {
        "subject": event.subject,
        "source": event.source,
        "seq": event.seq,
        "event_at": event.event_at,
        "state": state,
        "reason": _text(event, "reason"),
    }
    row = conn.execute(_SQL["change_camera"], values).fetchone()
    if row is not None and row["is_news"]:
        _tell_cameras(conn, [row])


def report_cameras(conn: db.Connection, principal: Principal, reports: Iterable[Mapping[str, Any]]) -> Row:
    """What a recorder (or a platform) says of the cameras behind it.

    Args:
        conn: from `db.scoped(…, principal.scope)`; cameras outside are not there.
        reports: each with `camera` (code), `state`, `reason`, `at` (aware datetime or ISO text); all of them, not only changes:
            a camera nobody reports for `RECORDER_EVIDENCE_S` becomes unknown.
    Returns:
        `changed` and `seen` (numbers), `unknown` (codes that are not there for this recorder).
    Raises:
        BadReport: nothing of the batch is stored.
    """
    lines = [_report(given) for given in reports]
    if len(lines) > MOST_REPORTS:
        raise BadReport(f"{len(lines)} lines, at most {MOST_REPORTS}")
    # Not held from the start: thousands of rows take a while, and a press must not wait for them. No event touches these rows.
    rows = conn.execute(_SQL["report_cameras"], {"reports": outbox.jsonb(lines), "renew_s": RENEW_S}).fetchall()
    news = [row for row in rows if row["is_news"]]
    _tell_cameras(conn, news)
    missing = [row["code"] for row in conn.execute(_SQL["unknown_cameras"], {"codes": sorted({line["camera"] for line in lines})})]
    return {"changed": len(news), "seen": len({line["camera"] for line in lines}) - len(missing), "unknown": missing}


def _report(given: Mapping[str, Any]) -> Row:
    try:
        at = given["at"] if isinstance(given["at"], datetime) else datetime.fromisoformat(str(given["at"]))
        camera, state, reason = str(given["camera"]), str(given["state"]), str(given.get("reason") or "")[:LONGEST_REASON]
    except (KeyError, ValueError) as err:
        raise BadReport(f"{type(err).__name__}: {err}") from err
    if state not in CAMERA_STATES or "\x00" in reason + camera or at.tzinfo is None or at > clock.now() + CLOCK_AHEAD:
        raise BadReport(f"{camera}: {state} at {at}")
    return {"camera": camera, "state": state, "reason": reason, "at": clock.iso(at)}


def age_cameras(conn: db.Connection, *, evidence_s: float = RECORDER_EVIDENCE_S, limit: int = AT_ONCE) -> int:
    """Cameras whose recorder has said nothing for `evidence_s` become unknown, at most `limit` of them; gives how many."""
    rows = conn.execute(_SQL["age_cameras"], {"evidence_s": evidence_s, "limit": limit}).fetchall()
    _tell_cameras(conn, rows)
    return len(rows)


def hear_worker(conn: db.Connection, worker: str, beat: Mapping[str, Any]) -> None:
    """A worker's heartbeat."""
    conn.execute(_SQL["beat_worker"], {"worker": worker, "beat": outbox.jsonb(dict(beat))})


def miss_workers(conn: db.Connection, heard: Iterable[str], *, silent_s: float = SILENT_S) -> list[str]:
    """Call workers silent that were not heard for `silent_s`, or never; gives their names, each once."""
    return [row["worker"] for row in conn.execute(_SQL["silent_workers"], {"heard": list(heard), "silent_s": silent_s})]


def follow_workers(conn: db.Connection, *, limit: int = AT_ONCE) -> int:
    """What only a silent worker could vouch for becomes unknown; once it speaks, what it says nothing else of is what it was.

    Returns:
        The number of devices and cameras changed; at least `limit` when there may be more.
    """
    outbox.hold(conn)
    count = 0
    for statement, tell in (
        ("hush_devices", _tell_devices),
        ("unhush_devices", _tell_devices),
        ("hush_cameras", _tell_cameras),
        ("unhush_cameras", _tell_cameras),
    ):
        rows = conn.execute(_SQL[statement], {"limit": limit}).fetchall()
        tell(conn, rows)
        count += len(rows)
    return count


def workers(conn: db.Connection) -> list[Row]:
    """Every worker with its state, when it was last heard, and its last heartbeat."""
    return [_plain(row) for row in conn.execute(_SQL["workers"])]


def _tell_commands(conn: db.Connection, command_ids: list[UUID]) -> list[Row]:
    bodies = [_plain(row) for row in conn.execute(_SQL["command_bodies"], {"command_ids": command_ids})]
    outbox.put_many(conn, "command.changed", "device.view", [{"body": body, **_stamp(body)} for body in bodies])
    return bodies


def request_command(
    conn: db.Connection, principal: Principal, device_id: int, channel: int, act: str, on_s: int = 0, *, alarm_id: int | None = None
) -> Row:
    """Ask for an output to be switched. Ingest signs and sends it; what the worker reads back settles it.

    Args:
        act: on, off or pulse.
        on_s: how long it may be on; 0 is as long as the output allows (pulse: 1 s).
        alarm_id: for which alarm, so that it stands in that alarm's history.
    Returns:
        The command's body, state `requested`.
    Raises:
        NotThere: no such output, or not for this person. BadCommand: an act or a time it does not have.
    """
    outbox.hold(conn)
    found = conn.execute(_SQL["find_output"], {"device_id": device_id, "channel": channel, "alarm_id": alarm_id}).fetchone()
    if found is None or (alarm_id is not None and not found["is_alarm_visible"]):
        raise NotThere
    longest_s = {"on": found["max_on_s"], "pulse": min(LONGEST_PULSE_S, found["max_on_s"]), "off": 0}.get(act)
    if longest_s is None or not 0 <= on_s <= longest_s:
        raise BadCommand(f"{act} for {on_s} s, at most {longest_s}")
    values = {
        "device_id": device_id,
        "point_id": found["point_id"],
        "act": act,
        "on_s": on_s or {"on": longest_s, "pulse": 1, "off": 0}[act],
        "account_id": principal.account_id,
        "expires_s": COMMAND_EXPIRES_S,
        "alarm_id": alarm_id,
        "demo": found["demo"],
    }
    row = conn.execute(_SQL["insert_command"], values).fetchone()
    assert row is not None
    said = {"command_id": row["command_id"], "channel": channel, "act": act, "on_s": values["on_s"], "alarm_id": alarm_id}
    audit.write(conn, principal, "device.command", f"device:{device_id}", data=said)
    conn.execute(_SQL["note_command"], {"command_id": row["command_id"], "act": "commanded"})
    return _tell_commands(conn, [row["command_id"]])[0]


def settle_command(conn: db.Connection, event: Event) -> None:
    """What a worker read back after a command; a second answer changes nothing."""
    outbox.hold(conn)
    answer_ms = event.data.get("ms")
    values = {
        "command_id": _text(event, "command_id"),
        "state": "confirmed" if event.kind is Kind.OUTPUT_CONFIRMED else "failed",
        "reason": _text(event, "reason"),
        "answer_ms": int(answer_ms) if isinstance(answer_ms, int | float) and math.isfinite(answer_ms) and 0 <= answer_ms < 1e9 else None,
    }
    if not values["command_id"]:
        return  # an output that failed without a command, e.g. one that would not go off: the event is kept
    row = conn.execute(_SQL["settle_command"], values).fetchone()
    if row is not None:
        _tell_commands(conn, [row["command_id"]])


def commands_to_send(conn: db.Connection) -> list[Row]:
    """Commands to sign, in order, each with `worker` beside its body; locked until the caller's `mark_sent`."""
    outbox.hold(conn)
    return [_plain(row) for row in conn.execute(_SQL["commands_to_send"])]


def mark_sent(conn: db.Connection, command_ids: list[str]) -> None:
    """These are on their way."""
    ids = [UUID(command_id) for command_id in command_ids]
    conn.execute(_SQL["mark_sent"], {"command_ids": ids})
    _tell_commands(conn, ids)


def expire_commands(conn: db.Connection) -> int:
    """Commands whose time is up without an answer; gives how many."""
    outbox.hold(conn)
    ids = [row["command_id"] for row in conn.execute(_SQL["expire_commands"], {"grace_s": COMMAND_GRACE_S})]
    for command_id in ids:
        conn.execute(_SQL["note_command"], {"command_id": command_id, "act": "output_failed"})
    _tell_commands(conn, ids)
    return len(ids)


def recent_commands(conn: db.Connection, *, minutes: int = 60, limit: int = 200) -> list[Row]:
    """Commands of the scope, newest first: those of the last minutes and all that wait for an answer."""
    return [_plain(row) for row in conn.execute(_SQL["recent_commands"], {"minutes": minutes, "limit": limit})]


def refresh_desired(conn: db.Connection) -> list[Row]:
    """Build every worker's configuration and store what differs.

    Returns:
        The changed ones: `worker`, `version`, `body`.
    """
    wanted = [
        *conn.execute(_SQL["device_bodies"]).fetchall(),
        *conn.execute(_SQL["camera_bodies"], {"fps": HEALTH_FPS, "gate_fps": GATE_FPS}).fetchall(),
    ]
    changed: list[Row] = []
    for row in wanted:
        changed += conn.execute(_SQL["keep_desired"], {"worker": row["worker"], "body": outbox.jsonb(row["body"])}).fetchall()
    return changed


def desired_versions(conn: db.Connection) -> list[Row]:
    """Every worker that has a configuration: `worker`, `version`, `has_cameras`."""
    return conn.execute(_SQL["desired_versions"]).fetchall()


def desired_body(conn: db.Connection, worker: str) -> Row:
    """What a worker shall do; {} for one that has no configuration."""
    row = conn.execute(_SQL["desired_body"], {"worker": worker}).fetchone()
    return row["body"] if row else {}


def roll_uptime(conn: db.Connection, day: date, tz: str) -> int:
    """Count the uptime of a day of the site's time zone (so far, if it is today) for every school; gives the rows written."""
    return conn.execute(_SQL["roll_uptime"], {"day": day, "tz": tz}).rowcount


def device_states(conn: db.Connection, school_id: int | None = None) -> list[Row]:
    """Devices of the scope (of one school), those that are not up first, with the time of the last evidence."""
    return [_plain(row) for row in conn.execute(_SQL["device_states"], {"school_id": school_id})]
