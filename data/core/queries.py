"""Named SQL: `data/sql/<room>.sql` holds statements, this gives them by name.

A statement starts with `-- name: verb_noun`; the comment lines after it say what it does and
`-- scope: visible_school | stamped | none because …`. A contract test EXPLAINs every one.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import LiteralString, cast

FOLDER = Path(__file__).parents[1] / "sql"
_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\s*$", re.MULTILINE)


@cache
def load(room: str) -> dict[str, LiteralString]:
    """The statements of `data/sql/<room>.sql` by name; parameters are `%(name)s`, a literal percent sign is `%%`."""
    parts = _NAME.split((FOLDER / f"{room}.sql").read_text(encoding="utf-8"))
    found: dict[str, LiteralString] = {}
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        if name in found:
            raise ValueError(f"{room}.sql names {name} twice")
        found[name] = cast(LiteralString, text.strip())
    return found


def rooms() -> list[str]:
    """Every room that has statements."""
    return sorted(path.stem for path in FOLDER.glob("*.sql"))
