"""Reference pages made from registries: events, permissions and doors, map layers."""

from __future__ import annotations

import re
from pathlib import Path

import layers
from data.core import access, events
from mapapp import registry, web  # noqa: F401  (importing the web opens every door)

_SOURCE = Path(events.__file__).read_text(encoding="utf-8")

# What an event's `data` holds. A kind without a row here has none; a test asks for every kind.
DATA: dict[events.Kind, str] = {
    events.Kind.ALARM_RAISED: "`zone` panic, contact, tamper · `press` running number of the point · `count` presses in this event · "
    "`capture` counter, latch, level · `while_down` it happened while the worker was away · `mode` live, test",
    events.Kind.INPUT_RESTORED: "`zone`",
    events.Kind.INPUT_CHATTERED: "`zone` · `count` · `window_s` · `is_over`",
    events.Kind.DEVICE_LOST: "`reason` timeout, refused, closed · `gap_s` null",
    events.Kind.DEVICE_BACK: "`gap_s` how long it was away, null the first time",
    events.Kind.DEVICE_FAULTED: "`reason` wrong_answer, declined, identity, counter_jump, latch_stuck, profile_unknown, … · `detail`",
    events.Kind.DEVICE_RESTARTED: "`reason` counter_back",
    events.Kind.OUTPUT_CONFIRMED: "`command_id` · `state` on, off · `reason` · `ms` from write to read-back",
    events.Kind.OUTPUT_FAILED: "`command_id` · `state` · `reason` · `ms`",
    events.Kind.CAMERA_CHANGED: "`state` ok, lost, frozen, dark, bright, blurred · `reason` · `fps` · `evidence` stream",
    events.Kind.CANDIDATE_FOUND: "`entry_id` · `score` · `threshold` · `model_sha256` · `expected_false_per_day` · "
    "`sealed_picture` (taken out before the event is stored)",
    events.Kind.PASSAGE_COUNTED: "`passages` faces compared since the last event: a number, nothing about anyone",
    events.Kind.FIX_RECORDED: "`lon` · `lat` (EPSG:4326) · `accuracy_m`",
    events.Kind.WORKER_STARTED: "`spool_set_aside` name of a spool file that could not be read, else empty",
    events.Kind.WORKER_OVERLOADED: "`is_over` · how late: `late_p99_periods` (devices) or `stretch` (vision)",
    events.Kind.CLOCK_STEPPED: "`step_ms`",
    events.Kind.SPOOL_FILLED: "`is_over` · `held` events in memory",
}


def events_page(head: str) -> str:
    """Every kind of event, what it says, what it carries."""
    lines = [
        head,
        "# Events",
        "What workers tell (`data.core.events`). Each is stored once, by `event_id`. "
        "Panic kinds have a stream of their own, which is read first.",
        "",
        "| kind | meaning | data |",
        "|---|---|---|",
    ]
    for kind in events.Kind:
        said = re.search(rf'{kind.name} = "[^"]+"(?:  # (.*))?', _SOURCE)
        meaning = (said.group(1) or "") if said else ""
        lines.append(f"| `{kind.value}`{' (panic)' if kind in events.PANIC_KINDS else ''} | {meaning} | {DATA.get(kind, '')} |")
    return "\n".join(lines) + "\n"


def permissions_page(head: str) -> str:
    """Which role has which permission, and what every door asks for."""
    roles = sorted(access.ROLES)
    lines = [
        head,
        "# Permissions",
        "A role says what somebody may do, the scope of the account says where. `public` and `logged in` are said, never implied.",
        "",
        f"| permission | {' | '.join(roles)} |",
        f"|---|{'---|' * len(roles)}",
    ]
    for permission in sorted(access.PERMISSIONS):
        lines.append(f"| `{permission}` | {' | '.join('●' if permission in access.ROLES[role] else '' for role in roles)} |")
    lines += ["", "## Doors", "", "| method | path | asks for |", "|---|---|---|"]
    doors = [(route.method, route.path, route.requires) for route in registry.ROUTES.values()]
    doors += [("GET", page.path, page.requires) for page in registry.PAGES.values()]
    for method, path, requires in sorted(set(doors), key=lambda door: (door[1], door[0])):
        asked = "that of the layer" if isinstance(requires, registry.Per) else f"`{requires}`"
        lines.append(f"| {method} | `{path}` | {asked} |")
    return "\n".join(lines) + "\n"


def layers_page(head: str) -> str:
    """Every map layer."""
    lines = [
        head,
        "# Map layers",
        "Served under `/tiles/<id>` and `/tiles/<id>/<z>/<x>/<y>`; scoped rows reach only those who may see them.",
        "",
        "| id | kind | asks for | shown from zoom | tiles | live on |",
        "|---|---|---|---|---|---|",
    ]
    for layer in sorted(layers.LAYERS.values(), key=lambda one: one.order):
        tiles = "–" if layer.tile_zooms is None else f"{layer.tile_zooms[0]}–{layer.tile_zooms[1]}"
        live = ", ".join(f"`{kind}`" for kind in sorted(layer.live_on)) or "–"
        lines.append(f"| `{layer.id}` | {layer.kind} | `{layer.requires}` | {layer.min_zoom} | {tiles} | {live} |")
    return "\n".join(lines) + "\n"
