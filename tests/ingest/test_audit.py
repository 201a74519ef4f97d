"""The chains: every act is a link, and a changed, lost or cut link is found."""

from __future__ import annotations

import pytest

from data.core import audit


def _acts(conn, count=3):
    for number in range(count):
        audit.write(conn, None, "device.command", f"device:{number}", "试验 reason", {"n": number, "name": "校安"})
    conn.commit()


def test_a_chain_nobody_touched_holds(conn):
    _acts(conn)
    assert audit.verify(conn) == {"audit": 3, "alarm_step": 0}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("update audit set reason = 'other' where seq = 2", audit.Break("audit", 2, "changed")),
        ("update audit set account_id = null, act = 'x' where seq = 3", audit.Break("audit", 3, "changed")),
        ("delete from audit where seq = 2", audit.Break("audit", 2, "missing")),
        ("delete from audit where seq = 3", audit.Break("audit", 3, "cut")),
        ("delete from audit", audit.Break("audit", 1, "cut")),
        ("update audit set prev_hash = '\\x01' where seq = 2", audit.Break("audit", 2, "unlinked")),
        ("update chain set hash = '\\x01' where name = 'audit'", audit.Break("audit", 3, "changed")),
    ],
    ids=["reason", "act", "row-gone", "last-gone", "all-gone", "link", "head"],
)
def test_whatever_the_owner_changes_in_the_chain_is_found(conn, owner, statement, expected):
    _acts(conn)
    owner.execute(statement)
    assert audit.verify(conn)["audit"] == expected


def test_a_hash_made_to_fit_one_changed_row_breaks_at_the_next(conn, owner):
    _acts(conn)
    owner.execute("""
        update audit set reason = 'other', hash = sha256(prev_hash || convert_to(concat_ws(E'\\x1f', seq,
          (extract(epoch from at) * 1000000)::bigint, coalesce(account_id::text, ''), act, object, 'other',
          data::text), 'UTF8')) where seq = 2""")
    assert audit.verify(conn)["audit"] == audit.Break("audit", 3, "unlinked")


@pytest.mark.parametrize("table", ["audit", "alarm_step", "event"])
def test_the_product_itself_cannot_change_history(conn, table):
    allowed = conn.execute(
        "select has_table_privilege('app', %(t)s, 'update') or has_table_privilege('app', %(t)s, 'delete')"
        " or has_table_privilege('app', %(t)s, 'truncate') as yes",
        {"t": table},
    ).fetchone()
    assert allowed["yes"] is False


def test_verify_says_so_and_ends_with_one_on_a_break(database, conn, owner, capsys):
    _acts(conn)
    assert audit.verify_main(database.settings) == 0
    owner.execute("delete from audit where seq = 2")
    assert audit.verify_main(database.settings) == 1
    assert "audit: BROKEN at seq 2 (missing)" in capsys.readouterr().out
