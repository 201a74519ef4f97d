"""A real web server on a free port, with real PostgreSQL and Redis behind it, and browsers that are logged in."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import httpx
import pytest
import redis as redis_client
from fastapi import FastAPI

from data.core import db
from data.core.settings import Settings
from mapapp import guard, web
from mapapp.services import Services
from tests import builders
from tests.conftest import Database


@dataclass(frozen=True, slots=True)
class Running:
    """A web server in a thread of this process."""

    app: FastAPI
    server: web.Server
    url: str

    @property
    def services(self) -> Services:
        return self.app.state.services


@pytest.fixture
def start(redis: redis_client.Redis, database: Database) -> Iterator[Callable[[Settings], Running]]:
    """start(settings) serves until the end of the test, and ends before the database does; the port is chosen unless given."""
    running: list[tuple[web.Server, threading.Thread]] = []

    def begin(settings: Settings, port: int = 0) -> Running:
        listener = socket.create_server(("127.0.0.1", port))
        port = listener.getsockname()[1]
        app = web.create_app(replace(settings, port=port))
        server = web.Server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        running.append((server, thread))
        until = time.monotonic() + 10
        while not server.started and time.monotonic() < until:
            time.sleep(0.005)
        assert server.started
        return Running(app, server, f"http://127.0.0.1:{port}")

    yield begin
    for server, thread in running:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def running(start: Callable[[Settings], Running], database: Database) -> Running:
    return start(database.settings)


class Browser:
    """A client with the cookies of one login; posts carry origin and token as a page's scripts do."""

    def __init__(self, url: str, login: str = "", password: str = builders.PASSWORD) -> None:
        self.url, self.csrf_token = url, ""
        self.client = httpx.Client(base_url=url, timeout=10)
        if login:
            answer = self.log_in(login, password)
            assert answer.status_code == 200, answer.text
            self.csrf_token = answer.json()["csrf_token"]

    def log_in(self, login: str, password: str, *, accept: str = "application/json", **fields: str) -> httpx.Response:
        return self.client.post(
            "/login", data={"login": login, "password": password, **fields}, headers={"Origin": self.url, "Accept": accept}
        )

    def wear(self, cookie: str, csrf_token: str) -> None:
        """Take the session of somebody who has logged in elsewhere."""
        self.client.cookies.set(guard.session_cookie(False), cookie)
        self.client.cookies.set(guard.CSRF_COOKIE, csrf_token)
        self.csrf_token = csrf_token

    @property
    def headers(self) -> dict[str, str]:
        return {"Origin": self.url, "Sec-Fetch-Site": "same-origin", guard.CSRF_HEADER: self.csrf_token}

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(path, headers=headers)

    def post(self, path: str, json: object = None) -> httpx.Response:
        return self.client.post(path, json=json, headers=self.headers)

    def callback(self, output: str, inputs: list[dict[str, object]], **more: object) -> httpx.Response:
        """A Dash callback as the renderer asks for it."""
        first, _, prop = output.partition(".")
        body = {"output": output, "outputs": {"id": first, "property": prop}, "inputs": inputs, "changedPropIds": [], **more}
        return self.post(guard.CALLBACK_PATH, body)


@pytest.fixture
def rows(database: Database) -> Iterator[db.Connection]:
    """A connection whose statements are committed at once, for the rows a test starts from."""
    with database.connect() as conn:
        conn.autocommit = True
        builders.see_city(conn)
        yield conn


@pytest.fixture
def visitor() -> Iterator[Callable[..., Browser]]:
    """visitor(url, login) logs in there, visitor(url) is anonymous; closed at the end of the test."""
    opened: list[Browser] = []

    def make(url: str, login: str = "") -> Browser:
        opened.append(Browser(url, login))
        return opened[-1]

    yield make
    for one in opened:
        one.client.close()


@pytest.fixture
def browser(running: Running, rows: db.Connection, visitor: Callable[..., Browser]) -> Callable[..., Browser]:
    """browser(role, **scope): a new account of that role, logged in; browser() is anonymous."""

    def make(role: str = "", **scope: object) -> Browser:
        made = visitor(running.url)
        if role:
            made.wear(*builders.make_session(rows, builders.make_account(rows, role, **scope)))
        return made

    return make
