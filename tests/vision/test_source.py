"""Streams: what comes in, what is refused, and that one camera never holds up another."""

from __future__ import annotations

import contextlib
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import cv2
import numpy as np
import pytest

from tests.vision import hostile
from vision.demo import Players
from vision.mjpeg import MjpegStream, StreamRefused, jpeg_size
from vision.source import Source

CODE = "44030500001320000001"
CLIP = Path(__file__).parents[3] / "shared/data/video/one-by-one-person-detection.mp4"
GOOD = cv2.imencode(".jpg", np.random.default_rng(1).integers(0, 255, (90, 160, 3), np.uint8))[1].tobytes()
Wait = Callable[..., Any]


@pytest.fixture(scope="module")
def players() -> Iterator[Players]:
    made = Players(tz=ZoneInfo("Asia/Shanghai"), mjpeg_port=0, rtsp_port=0)
    made.start()
    yield made
    made.stop()


def _declaring(width_px: int, height_px: int) -> bytes:
    """A JPEG whose header says it is of this size."""
    at = GOOD.index(b"\xff\xc0")
    return GOOD[: at + 5] + height_px.to_bytes(2, "big") + width_px.to_bytes(2, "big") + GOOD[at + 9 :]


def _seq(source: Source) -> int:
    frame = source.newest()
    return frame.seq if frame else 0


def _read_three(url: str) -> None:
    with MjpegStream(url, open_s=0.4, stall_s=0.4) as stream:
        for _ in range(3):
            stream.read()


def _drip(write: Callable[[bytes], object], ended: threading.Event) -> None:
    write(b"HTTP/1.0 200 OK\r\n")
    while not ended.wait(0.02):
        write(b"X: y\r\n")


def _flood(write: Callable[[bytes], object], _ended: threading.Event) -> None:
    while True:
        write(b"X-Pad: " + b"a" * 8000 + b"\r\n")


def _endless_picture(write: Callable[[bytes], object], _ended: threading.Event) -> None:
    write(hostile.OK + b"--f\r\nContent-Type: image/jpeg\r\n\r\n")
    while True:
        write(b"\xff" * 65536)


HOSTILE: dict[str, tuple[hostile.Script, str]] = {
    "never-ending-headers-slowly": (_drip, "timeout"),
    "never-ending-headers-fast": (_flood, "endless_headers"),
    "never-ending-picture": (_endless_picture, "too_large"),
    "one-pixel": (lambda write, _: write(hostile.OK + hostile.part(_declaring(1, 1))), "too_small"),
    "sixteen-thousand-pixels": (lambda write, _: write(hostile.OK + hostile.part(_declaring(16384, 16384))), "too_large"),
    "a-gigabyte-announced": (lambda write, _: write(hostile.OK + b"--f\r\nContent-Length: 1073741824\r\n\r\n"), "too_large"),
    "garbage": (lambda write, _: write(hostile.OK + hostile.part(b"<html>no picture</html>")), "garbage"),
    "not-http": (lambda write, _: write(b"\x00\x01\x02" * 200 + b"\r\n\r\n"), "garbage"),
    "a-web-page": (lambda write, _: write(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<p>"), "unsupported"),
    "not-there": (lambda write, _: write(b"HTTP/1.0 404 Not Found\r\n\r\n"), "not_found"),
    "silence": (lambda _write, ended: bool(ended.wait(5)), "timeout"),
}


@pytest.mark.parametrize(("script", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_stream_is_refused_with_its_reason(script: hostile.Script, reason: str) -> None:
    with hostile.camera(script) as url, pytest.raises(StreamRefused) as refused:
        _read_three(url)
    assert refused.value.reason == reason


@pytest.mark.parametrize("with_length", [True, False], ids=["length-given", "boundary-only"])
def test_pictures_come_whole_with_and_without_a_length(with_length: bool) -> None:
    other = GOOD[:-2] + b"\x00\xff\xd9"
    sent = hostile.part(GOOD, with_length=with_length) * 2 + hostile.part(other, with_length=with_length)
    with hostile.camera(lambda write, _: write(hostile.OK + sent + b"--f")) as url, MjpegStream(url) as stream:
        assert [stream.read() for _ in range(3)] == [GOOD, GOOD, other]


def test_the_size_is_read_from_the_header_without_decoding() -> None:
    assert jpeg_size(GOOD) == (160, 90)
    assert jpeg_size(_declaring(16384, 12000)) == (16384, 12000)


def test_hostile_streams_hold_up_nobody_and_memory_stays_bounded(players: Players, wait_for: Wait) -> None:
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bad = [script for script, _ in HOSTILE.values()] * 2
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(hostile.camera(script)) for script in bad]
        sources = [
            Source(str(number), url, open_s=1.0, stall_s=1.0, first_pause_s=0.01, longest_pause_s=0.05) for number, url in enumerate(urls)
        ]
        good = Source(CODE, f"http://127.0.0.1:{players.mjpeg_port}/cam/{CODE}?fps=10")
        for source in (*sources, good):
            source.start()
        try:
            wait_for(lambda: (frame := good.newest()) is not None and frame.seq >= 15 and frame.age_ms() < 500, 6)
            assert all(source.newest() is None and source.reason for source in sources)
        finally:
            for source in (*sources, good):
                source.stop(3)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024
    assert grown_mb < 250, f"{len(bad)} hostile streams took {grown_mb:.0f} MB"


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_stream_that_dies_comes_back_by_itself(players: Players, wait_for: Wait, scheme: str) -> None:
    port = players.mjpeg_port if scheme == "http" else players.rtsp_port
    code = CODE[:-1] + ("2" if scheme == "http" else "3")
    source = Source(
        code, f"{scheme}://127.0.0.1:{port}/cam/{code}?scene=yard&fps=10", fps=5, stall_s=2.0, first_pause_s=0.05, longest_pause_s=0.1
    )
    source.start()
    try:
        first = wait_for(source.newest, 8)
        assert first.bgr().shape == (360, 640, 3)
        camera = players.find(f"/cam/{code}")
        assert camera is not None
        camera.fault = "gone"
        wait_for(lambda: source.reason != "", 8)
        gone_at = _seq(source)
        camera.fault = ""
        wait_for(lambda: source.reason == "" and _seq(source) > gone_at, 8)
        assert source.reconnects >= 1
    finally:
        source.stop(3)


def test_only_the_newest_frame_is_kept_and_an_old_one_is_known_by_its_age(players: Players, wait_for: Wait) -> None:
    code = CODE[:-1] + "4"
    source = Source(code, f"http://127.0.0.1:{players.mjpeg_port}/cam/{code}?fps=10")
    source.start()
    try:
        early = wait_for(source.newest)
        wait_for(lambda: _seq(source) >= early.seq + 3)
        newer = wait_for(source.newest)
        assert newer.age_ms() < 1000
        assert early.age_ms() > newer.age_ms()
    finally:
        source.stop(2)
    assert source.newest() is None, "a stopped source lets its picture go"


@pytest.mark.skipif(not CLIP.exists(), reason="needs the real clip of ../shared/data/video")
def test_the_real_clip_is_played_at_its_own_speed(wait_for: Wait) -> None:
    source = Source(CODE, CLIP.resolve().as_uri(), fps=10)
    source.start()
    try:
        frame = wait_for(lambda: (found := source.newest()) is not None and found.seq >= 8 and found, 5)
        assert frame.bgr().shape == (432, 768, 3)
        assert frame.seq < 30, "a file is not rushed through"
    finally:
        source.stop(3)


@pytest.mark.parametrize(
    ("url", "reason"),
    [("gopher://127.0.0.1/x", "unsupported"), ("file:///nowhere/clip.mp4", "not_found"), ("http://127.0.0.1:9/cam", "refused")],
    ids=["scheme", "file", "port"],
)
def test_an_address_that_cannot_work_says_why(wait_for: Wait, url: str, reason: str) -> None:
    source = Source(CODE, url, open_s=1.0)
    source.start()
    try:
        wait_for(lambda: source.reason == reason)
    finally:
        source.stop(2)


def test_a_file_larger_than_any_camera_is_refused_before_its_frames_are_kept(tmp_path: Path, wait_for: Wait) -> None:
    path = tmp_path / "huge.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (8192, 4608))
    picture = np.zeros((4608, 8192, 3), np.uint8)
    for _ in range(2):
        writer.write(picture)
    writer.release()
    source = Source(CODE, path.as_uri())
    source.start()
    try:
        wait_for(lambda: source.reason in ("too_large", "refused"))
        assert source.newest() is None
    finally:
        source.stop(3)


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_the_players_speak_what_opencv_reads(players: Players, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", raising=False)  # ours allow no HTTP: that is read another way
    port, code = (players.mjpeg_port, CODE[:-1] + "5") if scheme == "http" else (players.rtsp_port, CODE[:-1] + "6")
    capture = cv2.VideoCapture(f"{scheme}://127.0.0.1:{port}/cam/{code}?fps=10", cv2.CAP_FFMPEG)
    try:
        assert capture.isOpened()
        pictures = [capture.read()[1] for _ in range(4)]
    finally:
        capture.release()
    assert all(picture.shape == (360, 640, 3) for picture in pictures)
    assert any(np.any(picture != pictures[0]) for picture in pictures[1:]), "the clock runs"


def test_a_camera_nobody_watches_costs_no_encoder(players: Players, wait_for: Wait) -> None:
    code = CODE[:-1] + "7"
    source = Source(code, f"rtsp://127.0.0.1:{players.rtsp_port}/cam/{code}?fps=10", fps=5)
    source.start()
    wait_for(source.newest, 10)
    camera = players.find(f"/cam/{code}")
    assert camera is not None
    assert camera.encoder._child is not None
    source.stop(3)
    wait_for(lambda: camera.encoder._child is None, 5)


def _rtsp_silent(_write: Callable[[bytes], object], ended: threading.Event) -> None:
    ended.wait(8)


def _rtsp_endless(write: Callable[[bytes], object], ended: threading.Event) -> None:
    write(b"RTSP/1.0 200 OK\r\n")
    while not ended.wait(0.001):
        write(b"X-Pad: " + b"a" * 2000 + b"\r\n")


def _rtsp_garbage(write: Callable[[bytes], object], _ended: threading.Event) -> None:
    write(bytes(range(256)) * 64)


@pytest.mark.parametrize("script", [_rtsp_silent, _rtsp_endless, _rtsp_garbage], ids=["silence", "never-ending-headers", "garbage"])
def test_a_hostile_rtsp_camera_is_refused_and_others_open_meanwhile(players: Players, wait_for: Wait, script: hostile.Script) -> None:
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with hostile.camera(script) as url:
        bad = [
            Source(str(number), url.replace("http:", "rtsp:"), open_s=2.0, stall_s=1.0, first_pause_s=0.1, longest_pause_s=0.2)
            for number in range(3)
        ]
        good = Source(CODE, f"rtsp://127.0.0.1:{players.rtsp_port}/cam/{CODE[:-1]}8?fps=10", fps=5)
        for source in (*bad, good):
            source.start()
        try:
            wait_for(good.newest, 10)
            wait_for(lambda: all(source.reason in ("refused", "closed", "garbage") and source.reconnects for source in bad), 15)
            assert all(source.newest() is None for source in bad)
        finally:
            for source in (*bad, good):
                source.stop(4)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024 < 150
