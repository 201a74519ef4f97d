"""Search results and the card of one school."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import dash_mantine_components as dmc
import plotly.graph_objects as go
from dash import dcc, html
from dash.development.base_component import Component

from data.core import clock
from data.core.db import Row
from mapapp.text import lang, t
from mapapp.views.words import word

FEW = 4  # up to here every whole number has its line
PHONE_KEPT = (3, 4)  # digits shown at both ends: a wall is read by many


def name_of(row: Row, stem: str) -> str:
    """The name in the language of the request, the other one where it is missing."""
    first, second = (f"{stem}_zh", f"{stem}_en") if lang() == "zh" else (f"{stem}_en", f"{stem}_zh")
    return str(row.get(first) or row.get(second) or "")


def masked(phone: str) -> str:
    """A phone number with its middle hidden; short ones are internal extensions and stay."""
    head, tail = PHONE_KEPT
    return phone if len(phone) < head + tail or "*" in phone else f"{phone[:head]}****{phone[-tail:]}"


def result(row: Row) -> Component:
    """One line of the search; the browser flies there when it is chosen (wall_view_school.js)."""
    sub = " · ".join(
        part for part in (name_of(row, "district"), name_of(row, "street"), t(f"school.kind.{row['kind']}"), str(row["code"])) if part
    )
    return html.Button(
        [html.Strong(name_of(row, "name")), html.Span(sub, className="sub")],
        id=f"result-{row['school_id']}",
        className="result",
        type="button",
        role="option",
        **{"data-school-id": str(row["school_id"]), "data-lon": f"{row['lon']:.6f}", "data-lat": f"{row['lat']:.6f}"},
    )


def results(rows: list[Row], query: str) -> list[Component]:
    """The lines of a search, or what to try instead."""
    if not query.strip():
        return []
    if not rows:
        return [word("wall.search_none", html.Div, className="result-none")]
    return [result(row) for row in rows]


def _fact(key: str, value: str, sub: str = "") -> Component:
    return html.Div([word(key, html.Dt), html.Dd([value, html.Span(f" {sub}", className="sub") if sub else None])])


def _aged(moment: datetime | None) -> Any:
    if moment is None:
        return t("wall.age.never")
    return html.Span("", **{"data-age-of": clock.iso(moment)})


def card(row: Row, weeks: list[dict[str, Any]]) -> list[Component]:
    """The card of one school: what it is, whom to call, what is up, how many alarms and hazards it had."""
    where = " · ".join(part for part in (name_of(row, "district"), name_of(row, "street"), row["address"]) if part)
    badges = [
        dmc.Badge(t(f"school.kind.{row['kind']}"), variant="light", color="blue"),
        dmc.Badge(t(f"school.ownership.{row['ownership']}"), variant="light", color="gray"),
    ]
    if row["demo"]:
        badges.append(dmc.Badge(t("alarm.demo"), variant="outline", color="gray"))
    if row["open_alarms"]:
        badges.append(dmc.Badge(t("school.open_alarms", n=row["open_alarms"]), variant="filled", color="red"))
    facts = [
        _fact("school.devices", f"{row['devices_up']} / {row['devices']}"),
        _fact(
            "school.cameras",
            f"{row['cameras_ok']} / {row['cameras']}",
            t("school.cameras_unknown", n=row["cameras_unknown"]) if row["cameras_unknown"] else "",
        ),
        _fact("school.pupils", f"{row['pupils']:,}", t("school.boarders", n=row["boarders"]) if row["boarders"] else ""),
        _fact("school.cells", str(row["cells"])),
        html.Div([word("school.last_alarm", html.Dt), html.Dd(_aged(row["last_alarm_at"]))]),
        html.Div([word("school.last_proof", html.Dt), html.Dd(_aged(row["last_proof_at"]))]),
        html.Div(
            [
                word("school.contact", html.Dt),
                html.Dd([row["contact_name"] or "–", html.Div(masked(row["contact_phone"]), className="sub tabular")]),
            ]
        ),
        _fact("school.code", row["code"]),
    ]
    return [
        html.Div(name_of(row, "name"), className="card-title"),
        html.Div(where, className="sub"),
        dmc.Group(badges, gap=6, mt=8),
        html.Dl(facts, className="card-facts"),
        word("school.trend", html.Div, className="sub"),
        _chart(weeks) if weeks else word("school.no_trend", html.Div, className="none"),
        html.Div([word("wall.data_age"), " ", _aged(row["read_at"])], className="card-age"),
    ]


def _chart(weeks: list[dict[str, Any]]) -> Component:
    most = max(max(row["alarms"], row["hazards"]) for row in weeks)
    figure = go.Figure(
        layout={
            "template": "plotly_dark",
            "barmode": "group",
            "margin": {"l": 24, "r": 6, "t": 6, "b": 22},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "Inter, Noto Sans SC, sans-serif", "size": 11, "color": "#8aa0bf"},
            "legend": {"orientation": "h", "x": 0, "y": 1.22},
            "xaxis": {"tickformat": "%m-%d", "nticks": 5, "showgrid": False, "fixedrange": True},
            "yaxis": {
                "gridcolor": "#22324f",
                "rangemode": "tozero",
                **({"dtick": 1} if most <= FEW else {"nticks": 4}),
                "fixedrange": True,
                "tickformat": "d",
            },
            "bargap": 0.25,
        }
    )
    days = [row["week"].isoformat() for row in weeks]
    figure.add_bar(
        x=days,
        y=[row["alarms"] for row in weeks],
        name=t("school.alarms"),
        marker={"color": "#ff8a3d", "pattern": {"shape": "/", "fgcolor": "#0f182a", "size": 4}},
    )
    figure.add_bar(x=days, y=[row["hazards"] for row in weeks], name=t("school.hazards"), marker={"color": "#38bdf8"})
    return dcc.Graph(figure=figure, className="card-chart", style={"height": "8.5rem"}, config={"displayModeBar": False}, responsive=True)
