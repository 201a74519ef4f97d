"""How long the demo city takes to load: 2,600 schools, 30,000 cameras, thirteen weeks of history, by COPY as the role `app`.

The peer is the same camera rows sent by `executemany`, against COPY, in the same run.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks.bench import DEMO_PASSWORD, Bench
from data.core import db, embedded, migrate
from data.core.settings import read
from data.demo import load, tables

FIGURES = ("demo_load_s",)
LIMIT_S = 60
_ROWS = 30_000


def run(bench: Bench) -> None:
    folder = Path(tempfile.mkdtemp(prefix="campus-load-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user below it
    settings = read({"DATA_DIR": str(folder), "DEMO": "1", "CAMPUS_DEMO_PASSWORD": DEMO_PASSWORD})
    try:
        with embedded.running(settings):
            migrate.run(settings)
            began, cpu = time.monotonic(), time.process_time()
            load.load(settings, say=lambda text: None)
            took_s, own_s = time.monotonic() - began, time.process_time() - cpu
            with db.connect(settings.app_dsn) as conn:
                rows = _rows(conn)
                copy_s, many_s = _ways(conn)
            bench.line(
                "demo_load_s", took_s, "s", limit=LIMIT_S, peer="COPY against executemany, 30,000 cameras",
                ratio=copy_s / many_s, rows=rows, own_cpu_s=round(own_s, 2), copy_s=round(copy_s, 2), executemany_s=round(many_s, 2),
            )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rows(conn: db.Connection) -> int:
    """Rows of the whole city, by the statistics the loader has just made."""
    found = conn.execute("select sum(n_live_tup)::bigint as rows from pg_stat_user_tables").fetchone()
    return int(found["rows"]) if found and found["rows"] else 0


def _ways(conn: psycopg.Connection[db.Row]) -> tuple[float, float]:
    """Seconds for the same camera rows by COPY and by executemany, into tables without indexes."""
    camera = conn.execute(
        "select code, school_id, azimuth_deg, fov_deg, range_m, geom::text as geom from camera order by camera_id"
    ).fetchall()
    assert len(camera) == _ROWS
    for name in ("by_copy", "by_many"):
        conn.execute(
            sql.SQL("create temp table {} as select code, school_id, azimuth_deg, fov_deg, range_m, geom from camera limit 0").format(
                sql.Identifier(name)
            )
        )
    columns = {name: [row[name] for row in camera] for name in ("code", "school_id", "azimuth_deg", "fov_deg", "range_m", "geom")}
    began = time.monotonic()
    tables.copy(conn, tables.Table(name="by_copy", columns=columns, geometry=()))
    copied = time.monotonic()
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into by_many values (%(code)s, %(school_id)s, %(azimuth_deg)s, %(fov_deg)s, %(range_m)s, %(geom)s)", camera
        )
    return copied - began, time.monotonic() - copied
