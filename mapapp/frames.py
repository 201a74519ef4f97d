"""The newest picture of a camera, asked from the vision worker over its local socket.

One JSON line `{"camera": code}` goes there; back comes a JSON line `{"age_ms", "at", "bytes"}` and
that many bytes of JPEG, or `{"error": code}`.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WAIT_S = 2.0
_CODES = ("no_frame", "unknown_camera", "bad_request")
MAX_HEADER_BYTES, MAX_PICTURE_BYTES = 1024, 8 * 1024 * 1024


class NoFrame(LookupError):
    """There is no picture; the message is a code: no_frame, unknown_camera, worker_away, bad_answer."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A JPEG, its age in milliseconds when the worker gave it away, and its time as ISO text in UTC."""

    jpeg: bytes
    age_ms: int
    at: str


def fetch(path: Path, camera: str) -> Frame:
    """Ask once for the newest picture of a camera. Raises: NoFrame."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(WAIT_S)
            link.connect(str(path))
            link.sendall(json.dumps({"camera": camera}).encode() + b"\n")
            with link.makefile("rb") as answer:
                return _read(answer.readline(MAX_HEADER_BYTES), answer.read)
    except OSError as err:
        raise NoFrame("worker_away") from err


def _read(line: bytes, read: Callable[[int], bytes]) -> Frame:
    try:
        head = json.loads(line)
        if "error" in head:
            raise NoFrame(head["error"] if head["error"] in _CODES else "bad_answer")
        size, age_ms, at = int(head["bytes"]), int(head["age_ms"]), str(head["at"])
    except (ValueError, KeyError, TypeError) as err:
        raise NoFrame("bad_answer") from err
    if not 0 < size <= MAX_PICTURE_BYTES:
        raise NoFrame("bad_answer")
    jpeg = read(size)
    if len(jpeg) != size:
        raise NoFrame("bad_answer")
    return Frame(jpeg, age_ms, at)
