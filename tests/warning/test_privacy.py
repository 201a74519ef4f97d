"""The table of docs/reference/privacy.md is complete, and every test it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/privacy.md").read_text(encoding="utf-8")


def test_every_requirement_has_a_line_with_a_test_or_the_words_not_yet() -> None:
    rows = dict(re.findall(r"^\| (R\d+) \| (.*) \|$", PAGE, re.MULTILINE))
    assert list(rows) == [f"R{number}" for number in range(1, 25)]
    assert [name for name, text in rows.items() if "::" not in text and "not yet" not in text] == []


def test_every_test_the_page_names_exists() -> None:
    named = set(re.findall(r"`(tests/[a-z_/]+\.py)::(\w+)`", PAGE))
    assert len(named) > 20
    missing = [f"{path}::{name}" for path, name in sorted(named) if name not in _tests_of(ROOT / path)]
    assert missing == []


def _tests_of(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)}
