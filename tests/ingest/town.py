"""A town of two districts for the tests of pipe, response and monitor: small enough to know by heart."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from psycopg import sql

from data.core import access, events

LON, LAT = 114.05, 22.55  # the gate of the north school
M_LON, M_LAT = 1 / 102_812, 1 / 110_750  # degrees per metre there
NORTH, SOUTH = 1, 2
NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def at(east_m: float = 0.0, north_m: float = 0.0) -> str:
    """A point as EWKT, so many metres from the north school's gate."""
    return f"SRID=4326;POINT({LON + east_m * M_LON} {LAT + north_m * M_LAT})"


def _box(east_m: float, north_m: float, half_m: float, kind: str = "POLYGON") -> str:
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]
    ring = ",".join(f"{LON + (east_m + x * half_m) * M_LON} {LAT + (north_m + y * half_m) * M_LAT}" for x, y in corners)
    return f"SRID=4326;{kind}(({ring}))" if kind == "POLYGON" else f"SRID=4326;MULTIPOLYGON((({ring})))"


def build(conn: Any) -> None:
    """Two schools 3 km apart, each in a district of its own, each with a module of two inputs and a siren; four cameras; three units.

    Codes: schools N and S; modules mod-n and mod-s, channel 0 panic, 1 contact, 2 tamper, output 0 siren.
    """
    for code, north_m in (("440304", 0), ("440305", -3000)):
        conn.execute(
            "insert into district (district_code, name_zh, name_en, geom) values (%s, %s, %s, %s)",
            (code, f"区{code}", code, _box(0, north_m, 1500, "M")),
        )
        conn.execute(
            "insert into street (street_code, district_code, name_zh, name_en, geom) values (%s, %s, '街', 'Street', %s)",
            (f"{code}001", code, _box(0, north_m, 1000, "M")),
        )
    for school_id, code, district, north_m in ((NORTH, "N", "440304", 0), (SOUTH, "S", "440305", -3000)):
        conn.execute(
            "insert into school (school_id, code, name_zh, name_en, kind, ownership, district_code, street_code, contact_name,"
            " contact_phone, geom) overriding system value values (%s, %s, %s, %s, 'primary', 'district', %s, %s, '演示', '000', %s)",
            (school_id, code, f"{code}小学", f"{code} school", district, f"{district}001", at(0, north_m)),
        )
        conn.execute(
            "insert into campus (school_id, district_code, street_code, geom, area_m2) values (%s, %s, %s, %s, 10000)",
            (school_id, district, f"{district}001", _box(0, north_m, 50)),
        )
        conn.execute(
            "insert into device (device_id, code, kind, school_id, profile, host, port, worker, state)"
            " overriding system value values (%s, %s, 'module', %s, 'waveshare-io8', '127.0.0.1', 502, 'devices-1', 'unknown')",
            (school_id, f"mod-{code.lower()}", school_id),
        )
        for channel, zone in enumerate(("panic", "contact", "tamper")):
            conn.execute(
                "insert into point (point_id, device_id, channel, zone, name_zh, name_en, is_self_locking, geom)"
                " overriding system value values (%s, %s, %s, %s, %s, %s, true, %s)",
                (school_id * 10 + channel, school_id, channel, zone, f"点{channel}", f"Point {channel}", at(5, north_m)),
            )
        conn.execute(
            "insert into point (point_id, device_id, direction, channel, zone, name_zh, name_en, max_on_s)"
            " overriding system value values (%s, %s, 'out', 0, 'siren', '警号', 'Siren', 120)",
            (school_id * 10 + 9, school_id),
        )
    for account_id, login, role in ((1, "ann", "commander"), (2, "bob", "dispatcher"), (3, "guard", "guard"), (4, "car", "unit")):
        conn.execute(
            "insert into account (account_id, login, password_hash, name_zh, name_en, role)"
            " overriding system value values (%s, %s, '', %s, %s, %s)",
            (account_id, login, f"{login}甲", login.title(), role),
        )
    for unit_id, code, east_m, age_s, status in ((1, "U1", 300, 10, "free"), (2, "U2", 100, 600, "busy"), (3, "U3", 50, 5, "off")):
        conn.execute(
            "insert into unit (unit_id, code, name_zh, name_en, kind, district_code, street_code, status, geom, position_at, account_id)"
            " overriding system value"
            " values (%s, %s, %s, %s, 'patrol_car', '440304', '440304001', %s, %s, now() - make_interval(secs => %s), %s)",
            (unit_id, code, code, code, status, at(east_m, 0), age_s, 4 if unit_id == 1 else None),
        )


def camera(conn: Any, number: int, east_m: float, north_m: float, **columns: Any) -> int:
    """A camera so many metres from the north school's gate, looking north with 90 degrees over 60 m unless said otherwise."""
    values = {
        "camera_id": number,
        "code": f"{number:020d}",
        "school_id": NORTH,
        "district_code": "440304",
        "street_code": "440304001",
        "name_zh": f"机{number}",
        "name_en": f"Camera {number}",
        "mount": "wall",
        "azimuth_deg": 0,
        "fov_deg": 90,
        "range_m": 60,
        "height_m": 3,
        "state": "ok",
        "geom": at(east_m, north_m),
        **columns,
    }
    names = sql.SQL(", ").join(map(sql.Identifier, values))
    marks = sql.SQL(", ").join(map(sql.Placeholder, values))
    conn.execute(sql.SQL("insert into camera ({}) overriding system value values ({})").format(names, marks), values)
    return number


def person(login: str = "ann", **scope: Any) -> access.Principal:
    """One of the accounts of the town; city-wide unless a scope is given."""
    number, role = {"ann": (1, "commander"), "bob": (2, "dispatcher"), "guard": (3, "guard"), "car": (4, "unit")}[login]
    made = access.Scope(**scope) if scope else access.Scope(is_city=True)
    return access.Principal(
        account_id=number, login=login, name_zh=f"{login}甲", name_en=login.title(), role=role, scope=made, permissions=access.ROLES[role]
    )


NORTHERN = {"districts": frozenset({"440304"})}
SOUTHERN = {"districts": frozenset({"440305"})}
EVERY_SCOPE_OF_NORTH = [{"is_city": True}, NORTHERN, {"streets": frozenset({"440304001"})}, {"schools": frozenset({NORTH})}]
NONE_OF_NORTH = [SOUTHERN, {"streets": frozenset({"440305001"})}, {"schools": frozenset({SOUTH})}, {"is_city": False}]


def happened(kind: events.Kind, subject: str = "mod-n", channel: int | None = 0, number: int = 1, **fields: Any) -> events.Event:
    """An event as a worker would send it; `number` makes it another one."""
    data = fields.pop("data", {})
    made = events.Event(
        event_id=events.event_id_of(kind, subject, channel, number),
        kind=kind,
        source="devices-1",
        subject=subject,
        channel=channel,
        event_at=NOON,
        seq=number,
        spooled_at=NOON,
        data=data,
    )
    return replace(made, **fields)


def press(subject: str = "mod-n", channel: int = 0, number: int = 1, **fields: Any) -> events.Event:
    """One press of a button."""
    fields.setdefault("data", {"zone": "panic", "press": number, "count": 1, "capture": "counter", "while_down": False, "mode": "live"})
    return happened(events.Kind.ALARM_RAISED, subject, channel, number, **fields)
