"""The commanders' map wall.

Alarms, ages and pictures come by the live stream and are written by mapapp/assets/wall_*.js; Dash
callbacks answer what a person asks for: a search, a school's card.
"""

from __future__ import annotations

import json
from typing import Any

from dash import Input, Output, html
from dash.development.base_component import Component

from data.core import clock
from data.rooms import place, wall
from mapapp import guard, registry
from mapapp.services import Visit
from mapapp.views import school_card, wall_bar, wall_map, wall_panels
from mapapp.views.words import word

PATH = "/wall"
FOUND = 12  # lines of a search; more are a reason to type on
SHENZHEN = (113.75, 22.40, 114.63, 22.87)  # west, south, east, north in degrees: an empty city has to begin somewhere
MARGIN_DEG = 0.004  # so that a single school is a place, not a point


def _bounds(visit: Visit) -> list[list[float]]:
    with visit.transaction() as conn:
        west, south, east, north = wall.extent(conn) or SHENZHEN
    return [[south - MARGIN_DEG, west - MARGIN_DEG], [north + MARGIN_DEG, east + MARGIN_DEG]]


def _boot(visit: Visit, bounds: list[list[float]]) -> Component:
    """Who looks, for the browser: it draws no control this person may not use; the server refuses it anyway."""
    person = visit.person
    said = {"person": {"login": person.login, "role": person.role}, "permissions": sorted(person.permissions), "bounds": bounds}
    return html.Div(json.dumps(said), id="wall-boot", hidden=True)


def layout() -> Component:
    """The page, for whoever asks."""
    visit = guard.visit()
    person = visit.person
    bounds, has_alarms = _bounds(visit), person.may("alarm.view")
    others = [
        (page.path, page.title_key)
        for page in sorted(registry.PAGES.values(), key=lambda page: page.order)
        if page.path != PATH and person.may(page.requires)
    ]
    return html.Div(
        [
            _boot(visit, bounds),
            wall_map.wall_map(bounds),
            wall_bar.bar(visit.services.settings, person, others),
            wall_bar.warnings(),
            wall_panels.finder() if person.may("place.view") else None,
            wall_panels.queue() if has_alarms else None,
            wall_panels.legend(),
            wall_panels.detail(),
            wall_panels.strip() if has_alarms else None,
            wall_panels.overlays(),
        ],
        id="wall",
        className="wall" if has_alarms else "wall has-no-alarms",
    )


@registry.callback(
    Output("wall-results", "children"),
    Input("wall-search", "value"),
    Input("wall-search-lang", "data"),
    requires="place.view",
    prevent_initial_call=True,
)
def search(query: str | None, _lang: str | None) -> list[Component]:
    """Schools whose name (either language), pinyin or code fits what was typed."""
    text = (query or "").strip()
    if not text:
        return []
    with guard.visit().transaction() as conn:
        return school_card.results(place.search(conn, text, limit=FOUND), text)


@registry.callback(Output("wall-card-body", "children"), Input("wall-school", "data"), requires="place.view", prevent_initial_call=True)
def show_school(asked: dict[str, Any] | None) -> list[Component]:
    """The card of the school that was chosen in the search or on the map."""
    school_id = (asked or {}).get("school_id")
    if not isinstance(school_id, int):
        return []
    with guard.visit().transaction() as conn:
        row = wall.school_card(conn, school_id)
        if row is None:
            return [word("error.not_there", html.Div, className="none")]
        return school_card.card(row, wall.school_weeks(conn, school_id, clock.now().date()))


registry.page(PATH, requires="wall.view", layout=layout, title_key="wall.title", order=10)
