"""The real models on real pictures: a match end to end, nobody else anywhere, and everybody else unrecognisable.

Two public office holders under neutral test ids; pictures are composed at test time and never stored by the project.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from data.core import audit, db, events
from data.core.events import Kind
from data.core.settings import Settings
from data.ingest import handlers
from data.rooms import warning
from tests import builders
from tests.vision import hostile
from tests.vision.conftest import Rig
from tests.vision.trace import Trace
from tests.warning.conftest import person
from vision import check, enrol, gate, match, models
from vision.align import aligned
from vision.enrol import NotEnrolled
from vision.source import Frame

HERE = Path(__file__).parents[2]
ROOT = HERE.parent / "shared"
REAL, PICTURES = ROOT / "models", ROOT / "data/faces/official"
pytestmark = pytest.mark.skipif(not (REAL.exists() and PICTURES.exists()), reason="needs ../shared/models and ../shared/data/faces")
Image = NDArray[np.uint8]
THRESHOLD = 0.55


@dataclass(frozen=True)
class Known:
    """The two persons A and B: what enrols each, and a picture that shows both."""

    loaded: models.Loaded
    a: enrol.Enrolled
    b: enrol.Enrolled
    both: Image


def _read(name: str, width: int = 0) -> Image:
    image = np.asarray(cv2.imread(str(PICTURES / f"{name}.jpg")), np.uint8)
    return (
        image
        if not width
        else np.asarray(cv2.resize(image, (width, round(image.shape[0] * width / image.shape[1])), interpolation=cv2.INTER_AREA), np.uint8)
    )


@pytest.fixture(scope="module")
def known() -> Known:
    loaded = models.load(REAL, next(pack for pack in models.packs(REAL) if not pack.is_demo))
    both = _read("obama_and_biden", 640)[:360]
    b = _read("biden")
    turned = np.asarray(cv2.flip(b, 1), np.uint8)
    return Known(
        loaded,
        enrol.enrol(loaded, [_read("obama"), _read("obama2"), _read("obama3")]),
        enrol.enrol(loaded, [b, turned, _one_of(loaded)]),
        both,
    )


def _one_of(loaded: models.Loaded) -> Image:
    """The second picture of B without the people in its background."""
    image = _read("biden2")
    face = max(loaded.detector.find(image), key=lambda found: found.width_px)
    x, y, wide, high = (round(value) for value in face.box)
    return np.ascontiguousarray(image[max(0, y - high // 3) : y + high * 5 // 4, max(0, x - wide // 5) : x + wide * 6 // 5])


def passage(both: Image, count: int = 40) -> list[Image]:
    """Frames in which the two stand at a gate and sway a little, between frames of the empty gate."""
    empty = np.full_like(both, 96)
    noise = np.random.default_rng(5).integers(0, 6, both.shape, np.uint8)
    frames = []
    for number in range(count):
        ground = empty if number < 5 or number > count - 12 else np.roll(both, (number % 3) * 2 - 2, axis=1)
        frames.append(cv2.add(ground, np.roll(noise, number * 7, axis=0)))
    return frames


def stream(frames: list[Image]) -> hostile.Script:
    """Play the frames at 8 a second, again and again, as motion JPEG."""
    packed = [cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes() for frame in frames]

    def script(write: Callable[[bytes], Any], ended: threading.Event) -> None:
        write(hostile.OK)
        while True:
            for picture in packed:
                write(hostile.part(picture))
                if ended.wait(0.125):
                    return

    return script


def _looked_at(known: Known, frames: list[Image], entry: enrol.Enrolled, **changes: Any) -> list[check.Found]:
    """What a gate that looks for `entry` says to these frames."""
    from vision.plan import Gate

    until = datetime.now(UTC) + timedelta(days=1)
    sha256 = known.loaded.pack.sha256
    plan = Gate(threshold=THRESHOLD, assessment="T", model_sha256=sha256, zone=(0, 0, 1, 1), valid_until=until)
    watching = check.GateCheck("c", replace(plan, **changes), known.loaded)
    register = match.Register(
        [match.Entry(entry_id=7, cameras=frozenset({"c"}), model_sha256=sha256, template=entry.template, until=until)]
    )
    found = []
    for number, image in enumerate(frames):
        frame = Frame(number + 1, datetime.now(UTC), number * 0.25, image=image)
        found += watching.look(frame, register, datetime.now(UTC), number * 0.25)
    return found


def test_one_candidate_for_the_entry_and_nothing_for_the_others(known: Known) -> None:
    for entry in (known.a, known.b):
        found = _looked_at(known, passage(known.both), entry)
        assert [one.match.entry_id for one in found] == [7], "once a passage"
        assert found[0].match.score >= THRESHOLD
        assert 0 < found[0].expected_false_per_day < 1


def test_in_the_stored_picture_only_the_matched_person_can_be_recognised(known: Known) -> None:
    for entry, other in ((known.a, known.b), (known.b, known.a)):
        picture = _looked_at(known, passage(known.both), entry)[0].picture
        assert len(picture) <= 34_000
        assert list(Trace(known.loaded, entry.template, []).in_bytes(picture, "picture")), "the matched one can be compared by eye"
        assert not list(Trace(known.loaded, other.template, []).in_bytes(picture, "picture"))
        image = np.asarray(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR), np.uint8)
        assert len(known.loaded.detector.find(image, min_score=0.3)) == 1


@pytest.mark.parametrize(("width", "is_found"), [(560, True), (420, True), (340, True), (250, False)], ids=["52px", "39px", "31px", "23px"])
def test_faces_below_the_limit_are_never_compared(known: Known, width: int, is_found: bool) -> None:
    frames = []
    for frame in passage(known.both):
        small = cv2.resize(frame, (width, 360 * width // 640), interpolation=cv2.INTER_AREA)
        canvas = np.full_like(frame, 96)
        canvas[: small.shape[0], :width] = small
        frames.append(canvas)
    assert bool(_looked_at(known, frames, known.a)) == is_found


def test_what_lies_outside_the_gate_zone_is_not_compared(known: Known) -> None:
    assert _looked_at(known, passage(known.both), known.a, zone=(0.0, 0.9, 1.0, 1.0)) == []


@pytest.mark.parametrize(("pictures", "reason"), [
    (["obama", "obama2"], "too_few_pictures"),
    (["obama", "obama2", "biden"], "not_the_same_person"),
    (["obama", "obama2", "obama_and_biden"], "several_faces"),
    (["obama", "obama2", "small"], "face_too_small"),
    (["obama", "obama2", "blurred"], "face_unclear"),
    (["obama", "obama2", "empty"], "no_face"),
])  # fmt: skip
def test_pictures_that_make_no_good_template_are_refused(known: Known, pictures: list[str], reason: str) -> None:
    made = {
        "small": _read("obama3", 300),
        "empty": np.full((400, 400, 3), 90, np.uint8),
        "blurred": np.asarray(cv2.GaussianBlur(_read("obama3", 700), (0, 0), 7), np.uint8),
    }
    with pytest.raises(NotEnrolled) as refused:
        enrol.enrol(known.loaded, [made[name] if name in made else _read(name) for name in pictures])
    assert refused.value.reason == reason


# No trace of a non-match


def _sent(frame: Image) -> Image:
    """The frame as the worker decodes it."""
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 90])[1], cv2.IMREAD_COLOR), np.uint8)


@dataclass
class Run:
    """A worker, ingest and every store after both persons passed a gate that looks for A only."""

    rig: Rig
    known: Known
    conn: db.Connection
    owner: Any
    candidate: int
    trace: Trace
    said: str
    roots: list[Path]

    def traces(self) -> list[str]:
        found = [line for root in self.roots for line in self.trace.in_folder(root)]
        found += self.trace.in_redis(self.rig.redis)
        found += self.trace.in_database(self.owner)
        return found + list(self.trace.in_bytes(self.said.encode(), "log"))


@pytest.fixture
def run(
    rig: Rig, known: Known, database: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    temp = Path(tempfile.mkdtemp(prefix="ct-"))
    run_dir = rig.settings.frames_socket.parent
    monkeypatch.setattr(tempfile, "tempdir", str(temp))
    monkeypatch.setattr(gate, "COUNT_S", 1.0)
    rig.settings = replace(rig.settings, model_dir=REAL)
    with database.connect() as conn, database.owner() as owner, hostile.camera(stream(passage(known.both))) as url:
        with db.scoped(conn, db.CITY):
            school = builders.make_school(conn)
            camera = builders.make_camera(conn, school, worker="vision-1", stream_url=url)
            sponsor, approver = person(conn, "registrar"), person(conn, "approver")
            entry = _register(conn, rig, known, sponsor, approver, school, camera)
            packed = warning.sealed_register(conn, "vision-1", rig.key)
        rig.redis.set("campus:register:vision-1", packed)
        rig.start()
        rig.publish(rig.camera(camera["code"], url, gate=rig.gate(known.loaded.pack.sha256), demo=False))
        found = rig.wait_for(lambda: rig.said(Kind.CANDIDATE_FOUND), 60)[0]
        assert found.data["entry_id"] == entry
        rig.wait_for(lambda: sum(event.data["passages"] for event in rig.said(Kind.PASSAGE_COUNTED)) >= 2, 30)
        rig.stop()
        candidate = _ingest(conn, rig)
        rig.redis.bgsave()
        owner.execute("checkpoint")
        said = "".join(capfd.readouterr())
        shown = [frame for frame in passage(known.both) if frame.std() > 20][:12]
        trace = Trace(known.loaded, known.b.template, [*shown, *map(_sent, shown)])
        yield Run(rig, known, conn, owner, candidate, trace, said, [rig.settings.data_dir, temp, run_dir, settings.data_dir])
    shutil.rmtree(temp)


def _register(conn: db.Connection, rig: Rig, known: Known, sponsor: Any, approver: Any, school: Any, camera: Any) -> int:
    sha256 = known.loaded.pack.sha256
    now = datetime.now(UTC)
    warning.assess(conn, approver, number="T", model_sha256=sha256, threshold=THRESHOLD, approved_by="T", approved_on=now.date())
    warning.switch_gate(conn, approver, camera["code"], is_on=True, assessment="T", threshold=THRESHOLD, other_way_in="desk")
    proposal = warning.Proposal(
        ground="court_order",
        document_number="T-1",
        issuing_body="T",
        proof_sha256="0" * 64,
        starts_at=now - timedelta(hours=1),
        expires_at=now + timedelta(days=1),
        order_ends_at=now + timedelta(days=1),
        born_on=now.date() - timedelta(days=20_000),
        instruction="T",
        school_ids=frozenset({school["school_id"]}),
    )
    made = warning.Enrolment(model_sha256=sha256, template=known.a.template.tobytes(), pictures=known.a.pictures, photo=known.a.photo)
    entry = warning.propose(conn, sponsor, proposal, made, rig.key)
    warning.approve(conn, approver, entry)
    return entry


def _ingest(conn: db.Connection, rig: Rig) -> int:
    """What the consumer does with the events, in the code it does it with."""
    bodies = [fields[b"b"] for _, fields in rig.redis.xrange("campus:event")]  # type: ignore[union-attr]
    with db.scoped(conn, db.CITY):
        handlers.store(conn, [events.decode(body) for body in bodies])
        row = conn.execute("select candidate_id from candidate where state = 'open' order by 1 limit 1").fetchone()
    assert row is not None
    return int(row["candidate_id"])


def test_no_trace_of_a_non_match_is_anywhere_and_each_leak_would_be_seen(run: Run) -> None:
    assert run.traces() == []
    with db.scoped(run.conn, db.CITY):
        dispatcher = person(run.conn, "dispatcher")
        picture = warning.candidate_picture(run.conn, dispatcher, run.candidate, "found", run.rig.key)
        counted = run.conn.execute("select sum(passages) as n from gate_count").fetchone()
    assert list(run.trace.in_bytes(picture, "opened")) == [], "not even in the one picture that is kept"
    assert counted is not None
    assert counted["n"] >= 2, "both were compared"
    _check_leaks(run)


def _check_leaks(run: Run) -> None:
    """Each deliberate leak turns the search red."""
    frame = next(frame for frame in passage(run.known.both) if frame.std() > 20)
    jpeg = cv2.imencode(".jpg", frame)[1].tobytes()
    face = max(run.known.loaded.detector.find(frame), key=lambda one: _like(run, frame, one))
    x, y, wide, high = (round(value) for value in face.box)
    thumb = cv2.imencode(".jpg", frame[max(0, y - 10) : y + high + 10, max(0, x - 10) : x + wide + 10])[1].tobytes()
    b = run.known.b.template
    leaks = {
        "jpeg": jpeg,
        "png crop": cv2.imencode(".png", aligned(frame, face.points))[1].tobytes(),
        "thumbnail": b"junk" + thumb,
        "raw frame": frame.tobytes(),
        "f32": b.tobytes(),
        "f16": b.astype("<f2").tobytes(),
        "base64": b'{"picture":"' + base64.b64encode(jpeg) + b'"}',
        "hex": jpeg.hex().encode(),
    }
    for name, leak in leaks.items():
        path = run.rig.settings.data_dir / "spool" / "leak.bin"
        path.write_bytes(leak)
        assert list(run.trace.in_folder(path.parent)), f"{name} was not seen"
        path.unlink()
    run.rig.redis.set("leak", jpeg)
    assert any(line.startswith("redis b'leak'") for line in run.trace.in_redis(run.rig.redis))
    with db.scoped(run.conn, db.CITY):
        audit.write(run.conn, None, "leak", data={"picture": base64.b64encode(jpeg).decode()})
    assert [line.split(":")[0] for line in run.trace.in_database(run.owner)] == ["table audit"]
    assert list(run.trace.in_bytes(f"log line {base64.b64encode(jpeg).decode()}".encode(), "log"))


def _like(run: Run, frame: Image, face: Any) -> float:
    return float(run.known.loaded.embedder.embed(aligned(frame, face.points)) @ run.known.b.template)


def test_a_worker_killed_at_any_moment_leaves_only_sealed_bytes(rig: Rig, known: Known) -> None:
    """The role as it is run, killed with -9 when it has just found somebody: its disk shows nobody, the matched one included."""
    sha256, temp = known.loaded.pack.sha256, rig.settings.data_dir / "tmp"
    temp.mkdir()
    code = "44030500001320000001"
    rig.enter(rig.entry(known.a.template, sha256, [code]))
    with hostile.camera(stream(passage(known.both))) as url:
        rig.publish(rig.camera(code, url, gate=rig.gate(sha256), demo=False))
        own = {"CAMPUS_DATA_DIR": str(rig.settings.data_dir), "CAMPUS_REDIS_URL": rig.settings.redis, "CAMPUS_MODEL_DIR": str(REAL)}
        with (rig.settings.data_dir / "log").open("wb") as log:
            role = subprocess.Popen(
                [sys.executable, "app.py", "vision"], cwd=HERE, stdout=log, stderr=log,
                env=os.environ | own | {"TMPDIR": str(temp)},
            )  # fmt: skip
        try:
            rig.wait_for(lambda: rig.said(Kind.CANDIDATE_FOUND) or role.poll() is not None, 90)
        finally:
            role.kill()
            role.wait()
    assert rig.said(Kind.CANDIDATE_FOUND), (rig.settings.data_dir / "log").read_text()
    for whom in (known.a, known.b):
        trace = Trace(known.loaded, whom.template, [_sent(frame) for frame in passage(known.both)[10:20]])
        assert list(trace.in_folder(rig.settings.data_dir)) == []
        assert list(trace.in_redis(rig.redis)) == []
