"""The wall's panels as empty frames; the browser fills them from the live stream (mapapp/assets/wall_*.js)."""

from __future__ import annotations

from dash import dcc, html
from dash.development.base_component import Component

from mapapp.text import t
from mapapp.views.words import icon, icon_button, word


def queue() -> Component:
    """The alarm queue with its order explained, what to see when it is empty, and how busy the last ten minutes were."""
    explain = html.Span(
        [
            html.Button(
                "?",
                className="explain-mark",
                type="button",
                **{"aria-label": t("wall.queue.order_title"), "data-t-label": "wall.queue.order_title"},
            ),
            word("wall.queue.order", className="explain-text", role="tooltip"),
        ],
        className="explain",
    )
    head = html.Div(
        [word("wall.queue.title", html.H2), explain, html.Div(id="queue-counts", className="queue-counts")], className="queue-head"
    )
    listing = html.Div(
        id="queue-list",
        className="queue-list",
        role="listbox",
        tabIndex=0,
        **{"data-testid": "alarm-queue", "aria-label": t("wall.queue.title"), "data-t-label": "wall.queue.title"},
    )
    body = html.Div(
        [
            listing,
            html.Button(id="queue-above", className="queue-edge", type="button", hidden=True),
            html.Button(id="queue-more", className="queue-edge", type="button", hidden=True, **{"data-testid": "queue-more"}),
            html.Div(id="queue-empty", className="queue-empty", hidden=True, **{"data-testid": "queue-empty"}),
        ],
        className="queue-body",
    )
    meter = html.Div(
        [
            html.Div([word("wall.queue.recent"), html.Span("0", className="meter-value")], className="meter-line"),
            html.Div(html.Div(className="meter-fill"), className="meter-track"),
        ],
        id="queue-meter",
        className="meter",
        title=t("wall.queue.recent_means"),
        **{"data-t-title": "wall.queue.recent_means"},
    )
    return html.Aside([head, body, meter], id="wall-queue", className="panel wall-queue")


def detail() -> Component:
    """The selected alarm or candidate."""
    return html.Section(
        id="wall-detail",
        className="panel wall-detail",
        hidden=True,
        **{"data-testid": "alarm-detail", "aria-label": t("detail.title"), "data-t-label": "detail.title"},
    )


def strip() -> Component:
    """The last 24 hours of alarms."""
    head = html.Div([word("history.title", html.H3), html.Span(id="history-sum")], className="strip-head")
    plot = html.Div(
        [html.Div(id="history-bars", className="strip-bars"), html.Div(id="history-tip", className="strip-tip", hidden=True)],
        className="strip-plot",
    )
    return html.Section(
        [head, plot, html.Div(id="history-hours", className="strip-hours")],
        className="panel wall-strip",
        id="wall-strip",
        **{"data-testid": "history"},
    )


def legend() -> Component:
    """Legend, layer switch and the map's buttons."""
    zoom = html.Div(
        [
            icon_button("legend-toggle", "layers", "legend.open", ""),
            icon_button("zoom-home", "home", "wall.whole_city", ""),
            icon_button("zoom-out", "minus", "wall.zoom_out", ""),
            icon_button("zoom-in", "plus", "wall.zoom_in", ""),
        ],
        className="zoom",
    )
    return html.Div(
        [
            html.Div(id="legend-full", className="legend-full", hidden=True, **{"data-testid": "layers"}),
            html.Div([html.Div(id="legend-short", className="legend-short"), zoom], className="legend-bar"),
        ],
        id="wall-legend",
        className="wall-legend",
    )


def finder() -> Component:
    """School search and, under it, the card of the school that was chosen."""
    field = dcc.Input(id="wall-search", type="text", debounce=0.15, autoComplete="off", placeholder=t("wall.search"), maxLength=64)
    return html.Div(
        [
            html.Label([icon("search"), field, html.Kbd("S")], className="find-box"),
            html.Div(id="wall-results", className="results", role="listbox", hidden=True, **{"data-testid": "search-results"}),
            html.Div(
                [icon_button("wall-card-close", "close", "wall.close"), html.Div(id="wall-card-body")],
                id="wall-card",
                className="wall-card",
                hidden=True,
                **{"data-testid": "school-card"},
            ),
            dcc.Store(id="wall-school"),
            dcc.Store(id="wall-search-lang"),
        ],
        className="wall-find",
    )


def overlays() -> Component:
    """Dialogs, messages, and what a screen reader is told."""
    return html.Div(
        [
            html.Dialog(id="close-dialog", **{"data-testid": "close-dialog"}),
            html.Dialog(id="duty-dialog", **{"data-testid": "duty-dialog"}),
            html.Dialog(id="help-dialog", **{"data-testid": "help-dialog"}),
            html.Div(id="wall-toasts", className="toasts"),
            html.Div(id="wall-say", className="spoken", role="alert", **{"aria-live": "assertive"}),
        ]
    )
