"""A wall that was cut off comes back by itself, says so meanwhile, and has missed nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from devices import demo
from tests.browser.conftest import Plant, wait_until
from tests.browser.test_press import painted, press_and_see

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
People = Callable[..., Page]


def _stored(plant: Plant, index: int) -> int:
    """Presses of a module that are stored, without those of the city's history."""
    code = plant.modules[index]["code"]
    query = "select count(*) as n from event where kind = 'alarm.raised' and subject = %s and stored_at > now() - interval '10 minutes'"
    return plant.rows(query, (code,))[0]["n"]


def test_web_killed_and_started_again_misses_nothing(plant: Plant, people: People):
    page = people()
    press_and_see(plant, page, 10)
    old_pid = plant.kill("web")
    lost = page.get_by_test_id("connection-lost")
    lost.wait_for(state="visible", timeout=15_000)
    assert any(letter.isdigit() for letter in lost.inner_text())  # how old the data is
    for index in (11, 12, 13):
        plant.press(index)
    for index in (11, 12, 13):
        wait_until(lambda i=index: _stored(plant, i) == 1, 10, "ingest stores without the web")
    assert plant.start("web") != old_pid
    plant.wait_web()
    page.wait_for_selector('[data-testid="live-state"][data-state="open"]', timeout=20_000)
    wait_until(lambda: page.get_by_test_id("alarm-row").count() == 4, 10, "all four alarms are on the wall")
    lost.wait_for(state="hidden")
    assert page.url.endswith("/wall")  # still logged in, nobody touched it
    presses = [(one["alarm_id"], one["press"]) for one in page.evaluate("() => campus.painted")]
    assert len(presses) == len(set(presses)) == 4


def test_a_cut_line_resumes_after_the_last_message(plant: Plant, people: People):
    page = people()
    press_and_see(plant, page, 14)
    page.context.set_offline(True)
    page.evaluate("() => campus.live.reconnect()")
    page.get_by_test_id("connection-lost").wait_for(state="visible", timeout=15_000)
    for number in (1, 2, 3):
        plant.press(15)
        wait_until(lambda n=number: _stored(plant, 15) == n, 10, "the press is stored")
        time.sleep(2 * demo.HOLD_S)  # the contact has to open before it can close again
    page.context.set_offline(False)
    page.wait_for_selector('[data-testid="live-state"][data-state="open"]', timeout=20_000)
    wait_until(lambda: len(painted(page)) == 4, 10, "each of the three presses is painted")
    assert [one["press"] for one in painted(page)] == [1, 1, 2, 3]


def test_a_role_that_is_down_is_said(plant: Plant, people: People):
    page = people()
    page.evaluate(
        "() => campus.state.apply.tick({...campus.state.tick(), now: new Date().toISOString(), roles: [{role: 'devices', up: false}]})"
    )
    page.wait_for_selector("#wall-warnings .warning-critical")
    assert page.locator("#wall-warnings .warning-critical").count() == 1
