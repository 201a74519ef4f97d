"""What the guard lets through, and what every answer carries."""

from __future__ import annotations

import json
import socket

import psycopg
import pytest

from mapapp import guard, headers, registry
from tests import builders

UNKNOWN = (
    "/api/v1/nothing",
    "/tiles/nothing/1/2/3",
    "/live/nothing",
    "/d/x.bin",
    "/assets/nothing.js",
    "/_reload-hash",
    "/nothing",
    "/docs",
)


def test_an_unknown_address_is_not_there_for_somebody_who_is_logged_in(browser, subtests):
    one = browser("admin", is_city=True)
    for path in UNKNOWN:
        with subtests.test(path=path):
            assert one.get(path).status_code == 404


def test_a_stranger_is_told_to_log_in_whether_a_thing_is_there_or_not(browser, subtests):
    for path in ("/api/v1/nothing", "/tiles/nothing", "/live/nothing", "/_dash-layout", "/api/v1/alarms/1"):
        with subtests.test(path=path):
            answer = browser().get(path)
            assert (answer.status_code, answer.json()["error"]) == (401, "log_in")


def test_a_stranger_comes_back_to_the_page_they_wanted(browser):
    answer = browser().get("/admin?x=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fadmin%3Fx%3D1")


def test_the_front_door_leads_to_the_first_page_one_may_see(browser):
    assert browser("commander", is_city=True).get("/").headers["location"] == "/wall"
    assert browser("auditor", is_city=True).get("/").headers["location"] == "/admin"


def test_somebody_whose_work_is_on_the_phone_is_told_so_and_can_log_out(browser):
    answer = browser("guard", is_city=True).get("/")
    assert answer.status_code == 200
    assert 'action="/logout"' in answer.text


FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {guard.CSRF_HEADER: "guessed"},
    {guard.CSRF_HEADER: ""},
]


def test_another_site_cannot_act_in_somebodys_name(browser, subtests):
    one = browser("admin", is_city=True)
    for change in FOREIGN:
        with subtests.test(change=change):
            answer = one.client.post("/api/v1/lang", json={"lang": "en"}, headers=one.headers | change)
            assert (answer.status_code, answer.json()["error"]) == (403, "foreign")
    assert one.post("/api/v1/lang", {"lang": "en"}).status_code == 200


def test_another_site_cannot_log_a_browser_in(browser, rows):
    login = builders.make_account(rows, "admin", is_city=True)["login"]
    answer = browser().client.post(
        "/login", data={"login": login, "password": builders.PASSWORD}, headers={"Origin": "http://evil.example"}
    )
    assert answer.status_code == 403


def test_a_body_larger_than_any_of_ours_is_refused_before_it_is_read(browser, running):
    one = browser("admin", is_city=True)
    assert one.client.post("/api/v1/lang", content=b"x" * (guard.MAX_BODY_BYTES + 1), headers=one.headers).status_code == 413


def test_a_body_that_does_not_say_its_size_is_cut_off(browser):
    one = browser("admin", is_city=True)
    pieces = (b"x" * 65536 for _ in range(guard.MAX_BODY_BYTES // 65536 + 2))
    assert one.client.post("/api/v1/lang", content=pieces, headers=one.headers).status_code == 413


def test_a_websocket_is_never_accepted(running):
    host, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.settimeout(5)
        raw.sendall(
            f"GET /_dash-ws-callback HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert b" 101 " not in raw.recv(200).splitlines()[0]


def test_every_answer_says_what_a_browser_may_do_with_it(browser, subtests):
    for path in ("/login", "/healthz", "/api/v1/nothing", "/assets/login.css", "/nothing"):
        with subtests.test(path=path):
            answer = browser().get(path)
            policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
            assert "'unsafe-inline'" not in policy["script-src"]
            assert "'unsafe-eval'" not in policy["script-src"]
            assert policy["frame-ancestors"] == "'none'"
            assert policy["connect-src"] == "'self'"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "cache-control" in answer.headers
            assert "server" not in answer.headers


def test_the_scripts_of_the_page_are_in_the_policy_by_their_hash(browser):
    page = browser("admin", is_city=True).get("/admin")
    assert page.headers["content-security-policy"].count("'sha256-") >= 1


def test_an_error_that_nobody_foresaw_carries_the_headers_too(browser, running, monkeypatch):
    def fall(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("data.core.session.set_lang", fall)
    answer = browser("admin", is_city=True).post("/api/v1/lang", {"lang": "en"})
    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    assert "content-security-policy" in answer.headers


def test_versioned_files_are_kept_for_a_year_and_pages_not_at_all(browser):
    one = browser("admin", is_city=True)
    assert "immutable" in one.get("/assets/login.css?m=1").headers["cache-control"]
    assert one.get("/assets/login.css").headers["cache-control"] == "no-cache"
    assert one.get("/admin").headers["cache-control"] == "no-store"


def test_scripts_travel_compressed_and_the_stream_does_not(browser):
    one = browser("admin", is_city=True)
    html = one.get("/admin").text
    script = html.split('src="')[1].split('"')[0].replace("&amp;", "&")
    assert one.get(script, **{"Accept-Encoding": "gzip"}).headers.get("content-encoding") == "gzip"
    with one.client.stream("GET", "/live/sse", headers={"Accept-Encoding": "gzip"}) as stream:
        assert "content-encoding" not in stream.headers


def test_a_script_is_the_same_compressed_or_not_first_time_or_kept(browser):
    one = browser("admin", is_city=True)
    script = one.get("/admin").text.split('src="')[1].split('"')[0].replace("&amp;", "&")
    plain = one.get(script, **{"Accept-Encoding": "identity"})
    packed = [one.get(script, **{"Accept-Encoding": "gzip"}) for _ in range(2)]
    assert [answer.content for answer in packed] == [plain.content] * 2
    assert packed[1].headers["content-type"] == plain.headers["content-type"]
    assert "max-age=31536000" in packed[1].headers["cache-control"]


def test_tls_makes_cookies_secure_and_asks_for_https_for_a_year():
    names = dict(headers.security("x", is_tls=True))
    assert names[b"strict-transport-security"] == b"max-age=31536000"
    assert guard.session_cookie(True).startswith("__Host-")


UNREADABLE = [b"", b"[]", b"{}", b'{"output": 1}', b'{"output": ["a"]}', b'{"output":"campus-page.children","inputs":[]}', b"[" * 100_000]


def test_a_callback_nobody_can_read_is_not_there(browser, subtests):
    one = browser("admin", is_city=True)
    for body in UNREADABLE:
        with subtests.test(body=body[:40]):
            answer = one.client.post(guard.CALLBACK_PATH, content=body, headers=one.headers | {"Content-Type": "application/json"})
            assert answer.status_code == 404


def test_an_anonymous_callback_is_refused_before_it_runs(browser):
    answer = browser().callback("wall-results.children", [])
    assert answer.status_code == 401


@pytest.mark.parametrize("away", ["redis", "database"])
def test_health_says_which_part_is_away(browser, running, away, monkeypatch):
    if away == "redis":
        monkeypatch.setattr(running.services.redis, "ping", lambda: (_ for _ in ()).throw(OSError("gone")))
    else:

        def gone(*_: object, **__: object) -> None:
            raise psycopg.OperationalError("gone")

        monkeypatch.setattr(running.services.pool, "connection", gone)
    answer = browser().get("/readyz")
    assert answer.status_code == (200 if away == "redis" else 503)
    assert answer.json()[away]["ok"] is False
    assert browser().get("/healthz").status_code == 200


def test_the_metrics_name_nobody(browser, rows):
    login = builders.make_account(rows, "admin", is_city=True)["login"]
    text = browser().get("/metrics").text
    assert "campus_live_clients" in text
    assert login not in text


def test_the_api_describes_itself_to_those_who_are_logged_in(browser):
    found = browser("admin", is_city=True).get("/api/v1/openapi.json").json()
    told = [
        route for route in registry.ROUTES.values() if route.path.startswith("/api/v1/") and route.options.get("include_in_schema", True)
    ]
    wanted = {route.path.replace(":int", "") for route in told}
    assert wanted <= set(found["paths"])
    assert not any(path.startswith(("/_dash", "/login")) for path in found["paths"])


def test_a_door_with_an_unknown_permission_never_opens():
    with pytest.raises(registry.UnknownPermission):
        registry.route("GET", "/x", requires="no.such")
    with pytest.raises(registry.DoubleDoor):
        registry.route("GET", "/login", requires="public")(lambda: None)


def test_a_database_that_is_away_leaves_people_logged_in(browser, running, redis, monkeypatch):
    one = browser("admin", is_city=True)
    redis.flushall()

    def gone(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(running.services.pool, "connection", gone)
        answer = one.get("/admin")
        assert answer.status_code == 503
        assert "set-cookie" not in answer.headers
    assert one.get("/admin").status_code == 200


def test_errors_are_said_in_the_readers_language(browser):
    english, chinese = browser("admin", is_city=True, lang="en"), browser("admin", is_city=True, lang="zh")
    texts = [json.loads(one.get("/api/v1/nothing").text)["next"] for one in (english, chinese)]
    assert texts[0].isascii()
    assert not texts[1].isascii()
