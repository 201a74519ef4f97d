"""Tables of the system status page: data in, components out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from dash import html
from dash.development.base_component import Component

from mapapp.text import lang, t

Row = dict[str, Any]


def moment(at: datetime | str | None, zone: ZoneInfo) -> str:
    """A time of the site with seconds; a dash for none. Takes ISO text too."""
    if at is None:
        return "–"
    when = datetime.fromisoformat(at) if isinstance(at, str) else at
    return when.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def table(heads: Sequence[str], rows: Sequence[Sequence[Component | str]], *, empty_key: str, test_id: str) -> Component:
    """A table with translated heads; a sentence where there is nothing."""
    if not rows:
        return html.P(t(empty_key), className="desk-none", **{"data-testid": test_id})
    body = [html.Tr([html.Td(cell) for cell in row]) for row in rows]
    return html.Table(
        [html.Thead(html.Tr([html.Th(t(head), scope="col") for head in heads])), html.Tbody(body)], **{"data-testid": test_id}
    )


def mark(is_good: bool, text: str) -> Component:
    """A state in words with a shape of its own, so that colour is never the only sign."""
    return html.Span(
        [html.Span("●" if is_good else "▲", **{"aria-hidden": "true"}), " ", text], className="desk-good" if is_good else "desk-bad"
    )


def parts(roles: Sequence[Row]) -> Component:
    """Every part of the product: up or down, and what to do when it is down."""
    rows = [
        [
            t(f"state.role.{role['role']}"),
            mark(bool(role["up"]), t("admin.up") if role["up"] else t("admin.down")),
            "" if role["up"] else t(f"state.role_down_next.{role['role']}"),
        ]
        for role in roles
    ]
    return table(("admin.part", "admin.state", "admin.next"), rows, empty_key="admin.none", test_id="admin-roles")


def workers(found: Sequence[Row], zone: ZoneInfo) -> Component:
    """Workers with what their last heartbeat said: lateness of the polls, what waits in the spool."""
    rows = []
    for row in found:
        beat = row["beat"] if isinstance(row["beat"], dict) else {}
        late, waits = beat.get("late_p99_ms"), beat.get("spool_waiting")
        holds = beat.get("modules", beat.get("cameras"))
        rows.append(
            [
                row["worker"],
                mark(row["state"] == "up", t(f"admin.worker.{row['state']}")),
                moment(row["seen_at"], zone),
                "–" if holds is None else str(holds),
                "–" if late is None else t("admin.ms", n=round(float(late))),
                "–" if waits is None else str(waits),
            ]
        )
    heads = ("admin.worker", "admin.state", "admin.seen", "admin.holds", "admin.late", "admin.waiting")
    return table(heads, rows, empty_key="admin.no_workers", test_id="admin-workers")


def stream(age_s: float, clients: int, *, is_redis_up: bool) -> Component:
    """How fresh what the screens show is, and how many screens look."""
    is_fresh = age_s < 5
    rows = [
        [t("admin.stream.age"), mark(is_fresh, t("admin.s", n=f"{min(age_s, 99_999):.1f}"))],
        [t("admin.stream.redis"), mark(is_redis_up, t("admin.up") if is_redis_up else t("admin.redis_down"))],
        [t("admin.stream.clients"), str(clients)],
    ]
    return table(("admin.figure", "admin.value"), rows, empty_key="admin.none", test_id="admin-stream")


def dead_letters(found: Sequence[Row], zone: ZoneInfo, *, may_replay: bool) -> Component:
    """What could not be read or stored, with the reason, the bytes, and the way to try it again."""
    rows = []
    for row in found:
        if row["replayed_at"] is not None:
            outcome: Component | str = mark(True, f"{row['outcome']} · {moment(row['replayed_at'], zone)}")
        elif may_replay:
            outcome = html.Button(
                t("admin.replay"), id={"type": "admin-replay", "id": row["dead_letter_id"]}, type="button", className="desk-button"
            )
        else:
            outcome = mark(False, t("admin.waits"))
        said = html.Details([html.Summary(t("admin.bytes", n=row["bytes"])), html.Pre(row["said"])])
        rows.append(
            [moment(row["received_at"], zone), f"{row['stream']} {row['entry_id']}", row["outcome"] or row["reason"], said, outcome]
        )
    heads = ("admin.received", "admin.from", "admin.reason", "admin.content", "admin.outcome")
    return table(heads, rows, empty_key="admin.no_dead", test_id="admin-dead")


def unassigned(found: Sequence[Row], zone: ZoneInfo) -> Component:
    """Events of inputs that nobody has registered."""
    rows = [
        [
            moment(row["stored_at"], zone),
            row["kind"],
            row["subject"],
            "–" if row["channel"] is None else str(row["channel"]),
            _short(row["data"]),
        ]
        for row in found
    ]
    heads = ("admin.stored", "admin.kind", "admin.device", "admin.channel", "admin.content")
    return table(heads, rows, empty_key="admin.no_unassigned", test_id="admin-unassigned")


def audit(found: Sequence[Row], zone: ZoneInfo) -> Component:
    """Who did what, the newest first."""
    rows = [
        [
            str(row["seq"]),
            moment(row["at"], zone),
            (row["name_en"] if lang() == "en" else row["name_zh"]) or row["login"] or t("admin.system"),
            row["act"],
            row["object"],
            row["reason"],
            "" if row["data"] == "{}" else _short(row["data"]),
        ]
        for row in found
    ]
    heads = ("admin.number", "admin.at", "admin.who", "admin.act", "admin.object", "admin.why", "admin.content")
    return table(heads, rows, empty_key="admin.no_audit", test_id="admin-audit")


def _short(value: object) -> Component:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return html.Code(text if len(text) <= 200 else text[:200] + " …")
