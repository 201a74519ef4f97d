"""Write docs/reference from the code that it describes: `make docs`. With --check, only say whether it is current."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path

import app
from data.core.settings import PLAIN, PREFIX, Settings
from docs import make_tables

FOLDER = Path(__file__).parent / "reference"
BAR = "&#124;"  # a bare one would end the table's column
_HEAD = "<!-- Written by `make docs` from {source}; change it there. -->\n"


def settings_page() -> str:
    """Every setting: its name in the environment, in `CAMPUS_CONFIG` and its default."""
    plain = {name: short for short, name in PLAIN.items()}
    lines = [
        _HEAD.format(source="data/core/settings.py"),
        "# Settings",
        "Read once at the start, from the environment, over the TOML file named by `CAMPUS_CONFIG` (its keys are the names below). "
        "The short names are those of `./run`; the long one wins.",
        "",
        "| name | environment | default | what it does |",
        "|---|---|---|---|",
    ]
    for one in fields(Settings):
        names = [f"`{PREFIX}{one.name.upper()}`", *([f"`{plain[one.name]}`"] if one.name in plain else [])]
        value = "`/var/lib/campus` as root, else `~/.local/share/campus`" if one.default is MISSING else _shown(one.default)
        lines.append(f"| `{one.name}` | {' or '.join(names)} | {value} | {one.metadata['help']} |")
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return f"`{int(value)}`"
    return f"`{value}`" if value not in ("", None) else "unset"


def commands_page() -> str:
    """Every command of app.py."""
    lines = [
        _HEAD.format(source="app.py"),
        "# Commands",
        "`.venv/bin/python app.py <command>`",
        "",
        "| command | what it does |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {what.replace('|', BAR)} |" for name, (_, _, what) in app.COMMANDS.items()]
    return "\n".join(lines) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "commands.md": commands_page,
    "events.md": lambda: make_tables.events_page(_HEAD.format(source="data/core/events.py")),
    "permissions.md": lambda: make_tables.permissions_page(_HEAD.format(source="data/core/access.py and mapapp/registry.py")),
    "layers.md": lambda: make_tables.layers_page(_HEAD.format(source="layers/")),
}


def stale() -> list[str]:
    """Pages that do not say what the code says."""
    return [name for name, page in PAGES.items() if not (FOLDER / name).exists() or (FOLDER / name).read_text(encoding="utf-8") != page()]


def main(argv: list[str]) -> int:
    """Write the stale pages, or with --check name them and give 1."""
    found = stale()
    for name in found:
        if "--check" in argv:
            print(f"docs/reference/{name} is not current: run make docs")
        else:
            (FOLDER / name).write_text(PAGES[name](), encoding="utf-8")
            print(f"wrote docs/reference/{name}")
    return 1 if found and "--check" in argv else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
