"""Words live in two files with the same keys, every key is used, and no Chinese hides in the code."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest

from mapapp import errors, registry, text, web  # noqa: F401  web imports every page, so that every key in use is known

ROOT = Path(__file__).parents[2]
CODE = ("app.py", "data", "devices", "layers", "mapapp", "vision")
CJK = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
HOLE = re.compile(r"\{(\w+)\}")
# Names of places and people of the demo city are data, not words of the screen; so is the default name of the city.
NAMES = ("data/demo/", "vision/demo", "devices/demo")
NAMED_LITERALS = {"深圳市"}


def keys(lang: str) -> dict[str, str]:
    return json.loads((text.FOLDER / f"{lang}.json").read_text(encoding="utf-8"))


def sources(*endings: str) -> list[Path]:
    found = [ROOT / "app.py"]
    for folder in CODE[1:]:
        found += [path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in endings and "vendor" not in path.parts]
    return found


@cache
def said() -> str:
    """Everything a key can be named in: Python and the browser's scripts."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sources(".py", ".js", ".toml"))


@cache
def stems() -> tuple[str, ...]:
    """Beginnings of keys that are completed with a code: `t(f"state.role.{name}")`, `t("wall.live." + state)`, `code("alarm.kind", x)`."""
    found = set(re.findall(r"""["'`]([a-z_]+(?:\.[a-z_-]+)*\.)(?:["'`]\s*\+|\{|\$\{)""", said()))
    found |= {f"{stem}." for stem in re.findall(r"""\bcode\(\s*["']([a-z_.]+)["']""", said())}
    found |= {f"{stem}." for stem in re.findall(r"""\b(?:coded|word_of)\(\s*f?["']([a-z_.]+)["']""", said())}
    return tuple(sorted(found))


def test_both_languages_have_the_same_keys():
    assert set(keys("zh")) == set(keys("en"))


def test_both_languages_fill_in_the_same_values():
    zh, en = keys("zh"), keys("en")
    assert [key for key in zh if set(HOLE.findall(zh[key])) != set(HOLE.findall(en.get(key, "")))] == []


@pytest.mark.parametrize("lang", text.LANGS)
def test_no_text_is_empty_and_files_are_sorted(lang):
    found = keys(lang)
    assert [key for key, value in found.items() if not value.strip()] == []
    assert list(found) == sorted(found)


def test_english_is_english():
    assert [key for key, value in keys("en").items() if CJK.search(value) and not key.endswith("_lang")] == []


def test_no_key_is_unused():
    assert [key for key in keys("zh") if f'"{key}"' not in said() and f"'{key}'" not in said() and not _is_made(key)] == []


def _is_made(key: str) -> bool:
    # `error.<key>` and `error.<key>.next` are made from the table of errors.
    return key.startswith(stems()) or key.removesuffix(".next").removeprefix("error.") in _problems()


@cache
def _problems() -> frozenset[str]:
    named = {problem.key for problem in errors.TABLE.values()}
    return frozenset(named | {value.key for value in vars(errors).values() if isinstance(value, errors.Problem)} | {"bad_input"})


def test_every_problem_says_what_happened_and_what_to_do():
    wanted = {f"error.{key}{end}" for key in _problems() for end in ("", ".next")}
    assert wanted - set(keys("zh")) == set()


def test_every_page_has_a_title():
    assert {page.title_key for page in registry.PAGES.values()} - set(keys("zh")) == set()


def test_every_key_in_use_has_a_text():
    used = set(re.findall(r"""\bt\(\s*["']([a-z_]+(?:\.[a-z0-9_-]+)+)["']\s*[,)]""", said()))
    assert used - set(keys("zh")) == set()


def test_no_chinese_in_python_code():
    found = []
    for path in sources(".py"):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(NAMES):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        spoken = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings may give an example
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in spoken:
                continue
            if CJK.search(node.value) and node.value not in NAMED_LITERALS:
                found.append(f"{name}:{node.lineno}")
    assert found == []


def test_no_chinese_in_scripts():
    found = [
        path.name
        for path in sources(".js")
        if path.suffix == ".js" and CJK.search(re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_a_text_is_said_in_the_language_of_the_request():
    with text.speaking("en"):
        assert text.t("error.throttled.next", wait_s=7) == "Wait 7 seconds, then try again."
    with text.speaking("zh"):
        assert "7" in text.t("error.throttled.next", wait_s=7)


def test_a_key_without_a_text_shows_itself():
    assert text.t("no.such.key") == "no.such.key"


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [((None, "en-GB,en;q=0.9", "zh"), "en"), (("en", "zh-CN", "zh"), "en"), ((None, "fr,de", "en"), "en"), ((), "zh"), (("xx",), "zh")],
)
def test_the_first_wish_we_speak_is_taken(wishes, expected):
    assert text.choose(*wishes) == expected


def test_texts_in_a_page_cannot_end_their_element():
    assert "</script>" not in text.inline_json({"x": "</script><script>alert(1)</script>"})
