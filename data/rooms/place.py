"""Schools: finding one by whatever somebody types, and what its card says."""

from __future__ import annotations

import threading
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from data.core import clock, db, queries
from data.core.db import Row

MOST_FOUND = 500  # ids looked up in the scope; far more than anybody reads

_SQL = queries.load("place")


@dataclass(frozen=True, slots=True)
class _Name:
    """What a school is found by: all lower case, without blanks."""

    school_id: int
    code: str
    zh: str
    en: str
    pinyin: str
    initials: str


def folded(text: str) -> str:
    """Text as it is compared: half width, lower case, no blanks."""
    return "".join(unicodedata.normalize("NFKC", text).lower().split())


def _name(row: Row) -> _Name:
    from pypinyin import Style, lazy_pinyin  # 40 MB of readings, only where somebody searches

    zh = folded(row["name_zh"])
    return _Name(
        school_id=row["school_id"],
        code=folded(row["code"]),
        zh=zh,
        en=folded(row["name_en"]),
        pinyin=folded("".join(lazy_pinyin(zh))),
        initials=folded("".join(lazy_pinyin(zh, style=Style.FIRST_LETTER))),
    )


class _Index:
    """Names of all schools of one database, made again when one of them changes. About 1 s for 2,600 schools, once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[int, list[_Name]]] = {}

    def names(self, conn: db.Connection) -> list[_Name]:
        where = f"{conn.info.host}/{conn.info.dbname}"
        row = conn.execute(_SQL["names_version"]).fetchone()
        assert row is not None
        with self._lock:
            kept = self._kept.get(where)
            if kept is None or kept[0] != row["version"]:
                kept = (row["version"], [_name(one) for one in conn.execute(_SQL["all_names"])])
                self._kept = {where: kept}
            return kept[1]


_INDEX = _Index()


def rank(name: _Name, words: list[str]) -> int | None:
    """How well a school fits all words, 0 best; None when one of them fits nowhere."""
    worst = 0
    for word in words:
        if word == name.code or word == name.zh:
            found = 0
        elif name.zh.startswith(word) or name.code.startswith(word):
            found = 1
        elif word in name.zh:
            found = 2
        elif name.initials.startswith(word) or name.pinyin.startswith(word):
            found = 3
        elif word in name.en or word in name.initials or word in name.pinyin:
            found = 4
        elif word in name.code:
            found = 5
        elif len(word) > 1 and not word.isascii() and _in_order(word, name.zh):
            found = 6
        elif len(word) > 2 and _in_order(word, name.initials):
            found = 7
        else:
            return None
        worst = max(worst, found)
    return worst


def _in_order(word: str, text: str) -> bool:
    """Whether the characters of `word` come in `text` in this order: people leave out the district's or the level's word."""
    rest = iter(text)
    return all(letter in rest for letter in word)


def search(conn: db.Connection, text: str, *, limit: int = 20) -> list[Row]:
    """Schools of the scope that fit every word of `text`, best first.

    Args:
        conn: from `db.scoped`.
        text: Chinese, English, pinyin (whole or initials) or code; empty gives the first schools by code.
    Returns:
        Rows of school_id, code, names, kind, district, `lon`, `lat` (EPSG:4326), demo.
    """
    words = [folded(word) for word in text.replace("\x00", "").split()]
    if not words:
        return conn.execute(_SQL["first_schools"], {"limit": limit}).fetchall()
    ranked = sorted((fit, len(name.zh), name.code, name.school_id) for name in _INDEX.names(conn) if (fit := rank(name, words)) is not None)
    if not ranked:
        return []
    found = [school_id for *_, school_id in ranked]
    return conn.execute(_SQL["schools_by_id"], {"school_ids": found, "limit": min(limit, MOST_FOUND)}).fetchall()


def masked(phone: str) -> str:
    """A number for people who do not have to call it: the middle is hidden."""
    return phone if len(phone) < 7 else f"{phone[:3]}****{phone[-4:]}"


def card(conn: db.Connection, school_id: int, *, is_operator: bool) -> dict[str, Any] | None:
    """Everything a school's card says; None for a school that is not there or not in the scope.

    Args:
        is_operator: whether the reader acts on alarms and gets telephone numbers whole.
    Returns:
        `school` (with counts), `people` to call, `gates`, `posts`, `devices`, `cameras`; times as ISO text.
    """
    key = {"school_id": school_id}
    school = conn.execute(_SQL["card"], key).fetchone()
    if school is None:
        return None
    people = conn.execute(_SQL["card_people"], key).fetchall()
    if not is_operator:
        school["contact_phone"] = masked(school["contact_phone"])
        people = [{**row, "phone": masked(row["phone"])} for row in people]
    parts = {part: [_plain(row) for row in conn.execute(_SQL[f"card_{part}"], key)] for part in ("gates", "posts", "devices", "cameras")}
    return {"school": school, "people": people, **parts}


def _plain(row: Row) -> Row:
    return {key: clock.iso(value) if isinstance(value, datetime) else value for key, value in row.items()}
