"""System status: what is up, how late, what could not be read or placed, who did what."""

from __future__ import annotations

from typing import Any

from dash import ALL, Input, Output, ctx, dcc, html, no_update
from dash.development.base_component import Component

from data.core import db, feed
from data.ingest import handlers
from data.rooms import monitor
from mapapp import guard, registry
from mapapp.text import lang, t
from mapapp.views import status

PATH = "/admin"
REFRESH_MS = 10_000
AUDIT_PAGE = 100


def layout() -> Component:
    """The page: sections this person may not see are not there."""
    person = guard.visit().person
    other = "en" if lang() == "zh" else "zh"
    head = html.Header(
        [
            html.Div([html.A(t("app.name"), href="/", className="desk-brand"), html.H1(t("admin.title"))]),
            html.Div(
                [
                    html.Button(
                        t("login.other_lang"),
                        type="button",
                        className="desk-button",
                        **{"data-campus-lang": other, "data-testid": "lang-switch"},
                    ),
                    html.Form(html.Button(t("login.log_out"), type="submit", className="desk-button"), method="post", action="/logout"),
                ],
                className="desk-acts",
            ),
        ],
        className="desk-head",
    )
    sections = [_section("admin.parts", "admin.parts.means", html.Div(id="admin-status"))]
    if person.may("deadletter.view"):
        sections.append(_section("admin.dead", "admin.dead.means", html.P(id="admin-outcome", role="status"), html.Div(id="admin-dead")))
    if person.may("device.view") and person.scope.is_city:
        sections.append(_section("admin.unassigned", "admin.unassigned.means", html.Div(id="admin-unassigned")))
    if person.may("audit.view"):
        more = html.Button(t("admin.older"), id="admin-older", type="button", className="desk-button", n_clicks=0)
        sections.append(_section("admin.audit", "admin.audit.means", html.Div(id="admin-audit"), more))
    clock = dcc.Interval(id="admin-clock", interval=REFRESH_MS)
    return html.Main([head, *sections, clock], className="desk", **{"data-testid": "admin"})


def _section(key: str, means: str, *children: Component) -> Component:
    return html.Section([html.H2(t(key)), html.P(t(means), className="desk-means"), *children])


@registry.callback(Output("admin-status", "children"), Input("admin-clock", "n_intervals"), requires="status.view")
def show_status(_count: int | None) -> list[Component]:
    """Parts, workers, stream; read again every ten seconds."""
    visit = guard.visit()
    hub, zone = visit.services.hub, visit.services.settings.tz
    roles = hub.roles()
    with visit.transaction() as conn:
        found = monitor.workers(conn)
    is_redis_up = not any(role["role"] == "redis" and not role["up"] for role in roles)
    return [status.parts(roles), status.stream(hub.age_s, hub.count, is_redis_up=is_redis_up), status.workers(found, zone)]


@registry.callback(
    Output("admin-dead", "children"), Input("admin-clock", "n_intervals"), Input("admin-outcome", "children"), requires="deadletter.view"
)
def show_dead_letters(_count: int | None, _outcome: str | None) -> Component:
    """Dead letters, those that wait first."""
    visit = guard.visit()
    with visit.transaction() as conn:
        found = handlers.dead_letters(conn)
    return status.dead_letters(found, visit.services.settings.tz, may_replay=visit.person.may("deadletter.replay"))


@registry.callback(
    Output("admin-outcome", "children"),
    Input({"type": "admin-replay", "id": ALL}, "n_clicks"),
    requires="deadletter.replay",
    prevent_initial_call=True,
)
def replay(clicks: list[int | None]) -> Any:
    """Try one dead letter again and say what came of it."""
    asked = ctx.triggered_id
    if not any(clicks) or asked is None:
        return no_update
    visit = guard.visit()
    with visit.services.act(db.CITY) as conn:
        outcome = handlers.replay_dead_letter(conn, int(asked["id"]), visit.person)
    return t(f"admin.outcome.{outcome}", n=asked["id"])


@registry.callback(Output("admin-unassigned", "children"), Input("admin-clock", "n_intervals"), requires="device.view")
def show_unassigned(_count: int | None) -> Component:
    """Events nobody can place; only those who see the whole city can do something about them."""
    visit = guard.visit()
    found = []
    if visit.person.scope.is_city:
        with visit.transaction() as conn:
            found = handlers.unassigned_events(conn)
    return status.unassigned(found, visit.services.settings.tz)


@registry.callback(Output("admin-audit", "children"), Input("admin-older", "n_clicks"), requires="audit.view")
def show_audit(pages: int | None) -> Component:
    """The newest acts, a page more with each click."""
    visit = guard.visit()
    with visit.transaction() as conn:
        found = feed.audit_page(conn, limit=AUDIT_PAGE * ((pages or 0) + 1))
    return status.audit(found, visit.services.settings.tz)


registry.page(PATH, requires="status.view", layout=layout, title_key="admin.title", order=90)
