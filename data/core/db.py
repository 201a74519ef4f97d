"""Connections: a pool for the web, one for workers, and the scope of a transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import psycopg_pool
from psycopg.rows import dict_row

from data.core.access import Scope

CITY = Scope(is_city=True)  # for ingest and timed jobs, which act for the whole city
CRS_STORED, CRS_METRES = 4326, 4547  # WGS-84/CGCS2000 degrees; CGCS2000 3-degree Gauss-Kruger CM 114E, metres

Row = dict[str, Any]
Connection = psycopg.Connection[Row]

_SCOPE = """
select set_config('campus.city', %(city)s, true), set_config('campus.districts', %(districts)s, true),
       set_config('campus.streets', %(streets)s, true), set_config('campus.schools', %(schools)s, true),
       set_config('campus.cells', %(cells)s, true)
"""


def pool(dsn: str, *, low: int = 1, high: int = 8) -> psycopg_pool.ConnectionPool[Connection]:
    """A pool of connections that give rows as dicts and speak UTC. Opens in the background, survives a restart of PostgreSQL."""
    return psycopg_pool.ConnectionPool[Connection](
        dsn,
        min_size=low,
        max_size=high,
        open=True,
        timeout=5,
        reconnect_timeout=3600,
        check=psycopg_pool.ConnectionPool[Connection].check_connection,
        connection_class=Connection,
        kwargs={"row_factory": dict_row, "options": "-c timezone=UTC -c statement_timeout=30000"},
    )


def connect(dsn: str) -> Connection:
    """One connection of its own, rows as dicts, UTC."""
    return Connection.connect(dsn, row_factory=dict_row, options="-c timezone=UTC", connect_timeout=5)


@contextmanager
def scoped(source: psycopg_pool.ConnectionPool[Connection] | Connection, scope: Scope) -> Iterator[Connection]:
    """One transaction that sees what `scope` covers; commits at the end, rolls back on an error.

    Without it, a statement that joins `visible_school` fails or finds nothing: it never finds everything.
    """
    settings = {
        "city": "1" if scope.is_city else "0",
        "districts": ",".join(sorted(scope.districts)),
        "streets": ",".join(sorted(scope.streets)),
        "schools": ",".join(str(number) for number in sorted(scope.schools)),
        "cells": ",".join(str(number) for number in sorted(scope.cells)),
    }
    if isinstance(source, psycopg.Connection):
        with source.transaction():
            source.execute(_SCOPE, settings)
            yield source
    else:
        with source.connection() as conn, conn.transaction():
            conn.execute(_SCOPE, settings)
            yield conn
