"""Real servers for every test, thrown away at the end.

Fixtures:
    settings  -> Settings               session; DATA_DIR of its own (demo=False), embedded PostgreSQL + Redis running,
                                        migrated, empty. Shared by the whole run: write through `database`, not here.
    servers   -> embedded.Servers       session; the handle behind `settings` (pids, stop, start).
    database  -> Database               function; a fresh database copied from the migrated template. `.dsn` is the role
                                        `app`, `.owner_dsn` the owner, `.settings` the session's settings with
                                        database_url, owner_url and an own data_dir pointing at it, `.connect()` a
                                        connection as `app`, `.owner()` one as owner (rows as dicts, autocommit).
    conn      -> psycopg.Connection     function; as `app` inside one open transaction in CITY scope, rows as dicts;
                                        rolled back at the end. Use `conn.commit()` to publish, the scope then ends.
    owner     -> psycopg.Connection     function; the owner's connection to the same database, autocommit.
    redis     -> redis.Redis            function; bytes, flushed before the test.
    open_dir  -> Path                   function; a folder other users may enter, for data of servers and roles.
    free_port -> Callable[[], int]      a TCP port of 127.0.0.1 nobody listens on.
    wait_for  -> Callable               wait_for(check, seconds=5.0) gives the first true result or fails the test.

Markers: slow (minutes; not in ./test), browser (starts Debian's chromium), chaos (kills processes).
"""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis as redis_client
from psycopg import sql

from data.core import db, embedded, migrate
from data.core.settings import Settings, read

pytest_plugins = ("tests.city",)  # small_city, city, city_database
TEMPLATE = "campus"
_COUNT = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One empty, migrated database of a test."""

    name: str
    dsn: str
    owner_dsn: str
    settings: Settings

    def connect(self) -> db.Connection:
        return db.connect(self.dsn)

    def owner(self) -> db.Connection:
        opened = db.connect(self.owner_dsn)
        opened.autocommit = True
        return opened


@contextmanager
def _open_dir() -> Iterator[Path]:
    # Not pytest's own folder: PostgreSQL runs as another user when we are root and could not enter it.
    folder = Path(tempfile.mkdtemp(prefix="campus-test-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def open_dir() -> Iterator[Path]:
    with _open_dir() as folder:
        yield folder


@pytest.fixture(scope="session")
def settings() -> Iterator[Settings]:
    with _open_dir() as folder:
        yield read({"DATA_DIR": str(folder), "DEMO": "0", "PORT": str(_free_port())})


@pytest.fixture(scope="session")
def servers(settings: Settings) -> Iterator[embedded.Servers]:
    with embedded.running(settings, durable=False) as running:
        migrate.run(settings)
        yield running


@pytest.fixture
def database(settings: Settings, servers: embedded.Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    name = f"t{os.getpid()}_{next(_COUNT)}"
    admin_dsn = settings.owner_socket_dsn.replace(f"dbname={TEMPLATE}", "dbname=postgres")
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {} template {} strategy file_copy").format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
        admin.execute(sql.SQL("grant connect, temporary on database {} to app").format(sql.Identifier(name)))
        dsn = settings.app_dsn.replace(f"dbname={TEMPLATE}", f"dbname={name}")
        owner_dsn = settings.owner_socket_dsn.replace(f"dbname={TEMPLATE}", f"dbname={name}")
        own = tmp_path_factory.mktemp("data")
        (own / "secret").mkdir(mode=0o700)
        yield Database(
            name=name,
            dsn=dsn,
            owner_dsn=owner_dsn,
            settings=replace(settings, data_dir=own, database_url=dsn, owner_url=owner_dsn, redis_url=settings.redis),
        )
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def conn(database: Database) -> Iterator[db.Connection]:
    with database.connect() as opened:
        opened.execute(
            "select set_config('campus.city', '1', true), set_config('campus.districts', '', true), set_config('campus.streets', '', true),"
            " set_config('campus.schools', '', true), set_config('campus.cells', '', true)"
        )
        yield opened
        opened.rollback()


@pytest.fixture
def owner(database: Database) -> Iterator[db.Connection]:
    with database.owner() as opened:
        yield opened


@pytest.fixture
def redis(settings: Settings, servers: embedded.Servers) -> Iterator[redis_client.Redis]:
    client = redis_client.Redis.from_url(settings.redis, socket_timeout=10)
    client.flushall()
    yield client
    client.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def free_port() -> Callable[[], int]:
    return _free_port


@pytest.fixture
def wait_for() -> Callable[..., Any]:
    def wait(check: Callable[[], Any], seconds: float = 5.0) -> Any:
        until = time.monotonic() + seconds
        while True:
            found = check()
            if found:
                return found
            if time.monotonic() > until:
                pytest.fail(f"not within {seconds} s: {check}")
            time.sleep(0.01)

    return wait
