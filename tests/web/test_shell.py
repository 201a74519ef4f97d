"""Dash behind the guard, in Debian's chromium: the framework's traps, each with the test that holds it shut."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, sync_playwright

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
