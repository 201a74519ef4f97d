"""Rapid response: alarms from the press to the close, and who can go there.

Errors:

    AlarmError
    ├── NotThere             no such alarm, or not for this person
    ├── AlreadyAcknowledged  somebody was faster; says who
    ├── AlreadyClosed
    ├── NotAcknowledged      it sounds: nobody closes what nobody has looked at
    └── BadCause
    BadPosition              not a place on earth, or a time to come
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from data.core import clock, db, outbox, queries
from data.core.access import Principal
from data.core.db import Row
from data.core.events import Event, Kind, event_id_of

CAUSES = ("real", "false", "accidental", "test", "drill", "fault")
STALE_S = 120.0  # a position older than this says where a unit was, not where it is
LONGEST_NOTE = 2000
CLOCK_AHEAD = timedelta(minutes=5)  # how far a phone's clock may be ahead
MOST_PRESSES = 100_000  # of one event; a counter that claims more has been written to

# What an input's meaning makes of its alarm; an unknown meaning is the most serious one.
_BY_ZONE = {"panic": ("panic", "critical"), "contact": ("intrusion", "high"), "tamper": ("tamper", "attention")}
_MODES = ("live", "test", "drill")

# The life of an alarm, complete: what is not here is not allowed. A press after the close opens a new alarm.
TRANSITIONS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("open", "press"): "open",
        ("acknowledged", "press"): "open",  # it sounds again
        ("open", "restore"): "open",
        ("acknowledged", "restore"): "acknowledged",
        ("open", "acknowledge"): "acknowledged",
        ("acknowledged", "close"): "closed",
    }
)

_SQL = queries.load("response")


class AlarmError(Exception):
    """An act on an alarm that is not possible; `key` names the sentence for people."""

    key = "alarm.error"


class NotThere(AlarmError, LookupError):
    """No such alarm, or not for this person: the answer is the same."""

    key = "alarm.not_there"


class AlreadyAcknowledged(AlarmError):
    """Somebody else has it; `by_zh`, `by_en` and `at` say who and since when."""

    key = "alarm.already_acknowledged"

    def __init__(self, by_zh: str = "", by_en: str = "", at: datetime | None = None) -> None:
        super().__init__(by_zh)
        self.by_zh, self.by_en, self.at = by_zh, by_en, at


class AlreadyClosed(AlarmError):
    """It is over; the next press opens a new one."""

    key = "alarm.already_closed"


class NotAcknowledged(AlarmError):
    """It has not been acknowledged, or was pressed again since."""

    key = "alarm.not_acknowledged"


class BadCause(AlarmError, ValueError):
    """Not one of `CAUSES`, or a note that is too long."""

    key = "alarm.bad_cause"


class BadPosition(ValueError):
    """Longitude, latitude or time of a position cannot be true."""

    key = "position.bad"


def after(state: str, act: str) -> str:
    """The state of an alarm after `act` (press, restore, acknowledge, close), by `TRANSITIONS`.

    Raises:
        AlreadyAcknowledged, AlreadyClosed, NotAcknowledged: the act is not possible in this state.
    """
    try:
        return TRANSITIONS[state, act]
    except KeyError:
        if state == "closed":
            raise AlreadyClosed from None
        if act == "acknowledge":
            raise AlreadyAcknowledged from None
        raise NotAcknowledged from None


def _plain(row: Row) -> Row:
    return {key: clock.iso(value) if isinstance(value, datetime) else value for key, value in row.items()}


def _body(conn: db.Connection, alarm_id: int) -> Row:
    row = conn.execute(_SQL["alarm_body"], {"alarm_id": alarm_id}).fetchone()
    assert row is not None
    return _plain(row)


def _tell(conn: db.Connection, alarm_id: int) -> Row:
    """Put the alarm as it now is into the outbox and give it."""
    body = _body(conn, alarm_id)
    stamp = {key: body[key] for key in ("district_code", "street_code", "school_id")}
    outbox.put(conn, "alarm.changed", "alarm.view", body, **stamp)
    return body


def _step(
    conn: db.Connection,
    alarm_id: int,
    act: str,
    *,
    account_id: int | None = None,
    event_id: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    values = {"alarm_id": alarm_id, "act": act, "account_id": account_id, "event_id": event_id, "data": outbox.jsonb(dict(data or {}))}
    conn.execute(_SQL["add_step"], values)


def _count(event: Event) -> int:
    count = event.data.get("count", 1)
    return count if isinstance(count, int) and 1 <= count <= MOST_PRESSES else 1


def raise_alarm(conn: db.Connection, event: Event) -> int:
    """A press: open an alarm, or join the open one of its point and make it sound again.

    What is odd in the event's data never keeps an alarm from being shown: an unknown meaning is
    a panic, an unknown mode is live, an unknown input is shown without a school.

    Args:
        conn: CITY scope; the event's row is already stored.
    Returns:
        The alarm's id.
    """
    outbox.hold(conn)
    found = conn.execute(_SQL["find_input"], {"subject": event.subject, "channel": event.channel}).fetchone()
    assert found is not None
    zone = found["zone"] or event.data.get("zone")
    kind, priority = _BY_ZONE.get(zone if isinstance(zone, str) else "", _BY_ZONE["panic"])
    mode = event.data.get("mode")
    values = {
        "kind": kind,
        "priority": priority,
        "event_id": event.event_id,
        "event_at": event.event_at,
        "spooled_at": event.spooled_at,
        "count": _count(event),
        "is_while_down": event.data.get("while_down") is True,
        "mode": mode if mode in _MODES else "live",
        "demo": event.demo,
    }
    if found["point_id"] is not None:
        row = conn.execute(_SQL["raise_at_point"], {**values, "point_id": found["point_id"]}).fetchone()
    else:
        place = {"device_id": found["device_id"], "school_id": found["school_id"], "subject": event.subject, "channel": event.channel}
        row = conn.execute(_SQL["raise_unassigned"], {**values, **place}).fetchone()
    assert row is not None
    said = {"press": row["presses"], "count": values["count"], "point_press": event.data.get("press"), "capture": event.data.get("capture")}
    if not row["is_new"]:
        said["state_before"] = found["open_state"]
    _step(conn, row["alarm_id"], "raised" if row["is_new"] else "pressed", event_id=event.event_id, data=said)
    _tell(conn, row["alarm_id"])
    return int(row["alarm_id"])


def restore(conn: db.Connection, event: Event) -> int | None:
    """The input went back: mark its open alarm, never close it. Gives the alarm's id, None where there was nothing to mark."""
    outbox.hold(conn)
    found = conn.execute(_SQL["find_input"], {"subject": event.subject, "channel": event.channel}).fetchone()
    if found is None or found["open_alarm_id"] is None:
        return None
    row = conn.execute(_SQL["restore_alarm"], {"alarm_id": found["open_alarm_id"], "event_at": event.event_at}).fetchone()
    if row is None:
        return None
    _step(conn, row["alarm_id"], "restored", event_id=event.event_id)
    _tell(conn, row["alarm_id"])
    return int(row["alarm_id"])


def note_output(conn: db.Connection, event: Event) -> None:
    """Write into an alarm's history what became of a command that was given for it."""
    row = conn.execute(_SQL["command_of_output"], {"command_id": event.data.get("command_id")}).fetchone()
    if row is not None:
        act = "output_confirmed" if event.kind is Kind.OUTPUT_CONFIRMED else "output_failed"
        said = {key: event.data.get(key) for key in ("command_id", "reason", "ms")}
        _step(conn, row["alarm_id"], act, event_id=event.event_id, data=said)


def _locked(conn: db.Connection, alarm_id: int) -> Row:
    outbox.hold(conn)
    row = conn.execute(_SQL["lock_alarm"], {"alarm_id": alarm_id}).fetchone()
    if row is None:
        raise NotThere
    return row


def acknowledge(conn: db.Connection, principal: Principal, alarm_id: int) -> Row:
    """Take an alarm: the sound ends, the wall says who has it.

    Args:
        conn: from `db.scoped(…, principal.scope)`.
    Returns:
        The alarm's body.
    Raises:
        NotThere, AlreadyAcknowledged, AlreadyClosed.
    """
    row = _locked(conn, alarm_id)
    try:
        after(row["state"], "acknowledge")
    except AlreadyAcknowledged:
        raise AlreadyAcknowledged(row["acknowledged_by_zh"] or "", row["acknowledged_by_en"] or "", row["acknowledged_at"]) from None
    conn.execute(_SQL["acknowledge_alarm"], {"alarm_id": alarm_id, "account_id": principal.account_id})
    if row["point_id"] is not None:
        conn.execute(_SQL["prove_point"], {"point_id": row["point_id"]})
    _step(conn, alarm_id, "acknowledged", account_id=principal.account_id)
    return _tell(conn, alarm_id)


def close(conn: db.Connection, principal: Principal, alarm_id: int, cause: str, note: str = "") -> Row:
    """End an alarm for a reason. One that was pressed again meanwhile sounds and must be acknowledged first.

    Raises:
        NotThere, NotAcknowledged, AlreadyClosed, BadCause.
    """
    if cause not in CAUSES or len(note) > LONGEST_NOTE or "\x00" in note:
        raise BadCause(cause)
    after(_locked(conn, alarm_id)["state"], "close")
    values = {"alarm_id": alarm_id, "account_id": principal.account_id, "cause": cause, "note": note}
    conn.execute(_SQL["close_alarm"], values)
    _step(conn, alarm_id, "closed", account_id=principal.account_id, data={"cause": cause, "note": note})
    return _tell(conn, alarm_id)


def open_alarms(conn: db.Connection) -> list[Row]:
    """Every open alarm of the scope, however old, most urgent first: bodies ready for JSON."""
    return [_plain(row) for row in conn.execute(_SQL["open_alarms"])]


def past_alarms(
    conn: db.Connection, since: datetime, until: datetime, *, school_id: int | None = None, limit: int = 200
) -> tuple[list[Row], bool]:
    """Alarms raised in [since, until), newest first, and whether there are more than `limit`."""
    values = {"since": since, "until": until, "school_id": school_id, "limit": limit}
    rows = [_plain(row) for row in conn.execute(_SQL["past_alarms"], values)]
    return rows[:limit], len(rows) > limit


def alarm_detail(conn: db.Connection, alarm_id: int) -> Row:
    """Everything the detail panel says about one alarm.

    Returns:
        `alarm` (its body), `place` (school, who to call, point, device), `steps` (history), `outputs` (sirens …
        of the school); ready for JSON.
    Raises:
        NotThere.
    """
    key = {"alarm_id": alarm_id}
    body = conn.execute(_SQL["alarm_seen"], key).fetchone()
    if body is None:
        raise NotThere
    place = conn.execute(_SQL["alarm_place"], key).fetchone()
    return {
        "alarm": _plain(body),
        "place": _plain(place or {}),
        "steps": [_plain(row) for row in conn.execute(_SQL["alarm_steps"], key)],
        "outputs": conn.execute(_SQL["alarm_outputs"], key).fetchall(),
    }


def linked_cameras(conn: db.Connection, alarm_id: int, limit: int = 15) -> list[Row]:
    """The cameras to look through, best first: those that see the spot, healthy before dead, then by distance.

    Returns:
        Rows with `sees`, `is_healthy`, `distance_m` (metres on the ground, EPSG:4547), `age_s` of the last evidence
        (None: never any), `has_picture`; empty for an alarm without a place and for one outside the scope.
    """
    return [_plain(row) for row in conn.execute(_SQL["linked_cameras"], {"alarm_id": alarm_id, "limit": limit})]


def nearest_units(conn: db.Connection, alarm_id: int, limit: int = 5) -> list[Row]:
    """Units on duty near the spot by straight-line distance (`is_straight_line`), with the age of their position.

    Returns:
        Rows with `distance_m` (metres, EPSG:4547), `age_s`, `is_stale` (older than `STALE_S` or never known).
    """
    values = {"alarm_id": alarm_id, "limit": limit, "stale_s": STALE_S}
    return [_plain(row) for row in conn.execute(_SQL["nearest_units"], values)]


def units(conn: db.Connection) -> list[Row]:
    """Every unit of the scope with its last position, ready for JSON; `lon` and `lat` are None before the first."""
    return [_plain(row) for row in conn.execute(_SQL["units"], {"stale_s": STALE_S})]


def _check_place(lon: float, lat: float) -> None:
    if not (math.isfinite(lon) and math.isfinite(lat) and -180 <= lon <= 180 and -90 <= lat <= 90):
        raise BadPosition(f"{lon}, {lat}")


def raise_sos(
    conn: db.Connection, principal: Principal, lon: float | None, lat: float | None, accuracy_m: float | None, client_id: str
) -> Row:
    """A person calls for help by phone; the same call sent again changes nothing, another one joins the open call.

    Args:
        lon, lat: degrees, EPSG:4326; None where the phone does not know, which never stops a call.
        client_id: made by the phone, one for each call.
    Returns:
        The alarm's body; `school_id` None where the position is at no campus and the person has not exactly one school.
    Raises:
        BadPosition: coordinates that are no place on earth.
    """
    if lon is None or lat is None:
        lon = lat = None
    else:
        _check_place(lon, lat)
    outbox.hold(conn)
    event_id = event_id_of("sos", principal.account_id, client_id)
    said = {"zone": "sos", "account_id": principal.account_id, "lon": lon, "lat": lat, "accuracy_m": accuracy_m}
    event = conn.execute(_SQL["insert_sos_event"], {"event_id": event_id, "demo": principal.demo, "data": outbox.jsonb(said)}).fetchone()
    if event is None:
        known = conn.execute(_SQL["alarm_of_event"], {"event_id": event_id}).fetchone()
        assert known is not None
        return _body(conn, known["alarm_id"])
    values = {
        "lon": lon,
        "lat": lat,
        "school_id": next(iter(principal.scope.schools)) if len(principal.scope.schools) == 1 else None,
        "account_id": principal.account_id,
        "login": principal.login,
        "event_id": event_id,
        "event_at": event["event_at"],
        "demo": principal.demo,
        "name_zh": principal.name_zh,
        "name_en": principal.name_en,
    }
    row = conn.execute(_SQL["raise_sos"], values).fetchone()
    assert row is not None
    act = "raised" if row["is_new"] else "pressed"
    _step(conn, row["alarm_id"], act, account_id=principal.account_id, event_id=event_id, data={"press": row["presses"], **said})
    return _tell(conn, row["alarm_id"])


def record_positions(conn: db.Connection, principal: Principal, fixes: Iterable[Mapping[str, Any]]) -> Row | None:
    """Store the positions a phone has collected; a batch sent again is stored once.

    Args:
        fixes: each with `client_id` (UUID text), `at` (aware datetime or ISO text), `lon`, `lat` (degrees, EPSG:4326), `accuracy_m`.
    Returns:
        The unit as it now stands, for `campus:moved`; None when the person is no unit or nothing was newer.
    Raises:
        BadPosition: one of them cannot be true; nothing of the batch is stored.
    """
    moved: Row | None = None
    for fix in sorted((_fix(given) for given in fixes), key=lambda given: given["at"]):
        values = {**fix, "account_id": principal.account_id, "code": None, "demo": principal.demo}
        conn.execute(_SQL["insert_fix"], values)
        moved = conn.execute(_SQL["move_unit"], values).fetchone() or moved
    return _plain(moved) if moved else None


def record_fix(conn: db.Connection, event: Event) -> Row | None:
    """A position from a tracker: `subject` is the unit's code, `data` holds lon, lat and accuracy_m.

    Returns:
        The unit as it now stands, for `campus:moved`; None when nothing was newer.
    Raises:
        BadPosition: not a place on earth, or a time to come.
    """
    given = {**event.data, "client_id": str(UUID(event.event_id[:32])), "at": event.event_at}
    values = {**_fix(given), "account_id": None, "code": event.subject, "demo": event.demo}
    conn.execute(_SQL["insert_fix"], values)
    moved = conn.execute(_SQL["move_unit"], values).fetchone()
    return _plain(moved) if moved else None


def _fix(given: Mapping[str, Any]) -> dict[str, Any]:
    """One position, checked."""
    try:
        at = given["at"] if isinstance(given["at"], datetime) else datetime.fromisoformat(str(given["at"]))
        lon, lat, client_id = float(given["lon"]), float(given["lat"]), UUID(str(given["client_id"]))
        accuracy_m = None if given.get("accuracy_m") is None else float(given["accuracy_m"])
    except (KeyError, TypeError, ValueError) as err:
        raise BadPosition(f"{type(err).__name__}: {err}") from err
    _check_place(lon, lat)
    if at.tzinfo is None or at > clock.now() + CLOCK_AHEAD or (accuracy_m is not None and not 0 <= accuracy_m < math.inf):
        raise BadPosition(f"{at}, {accuracy_m}")
    return {"client_id": client_id, "at": at, "lon": lon, "lat": lat, "accuracy_m": accuracy_m}
