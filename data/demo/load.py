"""Load the demo city into an empty database: one transaction, COPY all the way, as the role `app`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

from data.core import db, queries
from data.core.secret import demo_password, write_secret
from data.core.settings import Settings
from data.demo import gate, history, people, tables
from data.demo.city import City, build
from data.demo.sites import SCHOOLS
from devices.demo import modules_file

SEED = 20_180_901


def tokens_file(settings: Settings) -> Path:
    """Where the players find their API tokens, 0600: JSON, login to token."""
    return settings.secret_dir / "demo-tokens.json"


def _say(text: str) -> None:
    print(text, flush=True)


def load(
    settings: Settings, *, schools: int = SCHOOLS, seed: int = SEED, today: date | None = None, say: Callable[[str], None] = _say
) -> bool:
    """Fill an empty database with the demo city and its history.

    Args:
        schools: how many; fewer give the same kind of city in a few seconds, for tests.
        today: the day after the last day of the history; unset: now, in the city's time zone.
    Returns:
        False when there is a city already: nothing was touched.
    """
    sql = queries.load("demo")
    begun = time.monotonic()

    def said(text: str) -> None:
        say(f"  demo city {time.monotonic() - begun:5.1f} s  {text}")

    with db.connect(settings.app_dsn) as conn, db.scoped(conn, db.CITY):
        found = conn.execute(sql["hold_city"]).fetchone()
        if found and not found["is_empty"]:
            return False
        said("drawing")
        known = people.passwords(demo_password(settings))
        city = build(seed, schools=schools, known=known, data_dir=settings.data_dir)
        for table in city.tables.values():
            tables.copy(conn, table)
            if len(table) > 20_000:
                said(f"{table.name}: {len(table)} rows")
        rows = history.write(conn, city, seed=seed, today=today or datetime.now(settings.tz).date(), tz=settings.tz, say=said)
        said(f"history: {rows} rows in all")
        gate.seed_gate(conn, settings, city.gate_cameras)
        conn.execute(sql["analyze_city"])
    _write_files(settings, city, known)
    said("done")
    return True


def _write_files(settings: Settings, city: City, known: people.Passwords) -> None:
    """What the players read: their modules and their tokens."""
    target = modules_file(settings.data_dir)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    part.write_text(json.dumps(city.modules, ensure_ascii=False, indent=0), encoding="utf-8")
    os.replace(part, target)
    write_secret(tokens_file(settings), json.dumps(known.tokens))
