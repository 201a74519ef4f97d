"""The frames socket: aged frames for those who may enter the folder, and nothing else."""

from __future__ import annotations

import json
import socket
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from vision.frames import MAX_CALLERS, FrameServer, NoFrame, fetch
from vision.source import Frame

PICTURE = np.full((90, 160, 3), 90, np.uint8)


@pytest.fixture
def frames() -> dict[str, Frame | None]:
    return {
        "a": Frame(1, datetime.now(UTC), time.monotonic() - 2.5, image=PICTURE),
        "empty": None,
        "broken": Frame(1, datetime.now(UTC), time.monotonic(), packed=None, image=None),
    }


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory, frames: dict[str, Frame | None]) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("run") / "frames.sock"
    server = FrameServer(place, frames.__getitem__)
    server.start()
    yield place
    server.stop()
    assert not place.exists()


def test_a_frame_comes_with_its_age(path: Path) -> None:
    picture, age_ms, at = fetch(path, "a")
    assert 2500 <= age_ms < 4000
    assert at.tzinfo is not None
    assert np.abs(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR).astype(int) - PICTURE).max() <= 3


@pytest.mark.parametrize(("camera", "code"), [("nobody", "unknown_camera"), ("empty", "no_frame"), ("broken", "no_frame")])
def test_what_is_not_there_is_said_by_a_code(path: Path, camera: str, code: str) -> None:
    with pytest.raises(NoFrame, match=code):
        fetch(path, camera)


@pytest.mark.parametrize("line", [b"hello\n", b"{}\n", b"[1]\n", b'{"camera": 7}\n', b"[" * 400 + b"\n", b"\xff\xfe\n"])
def test_a_bad_request_is_answered_and_ends_the_connection(path: Path, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(2)
        link.connect(str(path))
        link.sendall(line)
        with link.makefile("rb") as answer:
            assert json.loads(answer.readline()) == {"error": "bad_request"}
            assert answer.read() == b""


def test_one_connection_may_ask_many_times(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(2)
        link.connect(str(path))
        with link.makefile("rwb") as stream:
            for _ in range(3):
                stream.write(b'{"camera":"a"}\n')
                stream.flush()
                header = json.loads(stream.readline())
                assert stream.read(header["bytes"])[:2] == b"\xff\xd8"


def test_idle_callers_do_not_keep_others_out_for_ever_and_others_users_stay_out(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    idle = [socket.socket(socket.AF_UNIX) for _ in range(MAX_CALLERS)]
    try:
        for link in idle:
            link.connect(str(path))
        time.sleep(0.1)
        with pytest.raises((NoFrame, OSError)):  # full: closed at once, not left waiting
            fetch(path, "a", timeout_s=0.5)
    finally:
        for link in idle:
            link.close()
    deadline = time.monotonic() + 2
    while True:
        try:
            assert fetch(path, "a")[1] > 0
            break
        except (NoFrame, OSError):
            assert time.monotonic() < deadline
            time.sleep(0.02)
