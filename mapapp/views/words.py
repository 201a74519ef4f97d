"""Pieces every panel is made of: text that the browser can say again in the other language, icons, buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dash import html
from dash.development.base_component import Component

from mapapp.text import t


def word(key: str, tag: Callable[..., Component] = html.Span, **props: Any) -> Component:
    """An element that shows `t(key)`; `data-t` lets the page switch language without a reload."""
    return tag(t(key), **{"data-t": key, **props})


def icon(name: str) -> Component:
    """A place that the browser fills with one of its own line icons (wall_core_dom.js)."""
    return html.Span(**{"data-icon": name, "aria-hidden": "true"})


def icon_button(element_id: str, icon_name: str, key: str, class_name: str = "icon-button") -> Component:
    """A button that is only an icon; its name is its title and what a screen reader says."""
    return html.Button(
        icon(icon_name),
        id=element_id,
        className=class_name,
        type="button",
        title=t(key),
        **{"aria-label": t(key), "data-t-title": key, "data-t-label": key},
    )
