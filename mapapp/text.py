"""Words on the screen: `t(key)` in the language of whoever is asking; both languages live in mapapp/locale/."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

LANGS = ("zh", "en")
FOLDER = Path(__file__).parent / "locale"
_LANG: ContextVar[str] = ContextVar("campus_lang", default="zh")


@cache
def messages(lang: str) -> dict[str, str]:
    """Every text of a language by key. Raises: KeyError for a language there is none of."""
    if lang not in LANGS:
        raise KeyError(lang)
    return json.loads((FOLDER / f"{lang}.json").read_text(encoding="utf-8"))


def lang() -> str:
    """The language of this request, zh or en."""
    return _LANG.get()


def choose(*wishes: str | None) -> str:
    """The first wish that is a language we speak; zh when none is. Understands `Accept-Language` values too."""
    for wish in wishes:
        for part in (wish or "").split(","):
            short = part.split(";")[0].strip().lower()[:2]
            if short in LANGS:
                return short
    return LANGS[0]


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Everything inside, threads of the request included, is said in `language`."""
    token = _LANG.set(language if language in LANGS else LANGS[0])
    try:
        yield
    finally:
        _LANG.reset(token)


def t(key: str, **values: object) -> str:
    """The text of `key` with `{name}` filled in; the key itself where there is no text, so that nothing is hidden."""
    found = messages(_LANG.get()).get(key, key)
    for name, value in values.items():
        found = found.replace("{" + name + "}", str(value))
    return found


def inline_json(value: object) -> str:
    """JSON that may stand inside a `<script type="application/json">`: no sequence in it ends the element."""
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return plain.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
