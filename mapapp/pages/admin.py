"""System status: what is up, how late, what could not be read or placed, who did what."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from mapapp import registry
from mapapp.text import t


def layout() -> Component:
    """The page."""
    return html.Main([html.H1(t("admin.title"))], **{"data-testid": "admin"})


registry.page("/admin", requires="status.view", layout=layout, title_key="admin.title", order=90)
