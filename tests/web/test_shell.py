"""Dash behind the guard, in Debian's chromium: the framework's traps, each with the test that holds it shut."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, sync_playwright

from data.core import outbox
from tests import builders

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LISTEN = """() => {
  window.got = [];
  window.said = [];
  campus.live.on("unit.changed", (body) => window.got.push(body.n));
  campus.live.on("state", (one) => window.said.push(one.state));
}"""
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Chromium) -> Iterator[Page]:
    """A page of a fresh browser; what it complained about and what it asked for is in `.said` and `.asked`."""
    context = chromium.new_context(viewport={"width": 1600, "height": 900}, locale="zh-CN")
    opened = context.new_page()
    opened.said, opened.asked = [], []
    opened.on("console", lambda message: opened.said.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: opened.said.append(str(error)))
    opened.on("request", lambda request: opened.asked.append(request.url))
    yield opened
    context.close()


def log_in(page: Page, url: str, login: str, path: str = "/") -> None:
    page.goto(url + path)
    page.get_by_test_id("login-user").fill(login)
    page.get_by_test_id("login-password").fill(builders.PASSWORD)
    page.get_by_test_id("login-submit").click()


def test_a_deep_link_as_the_first_request_of_a_process_shows_the_page(page, running, rows):
    log_in(page, running.url, builders.make_account(rows, "admin", is_city=True)["login"], "/admin")
    page.wait_for_url("**/admin")
    page.get_by_test_id("admin").wait_for(timeout=10_000)
    assert page.said == []


def test_nothing_is_asked_of_another_host_and_the_policy_is_never_broken(page, running, rows):
    builders.make_school(rows)
    log_in(page, running.url, builders.make_account(rows, "commander", is_city=True)["login"])
    page.get_by_test_id("live-state").wait_for(timeout=10_000)
    page.wait_for_function("() => window.campus && window.campus.live && window.campus.live.state() === 'open'")
    assert {url.split("/")[2] for url in page.asked if not url.startswith(("data:", "blob:"))} == {running.url.split("/")[2]}
    assert page.said == []


def test_the_title_and_the_language_are_in_the_first_html(page, running, rows):
    log_in(page, running.url, builders.make_account(rows, "admin", is_city=True, lang="en")["login"], "/admin")
    page.wait_for_url("**/admin")
    assert page.title() == "System status"
    assert page.locator("html").get_attribute("lang") == "en"


def test_logging_out_elsewhere_leads_every_open_page_to_the_login(page, running, rows, visitor):
    login = builders.make_account(rows, "commander", is_city=True)["login"]
    log_in(page, running.url, login)
    page.wait_for_function("() => window.campus && window.campus.live && window.campus.live.state() === 'open'")
    cookie = next(one["value"] for one in page.context.cookies() if one["name"] == "campus_session")
    token = next(one["value"] for one in page.context.cookies() if one["name"] == "_csrf_token")
    other = visitor(running.url)
    other.client.cookies.set("campus_session", cookie)
    other.csrf_token = token
    assert other.post("/logout").status_code == 303
    page.wait_for_url("**/login**", timeout=5000)


def test_a_page_outlives_the_web_process_and_misses_nothing(page, start, database, rows, redis):
    login = builders.make_account(rows, "commander", is_city=True)["login"]
    first = start(database.settings)
    log_in(page, first.url, login)
    page.wait_for_function("() => window.campus && window.campus.live && window.campus.live.lastSeq !== null")
    page.evaluate(LISTEN)
    _tell(rows, range(5))
    page.wait_for_function("() => window.got.length === 5")
    first.server.should_exit = True
    page.wait_for_function("() => window.said.includes('connecting')")
    _tell(rows, range(5, 25))
    start(database.settings, port=int(first.url.rpartition(":")[2]))
    page.wait_for_function("() => window.got.length === 25 && campus.live.state() === 'open'", timeout=20_000)
    assert page.evaluate("() => window.got") == list(range(25))


def _tell(rows, numbers: range) -> None:
    for number in numbers:
        with rows.transaction():
            outbox.put(rows, "unit.changed", "unit.view", {"n": number, "unit_id": 1})


def test_a_page_whose_connection_hangs_makes_a_new_one(page, running, rows):
    log_in(page, running.url, builders.make_account(rows, "commander", is_city=True)["login"])
    page.wait_for_function("() => window.campus && window.campus.live && window.campus.live.lastSeq !== null")
    page.evaluate("() => { window.said = []; campus.live.on('state', (one) => window.said.push(one.state)); campus.live.reconnect(); }")
    page.wait_for_function("() => window.said.includes('connecting') && campus.live.state() === 'open'", timeout=10_000)
