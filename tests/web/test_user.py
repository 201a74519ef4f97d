"""`app.py user`: accounts without a screen."""

from __future__ import annotations

import io

import pytest

from data.core import access, audit, session
from tests import builders


@pytest.fixture
def user(database, redis, monkeypatch):
    """user(*words, password=…) runs the command; a password comes by standard input."""

    def run(*words: str, password: str = "") -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
        return session.user_main(database.settings, list(words))

    return run


ADD = ("--role", "dispatcher", "--name-zh", "x", "--name-en", "x")


def test_an_account_is_made_with_its_scope_and_can_log_in(user, rows, browser, visitor, running):
    school = builders.make_school(rows)
    assert user("add", "desk-1", *ADD, "--school", school["code"], "--district", "440304", password=builders.PASSWORD) == 0
    one = visitor(running.url, "desk-1")
    assert one.get("/api/v1/me").json()["scope"]["schools"] == [school["school_id"]]


@pytest.mark.parametrize(
    ("login", "more", "password", "said"),
    [
        ("Desk 1", (), builders.PASSWORD, "a-z"),
        ("desk-1", (), "short", "10 characters"),
        ("desk-1", ("--school", "no-such"), builders.PASSWORD, "does not exist"),
    ],
    ids=["login", "password", "school"],
)
def test_a_wrong_account_is_refused_in_one_sentence_and_nothing_is_made(user, rows, capsys, login, more, password, said):
    assert user("add", login, *ADD, *more, password=password) == 2
    assert said in capsys.readouterr().err
    assert rows.execute("select count(*) as n from account").fetchone()["n"] == 0


def test_a_new_password_or_an_account_switched_off_ends_its_sessions(user, rows, visitor, running):
    login = builders.make_account(rows, "admin", is_city=True)["login"]
    for words, password in ((("password", login), "another long one"), (("off", login), "")):
        one = visitor(running.url)
        assert one.log_in(login, builders.PASSWORD if words[0] == "password" else "another long one").status_code == 200
        assert user(*words, password=password) == 0
        assert one.get("/admin").status_code == 303
    assert visitor(running.url).log_in(login, "another long one").status_code == 401


def test_the_list_shows_who_sees_what_and_no_password(user, rows, capsys):
    builders.make_account(rows, "officer", login="officer-a", districts=("440304",))
    assert user("list") == 0
    shown = capsys.readouterr().out
    assert "officer-a" in shown
    assert "440304" in shown
    assert "argon2" not in shown


def test_a_token_is_shown_once_and_stored_as_its_hash(user, rows, capsys):
    login = builders.make_account(rows, "recorder", is_city=True)["login"]
    assert user("token", login, "--name", "nvr", "--permission", "device.report") == 0
    token = capsys.readouterr().out.strip()
    stored = rows.execute("select token_hash, permissions from api_token").fetchone()
    assert bytes(stored["token_hash"]) == session.hash_of(token)
    assert session.find_token(rows, token).principal.permissions == frozenset({"device.report"})


def test_every_change_of_an_account_is_in_the_audit(user, database, rows):
    assert user("add", "desk-1", *ADD, password=builders.PASSWORD) == 0
    assert user("off", "desk-1") == 0
    assert [row["act"] for row in rows.execute("select act from audit order by seq")] == ["account.made", "account.active"]
    with database.connect() as conn:
        assert audit.verify(conn)["audit"] == 2


def test_a_role_nobody_knows_may_do_nothing():
    row = dict.fromkeys(("login", "name_zh", "name_en", "lang"), "x") | dict.fromkeys(
        ("district_codes", "street_codes", "school_ids", "cell_ids"), ()
    )
    row |= {"account_id": 1, "role": "wizard", "is_city": True, "demo": False}
    assert session.principal_of(row).permissions == frozenset()
    assert not any(session.principal_of(row).may(permission) for permission in access.PERMISSIONS)
