"""A candidate on the wall: to be verified by a named person, shown to those who may, gone when it is answered."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page

from data.core import clock, seal, stream
from data.core.events import Event, Kind, encode, event_id_of
from tests.browser.conftest import Plant, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
People = Callable[..., Page]
_COUNT = itertools.count(1)


def propose(plant: Plant) -> int:
    """What a vision worker would say of the demo's drawn person, through the real stream; gives the candidate's id."""
    gate = plant.rows(
        "select c.code, g.threshold, x.model_sha256 from valid_gate g join camera c using (camera_id)"
        " join impact_assessment x on x.model_sha256 = g.model_sha256 order by c.camera_id limit 1"
    )[0]
    entry = plant.rows("select entry_id from register_entry where state = 'active' order by entry_id limit 1")[0]
    event_id = event_id_of("browser-test", next(_COUNT), clock.now().isoformat())
    picture = cv2.imencode(".jpg", np.full((64, 64, 3), 128, np.uint8))[1].tobytes()
    key = seal.new_key()
    wrapped = seal.seal(seal.derive(seal.master_key(plant.settings.master_key_file), "candidate picture"), key, event_id)
    event = Event(
        event_id=event_id,
        kind=Kind.CANDIDATE_FOUND,
        source="vision-test",
        subject=gate["code"],
        event_at=clock.now(),
        demo=True,
        data={
            "entry_id": entry["entry_id"],
            "score": 0.91,
            "threshold": gate["threshold"],
            "model_sha256": gate["model_sha256"],
            "expected_false_per_day": 0.02,
            "sealed_picture": base64.b64encode(wrapped + seal.seal(key, picture, event_id)).decode(),
        },
    )
    client = stream.connect(plant.settings.redis)
    stream.publish(client, encode(event), is_panic=False)
    client.close()
    found = wait_until(
        lambda: plant.rows("select candidate_id from candidate where event_id = %s", (event_id,)), 10, "the candidate is stored"
    )
    return found[0]["candidate_id"]


def test_a_candidate_is_shown_with_both_pictures_and_gone_after_a_no(plant: Plant, people: People):
    page, other = people("commander", lang="en"), people("dispatcher")
    candidate = propose(plant)
    row = page.locator(f'[data-testid="candidate-row"][data-candidate-id="{candidate}"]')
    row.wait_for(timeout=10_000)
    assert "to be verified" in row.inner_text()
    assert "DEMO" in row.inner_text()
    assert page.get_by_test_id("alarm-row").count() == 0  # a proposal, not an alarm
    row.click()
    detail = page.get_by_test_id("candidate-detail")
    detail.wait_for()
    text = detail.inner_text()
    for said in ("0.910", "0.550", "0.02", "until a person has answered"):
        assert said in text
    wait_until(
        lambda: page.evaluate("() => [...document.querySelectorAll('.face img')].filter((one) => one.naturalWidth > 0).length") == 2,
        10,
        "what was seen and the register's photo",
    )
    page.locator('[data-answer="no"]').click()
    for screen in (page, other):
        screen.locator(f'[data-testid="candidate-row"][data-candidate-id="{candidate}"]').wait_for(state="detached", timeout=10_000)
    stored = plant.rows("select state, sealed_picture from candidate where candidate_id = %s", (candidate,))[0]
    assert (stored["state"], stored["sealed_picture"]) == ("rejected", None)


def test_a_yes_becomes_an_alarm_on_every_wall(plant: Plant, people: People):
    page, other = people("commander"), people("dispatcher")
    candidate = propose(plant)
    page.locator(f'[data-testid="candidate-row"][data-candidate-id="{candidate}"]').click(timeout=10_000)
    page.locator('[data-answer="yes"]').click()
    for screen in (page, other):
        screen.locator('[data-testid="alarm-row"]').wait_for(timeout=10_000)
    kind = plant.rows("select kind from alarm where candidate_id = %s", (candidate,))[0]["kind"]
    assert kind == "candidate"


def test_somebody_without_the_permission_never_hears_of_it(plant: Plant, people: People):
    may, may_not = people("commander"), people("officer")
    candidate = propose(plant)
    may.locator(f'[data-testid="candidate-row"][data-candidate-id="{candidate}"]').wait_for(timeout=10_000)
    assert may_not.evaluate("() => campus.state.candidates.size") == 0
    assert may_not.evaluate("async (id) => (await fetch(`/api/v1/candidates/${id}/picture`)).status", candidate) == 404
