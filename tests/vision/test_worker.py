"""The worker: signed configuration in, states and candidates out, and nothing that holds it up."""

from __future__ import annotations

import base64
import shutil
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from data.core import seal
from data.core.events import Kind
from tests.vision import hostile
from tests.vision.conftest import Rig
from vision import frames, gate, models
from vision.frames import NoFrame

SEED = tomllib.loads((Path(__file__).parents[2] / "data/demo/gate.toml").read_text())
DEMO_MODEL = SEED["embedder_sha256"]
TEMPLATE = np.frombuffer(base64.b64decode(SEED["template_f32"]), "<f4")
ONE, TWO = "44030500001320000001", "44030500001320000002"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules with shorter waits: health at every frame, lost after a second and a half."""
    monkeypatch.setattr(gate, "HEALTH_S", 0.0)
    monkeypatch.setattr(gate, "LOST_S", 1.5)
    monkeypatch.setattr(gate, "COUNT_S", 1.0)


def _demo_gate(rig: Rig, code: str = ONE, **changes: Any) -> dict[str, Any]:
    return rig.camera(code, gate=rig.gate(DEMO_MODEL, **changes), scene="gate")


def _hit_soon(rig: Rig, code: str = ONE) -> None:
    """Set the player's clock so that the enrolled drawn person is about to come."""
    from vision import scene

    word = scene.faces.words()[scene.ENROLLED]
    first = next(at / 4 for at in range(4000) if any(passer.word == word for passer in scene.passers_at(code, at / 4)))
    rig.players.turn_to(first)


def test_states_are_told_when_they_change_with_the_reason(rig: Rig) -> None:
    rig.start()
    rig.publish(rig.camera(ONE, scene="yard"), rig.camera(TWO, scene="hall"))
    rig.wait_for(lambda: rig.states(ONE) == ["ok"] and rig.states(TWO) == ["ok"], 10)
    camera = rig.players.find(f"/cam/{ONE}")
    assert camera is not None
    rig.wait_for(lambda: rig.worker._watched[ONE].health._moves and len(rig.worker._watched[ONE].health._moves) >= 5, 10)  # type: ignore[union-attr]
    expected = ["ok"]
    for fault, state in (("freeze", "frozen"), ("dark", "dark"), ("blur", "blurred"), ("gone", "lost")):
        camera.fault = fault
        expected.append(state)
        rig.wait_for(lambda: rig.states(ONE) == expected, 12)
        camera.fault = ""
        expected.append("ok")
        rig.wait_for(lambda: rig.states(ONE) == expected, 25)
    assert rig.states(TWO) == ["ok"], "the neighbour saw nothing of it"
    events = rig.said(Kind.CAMERA_CHANGED, ONE)
    assert {event.data["evidence"] for event in events} == {"stream"}
    assert all(event.demo for event in events)
    lost = next(event for event in events if event.data["state"] == "lost")
    assert lost.data["reason"] in ("closed", "refused", "timeout")


def test_the_web_gets_aged_frames_and_nothing_for_cameras_that_are_not_held(rig: Rig) -> None:
    rig.start()
    rig.publish(rig.camera(ONE, scene="yard"), rig.camera(TWO, "http://127.0.0.1:9/nothing"))
    rig.wait_for(lambda: rig.states(ONE) == ["ok"], 10)
    picture, age_ms, at = frames.fetch(rig.settings.frames_socket, ONE)
    assert np.asarray(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)).shape == (360, 640, 3)
    assert 0 <= age_ms < 2000
    assert datetime.now(UTC) - at < timedelta(seconds=2)
    for camera, code in ((TWO, "no_frame"), ("44030500001320000009", "unknown_camera")):
        with pytest.raises(NoFrame, match=code):
            frames.fetch(rig.settings.frames_socket, camera)
    rig.publish(rig.camera(TWO, "http://127.0.0.1:9/nothing"))
    rig.wait_for(lambda: list(rig.worker._watched) == [TWO], 5)  # type: ignore[union-attr]
    with pytest.raises(NoFrame, match="unknown_camera"):
        frames.fetch(rig.settings.frames_socket, ONE)


def test_hostile_streams_are_named_and_hold_up_nobody(rig: Rig) -> None:
    def flood(write: Any, _ended: Any) -> None:
        while True:
            write(b"X-Pad: " + b"a" * 8000 + b"\r\n")

    with (
        hostile.camera(flood) as endless,
        hostile.camera(lambda write, _: write(hostile.OK + hostile.part(b"\xff\xd8 no picture \xff\xd9"))) as garbage,
    ):
        rig.start()
        rig.publish(rig.camera(ONE, scene="yard"), rig.camera(TWO, endless), rig.camera(TWO[:-1] + "3", garbage))
        rig.wait_for(lambda: rig.states(ONE) == ["ok"], 10)
        rig.wait_for(lambda: rig.states(TWO) == ["lost"] and rig.states(TWO[:-1] + "3") == ["lost"], 10)
        assert rig.said(Kind.CAMERA_CHANGED, TWO)[0].data["reason"] == "endless_headers"
        assert rig.said(Kind.CAMERA_CHANGED, TWO[:-1] + "3")[0].data["reason"] == "garbage"
        assert rig.states(ONE) == ["ok"]
        rig.wait_for(lambda: rig.beat().get("states") == {"ok": 1, "lost": 2}, 6)


def test_without_models_it_says_so_and_the_rest_runs(rig: Rig) -> None:
    rig.start()
    rig.publish(rig.camera(ONE, gate=rig.gate("0" * 64), scene="gate"), rig.camera(TWO, scene="yard"))
    rig.wait_for(lambda: rig.states(ONE) == ["ok"] and rig.states(TWO) == ["ok"], 10)
    beat = rig.wait_for(lambda: (found := rig.beat()).get("gates_off") and found, 5)
    assert beat["models"] == "none"
    assert (beat["gates"], beat["gates_off"]) == (0, {ONE: "no_models"})


def test_a_drawn_hit_becomes_a_sealed_candidate_and_passers_by_only_a_number(rig: Rig) -> None:
    rig.start()
    rig.enter(rig.entry(TEMPLATE, DEMO_MODEL, [ONE]))
    rig.publish(_demo_gate(rig))
    rig.wait_for(lambda: rig.beat().get("gates") == 1 and rig.beat().get("register") == 1, 15)
    _hit_soon(rig)
    found = rig.wait_for(lambda: rig.said(Kind.CANDIDATE_FOUND), 25)[0]
    assert (found.subject, found.demo, found.data["entry_id"], found.data["model_sha256"]) == (ONE, True, 1, DEMO_MODEL)
    assert 0.9 < found.data["score"] <= 1.0
    packed = base64.b64decode(found.data["sealed_picture"])
    assert len(found.data["sealed_picture"]) <= 48 * 1024
    assert b"\xff\xd8\xff" not in packed, "sealed"
    data_key = seal.unseal(seal.derive(rig.key, "candidate picture"), packed[:60], found.event_id)
    picture = np.asarray(
        cv2.imdecode(np.frombuffer(seal.unseal(data_key, packed[60:], found.event_id), np.uint8), cv2.IMREAD_COLOR), np.uint8
    )
    demo = models.load(models.demo_folder(rig.settings), next(pack for pack in models.packs(rig.settings.models) if pack.is_demo))
    assert len(demo.detector.find(picture, min_score=0.3)) == 1, "the bystander beside them is no face any more"
    counted = rig.wait_for(lambda: rig.said(Kind.PASSAGE_COUNTED), 8)
    assert all(event.data.keys() == {"passages"} for event in counted)
    assert rig.beat()["models"] == ["demo"]


@pytest.mark.parametrize("why", ["expired", "other-gate", "other-model", "revoked", "below-threshold", "outside-the-zone"])
def test_who_is_not_looked_for_here_and_now_never_becomes_a_candidate(rig: Rig, why: str) -> None:
    entry = {
        "expired": lambda: rig.entry(TEMPLATE, DEMO_MODEL, [ONE], valid=timedelta(seconds=-1)),
        "other-gate": lambda: rig.entry(TEMPLATE, DEMO_MODEL, [TWO]),
        "other-model": lambda: rig.entry(TEMPLATE, "1" * 64, [ONE]),
        "below-threshold": lambda: rig.entry(np.roll(TEMPLATE, 7), DEMO_MODEL, [ONE]),
        "outside-the-zone": lambda: rig.entry(TEMPLATE, DEMO_MODEL, [ONE]),
    }.get(why)
    rig.start()
    rig.enter(*([entry()] if entry else []))
    zone = [0.9, 0.9, 1, 1] if why == "outside-the-zone" else [0, 0, 1, 1]
    rig.publish(_demo_gate(rig, zone=zone))
    rig.wait_for(lambda: rig.beat().get("gates") == 1, 15)
    _hit_soon(rig)
    until = gate.time.monotonic() + 9
    rig.wait_for(lambda: gate.time.monotonic() > until, 12)  # one whole passage
    assert rig.said(Kind.CANDIDATE_FOUND) == []


def test_the_demo_pack_is_made_where_it_is_not_there(rig: Rig) -> None:
    shutil.rmtree(models.demo_folder(rig.settings))
    rig.start()
    rig.publish(_demo_gate(rig))
    rig.wait_for(lambda: rig.beat().get("gates") == 1 and rig.beat()["models"] == ["demo"], 30)


def test_the_demo_pack_is_refused_on_a_camera_that_is_not_a_demo_camera(rig: Rig) -> None:
    rig.start()
    rig.enter(rig.entry(TEMPLATE, DEMO_MODEL, [ONE]))
    real = {**_demo_gate(rig), "demo": False}
    rig.publish(real)
    beat = rig.wait_for(lambda: (found := rig.beat()).get("gates_off") and found, 20)
    assert beat["gates_off"] == {ONE: "demo_pack_refused"}
    assert beat["gates"] == 0
    assert rig.worker._watched[ONE].check is None  # type: ignore[union-attr]


@pytest.mark.parametrize("change", [{"valid_until": (datetime.now(UTC) - timedelta(days=1)).isoformat()}], ids=["year-over"])
def test_a_gate_whose_assessment_is_over_stays_off_in_the_worker_too(rig: Rig, change: dict[str, Any]) -> None:
    rig.start()
    rig.publish(_demo_gate(rig, **change))
    rig.wait_for(lambda: rig.beat().get("gates_off") == {ONE: "assessment_over"}, 10)


@pytest.mark.parametrize(
    "change", [{"threshold": None}, {"threshold": 0}, {"zone": [1, 0, 0, 1]}, {"assessment": ""}, {"valid_until": "soon"}]
)
def test_a_gate_that_cannot_be_read_keeps_the_camera_out_and_says_which_field(rig: Rig, change: dict[str, Any]) -> None:
    rig.start()
    rig.publish(_demo_gate(rig, **change), rig.camera(TWO, scene="yard"))
    beat = rig.wait_for(lambda: (found := rig.beat()).get("unfit") and found, 10)
    assert beat["unfit"] == {ONE: next(iter(change))}
    assert beat["cameras"] == 1


def test_an_unsigned_snapshot_and_a_foreign_or_old_register_are_refused(rig: Rig) -> None:
    rig.start()
    rig.publish(rig.camera(ONE, scene="yard"))
    rig.wait_for(lambda: rig.states(ONE) == ["ok"], 10)
    entry = rig.entry(TEMPLATE, DEMO_MODEL, [ONE])
    keeper = rig.worker._keeper  # type: ignore[union-attr]
    rig.enter(entry, worker="vision-2")
    rig.wait_for(lambda: rig.beat().get("refused") == 1, 6)
    rig.enter(entry, made_at=datetime.now(UTC) - timedelta(hours=1))
    rig.wait_for(lambda: rig.beat().get("refused") == 2, 6)
    assert keeper.current(datetime.now(UTC)).entries == ()
    rig.enter(entry)
    rig.wait_for(lambda: rig.beat().get("register") == 1, 6)
    rig.enter(made_at=datetime.now(UTC))
    rig.wait_for(lambda: rig.beat().get("register") == 0, 6)
    rig.enter(entry, made_at=datetime.now(UTC) - timedelta(minutes=5))
    rig.wait_for(lambda: rig.beat().get("refused") == 3, 6)
    assert keeper.current(datetime.now(UTC)).entries == (), "a revoked entry is not brought back by an older register"
    rig.redis.hset("campus:desired:vision-1", mapping={"version": 99, "body": b"{}", "signature": b"x" * 64})
    rig.wait_for(lambda: rig.beat().get("refused") == 4, 6)
    assert rig.beat()["cameras"] == 1


def test_a_register_nobody_renews_is_forgotten(rig: Rig) -> None:
    rig.start()
    rig.enter(rig.entry(TEMPLATE, DEMO_MODEL, [ONE]))
    rig.wait_for(lambda: rig.beat().get("register") == 1, 6)
    keeper = rig.worker._keeper  # type: ignore[union-attr]
    assert len(keeper.current(datetime.now(UTC)).entries) == 1
    assert keeper.current(datetime.now(UTC) + timedelta(minutes=16)).entries == ()


def test_it_starts_again_without_redis_from_its_last_snapshot(rig: Rig) -> None:
    rig.start()
    rig.publish(rig.camera(ONE, scene="yard"))
    rig.wait_for(lambda: rig.states(ONE) == ["ok"], 10)
    rig.stop()
    rig.redis.flushall()
    rig.start()
    rig.wait_for(lambda: rig.states(ONE)[-1:] == ["ok"], 10)


def test_twenty_four_cameras_are_held_and_looked_at_in_time(rig: Rig) -> None:
    many = [f"440305000013200001{number:02}" for number in range(24)]
    rig.start()
    rig.publish(*(rig.camera(code, fps=1.0, scene=("yard", "hall", "gate")[number % 3]) for number, code in enumerate(many)))
    rig.wait_for(lambda: rig.beat().get("states") == {"ok": 24}, 30)
    assert not rig.beat()["overloaded"]
    assert rig.beat()["stretch"] < 1.5
