"""Load the demo city into an empty database: one transaction, COPY all the way, as the role `app`."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, datetime

from data.core import db, queries
from data.core.secret import demo_password
from data.core.settings import Settings
from data.demo import gate, history, people, scripts, tables
from data.demo.city import build
from data.demo.sites import SCHOOLS

SEED = 20_180_901


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
        scripts.write(settings, city, known, seed)  # before the commit: a city without its players' files could not be mended
    said("done")
    return True
