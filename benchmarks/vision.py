"""What a camera worker costs and how fast it proposes: one thread, 640x360, the demo pack and, where they are, the real models.

`candidate_ms` is from the arrival of the picture that is shown to people to the event on the worker's disk: the wait for a good third look
is in it. The accuracy lines need ../shared/data/faces and the models; without them they are left out and it is said.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.bench import ROOT, Bench
from data.core import events
from data.core.desired import Snapshot
from data.core.settings import Settings, read
from vision import align, check, demo, demo_pack, faces, gate, health, models, scene
from vision.match import Entry, Register
from vision.plan import Gate
from vision.source import Frame

FIGURES = ("candidate_ms", "vision_frames_demo_s", "vision_frames_real_s", "face_accuracy", "face_tar_1e3")
CANDIDATE_LIMIT_MS = 1500.0
ACCURACY_LEAST, TAR_1E3_LEAST, TAR_1E4_LEAST = 0.987, 0.983, 0.970
REPEATS = 20
CAMERAS, WANTED, LONGEST_S = 12, 120, 120.0
REAL, FACES = ROOT.parent / "shared/models", ROOT.parent / "shared/data/faces"
# The five points of the crops in ../shared/data/faces/lfw_aligned112 (ArcFace layout), px of 112.
_ARCFACE = np.array([(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)], np.float32)
_UNTIL = timedelta(days=1)


def run(bench: Bench) -> None:
    folder = Path(tempfile.mkdtemp(prefix="campus-vision-"))
    try:
        pack = demo_pack.build(folder / "models-demo")
        loaded = models.load(folder / "models-demo", next(item for item in models.packs(folder) if item.is_demo))
        _candidates(bench, read({"DATA_DIR": str(folder)}), loaded, demo_pack.template(folder / "models-demo"))
        assert pack.embedder_sha256 == loaded.pack.sha256
        _frames(bench, loaded)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not REAL.exists() or not FACES.exists():
        print("no models or no labelled pairs here: face_accuracy and face_tar_1e3 are left out")
        return
    real = models.load(REAL, next(item for item in models.packs(REAL) if not item.is_demo))
    _frames(bench, real)
    _accuracy(bench, real)


@contextmanager
def _busy_gates() -> Iterator[None]:
    """Everybody at every drawn gate is the registered person, every four seconds."""

    def passers(code: str, since_s: float) -> list[scene.Passer]:
        into_s = (since_s + int(code[-2:]) * 0.3) % 4.0
        return [scene.Passer(faces.words()[scene.ENROLLED], 0.55 + into_s * 0.15, 0.0)] if into_s < 2.2 else []

    with patch.object(scene, "passers_at", passers):
        yield


def _candidates(bench: Bench, settings: Settings, loaded: models.Loaded, template: NDArray[np.float32]) -> None:
    settings = replace(settings, redis_url="redis://127.0.0.1:1/0")  # nobody there: what is measured ends on the worker's own disk
    with _busy_gates():
        players = demo.Players(tz=ZoneInfo("Asia/Shanghai"), mjpeg_port=0, rtsp_port=0)
        players.start()
        worker = gate.Worker(settings)
        codes = [f"440305000013200000{number:02}" for number in range(CAMERAS)]
        until = datetime.now(UTC) + _UNTIL
        entry = Entry(entry_id=1, cameras=frozenset(codes), model_sha256=loaded.pack.sha256, template=template, until=until)
        worker._keeper._register, worker._keeper._made_at = Register([entry]), datetime.now(UTC)
        plan = {"threshold": 0.55, "assessment": "B", "model_sha256": loaded.pack.sha256, "valid_until": until.isoformat()}
        address = f"http://127.0.0.1:{players.mjpeg_port}/cam/{{}}?scene=gate&fps=5"
        common = {"mode": "gate", "fps": 5.0, "demo": True, "gate": plan}
        cameras = [{"camera": code, "url": address.format(code), **common} for code in codes]
        worker.start()
        try:
            began, cpu = time.monotonic(), time.process_time()
            worker._apply(Snapshot(1, {"cameras": cameras}))
            found = _wait_for_candidates(worker)
            share = (time.process_time() - cpu) / (time.monotonic() - began)
            late = sorted(worker._late)
        finally:
            worker.stop()
            players.stop()
    waits_ms = [((event.spooled_at or event.event_at) - event.event_at).total_seconds() * 1000 for event in found]
    bench.line(
        "candidate_ms", float(np.percentile(waits_ms, 99)), "ms", samples=waits_ms, limit=CANDIDATE_LIMIT_MS, cameras=CAMERAS,
        fps=5, core_with_players=round(share, 3), late_p99_ms=round(late[int(len(late) * 0.99)] * 1000, 1), end="spool",
    )  # fmt: skip


def _wait_for_candidates(worker: gate.Worker) -> list[events.Event]:
    until_s = time.monotonic() + LONGEST_S
    while True:
        stored = [events.decode(body) for _, body in worker._spool.unsent(0, 10_000)]
        found = [event for event in stored if event.kind is events.Kind.CANDIDATE_FOUND]
        if len(found) >= WANTED or time.monotonic() > until_s:
            return found
        time.sleep(0.5)


def _rate(act: Callable[[], Any], seconds: float = 2.0) -> float:
    """How often a second, on one thread, after a warm-up."""
    act()
    count, began, cpu = 0, time.monotonic(), time.process_time()
    while time.monotonic() - began < seconds:
        act()
        count += 1
    return count / max(time.process_time() - cpu, 1e-6)


def _frames(bench: Bench, loaded: models.Loaded) -> None:
    """Frames a second of one core for each thing done to a frame of 640x360."""
    cv2.setNumThreads(1)
    drawn = scene.Scene("4" * 20, kind="gate", name="bench")
    pictures = [drawn.frame(datetime.now(UTC), 20 + number / 3) for number in range(12)]
    packed = [cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 75])[1].tobytes() for picture in pictures]
    turn = iter(range(10**9))

    def frame() -> Frame:
        number = next(turn)
        return Frame(number + 1, datetime.now(UTC), number / 2, packed=packed[number % len(packed)])

    judged = health.Health()
    until = datetime.now(UTC) + _UNTIL
    sha256 = loaded.pack.sha256
    plan = Gate(threshold=0.55, assessment="B", model_sha256=sha256, zone=(0, 0, 1, 1), valid_until=until)
    checked = check.GateCheck("c", plan, loaded)
    template = np.ones(256, np.float32)
    register = Register([Entry(entry_id=1, cameras=frozenset({"c"}), model_sha256=sha256, template=template, until=until)])

    def gate_check() -> None:
        one = frame()
        checked.look(one, register, datetime.now(UTC), one.mono_s)

    rates = {
        "decode": _rate(lambda: frame().bgr()),
        "health": _rate(lambda: judged.sample(frame().gray(health.WIDTH_PX, health.HEIGHT_PX))),
        "detect": _rate(lambda: loaded.detector.find(pictures[next(turn) % len(pictures)])),
        "gate_check": _rate(gate_check),
    }
    peer, ratio = "", None
    yunet = REAL / "face_detection_yunet_2023mar.onnx"
    if not loaded.pack.is_demo and yunet.exists():
        other = cv2.FaceDetectorYN.create(str(yunet), "", (scene.WIDTH_PX, scene.HEIGHT_PX), 0.6)
        peer, ratio = "cv2.FaceDetectorYN on the same frames", rates["detect"] / _rate(lambda: other.detect(pictures[0]))
    said: dict[str, Any] = {name: round(rate, 1) for name, rate in rates.items()}
    name = "vision_frames_demo_s" if loaded.pack.is_demo else "vision_frames_real_s"
    bench.line(name, rates["gate_check"], "frames/s of a core", peer=peer, ratio=ratio, **said)


def _accuracy(bench: Bench, loaded: models.Loaded) -> None:
    folder = FACES / "lfw_aligned112"
    matrix = align.similarity(_ARCFACE)
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))
    vectors = []
    for name in names:
        image = np.asarray(cv2.imread(str(folder / name)), np.uint8)
        # The crops have been resampled once already: cubic, so that the second time does not blur them.
        crop = cv2.warpAffine(image, matrix, (align.SIDE_PX, align.SIDE_PX), flags=cv2.INTER_CUBIC)
        vectors.append(loaded.embedder.embed(np.asarray(crop, np.uint8)))
    known = dict(zip(names, vectors, strict=True))
    with (FACES / "lfw_fold0_pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    scores = np.array([float(known[row["a"]] @ known[row["b"]]) for row in rows])
    is_same = np.array([row["same"] == "1" for row in rows])
    folds = _folds(scores, is_same)
    bench.line(
        "face_accuracy",
        float(np.mean(folds)),
        "share",
        limit=ACCURACY_LEAST,
        folds=10,
        repeats=REPEATS,
        pairs=len(rows),
        ci95=_wilson(float(np.mean(folds)), len(rows)),
    )
    _rates(bench, names, np.stack(vectors))


def _folds(scores: NDArray[np.float64], is_same: NDArray[np.bool_]) -> list[float]:
    """Accuracy of each tenth with the threshold chosen on the other nine, over `REPEATS` ways to cut: one way moves it by 0.5 %."""
    steps = np.linspace(0, 0.7, 281)
    verdicts = (scores[None, :] >= steps[:, None]) == is_same[None, :]
    found = []
    for seed in range(REPEATS):
        place = np.random.default_rng(seed).permutation(len(scores)) % 10
        for fold in range(10):
            right = verdicts[:, place != fold].mean(axis=1)
            best = float(steps[right >= right.max() - 1e-9].mean())
            held = place == fold
            found.append(float(np.mean((scores[held] >= best) == is_same[held])))
    return found


def _rates(bench: Bench, names: list[str], vectors: NDArray[np.float32]) -> None:
    """True accept rate at fixed false accept rates over all pairs of the pictures."""
    person = np.array([name.split("/")[0] for name in names])
    first, second = np.triu_indices(len(names), 1)
    scores = (vectors @ vectors.T)[first, second]
    is_same = person[first] == person[second]
    genuine, impostor = scores[is_same], np.sort(scores[~is_same])[::-1]
    found = {}
    for name, rate in (("1e3", 1e-3), ("1e4", 1e-4)):
        threshold = float(impostor[max(0, int(len(impostor) * rate) - 1)])
        found[name] = (float(np.mean(genuine > threshold)), threshold)
    tar, threshold = found["1e3"]
    bench.line(
        "face_tar_1e3", tar, "share", limit=TAR_1E3_LEAST, genuine=len(genuine), impostor=len(impostor), threshold=round(threshold, 3),
        ci95=_wilson(tar, len(genuine)), tar_1e4=round(found["1e4"][0], 4), limit_1e4=TAR_1E4_LEAST, people=len({*person.tolist()}),
        pairs_of_people=sum(1 for _ in combinations({*person.tolist()}, 2)),
    )  # fmt: skip


def _wilson(share: float, count: int) -> list[float]:
    """95 % confidence interval of a share. Source: Wilson 1927."""
    z = 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * float(np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)))
    return [round(middle - half, 4), round(middle + half, 4)]
