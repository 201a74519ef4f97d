"""Every door has a permission and a case, refuses strangers and those without it, and shows nobody another district.

A new route, page, callback or layer without a case in `doors.py` makes this fail.
"""

from __future__ import annotations

import math

import pytest
from starlette.routing import Mount

import layers
from data.core import access, session
from mapapp import guard, pages, registry, web
from tests import builders
from tests.contracts import doors
from tests.contracts.doors import CALLBACKS, CASES, Side
from tests.web.sse import Stream

ADDED_BY_DASH = {
    "/_reload-hash",
    "/_favicon.ico",
    "{path:path}",
    "/_dash-ws-callback",
    "/_dash-component-suites/{package_name}/{fingerprinted_path:path}",
}
CLOSED = ["/_reload-hash", "/_favicon.ico", "/_alive", "/docs", "/redoc", "/openapi.json", "/_mcp"]


@pytest.fixture
def city(rows) -> tuple[Side, Side]:
    """HERE and THERE."""
    return (
        doors.make_side(rows, doors.HERE_NAME, doors.HERE_DISTRICT, 114.06),
        doors.make_side(rows, doors.THERE_NAME, doors.THERE_DISTRICT, 113.90),
    )


def role_with(permission: str) -> str:
    return next(role for role, allowed in access.ROLES.items() if permission in allowed)


def role_without(permission: str) -> str:
    return next(role for role, allowed in access.ROLES.items() if permission not in allowed)


def needs(requires: str | registry.Per, path: str) -> str:
    return requires if isinstance(requires, str) else requires.table()[path.split("/")[2]]


def closed_doors() -> list[tuple[tuple[str, str], registry.Route]]:
    return [(key, route) for key, route in registry.ROUTES.items() if route.requires != access.PUBLIC]


def test_every_door_has_a_case_and_every_case_a_door():
    assert {key for key, _ in closed_doors()} == set(CASES)


def test_what_everybody_may_use_is_exactly_this():
    public = {f"{method} {path}" for (method, path), route in registry.ROUTES.items() if route.requires == access.PUBLIC}
    assert public == {
        "GET /login", "POST /login", "POST /logout", "GET /healthz", "GET /readyz", "GET /metrics", "GET /favicon.ico",
        "GET /assets/{path:path}", "GET /_dash-component-suites/{path:path}",
    }  # fmt: skip


def test_every_permission_a_door_asks_for_exists_and_somebody_has_it():
    asked = {route.requires for _, route in closed_doors() if isinstance(route.requires, str)}
    asked |= (
        {page.requires for page in registry.PAGES.values()} | set(registry.LAYERS.values()) | {one.requires for one in registry.CALLBACKS}
    )
    assert asked <= access.PERMISSIONS
    assert all(any(permission in allowed for allowed in access.ROLES.values()) for permission in asked)


def test_nothing_is_served_that_no_registry_names(running, browser, subtests):
    known = {path for _, path in registry.ROUTES} | set(registry.PAGES)
    served = {route.path for route in running.app.routes if not isinstance(route, Mount)}
    assert served - known <= ADDED_BY_DASH
    admin = browser("admin", is_city=True)
    for path in CLOSED:
        with subtests.test(path=path):
            assert admin.get(path).status_code == 404


def test_every_callback_is_registered_with_a_permission_and_has_a_case(running):
    server_side = {output for output, one in running.app.state.dash.callback_map.items() if "callback" in one}
    assert server_side == set(running.app.state.callbacks) | {pages.ROUTER}
    assert set(running.app.state.callbacks) == set(CALLBACKS)


def test_a_new_door_without_a_permission_cannot_be_made():
    with pytest.raises(TypeError):
        registry.route("GET", "/new")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        registry.callback()  # type: ignore[call-arg]


def _ask(person, method: str, case: doors.Case, side: Side):
    path = case.path.format(**side.ids())
    if path == "/live/sse":
        with Stream(person) as stream:
            found = stream.wait(lambda one: one.frames or one.status != 200)
            return stream.status, str(stream.frames) if found else ""
    if method == "GET":
        answer = person.get(path)
    else:
        answer = person.post(path, case.body(side) if case.body else {})
    return answer.status_code, answer.text


def test_a_stranger_gets_nothing_from_any_door(browser, city, subtests):
    stranger = browser()
    for (method, path), _ in closed_doors():
        with subtests.test(door=f"{method} {path}"):
            status, text = _ask(stranger, method, CASES[method, path], city[0])
            assert status in (401, 303)
            assert doors.HERE_NAME not in text


def test_without_the_permission_a_door_is_not_there(browser, city, subtests):
    people: dict[str, object] = {}
    for (method, path), route in closed_doors():
        permission = needs(route.requires, CASES[method, path].path)
        role = role_without(permission)
        person = people.setdefault(role, browser(role, is_city=True))
        with subtests.test(door=f"{method} {path}"):
            status, text = _ask(person, method, CASES[method, path], city[0])
            assert status == 404
            assert doors.HERE_NAME not in text


def test_with_the_permission_one_gets_what_is_in_the_scope_and_not_what_is_outside(browser, city, subtests):
    here, there = city
    people: dict[str, object] = {}
    for (method, path), route in closed_doors():
        case = CASES[method, path]
        role = role_with(needs(route.requires, case.path))
        person = people.setdefault(role, browser(role, districts=(doors.HERE_DISTRICT,)))
        with subtests.test(door=f"{method} {path}"):
            status, text = _ask(person, method, case, here)
            assert status in case.ok, text
            if case.hides:
                assert doors.THERE_NAME not in text
            elif case.is_one_thing:
                outside, hidden = _ask(person, method, case, there)
                assert outside == 404
                assert doors.THERE_NAME not in hidden
            else:
                assert case.because


def test_lists_are_not_empty_only_because_nothing_is_there(browser, city, subtests):
    for (method, path), route in closed_doors():
        case = CASES[method, path]
        if not case.hides or path == "/api/v1/alarms/histogram":
            continue
        person = browser(role_with(needs(route.requires, case.path)), is_city=True)
        with subtests.test(door=f"{method} {path}"):
            text = _ask(person, method, case, city[0])[1]
            assert doors.HERE_NAME in text
            assert doors.THERE_NAME in text


def test_a_recorder_outside_its_scope_is_told_that_the_camera_is_not_there(browser, city):
    here, there = city
    recorder = browser("recorder", districts=(doors.HERE_DISTRICT,))
    for side, unknown in ((here, []), (there, [there.camera["code"]])):
        answer = recorder.post("/api/v1/recorders/status", CASES["POST", "/api/v1/recorders/status"].body(side))
        assert answer.json()["unknown"] == unknown


def _somewhere(layer_id: str) -> str:
    """The rest of an address at which the layer has something to say: a tile in the city, or nothing for a whole layer."""
    zooms = layers.get(layer_id).tile_zooms
    if zooms is None:
        return ""
    side, lat = 2 ** zooms[0], math.radians(builders.LAT)
    x = int((builders.LON + 180) / 360 * side)
    y = int((1 - math.asinh(math.tan(lat)) / math.pi) / 2 * side)
    return f"/{zooms[0]}/{x}/{y}"


def test_a_layer_is_there_for_those_with_its_permission_only(browser, subtests):
    people: dict[str, object] = {}
    for layer_id, permission in registry.LAYERS.items():
        with subtests.test(layer=layer_id):
            without, having = role_without(permission), role_with(permission)
            for role, sees in ((without, False), (having, True)):
                person = people.setdefault(role, browser(role, is_city=True))
                status = person.get(f"/tiles/{layer_id}{_somewhere(layer_id)}").status_code
                assert status in ((200, 204) if sees else (404,))


def test_a_page_is_there_for_those_with_its_permission_only(browser, subtests):
    for path, page in registry.PAGES.items():
        with subtests.test(page=path):
            inputs = [
                {"id": pages.LOCATION, "property": "pathname", "value": path},
                {"id": pages.LOCATION, "property": "search", "value": ""},
            ]
            stranger = browser()
            assert stranger.get(path).status_code == 303
            assert stranger.callback(pages.ROUTER, inputs).status_code == 401
            without = browser(role_without(page.requires), is_city=True)
            assert without.get(path).status_code == 404
            assert without.callback(pages.ROUTER, inputs).status_code == 404
            having = browser(role_with(page.requires), is_city=True)
            assert having.get(path).status_code == 200
            assert having.callback(pages.ROUTER, inputs).status_code == 200


def test_no_page_names_another_district(browser, city, subtests):
    for path, page in registry.PAGES.items():
        with subtests.test(page=path):
            person = browser(role_with(page.requires), districts=(doors.HERE_DISTRICT,))
            inputs = [
                {"id": pages.LOCATION, "property": "pathname", "value": path},
                {"id": pages.LOCATION, "property": "search", "value": ""},
            ]
            for text in (person.get(path).text, person.callback(pages.ROUTER, inputs).text):
                assert doors.THERE_NAME not in text


def test_a_callback_answers_those_with_its_permission_about_their_own_part_only(running, browser, city, subtests):
    here, there = city
    for output, permission in running.app.state.callbacks.items():
        case = CALLBACKS[output]
        with subtests.test(callback=output):
            assert browser().callback(output, case.inputs(here)).status_code == 401
            assert browser(role_without(permission), is_city=True).callback(output, case.inputs(here)).status_code == 404
            person = browser(role_with(permission), districts=(doors.HERE_DISTRICT,))
            inside, outside = (person.callback(output, case.inputs(side)) for side in (here, there))
            assert inside.status_code in (200, 204)
            assert (doors.HERE_NAME in inside.text) is not bool(case.because)
            assert doors.THERE_NAME not in outside.text


def test_a_token_has_at_most_what_was_given_to_it(running, rows, visitor, database):
    account = builders.make_account(rows, "recorder", is_city=True)
    with database.connect() as conn:
        token = session.add_token(conn, account["login"], "recorder 1", ["device.report", "alarm.view"])
        conn.commit()
    machine = visitor(running.url)
    head = {"Authorization": f"Bearer {token}"}
    assert machine.client.post("/api/v1/recorders/status", json=[], headers=head).status_code == 200
    assert machine.client.get("/api/v1/alarms", headers=head).status_code == 404
    assert machine.client.post("/api/v1/recorders/status", json=[], headers={"Authorization": "Bearer wrong"}).status_code == 401
    rows.execute("update api_token set revoked_at = now()")
    assert machine.client.post("/api/v1/recorders/status", json=[], headers=head).status_code == 401


def test_the_guard_is_the_outermost_of_all(database):
    app = web.create_app(database.settings)
    try:
        assert isinstance(app.build_middleware_stack(), guard.Guard)
    finally:
        app.state.services.pool.close()
