"""The fixtures every other test stands on."""

from __future__ import annotations

import psycopg
import pytest


def test_each_test_gets_an_empty_migrated_database(conn, owner):
    conn.execute(
        "insert into district (district_code, name_zh, name_en, geom) values ('4403', '市', 'City', st_geomfromtext(%s, 4326))",
        ("MULTIPOLYGON(((0 0,1 0,1 1,0 0)))",),
    )
    conn.commit()
    assert owner.execute("select count(*) as n from district").fetchone()["n"] == 1


def test_another_test_does_not_see_the_first_ones_rows(conn):
    assert conn.execute("select count(*) as n from district").fetchone() == {"n": 0}


def test_the_connection_is_the_role_app_in_city_scope(conn):
    assert conn.execute("select current_user as who, current_setting('campus.city') as city").fetchone() == {"who": "app", "city": "1"}


def test_redis_is_real_and_empty(redis):
    assert redis.dbsize() == 0
    redis.set("campus:x", b"1")


@pytest.mark.parametrize(
    "statement",
    ["update audit set act = 'x'", "delete from alarm_step", "truncate audit", "select * from _yoyo_migration", "update chain set seq = 0"],
)
def test_app_cannot_change_history_or_read_the_migration_tables(conn, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(statement)
