"""Accounts, sessions and API tokens: argon2id passwords, random ids of which the database holds only the SHA-256.

SessionError
├── BadLogin       wrong password, unknown or inactive account: one answer for all three
└── Throttled      too many failures; says how many seconds to wait
"""

from __future__ import annotations

import argparse
import getpass
import hashlib
import secrets
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import argon2
import psycopg
import psycopg_pool
import redis

from data.core import access, audit, db, queries, stream
from data.core.settings import Settings

IDLE_S = 2 * 3600  # an open live stream counts as being there
WINDOW_S = 15 * 60  # failures older than this are forgotten
FREE_OF_LOGIN, FREE_OF_ADDRESS = 3, 30  # failures before waiting starts; a school shares one address
LONGEST_WAIT_S = 300.0
PASSWORD_LEAST = 10  # characters
CHANNEL = "campus:live:session"  # pub/sub; the payload is the hash, in hex, of a session that ended
ENDED = b"ended"
ENDED_S = 60  # the mark outlives every copy of the session

_SQL = queries.load("session")
_HASHER = argon2.PasswordHasher()
# 64 MiB each: a flood of logins must not take the memory of the map.
_TURNSTILE = threading.BoundedSemaphore(2)


class SessionError(Exception):
    """A login was refused."""


class BadLogin(SessionError):
    """The login or the password is wrong."""


class Throttled(SessionError):
    """Too many failed attempts from this address; `wait_s` is how long until the next is looked at."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"wait {wait_s} s")
        self.wait_s = wait_s


class BadAccount(ValueError):
    """An account cannot be made or changed as asked; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody's open session, or a machine's token (`csrf_token` is empty then)."""

    session_hash: bytes
    csrf_token: str
    principal: access.Principal
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A login that succeeded: `cookie` is shown once, only its hash is stored."""

    cookie: str
    session: Session


@cache
def _nobody() -> str:
    """The hash that is verified when there is no such account, so that both answers take the same time."""
    return _HASHER.hash(secrets.token_hex(16))


def hash_of(secret: str) -> bytes:
    """What the database keeps of a cookie or a token: 32 bytes."""
    return hashlib.sha256(secret.encode()).digest()


def hash_password(password: str) -> str:
    """An argon2id hash with its own salt. Raises: BadAccount for one that is too short."""
    if len(password) < PASSWORD_LEAST:
        raise BadAccount(f"a password needs at least {PASSWORD_LEAST} characters")
    return _HASHER.hash(password)


def verify(stored: str, given: str) -> bool:
    """Whether `given` is the password behind `stored`; about 0.1 s, two at a time."""
    with _TURNSTILE:
        try:
            return _HASHER.verify(stored, given)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False


def principal_of(row: db.Row, permissions: frozenset[str] | None = None) -> access.Principal:
    """The principal of an account's row; a role nobody knows may do nothing."""
    allowed = access.ROLES.get(row["role"], frozenset())
    return access.Principal(
        account_id=row["account_id"],
        login=row["login"],
        name_zh=row["name_zh"],
        name_en=row["name_en"],
        role=row["role"],
        scope=access.Scope(
            is_city=row["is_city"],
            districts=frozenset(row["district_codes"]),
            streets=frozenset(row["street_codes"]),
            schools=frozenset(row["school_ids"]),
            cells=frozenset(row["cell_ids"]),
        ),
        permissions=allowed if permissions is None else allowed & permissions,
        lang=row["lang"],
        demo=row["demo"],
    )


def wait_s(failures: int, free: int, age_s: float | None) -> int:
    """Seconds still to wait after `failures`, the last of them `age_s` ago: 2, 4, 8 … 300 s beyond the free ones."""
    if failures < free or age_s is None:
        return 0
    whole = min(2.0 ** min(failures - free + 1, 16), LONGEST_WAIT_S)
    return max(0, int(whole - age_s + 0.999))


def log_in(
    pool: psycopg_pool.ConnectionPool[db.Connection], *, login: str, password: str, address: str, user_agent: str, hours: int
) -> Opened:
    """Check a password and open a session.

    Raises:
        Throttled: before the password is looked at.
        BadLogin: wrong, unknown, inactive; the attempt is counted.
    """
    login = login.strip().lower()[:64]
    who = {"login": login, "address": address[:64]}
    with db.scoped(pool, access.Scope()) as conn:
        conn.execute(_SQL["hold_attempts"], who)
        past = conn.execute(_SQL["recent_failures"], {**who, "window_s": WINDOW_S}).fetchone() or {}
        wait = max(
            wait_s(past["of_login"], FREE_OF_LOGIN, past["login_age_s"]), wait_s(past["of_address"], FREE_OF_ADDRESS, past["address_age_s"])
        )
        if wait:
            raise Throttled(wait)
        # Counted as failed until it is known to have succeeded: parallel guesses find each other.
        attempt = conn.execute(_SQL["add_attempt"], who).fetchone() or {}
        account = conn.execute(_SQL["account_by_login"], {"login": login}).fetchone()
    nobody = _nobody()  # made before it is needed: the first unknown login must not take longer
    is_right = verify(account["password_hash"] if account else nobody, password)
    if account is None or not is_right:
        raise BadLogin(login)
    cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    with db.scoped(pool, access.Scope()) as conn:
        conn.execute(_SQL["attempt_succeeded"], attempt)
        conn.execute(_SQL["forget_attempts"])
        opened = (
            conn.execute(
                _SQL["open_session"],
                {
                    "session_hash": hash_of(cookie),
                    "account_id": account["account_id"],
                    "csrf_token": csrf,
                    "hours": hours,
                    "address": address,
                    "user_agent": user_agent,
                },
            ).fetchone()
            or {}
        )
        audit.write(conn, principal_of(account), "session.opened", data={"address": address})
    session = Session(session_hash=hash_of(cookie), csrf_token=csrf, principal=principal_of(account), expires_at=opened["expires_at"])
    return Opened(cookie=cookie, session=session)


def find(conn: db.Connection, session_hashes: Iterable[bytes]) -> dict[bytes, Session]:
    """Those of the sessions that are open now, by hash; being looked for keeps them from going idle."""
    wanted = {"session_hashes": list(session_hashes), "idle_s": IDLE_S}
    rows = conn.execute(_SQL["live_sessions"], wanted).fetchall()
    conn.execute(_SQL["touch_sessions"], wanted)
    return {
        bytes(row["session_hash"]): Session(
            session_hash=bytes(row["session_hash"]), csrf_token=row["csrf_token"], principal=principal_of(row), expires_at=row["expires_at"]
        )
        for row in rows
    }


def find_token(conn: db.Connection, token: str) -> Session | None:
    """The session of an API token: at most the permissions of its account's role; None when revoked, expired or unknown."""
    row = conn.execute(_SQL["token_account"], {"token_hash": hash_of(token)}).fetchone()
    if row is None:
        return None
    conn.execute(_SQL["touch_token"], row)
    return Session(session_hash=b"", csrf_token="", principal=principal_of(row, frozenset(row["permissions"])), expires_at=None)


def end(conn: db.Connection, session_hash: bytes, principal: access.Principal | None) -> bool:
    """End a session on behalf of `principal`; False when it had ended already."""
    row = conn.execute(_SQL["end_session"], {"session_hash": session_hash}).fetchone()
    if row is None:
        return False
    audit.write(conn, principal, "session.ended", f"account:{row['account_id']}")
    return True


def end_all(conn: db.Connection, account_id: int) -> list[bytes]:
    """End every session of an account; the hashes, to be published on `campus:live:session`."""
    return [bytes(row["session_hash"]) for row in conn.execute(_SQL["end_sessions_of"], {"account_id": account_id})]


def cache_key(session_hash: bytes) -> str:
    """Where Redis keeps a copy of a session for a few seconds, or the mark that it has ended."""
    return f"campus:session:{session_hash.hex()}"


def announce_end(client: redis.Redis, session_hash: bytes) -> None:
    """Make every web process drop a session that ended in PostgreSQL; without Redis they notice within 10 s."""
    try:
        client.set(cache_key(session_hash), ENDED, ex=ENDED_S)
        client.publish(CHANNEL, session_hash.hex())
    except (redis.RedisError, OSError):
        return


def set_lang(conn: db.Connection, account_id: int, lang: str) -> None:
    """Remember the language of an account, zh or en."""
    conn.execute(_SQL["set_lang"], {"account_id": account_id, "lang": lang})


def add_token(conn: db.Connection, login: str, name: str, permissions: Iterable[str], *, days: int = 365) -> str:
    """Make an API token of an account; it is shown once. Raises: BadAccount for an unknown login."""
    token = "cst_" + secrets.token_urlsafe(32)
    row = conn.execute(
        _SQL["add_token"], {"token_hash": hash_of(token), "login": login, "name": name, "permissions": sorted(permissions), "days": days}
    ).fetchone()
    if row is None:
        raise BadAccount(f"there is no account {login}")
    audit.write(conn, None, "token.made", f"account:{row['account_id']}", data={"name": name, "permissions": sorted(permissions)})
    return token


def add_account(
    conn: db.Connection,
    *,
    login: str,
    password: str,
    role: str,
    name_zh: str,
    name_en: str,
    is_city: bool = False,
    districts: Iterable[str] = (),
    streets: Iterable[str] = (),
    schools: Iterable[str] = (),
    lang: str = "zh",
) -> int:
    """Make an account; `schools` are codes. Returns its id.

    Raises:
        BadAccount: unknown role, weak password, login taken or of wrong form, a school code that does not exist.
    """
    if role not in access.ROLES:
        raise BadAccount(f"there is no role {role}; roles are {' '.join(sorted(access.ROLES))}")
    codes = sorted(set(schools))
    try:
        row = (
            conn.execute(
                _SQL["add_account"],
                {
                    "login": login,
                    "password_hash": hash_password(password),
                    "name_zh": name_zh,
                    "name_en": name_en,
                    "role": role,
                    "is_city": is_city,
                    "district_codes": sorted(districts),
                    "street_codes": sorted(streets),
                    "school_codes": codes,
                    "lang": lang,
                },
            ).fetchone()
            or {}
        )
    except psycopg.errors.UniqueViolation as err:
        raise BadAccount(f"there is an account {login} already") from err
    except psycopg.errors.CheckViolation as err:
        raise BadAccount(f"login {login}: 2 to 64 characters of a-z 0-9 . _ - , the first a letter or digit") from err
    if len(row["school_ids"]) != len(codes):
        raise BadAccount("a school code in the list does not exist; nothing was made")
    audit.write(conn, None, "account.made", f"account:{row['account_id']}", data={"login": login, "role": role})
    return int(row["account_id"])


def set_password(conn: db.Connection, login: str, password: str) -> list[bytes]:
    """Change a password and end the account's sessions, whose hashes it gives. Raises: BadAccount."""
    row = conn.execute(_SQL["set_password"], {"login": login, "password_hash": hash_password(password)}).fetchone()
    if row is None:
        raise BadAccount(f"there is no account {login}")
    audit.write(conn, None, "account.password", f"account:{row['account_id']}")
    return end_all(conn, row["account_id"])


def set_active(conn: db.Connection, login: str, is_active: bool) -> list[bytes]:
    """Switch an account on or off; off ends its sessions, whose hashes it gives. Raises: BadAccount."""
    row = conn.execute(_SQL["set_active"], {"login": login, "is_active": is_active}).fetchone()
    if row is None:
        raise BadAccount(f"there is no account {login}")
    audit.write(conn, None, "account.active", f"account:{row['account_id']}", data={"is_active": is_active})
    return [] if is_active else end_all(conn, row["account_id"])


def accounts(conn: db.Connection) -> list[db.Row]:
    """Every account without its password: login, names, role, scope, whether active, when last seen."""
    return conn.execute(_SQL["accounts"]).fetchall()


def user_main(settings: Settings, argv: list[str]) -> int:
    """`app.py user add|password|off|on|list|token`; 0 when done, 2 with one sentence when not."""
    parser = argparse.ArgumentParser(prog="app.py user", description="Accounts of people and machines.")
    acts = parser.add_subparsers(dest="act", required=True)
    add = acts.add_parser("add", help="make an account; asks for the password")
    add.add_argument("login")
    add.add_argument("--role", required=True, choices=sorted(access.ROLES))
    add.add_argument("--name-zh", required=True)
    add.add_argument("--name-en", required=True)
    add.add_argument("--city", action="store_true", help="sees the whole city")
    for scope, what in (("district", "district code"), ("street", "street code"), ("school", "school code")):
        add.add_argument(f"--{scope}", action="append", default=[], metavar="CODE", help=f"sees this {what}; may be given again")
    for act, what in (
        ("password", "change a password and end the account's sessions"),
        ("off", "switch an account off"),
        ("on", "switch it on again"),
    ):
        acts.add_parser(act, help=what).add_argument("login")
    acts.add_parser("list", help="every account, its role and scope")
    token = acts.add_parser("token", help="make an API token; it is shown once")
    token.add_argument("login")
    token.add_argument("--name", required=True, help="what it is for")
    token.add_argument("--permission", action="append", required=True, choices=sorted(access.PERMISSIONS))
    token.add_argument("--days", type=int, default=365)
    given = parser.parse_args(argv)
    try:
        with db.connect(settings.app_dsn) as conn, db.scoped(conn, access.Scope()):
            ended = _act(conn, given)
    except (BadAccount, psycopg.OperationalError) as err:
        print(str(err).strip().splitlines()[0], file=sys.stderr)
        return 2
    if ended:
        client = stream.connect(settings.redis)
        for session_hash in ended:
            announce_end(client, session_hash)
    return 0


def _act(conn: db.Connection, given: argparse.Namespace) -> list[bytes]:
    if given.act == "add":
        add_account(
            conn,
            login=given.login,
            password=_ask_password(),
            role=given.role,
            name_zh=given.name_zh,
            name_en=given.name_en,
            is_city=given.city,
            districts=given.district,
            streets=given.street,
            schools=given.school,
        )
    elif given.act == "password":
        return set_password(conn, given.login, _ask_password())
    elif given.act in ("on", "off"):
        return set_active(conn, given.login, given.act == "on")
    elif given.act == "token":
        print(add_token(conn, given.login, given.name, given.permission, days=given.days))
    else:
        for row in accounts(conn):
            where = (
                "city"
                if row["is_city"]
                else " ".join([*row["district_codes"], *row["street_codes"], f"{row['schools']} schools" if row["schools"] else ""]).strip()
            )
            state = "on" if row["is_active"] else "off"
            print(f"{row['login']:<24} {row['role']:<16} {state:<4} {where or 'nothing'}")
    return []


def _ask_password() -> str:
    """From the terminal, twice; one line of standard input where there is no terminal."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("password: ")
    if first != getpass.getpass("again: "):
        raise BadAccount("the two passwords differ; nothing was changed")
    return first
