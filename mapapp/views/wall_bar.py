"""The bar on top of the wall and what must not be overlooked below it."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from data.core.access import Principal
from data.core.settings import Settings
from mapapp.text import lang, t
from mapapp.views.words import icon, icon_button, word

# name of the figure, how early it may leave a narrow screen (1 never), and whom it is for
KPIS = (
    ("schools", 1, "device.view"),
    ("open", 1, "alarm.view"),
    ("ack", 2, "alarm.view"),
    ("devices", 1, "device.view"),
    ("cameras", 2, "camera.view"),
    ("delay", 3, "wall.view"),
    ("age", 1, "wall.view"),
)


def kpi(name: str, rank: int) -> Component:
    """One figure of the bar; the browser writes its value."""
    return html.Div(
        [
            html.Div(
                [html.Span("–", className="kpi-value"), html.Span(className="kpi-sub"), html.Span(className="kpi-sub kpi-extra")],
                className="kpi-figure",
            ),
            word(f"wall.kpi.{name}", className="kpi-label"),
        ],
        className="kpi",
        title=t(f"wall.kpi.{name}.means"),
        **{"data-testid": f"kpi-{name}", "data-rank": str(rank), "data-level": "plain", "data-t-title": f"wall.kpi.{name}.means"},
    )


def bar(settings: Settings, person: Principal, other_pages: list[tuple[str, str]]) -> Component:
    """Status bar: whose city, its figures, the clock of the site, sound, language, who is logged in.

    Args:
        other_pages: (path, key of its title) of the pages this person may open besides the wall.
    """
    is_zh = lang() == "zh"
    brand = html.Div(
        [
            html.Span(icon("shield"), className="brand-mark"),
            html.Div(
                [
                    word("app.name", html.Strong),
                    html.Span(
                        settings.city_name_zh if is_zh else settings.city_name_en,
                        className="sub",
                        **_both(settings.city_name_zh, settings.city_name_en),
                    ),
                ]
            ),
        ],
        className="brand",
    )
    clock = html.Div(
        [html.Strong("--:--:--", id="wall-time"), html.Span([html.Span(id="wall-date"), _live()], className="sub bar-date")],
        className="bar-clock",
    )
    who = html.Div(
        [
            html.Strong(person.name_zh if is_zh else person.name_en, **_both(person.name_zh, person.name_en)),
            word(f"role.{person.role}", className="sub"),
        ],
        className="user",
    )
    sound = html.Button(
        [html.Span(className="sound-icon"), html.Span(className="sound-word wide")],
        id="sound-state",
        className="chip-button sound",
        type="button",
        **{"data-testid": "sound-state", "data-state": "blocked"},
    )
    language = html.Button(
        word("wall.other_lang"),
        className="chip-button",
        type="button",
        title=t("wall.switch_lang"),
        **{
            "data-testid": "lang-switch",
            "data-t-title": "wall.switch_lang",
            "aria-label": t("wall.switch_lang"),
            "data-t-label": "wall.switch_lang",
        },
    )
    links = [html.A(word(key), href=path, className="chip-button") for path, key in other_pages]
    side = html.Div(
        [
            clock,
            sound if person.may("alarm.view") else None,
            language,
            *links,
            icon_button("help-open", "help", "help.title"),
            who,
            icon_button("log-out", "leave", "wall.log_out"),
        ],
        className="bar-side",
    )
    return html.Header(
        [brand, html.Div([kpi(name, rank) for name, rank, requires in KPIS if person.may(requires)], className="kpis"), side],
        id="wall-bar",
        className="panel wall-bar",
    )


def _both(text_zh: str, text_en: str) -> dict[str, str]:
    return {"data-zh": text_zh, "data-en": text_en}


def _live() -> Component:
    return html.Span(
        word("wall.live.connecting", className="live-word"),
        className="live",
        role="status",
        **{"data-testid": "live-state", "data-state": "connecting"},
    )


def warnings() -> Component:
    """Lost connection, parts that are down, blocked sound, and the offer to jump to a new alarm; all hidden until needed."""
    lost = html.Div(
        [icon("warn"), html.Div([word("wall.lost.title", html.Strong), word("wall.lost.what")]), html.Span(className="lost-age tabular")],
        id="wall-lost",
        className="lost",
        role="alert",
        hidden=True,
        **{"data-testid": "connection-lost"},
    )
    blocked = html.Div(
        [icon("mute"), word("sound.blocked_warning"), html.Button(word("duty.open"), type="button")],
        id="sound-blocked",
        className="sound-blocked",
        role="status",
        hidden=True,
        **{"data-testid": "sound-blocked"},
    )
    jump = html.Button(id="wall-jump", className="jump", type="button", hidden=True, **{"data-testid": "jump"})
    return html.Div([lost, html.Ul(id="wall-warnings", className="warnings", role="status"), blocked, jump], className="wall-top")
