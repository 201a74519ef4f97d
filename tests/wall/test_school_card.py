"""The card of a school and the lines of a search, as components."""

from __future__ import annotations

import json

import pytest
from dash.development.base_component import Component

from mapapp import text
from mapapp.views import school_card


def said(parts: list[Component]) -> str:
    return json.dumps([part.to_plotly_json() for part in parts], default=lambda one: one.to_plotly_json(), ensure_ascii=False)


FOUND = {
    "school_id": 7,
    "code": "K7",
    "name_zh": "甲小学",
    "name_en": "School A",
    "kind": "primary",
    "district_zh": "乙区",
    "district_en": "District B",
    "lon": 114.05,
    "lat": 22.55,
}


@pytest.mark.parametrize(("phone", "shown"), [("00012345678", "000****5678"), ("8001", "8001"), ("", ""), ("000****1234", "000****1234")])
def test_a_number_on_a_wall_hides_its_middle(phone, shown):
    assert school_card.masked(phone) == shown


@pytest.mark.parametrize(("lang", "name"), [("zh", "甲小学"), ("en", "School A")])
def test_a_result_says_the_name_in_the_language_of_the_request_and_where_to_fly(lang, name):
    with text.speaking(lang):
        found = said(school_card.results([FOUND], "a"))
    assert name in found
    assert '"data-lon": "114.050000"' in found


def test_nothing_found_says_what_to_try_and_nothing_typed_says_nothing():
    assert school_card.results([], "  ") == []
    assert "wall.search_none" in said(school_card.results([], "zzz"))
