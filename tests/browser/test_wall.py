"""The wall itself: whose alarms it shows, in which language, by which keys, with which sound, on which screen."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from mapapp import registry
from tests import city
from tests.browser.conftest import CHROMIUM, FLAGS, READY_S, Plant, wait_until
from tests.browser.test_press import DEADLINE_S, painted, press_and_see, row_of

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
People = Callable[..., Page]


def test_no_request_leaves_the_machine_and_no_page_complains(plant: Plant, people: People):
    page = people()
    press_and_see(plant, page, 20)
    page.wait_for_selector("#detail-steps .step")
    page.keyboard.press("j")
    page.keyboard.press("l")
    page.get_by_test_id("search").fill("1")
    page.wait_for_selector(".result")
    page.keyboard.press("Enter")
    page.wait_for_selector(".card-title")
    page.locator(".card-chart .js-plotly-plot, #wall-card-body .none").first.wait_for()
    for path in sorted(path for path, one in registry.PAGES.items() if path != "/wall" and one.requires != "public"):
        page.goto(plant.url + path)
        page.wait_for_load_state("networkidle")
    seen = page.seen  # type: ignore[attr-defined]
    assert {urlsplit(url).hostname for url in seen.requests if not url.startswith(("data:", "blob:"))} == {"127.0.0.1"}
    assert seen.errors == []


def test_a_district_user_never_sees_another_districts_alarm(plant: Plant, people: People):
    district = plant.rows("select district_codes from account where login = 'district-leader'")[0]["district_codes"]
    schools = [plant.school_of(index) for index in range(len(plant.modules))]
    inside = next(index for index, school in enumerate(schools) if school["district_code"] in district)
    outside = next(index for index, school in enumerate(schools) if school["district_code"] not in district)
    leader, commander = people("district-leader"), people("commander")
    plant.press(outside)
    wait_until(lambda: painted(commander), DEADLINE_S, "the commander sees it")
    mine = press_and_see(plant, leader, inside)
    row_of(leader, mine["alarm_id"]).wait_for()
    assert leader.get_by_test_id("alarm-row").count() == 1
    assert [one["alarm_id"] for one in leader.evaluate("() => campus.painted")] == [mine["alarm_id"]]
    other = next(one["alarm_id"] for one in painted(commander) if one["alarm_id"] != mine["alarm_id"])
    assert leader.evaluate("async (id) => (await fetch('/api/v1/alarms/' + id)).status", other) == 404
    assert leader.evaluate("async (id) => (await fetch('/api/v1/alarms/' + id)).status", mine["alarm_id"]) == 200
    # A leader looks; what may not be done is not drawn.
    assert leader.get_by_test_id("ack").count() == 0


def test_the_language_switches_without_losing_anything(plant: Plant, people: People):
    page = people(lang="zh")
    seen = press_and_see(plant, page, 21)
    page.wait_for_selector("#detail-steps .step")
    page.evaluate("() => { campus.map.setView([22.6, 114.0], 13, {animate: false}); window.__kept = 1; }")
    row = row_of(page, seen["alarm_id"])
    assert "一键报警" in row.inner_text()
    with page.expect_response("**/api/v1/lang"):
        page.get_by_test_id("lang-switch").click()
    page.wait_for_function("() => document.documentElement.lang === 'en'")
    wait_until(lambda: "Panic button" in row.inner_text(), 5, "the row speaks English")
    assert "Acknowledge" in page.get_by_test_id("ack").inner_text()
    assert page.evaluate("() => [window.__kept, campus.map.getZoom(), campus.state.selected().id]") == [1, 13, seen["alarm_id"]]
    page.reload()
    page.wait_for_selector('#wall[data-ready="1"]', timeout=READY_S * 1000)
    assert page.evaluate("() => document.documentElement.lang") == "en"


def test_no_chinese_is_left_on_the_english_wall(plant: Plant, people: People):
    page = people(lang="en")
    press_and_see(plant, page, 22)
    page.wait_for_selector("#detail-steps .step")
    # The demo's contacts have one name only; the switch names the other language.
    left = page.evaluate(
        """() => { const named = '#detail-people, [data-testid="lang-switch"], .leaflet-pane';
                   for (const node of document.querySelectorAll(named)) node.remove();
                   return document.body.innerText.match(/[\\u4e00-\\u9fff]+/g) || []; }"""
    )
    assert left == []


def test_every_act_has_a_key(plant: Plant, people: People):
    page = people()
    alarms = [press_and_see(plant, page, index)["alarm_id"] for index in (23, 24)]
    selected = lambda: page.evaluate("() => campus.state.selected() && campus.state.selected().id")  # noqa: E731
    page.wait_for_selector('[data-testid="ack"]')
    page.keyboard.press("Escape")
    assert selected() is None
    page.keyboard.press("ArrowDown")
    assert selected() == alarms[1]  # the latest press is on top
    page.keyboard.press("ArrowDown")
    assert selected() == alarms[0]
    page.keyboard.press("ArrowUp")
    assert selected() == alarms[1]
    page.keyboard.press("s")
    assert page.evaluate("() => document.activeElement.dataset.testid") == "search"
    page.keyboard.type("ac")  # keys of acts are letters here
    assert page.get_by_test_id("search").input_value() == "ac"
    assert row_of(page, alarms[1]).get_attribute("data-state") == "open"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_selector('[data-testid="help-dialog"][open]')
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.wait_for_selector(f'[data-alarm-id="{alarms[1]}"][data-state="acknowledged"]')


def test_sound_is_on_until_acknowledged_and_can_pause(plant: Plant, people: People):
    page = people()
    state = page.get_by_test_id("sound-state")
    wait_until(lambda: state.get_attribute("data-state") == "ready", 5, "sound may play")
    press_and_see(plant, page, 25)
    wait_until(lambda: state.get_attribute("data-state") == "sounding", 5, "it sounds")
    page.keyboard.press("m")
    wait_until(lambda: state.get_attribute("data-state") == "silenced", 5, "it pauses")
    press_and_see(plant, page, 26)  # a new press ends the pause
    wait_until(lambda: state.get_attribute("data-state") == "sounding", 5, "it sounds again")
    for _ in range(2):
        page.keyboard.press("ArrowDown")
        page.keyboard.press("a")
        page.wait_for_selector('[data-testid="alarm-row"][data-state="acknowledged"]')
    wait_until(
        lambda: page.evaluate("() => campus.state.open().length") == 0 or page.keyboard.press("ArrowUp") or page.keyboard.press("a"),
        5,
        "all acknowledged",
    )
    wait_until(lambda: state.get_attribute("data-state") == "ready", 5, "it is silent")


def test_blocked_sound_is_said_and_one_click_starts_duty(plant: Plant, chromium: Browser):
    browser = chromium.browser_type.launch(executable_path=CHROMIUM, args=[*FLAGS, "--autoplay-policy=document-user-activation-required"])
    try:
        context = browser.new_context()
        # Not through the page: a click or a key there would already allow it to play.
        answer = context.request.post(
            f"{plant.url}/login", form={"login": "commander", "password": city.PASSWORD}, headers={"Accept": "application/json"}
        )
        assert answer.ok
        page = context.new_page()
        # Playwright looks into a page with a user's rights, which would allow the sound: nothing is looked at before the wall stands.
        with page.expect_response(lambda response: "/api/v1/alarms/histogram" in response.url, timeout=READY_S * 1000):
            page.goto(f"{plant.url}/wall")
        page.get_by_test_id("sound-blocked").wait_for(state="visible")
        assert page.get_by_test_id("sound-state").get_attribute("data-state") == "blocked"
        page.get_by_test_id("sound-blocked").get_by_role("button").click()
        page.get_by_test_id("duty-check").click()
        page.wait_for_selector('[data-testid="duty-start"]', timeout=10_000)
        assert page.locator("#duty-dialog .check-good").count() >= 2  # the tone was measured, the stream is open
        page.get_by_test_id("duty-start").click()
        page.get_by_test_id("sound-blocked").wait_for(state="hidden")
        assert page.get_by_test_id("sound-state").get_attribute("data-state") == "ready"
    finally:
        browser.close()


def test_somebody_at_work_is_offered_the_jump_instead_of_being_taken_away(plant: Plant, people: People):
    page = people()
    first = press_and_see(plant, page, 27)
    page.wait_for_selector('[data-testid="ack"]')
    page.keyboard.press("a")
    page.wait_for_selector('[data-testid="close"]')
    second = press_and_see(plant, page, 28)
    page.get_by_test_id("jump").wait_for(state="visible")
    assert page.evaluate("() => campus.state.selected().id") == first["alarm_id"]
    page.keyboard.press("j")
    wait_until(lambda: page.evaluate("() => campus.state.selected().id") == second["alarm_id"], 5, "jumped")
    page.get_by_test_id("jump").wait_for(state="hidden")


def test_a_thousand_alarms_are_all_in_reach_with_few_rows_drawn(plant: Plant, people: People):
    page = people()
    page.evaluate(
        """() => { const now = Date.now(), apply = campus.state.apply['alarm.changed'];
             const priorities = ['critical', 'high', 'attention'];
             for (let i = 0; i < 1000; i++) {
               const at = new Date(now - i * 100).toISOString();
               apply({alarm_id: 9e6 + i, kind: 'panic', priority: priorities[i % 3], state: 'open', school_id: null, school_zh: 's' + i,
                 school_en: 's' + i, place_zh: '', place_en: '', lon: 114 + (i % 40) / 100, lat: 22.5 + i / 5000, presses: 1, press: 1,
                 event_at: at, first_at: at, raised_at: at, last_at: at, mode: 'live', demo: true}); } }"""
    )
    page.wait_for_selector('[data-alarm-id="9000000"]')
    assert page.get_by_test_id("alarm-row").count() < 40
    assert page.get_by_test_id("queue-more").is_visible()
    page.evaluate("() => { const list = document.getElementById('queue-list'); list.scrollTop = list.scrollHeight; }")
    page.wait_for_selector('[data-alarm-id="9000998"]')  # the last of the lowest priority


@pytest.mark.parametrize("login", ["grid-owner", "school", "assessor", "admin"])
def test_whoever_may_open_the_wall_sees_their_part_without_complaint(plant: Plant, people: People, login: str):
    page = people(login)
    page.wait_for_selector("#legend-short .legend-chip")
    assert (page.locator("#wall-queue").count() == 1) == page.evaluate("() => campus.me.may('alarm.view')")
    assert (page.get_by_test_id("kpi-devices").count() == 1) == page.evaluate("() => campus.me.may('device.view')")
    page.keyboard.press("l")
    wait_until(lambda: "English" not in page.get_by_test_id("lang-switch").inner_text(), 5, "the language switched")
    page.wait_for_load_state("networkidle")
    assert page.seen.errors == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [(3840, 2160), (1366, 768), (390, 844)], ids=["4k", "laptop", "phone"])
def test_nothing_sticks_out_of_the_screen(plant: Plant, people: People, size: tuple[int, int]):
    page = people(size=size)
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    clipped = page.evaluate(
        """() => [...document.querySelectorAll('.kpi, .bar-side > *, .brand, #wall-queue, .find-box')].filter((node) => {
             const { width, left, right } = node.getBoundingClientRect();
             return width && (right > window.innerWidth + 1 || left < -1); }).map((node) => node.className)"""
    )
    assert clipped == []
