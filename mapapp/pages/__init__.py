"""Every page, by name; what is not imported here is not there. The shell around them and the callback that shows one."""

from __future__ import annotations

import inspect
import secrets
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import anyio.to_thread
import dash_mantine_components as dmc
from dash import Dash, Input, Output, dcc, html
from dash.development.base_component import Component

from mapapp import registry
from mapapp.pages import admin, wall  # noqa: F401  they register themselves
from mapapp.text import t

LOCATION, PLACE, PROBLEM = "campus-location", "campus-page", "campus-problem"
ROUTER = f"{PLACE}.children"


def shell() -> Component:
    """What every page stands in. Made without a request too, when the app starts."""
    return html.Div(
        [
            dcc.Location(id=LOCATION, refresh="callback-nav"),
            html.Div(id=PROBLEM, role="alert", **{"aria-live": "assertive"}),
            html.Div(id=PLACE),
        ]
    )


def trouble(key: str) -> Component:
    """What went wrong in a callback; it goes away by itself, the next one comes anew."""
    said = [html.Strong(t(f"error.{key}")), " ", t(f"error.{key}.next")]
    return html.Div(said, key=secrets.token_hex(4), className="campus-problem")


def show(page: registry.Page, query: str) -> Component:
    """The page with those parameters of the query it names, in its colours."""
    named = inspect.signature(page.layout).parameters
    given = {key: value for key, value in parse_qsl(query.lstrip("?")) if key in named}
    return dmc.MantineProvider(page.layout(**given), forceColorScheme=page.colours)


def route(app: Dash) -> None:
    """Add the callback that shows a page. The guard has looked up the path's permission; the layout runs in a thread.

    Dash's own pages would run it on the event loop, where it holds up every live stream.
    """

    @app.callback(Output(PLACE, "children"), Input(LOCATION, "pathname"), Input(LOCATION, "search"))
    async def show_page(pathname: str, search: str | None) -> Any:
        return await anyio.to_thread.run_sync(partial(show, registry.PAGES[pathname], search or ""))
