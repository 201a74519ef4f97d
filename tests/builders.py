"""Rows for tests, made one by one with sensible values; every function takes a connection of the role `app` and commits nothing.

district = make_district(conn, "440304")
school = make_school(conn, district_code="440304")          # -> Row with school_id, code, …
device = make_device(conn, school["school_id"])             # a module with a panic input (0), a siren output (0)
camera = make_camera(conn, school)
account = make_account(conn, "dispatcher", is_city=True)    # password PASSWORD
event = make_event(conn, device["code"])                    # a stored event, for rows that need one
alarm = make_alarm(conn, device)                            # an open alarm as ingest would have raised it
"""

from __future__ import annotations

import itertools
import secrets
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from data.core import access, events, session
from data.core.db import Connection, Row

PASSWORD = "correct horse battery"
_NEXT = itertools.count(1)
LON, LAT = 114.06, 22.54  # inside the schematic city


@cache
def _password_hash() -> str:
    return session.hash_password(PASSWORD)


def _one(conn: Connection, query: Any, values: dict[str, Any]) -> Row:
    row = conn.execute(query, values).fetchone()
    assert row is not None
    return row


def make_district(conn: Connection, district_code: str = "440304", *, lon: float = LON, lat: float = LAT) -> Row:
    """A square district of 0.1 degrees around (lon, lat)."""
    return _one(
        conn,
        "insert into district (district_code, name_zh, name_en, geom)"
        " values (%(code)s, %(code)s, %(code)s,"
        " st_multi(st_makeenvelope(%(lon)s - 0.05, %(lat)s - 0.05, %(lon)s + 0.05, %(lat)s + 0.05, 4326)))"
        " on conflict (district_code) do update set name_zh = excluded.name_zh returning district_code",
        {"code": district_code, "lon": lon, "lat": lat},
    )


def make_street(conn: Connection, street_code: str, district_code: str) -> Row:
    return _one(
        conn,
        "insert into street (street_code, district_code, name_zh, name_en, geom) select %(code)s, %(district)s, %(code)s, %(code)s, geom"
        " from district where district_code = %(district)s returning street_code, district_code",
        {"code": street_code, "district": district_code},
    )


def make_school(
    conn: Connection,
    *,
    district_code: str = "440304",
    street_code: str | None = None,
    name_zh: str | None = None,
    name_en: str | None = None,
    lon: float = LON,
    lat: float = LAT,
    kind: str = "primary",
) -> Row:
    """A school; its district is made when it is not there."""
    number = next(_NEXT)
    if conn.execute("select 1 from district where district_code = %s", (district_code,)).fetchone() is None:
        make_district(conn, district_code, lon=lon, lat=lat)
    return _one(
        conn,
        "insert into school (code, name_zh, name_en, kind, ownership, district_code, street_code, pupils,"
        " contact_name, contact_phone, geom)"
        " values (%(code)s, %(name_zh)s, %(name_en)s, %(kind)s, 'district', %(district_code)s, %(street_code)s, 900,"
        " 'Contact', '0755-0000',"
        " st_setsrid(st_makepoint(%(lon)s, %(lat)s), 4326)) returning school_id, code, name_zh, name_en, district_code, street_code",
        {
            "code": f"S{number:05}",
            "name_zh": name_zh or f"School {number}",
            "name_en": name_en or f"School {number}",
            "kind": kind,
            "district_code": district_code,
            "street_code": street_code,
            "lon": lon,
            "lat": lat,
        },
    )


def make_gate(conn: Connection, school_id: int, *, is_main: bool = True) -> Row:
    return _one(
        conn,
        "insert into gate (school_id, name_zh, name_en, is_main, geom) select school_id, 'South gate', 'South gate', %(is_main)s, geom"
        " from school where school_id = %(school_id)s returning gate_id",
        {"school_id": school_id, "is_main": is_main},
    )


def make_post(conn: Connection, school_id: int) -> Row:
    return _one(
        conn,
        "insert into post (school_id, name_zh, name_en, geom) select school_id, 'Post', 'Post', geom from school"
        " where school_id = %(school_id)s"
        " returning post_id",
        {"school_id": school_id},
    )


def make_device(
    conn: Connection,
    school_id: int | None = None,
    *,
    state: str = "up",
    profile: str = "generic-di8",
    panic: int = 1,
    siren: int = 1,
    port: int = 502,
) -> Row:
    """A module with `panic` inputs from channel 0 and `siren` outputs from channel 0."""
    device = _one(
        conn,
        "insert into device (code, kind, school_id, profile, host, port, state, state_at, seen_at)"
        " values (%(code)s, 'module', %(school_id)s, %(profile)s, '127.0.0.1', %(port)s, %(state)s, now(), now())"
        " returning device_id, code, school_id",
        {"code": f"D{next(_NEXT):05}", "school_id": school_id, "profile": profile, "port": port, "state": state},
    )
    for direction, zone, count in (("in", "panic", panic), ("out", "siren", siren)):
        for channel in range(count):
            conn.execute(
                "insert into point (device_id, direction, channel, zone, name_zh, name_en, geom)"
                " select %(device_id)s, %(direction)s, %(channel)s, %(zone)s, %(zone)s, %(zone)s,"
                " (select geom from school where school_id = %(school_id)s)",
                {**device, "direction": direction, "channel": channel, "zone": zone},
            )
    return device


def make_camera(conn: Connection, school: Row, *, state: str = "ok", stream_url: str = "", worker: str = "", demo: bool = False) -> Row:
    number = next(_NEXT)
    return _one(
        conn,
        "insert into camera (code, school_id, district_code, street_code, name_zh, name_en, mount, azimuth_deg, fov_deg, range_m, height_m,"
        " stream_url, worker, state, state_at, seen_at, evidence, demo, geom)"
        " select %(code)s, school_id, district_code, street_code, %(name)s, %(name)s, 'wall', 0, 90, 30, 3.5, %(stream_url)s, %(worker)s,"
        " %(state)s, now(), now(), 'stream', %(demo)s, geom from school where school_id = %(school_id)s"
        " returning camera_id, code, school_id",
        {
            "code": f"{number:020}",
            "name": f"Camera {number}",
            "school_id": school["school_id"],
            "state": state,
            "stream_url": stream_url,
            "worker": worker,
            "demo": demo,
        },
    )


def make_account(
    conn: Connection,
    role: str = "dispatcher",
    *,
    login: str | None = None,
    is_city: bool = False,
    districts: tuple[str, ...] = (),
    streets: tuple[str, ...] = (),
    schools: tuple[int, ...] = (),
    lang: str = "zh",
) -> Row:
    """An account of `role` whose password is PASSWORD."""
    name = login or f"{role}{next(_NEXT)}"
    return _one(
        conn,
        "insert into account (login, password_hash, name_zh, name_en, role, is_city, district_codes, street_codes, school_ids, lang)"
        " values (%(login)s, %(hash)s, %(login)s, %(login)s, %(role)s, %(is_city)s, %(districts)s::text[], %(streets)s::text[],"
        " %(schools)s::integer[], %(lang)s) returning account_id, login, role",
        {
            "login": name,
            "hash": _password_hash(),
            "role": role,
            "is_city": is_city,
            "districts": list(districts),
            "streets": list(streets),
            "schools": list(schools),
            "lang": lang,
        },
    )


def make_unit(
    conn: Connection,
    *,
    district_code: str = "440304",
    street_code: str | None = None,
    account_id: int | None = None,
    lon: float = LON,
    lat: float = LAT,
) -> Row:
    return _one(
        conn,
        "insert into unit (code, name_zh, name_en, kind, district_code, street_code, account_id, status, geom, position_at)"
        " values (%(code)s, %(code)s, %(code)s, 'patrol_car', %(district_code)s, %(street_code)s, %(account_id)s, 'free',"
        " st_setsrid(st_makepoint(%(lon)s, %(lat)s), 4326), now()) returning unit_id, code, district_code, street_code",
        {
            "code": f"P{next(_NEXT):03}",
            "district_code": district_code,
            "street_code": street_code,
            "account_id": account_id,
            "lon": lon,
            "lat": lat,
        },
    )


def principal(account: Row, *, is_city: bool = False, districts: tuple[str, ...] = (), schools: tuple[int, ...] = ()) -> access.Principal:
    """The principal of a made account; its scope is given again."""
    return access.Principal(
        account_id=account["account_id"],
        login=account["login"],
        name_zh=account["login"],
        name_en=account["login"],
        role=account["role"],
        scope=access.Scope(is_city=is_city, districts=frozenset(districts), schools=frozenset(schools)),
        permissions=access.ROLES[account["role"]],
    )


def an_event(
    subject: str,
    *,
    kind: events.Kind = events.Kind.ALARM_RAISED,
    channel: int | None = 0,
    press: int = 1,
    at: datetime | None = None,
    **data: Any,
) -> events.Event:
    """An event as a worker would send it."""
    moment = at or datetime.now(UTC)
    said = (
        {"zone": "panic", "press": press, "count": 1, "capture": "counter", "while_down": False, "mode": "live"}
        if kind in events.PANIC_KINDS
        else {}
    )
    return events.Event(
        event_id=events.event_id_of(kind, subject, channel, press, moment.isoformat()),
        kind=kind,
        source="devices-1",
        subject=subject,
        channel=channel,
        event_at=moment,
        spooled_at=moment + timedelta(milliseconds=2),
        seq=next(_NEXT),
        data=said | data,
    )


def make_event(conn: Connection, subject: str, **given: Any) -> events.Event:
    """A stored event."""
    event = an_event(subject, **given)
    conn.execute(
        "insert into event (event_id, kind, source, seq, subject, channel, event_at, spooled_at) values (%s, %s, %s, %s, %s, %s, %s, %s)",
        (event.event_id, event.kind.value, event.source, event.seq, event.subject, event.channel, event.event_at, event.spooled_at),
    )
    return event


def make_alarm(conn: Connection, device: Row, *, state: str = "open") -> Row:
    """An open alarm of the device's first panic input, without its history and message."""
    event = make_event(conn, device["code"])
    return _one(
        conn,
        "insert into alarm (kind, priority, state, school_id, district_code, street_code, device_id, point_id, event_id, event_at, last_at,"
        " acknowledged_at, place_zh, place_en, geom)"
        " select 'panic', 'critical', %(state)s, s.school_id, s.district_code, s.street_code, %(device_id)s, p.point_id,"
        " %(event_id)s, %(at)s, %(at)s,"
        " case when %(state)s = 'acknowledged' then now() end, p.name_zh, p.name_en, s.geom"
        " from point p left join school s on s.school_id = %(school_id)s"
        " where p.device_id = %(device_id)s and p.zone = 'panic' and p.channel = 0"
        " returning alarm_id, school_id, district_code, state",
        {**device, "event_id": event.event_id, "at": event.event_at, "state": state},
    )


def make_candidate(conn: Connection, camera: Row, *, minutes: int = 10) -> Row:
    """An open candidate at a camera with an approved register entry behind it; without pictures.

    `conn` needs scope settings (see `see_city`): the register has row-level security.
    """
    number = next(_NEXT)
    sponsor, approver = make_account(conn, "registrar", is_city=True), make_account(conn, "approver", is_city=True)
    entry = _one(
        conn,
        "insert into register_entry (ground, document_number, issuing_body, proof_sha256, sponsor_id, approver_id, approved_at, starts_at,"
        " expires_at, order_ends_at, born_on, instruction, state)"
        " values ('court_order', %(number)s, 'Court', repeat('a', 64), %(sponsor)s, %(approver)s, now(), now(), now() + interval '9 days',"
        " now() + interval '10 days', '1980-01-01', 'Call the duty room', 'active') returning entry_id",
        {"number": f"N{number}", "sponsor": sponsor["account_id"], "approver": approver["account_id"]},
    )
    conn.execute("insert into register_school (entry_id, school_id) values (%s, %s)", (entry["entry_id"], camera["school_id"]))
    event = make_event(conn, camera["code"], kind=events.Kind.CANDIDATE_FOUND, channel=None)
    return _one(
        conn,
        "insert into candidate (event_id, camera_id, school_id, district_code, street_code, entry_id, score, threshold, model_sha256,"
        " expected_false_per_day, found_at, expires_at)"
        " select %(event_id)s, c.camera_id, c.school_id, c.district_code, c.street_code, %(entry_id)s, 0.7, 0.6,"
        " repeat('b', 64), 0.1, now(),"
        " now() + make_interval(mins => %(minutes)s) from camera c where c.camera_id = %(camera_id)s"
        " returning candidate_id, school_id, district_code, state",
        {"event_id": event.event_id, "entry_id": entry["entry_id"], "camera_id": camera["camera_id"], "minutes": minutes},
    )


def see_city(conn: Connection) -> None:
    """Give a connection that commits every statement the scope of the whole city, for as long as it lives."""
    for name in ("districts", "streets", "schools", "cells"):
        conn.execute("select set_config('campus.' || %s, '', false)", (name,))
    conn.execute("select set_config('campus.city', '1', false)")


def make_session(conn: Connection, account: Row) -> tuple[str, str]:
    """An open session as a login would have made it, without the time a password takes: (cookie, CSRF token)."""
    cookie, csrf_token = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    conn.execute(
        "insert into session (session_hash, account_id, csrf_token, expires_at) values (%s, %s, %s, now() + interval '1 hour')",
        (session.hash_of(cookie), account["account_id"], csrf_token),
    )
    return cookie, csrf_token
