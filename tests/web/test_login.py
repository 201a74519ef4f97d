"""Coming in, staying in, going out."""

from __future__ import annotations

import ssl
from dataclasses import replace

import httpx
import pytest

from data.core import session, tls
from mapapp import registry
from tests import builders


def test_the_right_password_opens_a_session_whose_cookie_neither_scripts_nor_other_sites_can_use(browser, rows):
    one = browser()
    answer = one.log_in(builders.make_account(rows, "admin", is_city=True)["login"], builders.PASSWORD, accept="text/html")
    assert answer.status_code == 303
    cookies = {line.split("=")[0]: line.lower() for line in answer.headers.get_list("set-cookie")}
    assert "httponly" in cookies["campus_session"]
    assert all("samesite=strict" in line for line in cookies.values())
    assert "httponly" not in cookies["_csrf_token"]
    stored = rows.execute("select session_hash from session").fetchall()
    assert [bytes(row["session_hash"]) for row in stored] == [session.hash_of(one.client.cookies["campus_session"])]


def test_wrong_unknown_and_inactive_get_one_answer(browser, rows):
    account, off = builders.make_account(rows, "admin"), builders.make_account(rows, "admin")
    rows.execute("update account set is_active = false where account_id = %(account_id)s", off)
    answers = [
        browser().log_in(login, word)
        for login, word in ((account["login"], "wrong"), ("nobody", "wrong"), (off["login"], builders.PASSWORD))
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1


def test_guessing_waits_and_says_how_long(browser, rows):
    login = builders.make_account(rows, "admin", is_city=True)["login"]
    for _ in range(session.FREE_OF_LOGIN):
        assert browser().log_in(login, "wrong").status_code == 401
    held = browser().log_in(login, builders.PASSWORD, accept="text/html")
    assert held.status_code == 429
    assert held.headers["retry-after"] in ("1", "2")
    assert held.headers["retry-after"] in held.text


@pytest.mark.parametrize(
    ("failures", "age_s", "expected"),
    [(2, 0.0, 0), (3, 0.0, 2), (4, 0.0, 4), (6, 0.0, 16), (30, 0.0, 300), (3, 1.5, 1), (3, 9.0, 0), (3, None, 0)],
)
def test_the_wait_doubles_up_to_five_minutes(failures, age_s, expected):
    assert session.wait_s(failures, 3, age_s) == expected


def test_another_person_at_the_same_address_is_not_held_up(browser, rows):
    guessed, other = (builders.make_account(rows, "admin", is_city=True)["login"] for _ in range(2))
    for _ in range(session.FREE_OF_LOGIN + 1):
        browser().log_in(guessed, "wrong")
    assert browser().log_in(other, builders.PASSWORD).status_code == 200


def test_logging_out_ends_every_copy_of_the_cookie_at_once(browser):
    one = browser("admin", is_city=True)
    cookie = one.client.cookies["campus_session"]
    assert one.get("/admin").status_code == 200
    assert one.post("/logout").status_code == 303
    assert browser().get("/admin", Cookie=f"campus_session={cookie}").status_code == 303


def test_losing_redis_logs_nobody_out(browser, redis):
    one = browser("admin", is_city=True)
    redis.flushall()
    assert one.get("/admin").status_code == 200


@pytest.mark.parametrize(
    "change",
    ["update session set seen_at = now() - interval '3 hours'", "update session set expires_at = now() - interval '1 second'"],
    ids=["idle", "expired"],
)
def test_an_idle_or_expired_session_is_over(browser, redis, rows, change):
    one = browser("admin", is_city=True)
    assert one.get("/admin").status_code == 200
    rows.execute(change)
    redis.flushall()
    assert one.get("/admin").status_code == 303


def test_the_language_follows_the_account_until_it_is_switched(browser):
    one = browser("admin", is_city=True, lang="en")
    assert 'lang="en"' in one.get("/admin").text
    assert one.post("/api/v1/lang", {"lang": "zh"}).status_code == 200
    assert 'lang="zh-CN"' in one.get("/admin").text


ELSEWHERE = ["https://evil.example/", "//evil.example", "/\\evil.example", "/api/v1/alarms", "javascript:alert(1)"]


def test_a_login_never_leads_to_another_site(browser, rows, subtests):
    login = builders.make_account(rows, "admin", is_city=True)["login"]
    for wanted in ELSEWHERE:
        with subtests.test(wanted=wanted):
            answer = browser().log_in(login, builders.PASSWORD, accept="text/html", next=wanted)
            assert answer.headers["location"] in registry.PAGES


def test_over_tls_cookies_never_leave_it(database, start, rows):
    settings = replace(database.settings, tls=True)
    tls.ensure(settings)
    login = builders.make_account(rows, "admin", is_city=True)["login"]
    url = start(settings).url.replace("http:", "https:")
    with httpx.Client(base_url=url, verify=ssl.create_default_context(cafile=settings.tls_dir / "ca.crt")) as client:
        answer = client.post("/login", data={"login": login, "password": builders.PASSWORD}, headers={"Origin": url})
        assert answer.status_code == 303
        cookies = [line.lower() for line in answer.headers.get_list("set-cookie")]
        assert all("; secure" in line for line in cookies)
        assert any(line.startswith("__host-campus_session=") for line in cookies)
        assert client.get("/admin").status_code == 200
        assert "strict-transport-security" in client.get("/healthz").headers
