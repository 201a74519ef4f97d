"""The product's real roles as processes, the demo's real Modbus modules, and Debian's chromium in front of them.

plant   -> Plant                     package; web, ingest and devices as processes, the modules in a thread, a small city.
people  -> Callable[..., Page]       people("commander", lang="zh", size=(1920, 1080)) logs in and waits until the wall is ready.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis as redis_client
from playwright.sync_api import Browser, Page, sync_playwright

from data.core import db, embedded
from data.core.settings import Settings
from devices import demo
from tests import city
from tests.conftest import Database

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
POLL_MS = 200
READY_S = 40.0


def wait_until(check: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true result of `check`, looked for 50 times a second."""
    until = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > until:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.02)


@dataclass(slots=True)
class Plant:
    """A running product."""

    settings: Settings
    modules: list[dict[str, Any]]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"

    def start(self, role: str) -> int:
        """Start a role as its own process; gives its pid."""
        env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("CAMPUS_")},
            "DATA_DIR": str(self.settings.data_dir),
            "PORT": str(self.settings.port),
            "CAMPUS_DATABASE_URL": self.settings.database_url,
            "CAMPUS_REDIS_URL": self.settings.redis_url,
            "CAMPUS_DEMO_PASSWORD": city.PASSWORD,
        }
        log = self.settings.data_dir / f"{role}.log"
        with log.open("ab") as out:
            process = subprocess.Popen([sys.executable, "app.py", role], cwd=ROOT, env=env, stdout=out, stderr=out)
        self.processes[role] = process
        return process.pid

    def check_alive(self) -> None:
        """A role that ended by itself fails the test with its last words."""
        for role, process in self.processes.items():
            if process.poll() is not None:
                pytest.fail(f"{role} ended: " + (self.settings.data_dir / f"{role}.log").read_text(encoding="utf-8")[-2000:])

    def wait_web(self) -> None:
        def answers() -> bool:
            self.check_alive()
            try:
                return httpx.get(f"{self.url}/readyz", timeout=1).status_code == 200
            except httpx.HTTPError:
                return False

        wait_until(answers, READY_S, "the web is ready")

    def kill(self, role: str) -> int:
        """kill -9 the real process of a role; gives the pid it had."""
        process = self.processes[role]
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
        return process.pid

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)

    def press(self, index: int) -> None:
        """Press button 0 of the n-th module, n from 0, on the Modbus server itself."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(5)
            line.connect(str(demo.control_socket(self.settings)))
            line.sendall(json.dumps({"press": str(index + 1)}).encode() + b"\n")
            answer = json.loads(line.makefile("rb").readline())
        assert answer["module"] == self.modules[index]["code"], answer

    def rows(self, query: Any, values: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        """Rows of the city's database, as the role `app` with the whole city in sight."""
        with db.connect(self.settings.app_dsn) as conn, db.scoped(conn, db.CITY):
            return conn.execute(query, values).fetchall()

    def school_of(self, index: int) -> dict[str, Any]:
        found = self.rows(
            "select s.school_id, s.name_zh, s.name_en, s.code, s.district_code"
            " from school s join device d using (school_id) where d.code = %s",
            (self.modules[index]["code"],),
        )
        return found[0]


def _own_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _panic_modules(database: Database, modules: list[dict[str, Any]]) -> None:
    """Poll the modules often, so that a test does not wait for them."""
    with psycopg.connect(database.owner_dsn, autocommit=True) as conn:
        conn.execute("update device set poll_ms = %s where kind = 'module'", (POLL_MS,))
        up = conn.execute("select count(*) from device where kind = 'module' and is_enabled").fetchone()
    assert up is not None
    assert up[0] >= len(modules) // 2


@pytest.fixture(scope="package")
def plant(settings: Settings, servers: embedded.Servers, _small_template: Database) -> Iterator[Plant]:
    with ExitStack() as stack:
        copy = stack.enter_context(city._copied(settings, _small_template))
        own = replace(copy.settings, port=_own_port(), demo_quiet=True)
        client = redis_client.Redis.from_url(own.redis)
        client.flushall()
        client.close()
        modules = json.loads(demo.modules_file(own.data_dir).read_text(encoding="utf-8"))
        _panic_modules(copy, modules)
        running = Plant(own, modules)
        ending = threading.Event()
        player = threading.Thread(target=demo.serve, args=(own, modules, ending), name="modules")
        player.start()
        stack.callback(shutil.rmtree, own.run_dir, ignore_errors=True)
        stack.callback(player.join, 10)
        stack.callback(ending.set)
        stack.callback(running.stop)
        for role in ("web", "ingest", "devices"):
            running.start(role)
        running.wait_web()
        known = tuple(module["code"] for module in modules)

        def all_up() -> bool:
            running.check_alive()
            states = running.rows("select state, count(*) as n from device where code = any(%s) group by 1", (list(known),))
            return {row["state"] for row in states} == {"up"}

        wait_until(all_up, READY_S, "every module of the city answers")
        yield running


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, "--autoplay-policy=no-user-gesture-required"])
        yield browser
        browser.close()


@dataclass(slots=True)
class Seen:
    """What a page asked for and complained about."""

    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture
def people(plant: Plant, chromium: Browser) -> Iterator[Callable[..., Page]]:
    """people(login, lang, size) gives a logged-in page on the wall; `page.seen` has its requests and console errors."""
    contexts = []

    def enter(login: str = "commander", *, lang: str = "zh", size: tuple[int, int] = (1920, 1080), path: str = "") -> Page:
        context = chromium.new_context(viewport={"width": size[0], "height": size[1]})
        contexts.append(context)
        page = context.new_page()
        seen = Seen()
        page.seen = seen  # type: ignore[attr-defined]
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("console", lambda message: seen.errors.append(f"{message.text} {message.location}") if message.type == "error" else None)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.goto(f"{plant.url}/login?lang={lang}" + (f"&next={path}" if path else ""))
        page.get_by_test_id("login-user").fill(login)
        page.get_by_test_id("login-password").fill(city.PASSWORD)
        page.get_by_test_id("login-submit").click()
        if not path:
            page.wait_for_selector('#wall[data-ready="1"]', timeout=READY_S * 1000)
            page.wait_for_selector('[data-testid="live-state"][data-state="open"]', timeout=READY_S * 1000)
        return page

    yield enter
    for context in contexts:
        context.close()


@pytest.fixture(autouse=True)
def _calm(plant: Plant) -> Iterator[None]:
    """Every test begins with all roles up and ends without open alarms and candidates: one must not be in the way of the next."""
    if plant.processes["web"].poll() is not None:
        plant.start("web")
        plant.wait_web()
    yield
    with psycopg.connect(plant.settings.owner_url, autocommit=True) as conn:
        conn.execute("update alarm set state = 'closed', closed_at = now(), cause = 'test' where state <> 'closed'")
        conn.execute("update candidate set state = 'expired', sealed_picture = null where state in ('open', 'unsure')")
