"""What a scope costs: a bounding-box query over 400,000 cells as each kind of user, against the same query without a scope.

The condition is the one of data/sql/layers.sql. Boxes lie in the user's own part of the city, where every row of the
box is returned: elsewhere a scope makes a query faster. Each box is asked both ways in turn, so a busy machine slows both.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from benchmarks.bench import Bench
from data.core import db, embedded, migrate
from data.core.access import Scope
from data.core.settings import Settings, read

FIGURES = ("scoped_bbox_ratio",)
LIMIT = 1.4
ROWS, BOXES, WARM = 400_000, 120, 5
SCHOOLS, DISTRICTS, STREETS = 2_600, 10, 70
SIDE_DEG = 0.8  # of the square the cells fill evenly
WEST, SOUTH = 113.8, 22.4
SIZES = (400, 8_000)

_BOX: LiteralString = """
from cell c where c.geom && ST_MakeEnvelope(%(west)s, %(south)s, %(east)s, %(north)s, 4326)
"""
_SCOPE: LiteralString = """
  and ((select current_setting('campus.city') = '1')
    or c.district_code = any ((select string_to_array(current_setting('campus.districts'), ','))::text[])
    or c.street_code = any ((select string_to_array(current_setting('campus.streets'), ','))::text[])
    or c.school_id in (select unnest(string_to_array(current_setting('campus.schools'), ','))::integer))
"""
# As the map reads its cells, and the barest question there is, in which nothing hides the condition.
READ: LiteralString = "select count(*) as rows, string_agg(int4send(c.cell_id) || ST_AsTWKB(c.geom, 6), '') as records" + _BOX
COUNT: LiteralString = "select count(*) as rows" + _BOX
# Schools in a grid of 52 x 50, districts in strips of it, streets in strips of districts; 154 cells fill each school's square.
FILL: tuple[LiteralString, ...] = (
    """insert into district (district_code, name_zh, name_en, geom)
       select 'D' || lpad(n::text, 4, '0'), '-', '-', st_multi(st_makeenvelope(113.8, 22.4, 114.6, 23.2, 4326))
       from generate_series(0, 9) n""",
    """insert into street (street_code, district_code, name_zh, name_en, geom)
       select 'S' || lpad(n::text, 4, '0'), 'D' || lpad((n / 7)::text, 4, '0'), '-', '-',
              st_multi(st_makeenvelope(113.8, 22.4, 114.6, 23.2, 4326)) from generate_series(0, 69) n""",
    """insert into school (school_id, code, name_zh, name_en, kind, ownership, district_code, street_code, geom)
       select n, n::text, '-', '-', 'primary', 'district',
              'D' || lpad((n * 10 / 2600)::text, 4, '0'), 'S' || lpad((n * 70 / 2600)::text, 4, '0'),
              st_setsrid(st_makepoint(113.8 + (n / 50 + 0.5) * 0.8 / 52, 22.4 + (n % 50 + 0.5) * 0.8 / 50), 4326)
       from generate_series(0, 2599) n""",
    """insert into cell (school_id, district_code, street_code, code, area_m2, geom)
       select s.school_id, s.district_code, s.street_code, s.code || '-' || k, 100, st_makeenvelope(x, y, x + 0.0009, y + 0.0009, 4326)
       from school s, generate_series(0, 153) k,
            lateral (select st_x(s.geom) - 0.0077 + (k % 14) * 0.0011 as x, st_y(s.geom) - 0.008 + (k / 14) * 0.00145 as y) place""",
    "analyze",
)


def run(bench: Bench) -> None:
    with _cells() as conn:
        for size in SIZES:
            for who, scope, column in _users():
                ours, theirs, rows = _compare(conn, READ, size, scope, column)
                bare_ours, bare_theirs, _ = _compare(conn, COUNT, size, scope, column)
                ratio = statistics.median(ours) / statistics.median(theirs)
                bench.line(
                    "scoped_bbox_ratio",
                    ratio,
                    "ratio",
                    samples=[mine / other for mine, other in zip(ours, theirs, strict=True)],
                    limit=LIMIT,
                    peer="the same query without scope",
                    ratio=ratio,
                    who=who,
                    rows=rows,
                    scoped_ms=round(statistics.median(ours), 3),
                    plain_ms=round(statistics.median(theirs), 3),
                    count_only_ratio=round(statistics.median(bare_ours) / statistics.median(bare_theirs), 3),
                )


def _users() -> list[tuple[str, Scope, int]]:
    """(name, scope, which column of schools its boxes lie around)."""
    return [
        ("city", db.CITY, 26),
        ("district", Scope(districts=frozenset({"D0005"})), 28),
        ("street", Scope(streets=frozenset({"S0035"})), 26),
        ("school", Scope(schools=frozenset(range(1300, 1400))), 26),
    ]


@contextmanager
def _cells() -> Iterator[db.Connection]:
    with tempfile.TemporaryDirectory(prefix="campus-bench-", ignore_cleanup_errors=True) as scratch:
        Path(scratch).chmod(0o755)  # PostgreSQL runs as another user below it
        settings: Settings = read({"DATA_DIR": str(Path(scratch) / "data"), "DEMO": "0"})
        with embedded.running(settings):
            migrate.run(settings)
            with psycopg.connect(settings.owner_dsn, autocommit=True) as owner:
                for statement in FILL:
                    owner.execute(statement)
            with db.connect(settings.app_dsn) as conn:
                yield conn


def _box(size: int, column: int, rng: random.Random) -> dict[str, float]:
    """A box of about `size` cells; small ones lie within one column of schools, so that a street's user sees all of it."""
    share = size / ROWS
    width = min(SIDE_DEG * share**0.5, SIDE_DEG / 52 * 2)
    height = SIDE_DEG * SIDE_DEG * share / width
    west = WEST + column * SIDE_DEG / 52 + rng.uniform(0, 0.002)
    south = SOUTH + rng.uniform(0, max(0.0, SIDE_DEG - height))
    return {"west": west, "south": south, "east": west + width, "north": south + height}


def _compare(conn: db.Connection, query: LiteralString, size: int, scope: Scope, column: int) -> tuple[list[float], list[float], int]:
    """Times with and without the scope in ms, box by box, and the median number of rows without it."""
    rng = random.Random(size)
    ours: list[float] = []
    theirs: list[float] = []
    counts: list[int] = []
    with db.scoped(conn, scope):
        for number in range(BOXES + WARM):
            box = _box(size, column, rng)
            for is_scoped in (True, False) if number % 2 else (False, True):
                begun = time.perf_counter()
                row: Any = conn.execute(query + _SCOPE if is_scoped else query, box).fetchone()
                if number >= WARM:  # the first ones fill the caches
                    (ours if is_scoped else theirs).append((time.perf_counter() - begun) * 1000)
                if not is_scoped:
                    counts.append(row["rows"])
    return ours, theirs, int(statistics.median(counts))
