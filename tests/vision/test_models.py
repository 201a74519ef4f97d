"""Models: only the files that were checked, only where they belong, and the demo pack the same everywhere."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import shutil
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from data.core.settings import read
from vision import demo_pack, faces, models, scene
from vision.align import aligned
from vision.detect import Detector
from vision.embed import Embedder, fused

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared/models"
needs_real = pytest.mark.skipif(not (REAL / "yunet_s_dynamic.onnx").exists(), reason="needs the models of ../shared/models")


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> models.Loaded:
    folder = tmp_path_factory.mktemp("demo-pack")
    demo_pack.build(folder)
    return models.load(folder, next(pack for pack in models.packs(folder) if pack.is_demo))


OTHER = 'contract="yunet"\nbytes=1\nsha256="' + "0" * 64 + '"\nlicence="x"\nsource="y"'


def _real_pack() -> models.Pack:
    return next(pack for pack in models.packs(REAL) if not pack.is_demo)


def test_the_demo_pack_is_made_with_the_bytes_the_manifest_names(tmp_path: Path) -> None:
    made = demo_pack.build(tmp_path)
    demo = next(pack for pack in models.packs(tmp_path) if pack.is_demo)
    assert (made.detector_sha256, made.embedder_sha256) == (demo.detector.sha256, demo.embedder.sha256)
    assert models.state(tmp_path, demo) == "ready"


def test_what_the_demo_city_holds_is_what_the_script_makes(tmp_path: Path) -> None:
    made = demo_pack.build(tmp_path)
    kept = tomllib.loads((ROOT / "data/demo/gate.toml").read_text())
    assert (kept["detector_sha256"], kept["embedder_sha256"]) == (made.detector_sha256, made.embedder_sha256)
    template = np.frombuffer(base64.b64decode(kept["template_f32"]), "<f4")
    assert float(template @ demo_pack.template(tmp_path)) > 0.9999


@pytest.mark.parametrize("side", [44, 60, 80, 100])
def test_drawn_people_are_found_and_told_apart(pack: models.Loaded, side: int) -> None:
    words = faces.words()
    register = np.stack([_direction(pack, faces.portrait(word)) for word in words])
    for place, word in enumerate(words):
        picture = np.full((360, 640, 3), (128, 130, 132), np.uint8)
        faces.draw_face(picture, 203.3, 121.7, side, word)
        packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 72])[1]
        seen = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
        found = pack.detector.find(seen)
        assert len(found) == 1
        assert abs(found[0].width_px - side) < 3
        scores = register @ pack.embedder.embed(aligned(seen, found[0].points))
        assert int(np.argmax(scores)) == place
        assert scores[place] > 0.75
        assert np.delete(scores, place).max() < 0.45


def _direction(pack: models.Loaded, picture: np.ndarray) -> np.ndarray:
    return pack.embedder.embed(aligned(picture, pack.detector.find(picture)[0].points))


def test_nothing_but_a_drawn_face_is_a_face_to_the_demo_pack(pack: models.Loaded) -> None:
    from datetime import UTC, datetime

    for kind in ("yard", "hall"):
        for at_s in range(0, 60, 5):
            assert pack.detector.find(scene.Scene("1" * 20, kind=kind).frame(datetime.now(UTC), at_s)) == []


@needs_real
def test_a_model_with_a_wrong_hash_or_missing_is_refused(tmp_path: Path) -> None:
    pack = _real_pack()
    with pytest.raises(models.ModelMissing):
        models.load(tmp_path, pack)
    for model in (pack.detector, pack.embedder):
        shutil.copyfile(REAL / model.file, tmp_path / model.file)
    assert models.state(tmp_path, pack) == "ready"
    content = bytearray((tmp_path / pack.embedder.file).read_bytes())
    content[1000] ^= 1
    (tmp_path / pack.embedder.file).write_bytes(content)
    with pytest.raises(models.WrongHash):
        models.load(tmp_path, pack)
    (tmp_path / pack.embedder.file).write_bytes(content[:-1])
    with pytest.raises(models.WrongHash):
        models.load(tmp_path, pack)


@pytest.mark.parametrize(("text", "said"), [
    ('[[model]]\nfile="demo-face-embedder.onnx"\n' + OTHER, "another hash"),
    ('[[pack]]\nname="mine"\nkind="demo"\ndetector="yunet_s_dynamic.onnx"\nembedder="demo-face-embedder.onnx"', "kind real only"),
    ('[[model]]\nfile="../../x.onnx"\n' + OTHER, "path instead"),
    ('[[pack]]\nname="mine"\nkind="real"\ndetector="nowhere.onnx"\nembedder="demo-face-embedder.onnx"', "no model"),
    ("[[model]\n", "manifest.toml"),
], ids=["known-file-changed", "calls-itself-demo", "leaves-the-folder", "unknown-file", "not-toml"])  # fmt: skip
def test_a_folder_cannot_change_what_the_product_knows(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "manifest.toml").write_text(text)
    with pytest.raises(models.BadManifest, match=said):
        models.packs(tmp_path)


def test_a_file_that_is_no_such_network_is_refused_by_its_contract(tmp_path: Path) -> None:
    demo_pack.build(tmp_path)
    demo = next(pack for pack in models.packs(tmp_path) if pack.is_demo)
    detector, embedder = ((tmp_path / model.file).read_bytes() for model in (demo.detector, demo.embedder))
    for model, content in ((demo.detector, embedder), (demo.embedder, detector), (demo.detector, b"no network"), (demo.embedder, b"")):
        with pytest.raises(models.WrongContract):
            models.check_contract(model, content)


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@needs_real
@pytest.mark.parametrize("way", ["folder", "url"])
def test_install_brings_checked_models_and_leaves_others_out(tmp_path: Path, way: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = read({"DATA_DIR": str(tmp_path / "data")})
    with _served(REAL) as url:
        source = str(REAL) if way == "folder" else url
        assert models.main(settings, ["check"]) == 1
        assert models.main(settings, ["install", source]) == 0
    assert sorted(path.name for path in settings.models.iterdir()) == sorted((_real_pack().detector.file, _real_pack().embedder.file))
    assert models.main(settings, ["check"]) == 0
    assert "yunet-0095: ready" in capsys.readouterr().out


@needs_real
def test_install_refuses_a_changed_file_and_keeps_what_was_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings, source = read({"DATA_DIR": str(tmp_path / "data")}), tmp_path / "source"
    source.mkdir()
    pack = _real_pack()
    content = bytearray((REAL / pack.detector.file).read_bytes())
    content[-1] ^= 1
    (source / pack.detector.file).write_bytes(content)
    assert models.main(settings, ["install", str(source)]) == 1
    assert list(settings.models.iterdir()) == []
    assert "wrong_hash" in capsys.readouterr().err
    assert models.main(settings, ["install", str(tmp_path / "empty")]) == 1
    assert models.main(settings, ["install", "ftp://127.0.0.1/"]) == 1
    assert models.main(settings, ["instal"]) == 2


@needs_real
def test_a_shared_prelu_written_as_leaky_relu_gives_the_same_numbers() -> None:
    model = onnx.load(str(REAL / _real_pack().embedder.file))
    original = model.SerializeToString()
    for node in model.graph.node:
        if node.op_type == "LeakyRelu":
            alpha = node.attribute[0].f
            name = f"slope_{node.output[0]}"
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.full((1, 1, 1), alpha, np.float32), name))
            node.op_type = "PRelu"
            node.input.append(name)
            del node.attribute[:]
    slow = model.SerializeToString()
    assert b"PRelu" in slow
    assert b"PRelu" not in fused(slow)
    crop = np.random.default_rng(2).integers(0, 255, (128, 128, 3), np.uint8)
    assert np.array_equal(Embedder(slow).embed(crop), Embedder(original).embed(crop))


@needs_real
def test_the_real_detector_finds_the_same_faces_at_any_picture_size() -> None:
    pictures = ROOT.parent / "shared/data/faces/official"
    if not pictures.exists():
        pytest.skip("needs ../shared/data/faces")
    pack = models.load(REAL, _real_pack())
    whole = np.asarray(cv2.imread(str(pictures / "obama_and_biden.jpg")), np.uint8)
    for width in (420, 500, 640):
        picture = np.asarray(cv2.resize(whole, (width, round(whole.shape[0] * width / whole.shape[1]))), np.uint8)
        found = pack.detector.find(picture)
        assert len(found) >= 2
        reference = cv2.FaceDetectorYN.create(
            str(REAL / "face_detection_yunet_2023mar.onnx"), "", (picture.shape[1], picture.shape[0]), 0.6
        )
        boxes = reference.detect(picture)[1]
        for face in found:
            nearest = min(boxes, key=lambda row: abs(row[0] - face.box[0]))
            assert np.abs(nearest[:4] - np.array(face.box)).max() < 2


def test_the_detector_takes_odd_and_tiny_pictures(pack: models.Loaded) -> None:
    for shape in ((1, 1, 3), (37, 53, 3), (361, 641, 3), (2000, 90, 3)):
        assert pack.detector.find(np.zeros(shape, np.uint8)) == []
    assert isinstance(pack.detector, Detector)
