"""Fixtures with the demo city in them, made once a run and copied.

small_city    -> Database    function; a copy of a city of 60 schools (ten districts, 692 cameras, its history);
                             `settings.demo_password` is PASSWORD, `modules.json` and the players' tokens lie in data_dir.
city          -> Database    session; the full city of 2,600 schools, shared: read only.
city_database -> Database    function; a copy of the full city to write to.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from data.core import embedded
from data.core.settings import Settings
from data.demo import load

if TYPE_CHECKING:
    from tests.conftest import Database

PASSWORD = "demo-city-password"
SMALL = 60
_TEMPLATE = "campus"
_SEEN = {"count": 0}


@contextmanager
def _copy(settings: Settings, data_dir: Path, template: str, name: str = "") -> Iterator[Database]:
    from tests.conftest import Database  # conftest loads this module

    _SEEN["count"] += 1
    name = name or f"c{os.getpid()}_{_SEEN['count']}"
    admin_dsn = settings.owner_socket_dsn.replace(f"dbname={_TEMPLATE}", "dbname=postgres")
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {} template {} strategy file_copy").format(sql.Identifier(name), sql.Identifier(template)))
        admin.execute(sql.SQL("grant connect, temporary on database {} to app").format(sql.Identifier(name)))
        dsn = settings.app_dsn.replace(f"dbname={_TEMPLATE}", f"dbname={name}")
        owner_dsn = settings.owner_socket_dsn.replace(f"dbname={_TEMPLATE}", f"dbname={name}")
        own = replace(
            settings, data_dir=data_dir, database_url=dsn, owner_url=owner_dsn, redis_url=settings.redis, demo=True, demo_password=PASSWORD
        )
        own.secret_dir.mkdir(mode=0o700, exist_ok=True)
        yield Database(name=name, dsn=dsn, owner_dsn=owner_dsn, settings=own)
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@contextmanager
def _folder() -> Iterator[Path]:
    """A data directory that the users of workers may enter, which pytest's own folders do not allow."""
    folder = Path(tempfile.mkdtemp(prefix="campus-city-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _loaded(settings: Settings, name: str, schools: int) -> Iterator[Database]:
    with _folder() as folder, _copy(settings, folder, _TEMPLATE, name) as made:
        assert load.load(made.settings, schools=schools, say=lambda text: None)
        yield made


@contextmanager
def _copied(settings: Settings, template: Database) -> Iterator[Database]:
    with _folder() as folder:
        for part in ("demo", "secret"):
            shutil.copytree(template.settings.data_dir / part, folder / part)
        with _copy(settings, folder, template.name) as copy:
            yield copy


@pytest.fixture(scope="session")
def _small_template(settings: Settings, servers: embedded.Servers) -> Iterator[Database]:
    with _loaded(settings, f"small{os.getpid()}", SMALL) as made:
        yield made


@pytest.fixture(scope="session")
def _city_template(settings: Settings, servers: embedded.Servers) -> Iterator[Database]:
    with _loaded(settings, f"city{os.getpid()}", load.SCHOOLS) as made:
        yield made


@pytest.fixture
def small_city(settings: Settings, _small_template: Database) -> Iterator[Database]:
    with _copied(settings, _small_template) as copy:
        yield copy


@pytest.fixture(scope="session")
def city(settings: Settings, _city_template: Database) -> Iterator[Database]:
    with _copied(settings, _city_template) as copy:
        yield copy


@pytest.fixture
def city_database(settings: Settings, _city_template: Database) -> Iterator[Database]:
    with _copied(settings, _city_template) as copy:
        yield copy


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that is the first to ask for a city must not be blamed for the time the city takes."""
    for item in items:
        if {"_city_template", "_small_template"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.timeout(120, func_only=True))
