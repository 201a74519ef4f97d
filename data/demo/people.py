"""Accounts of the demo city: one to log in with for every role, and the machine and duty accounts behind tokens and cells.

Nobody here exists: names are numbered, phones start with 000. Only the first account of each role has a password
that is told to anyone; the others have one that was thrown away.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

import argon2
import numpy as np

from data.core import access
from data.demo.roster import phone
from data.demo.tables import Table

ROLE_NAMES = {
    "commander": ("指挥长", "Commander"),
    "dispatcher": ("调度员", "Dispatcher"),
    "supervisor": ("值班长", "Supervisor"),
    "unit": ("巡逻组", "Patrol unit"),
    "grid-owner": ("网格员", "Grid owner"),
    "district-leader": ("分局领导", "District leader"),
    "school": ("学校安全主任", "School safety lead"),
    "guard": ("保安员", "Guard"),
    "officer": ("社区民警", "Officer"),
    "assessor": ("考核员", "Assessor"),
    "registrar": ("登记员", "Registrar"),
    "approver": ("审批人", "Approver"),
    "auditor": ("审计员", "Auditor"),
    "admin": ("管理员", "Administrator"),
    "recorder": ("录像平台", "Recorder platform"),
}
CITY_ROLES = frozenset({"commander", "dispatcher", "supervisor", "registrar", "approver", "auditor", "admin", "assessor"})
MOVING_UNITS = 40  # units whose phones the player carries
FIRST_OWNER = 1_000  # account ids of the grid owners: FIRST_OWNER + school id
RECORDER_ID = 900
FIRST_UNIT = 100
FIRST_OFFICER = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Passwords:
    """Hashes of the passwords, and the tokens the players use; made anew at every load."""

    told: str
    thrown_away: str
    tokens: dict[str, str]


def passwords(password: str) -> Passwords:
    """Hash the demo password and make a token for the recorder and every moving unit."""
    hasher = argon2.PasswordHasher()
    logins = ["recorder", *(f"unit-{number:03d}" for number in range(1, MOVING_UNITS + 1))]
    return Passwords(
        told=hasher.hash(password),
        thrown_away=hasher.hash(secrets.token_urlsafe(24)),
        tokens={login: "cst_" + secrets.token_urlsafe(32) for login in logins},
    )


def _account(number: int, login: str, role: str, known: Passwords, told: bool, **scope: Any) -> dict[str, Any]:
    zh, en = ROLE_NAMES[role]
    return {
        "account_id": number,
        "login": login,
        "password_hash": known.told if told else known.thrown_away,
        "name_zh": f"演示{zh}{'' if told else f'{number:05d}'}",
        "name_en": f"Demo {en.lower()}{'' if told else f' {number:05d}'}",
        "phone": phone(20_000_000 + number),
        "role": role,
        "is_city": role in CITY_ROLES and "district_codes" not in scope,
        "district_codes": [],
        "street_codes": [],
        "school_ids": [],
        "cell_ids": [],
        "demo": True,
        **scope,
    }


def account_table(
    known: Passwords, *, districts: list[str], cells_of: dict[int, list[int]], beats: list[list[int]], unit_districts: list[str]
) -> Table:
    """Every account.

    Args:
        districts: code of the district of each school, in order of the school ids.
        cells_of: school id to cell ids.
        beats: school ids of every beat; the first belongs to the demo officer.
        unit_districts: district of each of the moving units, whose accounts have tokens.
    """
    home = districts[0]
    scopes: dict[str, dict[str, Any]] = {
        "district-leader": {"district_codes": [home]},
        "unit": {"district_codes": [home]},
        "school": {"school_ids": [1]},
        "guard": {"school_ids": [1]},
        "grid-owner": {"school_ids": [1], "cell_ids": cells_of.get(1, [])},
        "officer": {"school_ids": beats[0]},
    }
    roles = [role for role in access.ROLES if role != "recorder"]
    rows = [_account(number, role, role, known, True, **scopes.get(role, {})) for number, role in enumerate(roles, start=1)]
    rows += [
        _account(FIRST_UNIT + number, f"unit-{number:03d}", "unit", known, False, district_codes=[code])
        for number, code in enumerate(unit_districts, start=1)
    ]
    rows.append(_account(RECORDER_ID, "recorder", "recorder", known, False, is_city=True))
    rows += [
        _account(FIRST_OWNER + school, f"owner-{school:04d}", "grid-owner", known, False, school_ids=[school], cell_ids=cells)
        for school, cells in cells_of.items()
        if school != 1
    ]
    rows += [
        _account(FIRST_OFFICER + number, f"officer-{number:03d}", "officer", known, False, school_ids=schools)
        for number, schools in enumerate(beats[1:], start=2)
    ]
    return Table(name="account", identity="account_id", columns={name: [row[name] for row in rows] for name in rows[0]}, geometry=())


def number_of(role: str) -> int:
    """Account id of the account one can log in with as `role`."""
    return [name for name in access.ROLES if name != "recorder"].index(role) + 1


def owner_of(school: int) -> int:
    """Account id of the owner of a school's cells; school 1 belongs to the account one can log in with."""
    return number_of("grid-owner") if school == 1 else FIRST_OWNER + school


def officer_of(beat: int) -> int:
    """Account id of the officer of a beat, numbered from 1."""
    return number_of("officer") if beat == 1 else FIRST_OFFICER + beat


def token_table(known: Passwords, unit_count: int) -> Table:
    """API tokens: the recorder reports cameras; units report where they are and may raise an SOS."""
    rows = [("recorder", RECORDER_ID, ["device.report"])]
    rows += [
        (f"unit-{number:03d}", FIRST_UNIT + number, ["position.report", "sos.raise", "unit.report"]) for number in range(1, unit_count + 1)
    ]
    return Table(
        name="api_token",
        geometry=(),
        columns={
            "token_hash": [hashlib.sha256(known.tokens[login].encode()).digest() for login, _, _ in rows],
            "account_id": [account for _, account, _ in rows],
            "name": [f"demo player {login}" for login, _, _ in rows],
            "permissions": [permissions for _, _, permissions in rows],
        },
    )


def beats(street: np.ndarray, size: int = 8) -> list[tuple[int, list[int]]]:
    """Cut the schools of every street into beats of about `size`: (street index, school ids); the first holds school 1."""
    found: list[tuple[int, list[int]]] = []
    for number in np.unique(street):
        schools = (np.flatnonzero(street == number) + 1).tolist()
        pieces = max(1, round(len(schools) / size))
        found += [(int(number), part.tolist()) for part in np.array_split(np.array(schools), pieces)]
    return sorted(found, key=lambda beat: (1 not in beat[1], beat[0], beat[1]))
