"""The newest frame of each camera, served aged over a unix socket.

Protocol: the caller writes one JSON line `{"camera": code}`; the answer is one JSON line
`{"age_ms", "at", "bytes"}` followed by that many bytes of JPEG, or `{"error": code}` alone. A
connection may ask again. Error codes: bad_request, unknown_camera, no_frame. Frames never touch a disk.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from vision.mjpeg import StreamRefused
from vision.source import Frame

MAX_REQUEST_BYTES = 512
MAX_CALLERS = 32  # at once; a web process asks for one picture at a time and camera
CALLER_S = 10.0  # a caller that neither asks nor reads is let go

#: Gives the newest frame of a camera, None while it has none. Raises KeyError for a camera the worker does not hold.
Newest = Callable[[str], Frame | None]


class _Caller(socketserver.StreamRequestHandler):
    timeout = CALLER_S

    def handle(self) -> None:
        with contextlib.suppress(TimeoutError, ConnectionError, BrokenPipeError):
            while line := self.rfile.readline(MAX_REQUEST_BYTES):
                if not self._answer(line):
                    return

    def _answer(self, line: bytes) -> bool:
        try:
            camera = json.loads(line)["camera"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return self._say({"error": "bad_request"}, is_last=True)
        if not isinstance(camera, str):
            return self._say({"error": "bad_request"}, is_last=True)
        try:
            frame = cast(_Listener, self.server).newest(camera)
            picture = frame.jpeg() if frame is not None else None
        except KeyError:
            return self._say({"error": "unknown_camera"})
        except StreamRefused:
            picture = frame = None
        if frame is None or picture is None:
            return self._say({"error": "no_frame"})
        self._say({"age_ms": frame.age_ms(), "at": frame.at.astimezone(UTC).isoformat(), "bytes": len(picture)})
        self.wfile.write(picture)
        return True

    def _say(self, header: dict[str, Any], *, is_last: bool = False) -> bool:
        self.wfile.write(json.dumps(header, separators=(",", ":")).encode() + b"\n")
        return not is_last


class _Listener(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, path: Path, newest: Newest) -> None:
        self.newest = newest
        self._places = threading.BoundedSemaphore(MAX_CALLERS)
        super().__init__(str(path), _Caller)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)  # full: the caller sees the end of the connection and asks again
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()


class FrameServer:
    """Serves frames on `path` until `stop`; the folder of the path keeps others out, the socket is 0600 too."""

    def __init__(self, path: Path, newest: Newest) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # left over from a worker that was killed
        self._path = path
        self._listener = _Listener(path, newest)
        path.chmod(0o600)
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.5}, name="frames", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Close the socket and remove it; safe more than once."""
        if self._thread.is_alive():
            self._listener.shutdown()
            self._thread.join(2)
        self._listener.server_close()
        self._path.unlink(missing_ok=True)


class NoFrame(LookupError):
    """The worker has no frame to show; the message is the error code of the protocol."""


def fetch(path: Path, camera: str, *, timeout_s: float = 2.0) -> tuple[bytes, int, datetime]:
    """Ask once: JPEG bytes, age in ms, time of the frame (UTC).

    Raises:
        NoFrame: the answer was an error code.
        OSError: no worker is listening, or it did not answer in time.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(timeout_s)
        link.connect(str(path))
        with link.makefile("rwb") as stream:
            stream.write(json.dumps({"camera": camera}).encode() + b"\n")
            stream.flush()
            header = json.loads(stream.readline(MAX_REQUEST_BYTES) or b'{"error":"closed"}')
            if "error" in header:
                raise NoFrame(header["error"])
            picture = stream.read(header["bytes"])
    return picture, header["age_ms"], datetime.fromisoformat(header["at"])
