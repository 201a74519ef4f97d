"""Bring a database to the schema of this version: the files of data/migrations, in order, each once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
import yoyo
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from data.core.embedded import Servers, ServerTrouble, postgis_trouble
from data.core.settings import Settings

FOLDER = Path(__file__).parents[1] / "migrations"
_LOCK = 7201834550118  # pg_advisory_lock: one migration at a time, whoever starts it


class SchemaBehind(ServerTrouble):
    """The database is older than the program and nobody gave us the owner's address."""


def names() -> list[str]:
    """Every migration of this version, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.sql"))


def _url(dsn: str) -> str:
    given = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    database = quote(given.pop("dbname", "campus"))
    return f"postgresql+psycopg:///{database}?{urlencode(given, quote_via=quote)}"


def pending(dsn: str) -> list[str]:
    """Migrations the database does not have yet; all of them when it is empty. `dsn` needs the owner."""
    with psycopg.connect(dsn, connect_timeout=5) as conn:
        if conn.execute("select to_regclass('_yoyo_migration')").fetchone() == (None,):
            return names()
        applied = {str(row[0]) for row in conn.execute("select migration_id from _yoyo_migration")}
    return [name for name in names() if name not in applied]


def _close_to_app(conn: psycopg.Connection[tuple[object, ...]]) -> None:
    """`grant … on all tables` gave the book-keeping tables away too; take them back."""
    found = conn.execute("select tablename from pg_tables where schemaname = 'public' and tablename ~ '^_?yoyo'").fetchall()
    for (name,) in found:
        conn.execute(sql.SQL("revoke all on {} from app").format(sql.Identifier(str(name))))


def migrate_dsn(dsn: str, *, say: Callable[[str], None] = lambda text: None) -> list[str]:
    """Apply what is pending to the database of the owner's `dsn`, return its names.

    Raises:
        ServerTrouble: no PostGIS or one that is too old, or the role `app` is missing.
        psycopg.Error: a migration failed; that one was rolled back whole.
    """
    with psycopg.connect(dsn, connect_timeout=5, autocommit=True) as conn:
        trouble = postgis_trouble(conn)
        if trouble:
            raise ServerTrouble(trouble)
        if conn.execute("select 1 from pg_roles where rolname = 'app'").fetchone() is None:
            raise ServerTrouble(
                "The role app is missing on this server: create it with `create role app login password '…'` and start again."
            )
        conn.execute("select pg_advisory_lock(%s)", (_LOCK,))
        todo = pending(dsn)
        if todo:
            say(f"migrating the database: {todo[0]} … {todo[-1]}")
            with yoyo.get_backend(_url(dsn)) as backend:
                backend.break_lock()  # ours is the advisory lock: it ends with the process that held it
                wanted = yoyo.read_migrations(str(FOLDER))
                backend.apply_migrations(backend.to_apply(wanted))
        _close_to_app(conn)
        # The role `app` cannot read the book-keeping; this it can.
        conn.execute(sql.SQL("comment on schema public is {}").format(sql.Literal(names()[-1])))
    return todo


def run(settings: Settings, *, say: Callable[[str], None] = lambda text: None) -> list[str]:
    """Migrate the product's database; with a foreign server only if `CAMPUS_OWNER_URL` says as whom.

    Raises:
        SchemaBehind: the foreign database is behind and its owner is not known.
    """
    if settings.database_url and not settings.owner_url:
        _check_version(settings.app_dsn)
        return []
    return migrate_dsn(settings.owner_dsn, say=say)


def version(conn: psycopg.Connection[tuple[object, ...]]) -> str:
    """The last migration the database has, "" for none; any role may ask. `conn` gives rows as tuples."""
    row = conn.execute("select obj_description('public'::regnamespace, 'pg_namespace')").fetchone()
    said = str(row[0]) if row else ""
    return said if said[:4].isdigit() else ""  # a fresh database carries PostgreSQL's own words there


def _check_version(dsn: str) -> None:
    with psycopg.connect(dsn, connect_timeout=5) as conn:
        if version(conn) < names()[-1]:
            raise SchemaBehind(
                "The database of CAMPUS_DATABASE_URL is behind this version: set CAMPUS_OWNER_URL and run `python app.py migrate`."
            )


def main(settings: Settings) -> int:
    """`app.py migrate`: with the embedded server, it is started for as long as this takes."""
    servers = None if settings.database_url else Servers(settings, say=print)
    was_running = servers is None or servers.pid("postgres") is not None
    try:
        if servers is not None and not was_running:
            servers.start()
        done = run(settings, say=print)
        print(f"{len(done)} migrations applied" if done else "the database is up to date")
        return 0
    except ServerTrouble as err:
        print(err, file=sys.stderr)
        return 2
    except psycopg.OperationalError as err:
        print(f"The database does not answer: {str(err).strip().splitlines()[0]}", file=sys.stderr)
        return 2
    finally:
        if servers is not None and not was_running:
            servers.stop()
