"""devices/quality.toml says only what a test shows."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
RULES = {
    f"{driver}.{rule}": said
    for driver, rules in tomllib.loads((HERE.parents[1] / "devices/quality.toml").read_text()).items()
    for rule, said in rules.items()
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_shown_by_a_test_or_has_a_reason(rule: str) -> None:
    said = RULES[rule]
    if said["state"] == "done":
        file, _, name = said["test"].partition("::")
        assert f"def {name}(" in (HERE / file).read_text(encoding="utf-8")
    else:
        assert said["state"] in ("todo", "exempt")
        assert said["reason"]
