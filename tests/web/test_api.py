"""The API as the wall, the phones and the recorders use it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from data.core import clock, db
from data.rooms import response, watch
from mapapp import frames
from mapapp.api import monitor as monitor_api
from tests import builders
from tests.web.sse import Stream


@pytest.fixture
def pressed(rows) -> dict[str, object]:
    """An alarm as ingest raises it."""
    school = builders.make_school(rows)
    device = builders.make_device(rows, school["school_id"])
    event = builders.make_event(rows, device["code"])
    with db.scoped(rows, db.CITY) as conn:
        return {"alarm_id": response.raise_alarm(conn, event), "school": school, "device": device}


def test_one_acknowledges_and_the_other_is_told_by_whom(browser, pressed):
    first, second = browser("dispatcher", is_city=True), browser("dispatcher", is_city=True, lang="en")
    with Stream(second) as stream:
        stream.wait(lambda s: s.of("snapshot"))
        path = f"/api/v1/alarms/{pressed['alarm_id']}/acknowledge"
        done = first.post(path)
        assert (done.status_code, done.json()["state"]) == (200, "acknowledged")
        told = stream.wait(lambda s: s.of("alarm.changed"))[0].body
        assert (told["alarm_id"], told["state"]) == (pressed["alarm_id"], "acknowledged")
        late = second.post(path)
        assert (late.status_code, late.json()["error"]) == (409, "already_acknowledged")
        assert done.json()["acknowledged_by_en"] in late.json()["message"]


def test_an_alarm_is_closed_with_a_cause_and_only_after_somebody_looked(browser, pressed):
    one, path = browser("dispatcher", is_city=True), f"/api/v1/alarms/{pressed['alarm_id']}"
    early = one.post(f"{path}/close", {"cause": "false"})
    assert (early.status_code, early.json()["error"]) == (409, "not_acknowledged")
    one.post(f"{path}/acknowledge")
    assert one.post(f"{path}/close", {"cause": "nonsense"}).status_code == 422
    assert one.post(f"{path}/close", {"cause": "false", "note": "演练"}).json()["cause"] == "false"
    assert one.get("/api/v1/alarms").json()["alarms"] == []
    past = one.get("/api/v1/alarms?since=2020-01-01T00:00:00Z").json()
    assert [row["alarm_id"] for row in past["alarms"]] == [pressed["alarm_id"]]


def test_the_detail_of_an_alarm_holds_what_the_panel_shows(browser, pressed):
    found = browser("dispatcher", is_city=True).get(f"/api/v1/alarms/{pressed['alarm_id']}").json()
    assert {"alarm", "place", "steps", "outputs", "cameras", "units"} <= set(found)
    assert found["place"]["school_code"] == pressed["school"]["code"]
    assert [step["act"] for step in found["steps"]] == ["raised"]


def test_a_siren_is_asked_for_and_the_request_is_on_every_screen(browser, pressed):
    one = browser("dispatcher", is_city=True)
    with Stream(one) as stream:
        stream.wait(lambda s: s.of("snapshot"))
        path = f"/api/v1/devices/{pressed['device']['device_id']}/command"
        asked = one.post(path, {"channel": 0, "act": "on", "on_s": 30, "alarm_id": pressed["alarm_id"]})
        assert (asked.status_code, asked.json()["state"]) == (200, "requested")
        assert stream.wait(lambda s: s.of("command.changed"))[0].body["command_id"] == asked.json()["command_id"]
        assert one.post(path, {"channel": 0, "act": "on", "on_s": 3600}).status_code == 422
        assert one.post(path, {"channel": 9, "act": "on"}).status_code == 404


def test_a_call_for_help_is_one_alarm_however_often_it_is_sent(browser, rows):
    school = builders.make_school(rows)
    guard = browser("guard", schools=(school["school_id"],))
    call = {"client_id": uuid4().hex, "lon": builders.LON, "lat": builders.LAT, "accuracy_m": 8}
    first, again = guard.post("/api/v1/sos", call).json(), guard.post("/api/v1/sos", call).json()
    assert first["alarm_id"] == again["alarm_id"]
    assert (first["kind"], first["presses"], again["presses"]) == ("sos", 1, 1)
    assert guard.post("/api/v1/sos", {"client_id": uuid4().hex}).status_code == 200
    bad = guard.post("/api/v1/sos", {"client_id": uuid4().hex, "lon": 500, "lat": 2})
    assert (bad.status_code, bad.json()["error"]) == (422, "bad_position")


def test_positions_are_stored_once_and_move_the_unit_on_every_screen(browser, rows):
    account = builders.make_account(rows, "unit", districts=("440304",))
    builders.make_school(rows, district_code="440304")
    unit = builders.make_unit(rows, district_code="440304", account_id=account["account_id"])
    phone, screen = browser("unit"), browser("dispatcher", is_city=True)
    phone = type(phone)(phone.url, account["login"])
    fixes = [{"client_id": str(uuid4()), "at": clock.iso(clock.now()), "lon": 114.07, "lat": 22.55, "accuracy_m": 6}]
    try:
        with Stream(screen) as stream:
            stream.wait(lambda s: s.of("snapshot"))
            assert phone.post("/api/v1/positions", fixes).json() == {"taken": 1, "moved": True}
            moved = stream.wait(lambda s: s.of("unit.moved"))[0].body
        assert (moved["unit_id"], moved["lon"]) == (unit["unit_id"], 114.07)
        phone.post("/api/v1/positions", fixes)
        assert rows.execute("select count(*) as n from fix").fetchone()["n"] == 1
        assert phone.post("/api/v1/positions", fixes * 501).status_code == 422
    finally:
        phone.client.close()


def test_what_cannot_be_understood_is_named_field_by_field(browser):
    answer = browser("guard", is_city=True).post("/api/v1/sos", {"client_id": "x", "lon": "east"})
    assert answer.status_code == 422
    assert {"body.client_id", "body.lon"} <= set(answer.json()["fields"])
    assert answer.json()["next"]


def test_nonsense_is_refused_and_breaks_nothing(browser, subtests):
    one = browser("guard", is_city=True)
    for content in (b"", b"{", b"\xff\xfe", b"null", b"[" * 50_000):
        with subtests.test(content=content[:10]):
            answer = one.client.post("/api/v1/sos", content=content, headers=one.headers | {"Content-Type": "application/json"})
            assert answer.status_code in (400, 422)
    assert one.get("/healthz").status_code == 200


def test_painted_presses_become_a_figure(browser):
    one = browser("dispatcher", is_city=True)
    row = {"alarm_id": 1, "press": 1, "event_at": "2026-01-01T00:00:00+00:00", "painted_at": "2026-01-01T00:00:00.400+00:00"}
    wrong = row | {"painted_at": "2025-01-01T00:00:00+00:00"}
    assert one.post("/api/v1/painted", {"painted": [row, wrong, row | {"how": "start"}]}).json() == {"taken": 1}
    assert 'campus_painted_seconds_bucket{le="0.5"} 1.0' in one.get("/metrics").text


SEARCHES = ["南山实验", "实验", "nsqsyxx", "nanshan", "Nanshan Experimental", "experimental nanshan", "南山　实验", "ＮＳＱ"]


def test_a_school_is_found_by_whatever_somebody_types(browser, rows, subtests):
    builders.make_school(rows, name_zh="福田区第六小学", name_en="Futian No. 6 Primary School")
    wanted = builders.make_school(rows, name_zh="南山区实验小学", name_en="Nanshan Experimental Primary School")
    one = browser("dispatcher", is_city=True)
    for query in SEARCHES:
        with subtests.test(query=query):
            found = one.client.get("/api/v1/schools", params={"q": query}).json()["schools"]
            assert [row["code"] for row in found] == [wanted["code"]]


def test_a_school_is_found_by_its_code_and_the_index_follows_changes(browser, rows):
    one, first = browser("dispatcher", is_city=True), builders.make_school(rows, name_zh="甲小学")
    assert [row["code"] for row in one.get(f"/api/v1/schools?q={first['code'].lower()}").json()["schools"]] == [first["code"]]
    rows.execute("update school set name_zh = '乙小学' where school_id = %(school_id)s", first)
    assert one.client.get("/api/v1/schools", params={"q": "甲"}).json()["schools"] == []
    assert len(one.client.get("/api/v1/schools", params={"q": "乙"}).json()["schools"]) == 1


def test_the_card_shows_whole_numbers_to_those_who_call_only(browser, rows):
    school = builders.make_school(rows)
    rows.execute("update school set contact_phone = '13800001234' where school_id = %(school_id)s", school)
    builders.make_gate(rows, school["school_id"])
    builders.make_post(rows, school["school_id"])
    path = f"/api/v1/schools/{school['school_id']}"
    for role, expected in (("dispatcher", "13800001234"), ("assessor", "138****1234")):
        card = browser(role, is_city=True).get(path).json()
        assert card["school"]["contact_phone"] == expected
        assert (len(card["gates"]), len(card["posts"])) == (1, 1)


# Live pictures


@pytest.fixture
def worker(running, rows) -> Iterator[dict[str, bytes]]:
    """A vision worker's socket that knows the pictures in the dict; speaks its protocol."""
    path: Path = running.services.settings.frames_socket
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    known: dict[str, bytes] = {}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:
                    return
                with link, link.makefile("rwb") as stream:
                    picture = known.get(json.loads(stream.readline())["camera"])
                    head = (
                        {"error": "no_frame"}
                        if picture is None
                        else {"age_ms": 120, "at": "2026-01-01T00:00:00+00:00", "bytes": len(picture)}
                    )
                    stream.write(json.dumps(head).encode() + b"\n" + (picture or b""))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield known
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(2)
    path.unlink(missing_ok=True)


def _camera(rows, school):
    return builders.make_camera(rows, school, stream_url="rtsp://127.0.0.1/x", worker="vision-1")


def test_a_picture_comes_with_its_age_and_the_look_is_written_down_once_a_minute(browser, rows, worker, pressed, monkeypatch):
    monkeypatch.setattr(monitor_api, "_LOOKS", watch.Record())
    camera, one = _camera(rows, pressed["school"]), browser("dispatcher", is_city=True)
    worker[camera["code"]] = b"\xff\xd8 jpeg"
    for _ in range(3):
        answer = one.get(f"/live/frame/{camera['camera_id']}")
        assert (answer.status_code, answer.content, answer.headers["x-age-ms"]) == (200, b"\xff\xd8 jpeg", "120")
    looks = rows.execute("select reason, object from audit where act = 'camera.watched'").fetchall()
    assert looks == [{"reason": f"alarm:{pressed['alarm_id']}", "object": f"camera:{camera['camera_id']}"}]


def test_without_an_alarm_a_reason_is_asked_for_and_kept(browser, rows, worker):
    camera, one = _camera(rows, builders.make_school(rows)), browser("dispatcher", is_city=True)
    worker[camera["code"]] = b"\xff\xd8"
    refused = one.get(f"/live/frame/{camera['camera_id']}")
    assert (refused.status_code, refused.json()["error"]) == (403, "no_reason")
    assert one.client.get(f"/live/frame/{camera['camera_id']}", params={"reason": "parents' day"}).status_code == 200
    assert rows.execute("select reason from audit where act = 'camera.watched'").fetchall() == [{"reason": "parents' day"}]


def test_a_camera_of_another_district_is_not_there(browser, rows, worker, pressed):
    camera = _camera(rows, pressed["school"])
    worker[camera["code"]] = b"\xff\xd8"
    assert browser("officer", districts=("440305",)).get(f"/live/frame/{camera['camera_id']}?reason=x").status_code == 404


def test_no_picture_is_said_with_what_to_do(browser, rows, worker, pressed):
    one = browser("dispatcher", is_city=True)
    for camera in (_camera(rows, pressed["school"]), builders.make_camera(rows, pressed["school"])):
        answer = one.get(f"/live/frame/{camera['camera_id']}")
        assert (answer.status_code, answer.json()["error"]) == (404, "no_picture")


def test_a_worker_that_is_away_or_talks_nonsense_gives_no_picture(tmp_path):
    with pytest.raises(frames.NoFrame, match="worker_away"):
        frames.fetch(tmp_path / "none.sock", "1")
    for line in (b"", b"nonsense\n", b"{}\n", b'{"bytes": 99999999999, "age_ms": 1, "at": ""}\n', b'{"bytes": 5, "age_ms": 1, "at": ""}\n'):
        with pytest.raises(frames.NoFrame, match="bad_answer"):
            frames._read(line, lambda size: b"")
