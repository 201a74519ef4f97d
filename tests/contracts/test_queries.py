"""Every named statement fits the migrated schema and says whose rows it may see."""

from __future__ import annotations

import re
from collections import defaultdict

import psycopg
import pytest

from data.core import queries

SCOPE = re.compile(r"^-- scope: (visible_school\b.*|stamped\b.*|none because .{10,})$", re.MULTILINE)
STATEMENTS = [(room, name) for room in queries.rooms() for name in queries.load(room)]
WRITES_NO_PLAN = re.compile(
    r"^\s*(create|alter|drop|grant|revoke|set|truncate|copy|lock|listen|notify|vacuum|analyze|comment|do)\b", re.IGNORECASE
)


def _code(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))


@pytest.mark.parametrize(("room", "name"), STATEMENTS, ids=[f"{room}.{name}" for room, name in STATEMENTS])
def test_a_statement_says_what_it_does_and_whose_rows_it_sees(room, name):
    text = queries.load(room)[name]
    comments = [line for line in text.splitlines() if line.startswith("--")]
    scopes = SCOPE.findall(text)
    assert len(scopes) == 1, "one line `-- scope: visible_school | stamped | none because …`"
    assert [line for line in comments if not line.startswith("-- scope:")], "a comment says what it does"
    code = _code(text)
    if scopes[0].startswith("visible_school"):
        assert "visible_school" in code or "checked by" in scopes[0]
    if scopes[0].startswith("stamped"):
        assert re.search(r"campus\.(city|districts)|visible_alarm|checked by", code + scopes[0])


def test_every_statement_is_planned_against_the_migrated_schema(conn):
    """A wrong table, column, type or parameter fails here, not in front of a user."""
    wrong = []
    for room, name in STATEMENTS:
        text = queries.load(room)[name]
        if WRITES_NO_PLAN.match(_code(text)):
            continue
        try:
            with conn.transaction(force_rollback=True):
                conn.execute("explain " + text, defaultdict(lambda: None))
        except psycopg.Error as err:
            wrong.append(f"{room}.{name}: {err}")
    assert not wrong, "\n".join(wrong)


def test_every_statement_is_used():
    """A statement nobody calls is a statement nobody tests."""
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("data", "layers", "mapapp", "benchmarks")
        for path in (queries.FOLDER.parents[1] / folder).rglob("*.py")
    )
    made = [re.escape(text) for text in re.findall(r'_SQL\[f"([^"]+)"\]', sources)]  # f"{name}_chain" uses every *_chain
    patterns = [re.compile(re.sub(r"\\\{.*?\\\}", "[a-z0-9_]+", text)) for text in made]
    unused = [
        f"{room}.{name}" for room, name in STATEMENTS if f'"{name}"' not in sources and not any(found.fullmatch(name) for found in patterns)
    ]
    assert not unused
