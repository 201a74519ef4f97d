"""Demo cameras: drawn scenes over HTTP (motion JPEG) and RTSP, on 127.0.0.1 only.

    http://127.0.0.1:15080/cam/<code>?scene=gate&name=North+gate
    rtsp://127.0.0.1:15554/cam/<code>?fault=freeze

`scene` is yard, gate or hall; `fault` is freeze, dark, blur or gone and returns on schedule; `fps` is 0.5 to 10.
Nothing is drawn for a camera nobody watches.
"""

from __future__ import annotations

import socketserver
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from datetime import datetime
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import cv2
import numpy as np
from numpy.typing import NDArray

from data.core.settings import Settings
from vision import scene
from vision.rtsp import Encoder, RtspServer
from vision.source import few_arenas

HOST = "127.0.0.1"
MJPEG_PORT, RTSP_PORT = 15080, 15554
FPS = {"yard": 1.0, "hall": 1.0, "gate": 3.0}
QUALITY = 72
HEAD = b"HTTP/1.0 200 OK\r\nCache-Control: no-store\r\nContent-Type: multipart/x-mixed-replace; boundary=campusframe\r\n\r\n"
PART = b"--campusframe\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
PREFIX = "/cam/"
MAX_CAMERAS = 64


class Camera:
    """One drawn camera. `fault` may be set from outside (a test, a drill) and then wins over the schedule."""

    def __init__(self, code: str, *, kind: str, name: str, fault: str, fps: float, players: Players) -> None:
        self.code, self.fps = code, fps
        self._players = players
        self.fault: str | None = None
        self._planned = "" if players.is_quiet else fault
        self._scene = scene.Scene(code, kind=kind, name=name)
        self._lock = threading.Lock()
        self._frozen: NDArray[np.uint8] | None = None
        self._packed: tuple[float, bytes] = (-1.0, b"")
        self.encoder = Encoder(self.image, fps=fps, size=(scene.WIDTH_PX, scene.HEIGHT_PX))

    def fault_now(self) -> str:
        if self.fault is not None:
            return self.fault
        return scene.fault_at(self._planned, self.code, self._players.since_s())

    def image(self) -> NDArray[np.uint8] | None:
        """The picture of this moment; None while the camera plays gone, or when the players end."""
        try:
            return self._players.painter.submit(self._draw).result()
        except (RuntimeError, CancelledError):
            return None

    def _draw(self) -> NDArray[np.uint8] | None:
        fault = self.fault_now()
        if fault == "gone":
            return None
        if fault == "freeze" and self._frozen is not None:
            return self._frozen
        image = self._scene.frame(datetime.now(self._players.tz), self._players.since_s(), is_quiet=self._players.is_quiet)
        if fault == "dark":
            image = (image >> 5).astype(np.uint8)
        elif fault == "blur":
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), 7), np.uint8)
        self._frozen = image if fault == "freeze" else None
        return image

    def jpeg(self) -> bytes | None:
        """The picture as JPEG, encoded once for all who watch at the same moment."""
        with self._lock:
            now_s = time.monotonic()
            if now_s - self._packed[0] >= 0.8 / self.fps:
                image = self.image()
                if image is None:
                    return None
                self._packed = (now_s, cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
            return self._packed[1]


class _Watcher(socketserver.StreamRequestHandler):
    timeout = 10.0

    def handle(self) -> None:
        self._players = cast(_MjpegServer, self.server).players
        try:
            words = self.rfile.readline(4096).decode("latin-1").split()
            for _ in range(64):
                if not self.rfile.readline(4096).strip():
                    break
            camera = self._players.find(words[1]) if len(words) == 3 and words[0] == "GET" else None
            if camera is None:
                self.wfile.write(b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                return
            self._stream(camera)
        except OSError:
            pass  # whoever watched went away

    def _stream(self, camera: Camera) -> None:
        picture = camera.jpeg()
        if picture is None:
            self.wfile.write(b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            return
        self.wfile.write(HEAD)
        due_s = time.monotonic()
        while picture is not None:
            self.wfile.write(PART % len(picture) + picture + b"\r\n")
            due_s = max(due_s + 1 / camera.fps, time.monotonic() - 1)
            if self._players.stopping.wait(max(0.0, due_s - time.monotonic())):
                return
            picture = camera.jpeg()


class _MjpegServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, port: int, players: Players) -> None:
        self.players = players
        super().__init__((HOST, port), _Watcher)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A watcher that breaks off is no news."""


class Players:
    """Both servers and their cameras, which come to life when somebody asks for them."""

    def __init__(self, *, tz: ZoneInfo, mjpeg_port: int = MJPEG_PORT, rtsp_port: int = RTSP_PORT, is_quiet: bool = False) -> None:
        """
        Args:
            is_quiet: no faults by themselves, nobody at the gates.
        Raises:
            OSError: a port is taken.
        """
        self.tz, self.is_quiet = tz, is_quiet
        self._started_s = time.monotonic()
        # One thread draws for all: OpenCV keeps several MB of fonts for every thread that writes text.
        self.painter = ThreadPoolExecutor(1, thread_name_prefix="painter")
        self._cameras: dict[str, Camera] = {}
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self._mjpeg = _MjpegServer(mjpeg_port, self)
        try:
            self._rtsp = RtspServer(rtsp_port, self._encoder)
        except OSError:
            self._mjpeg.server_close()
            raise
        self.mjpeg_port, self.rtsp_port = int(self._mjpeg.server_address[1]), self._rtsp.port
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.5}, daemon=True)
            for server in (self._mjpeg, self._rtsp)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End every stream and child process."""
        self.stopping.set()
        for server in (self._mjpeg, self._rtsp):
            server.shutdown()
            server.server_close()
        with self._lock:
            cameras = list(self._cameras.values())
        for camera in cameras:
            camera.encoder.stop()
        self.painter.shutdown(cancel_futures=True)

    def since_s(self) -> float:
        """Seconds on the players' clock."""
        return time.monotonic() - self._started_s

    def turn_to(self, since_s: float) -> None:
        """Set the players' clock: a test need not wait for a passage."""
        self._started_s = time.monotonic() - since_s

    def find(self, target: str) -> Camera | None:
        """The camera of a path like `/cam/<20 digits>?scene=gate`; it is made at the first call."""
        parts = urlsplit(target)
        code = parts.path.removeprefix(PREFIX).strip("/").split("/")[0]
        if not parts.path.startswith(PREFIX) or len(code) != 20 or not code.isdigit():
            return None
        with self._lock:
            if code not in self._cameras and len(self._cameras) < MAX_CAMERAS:
                asked = {key: values[-1] for key, values in parse_qs(parts.query).items()}
                kind = asked.get("scene", "") if asked.get("scene") in scene.KINDS else ("yard", "hall")[int(code[-2:]) % 2]
                fault = asked.get("fault", "")
                try:
                    fps = min(10.0, max(0.5, float(asked.get("fps", FPS[kind]))))
                except ValueError:
                    fps = FPS[kind]
                self._cameras[code] = Camera(
                    code, kind=kind, name=asked.get("name", ""), fault=fault if fault in scene.FAULTS else "", fps=fps, players=self
                )
            return self._cameras.get(code)

    def _encoder(self, path: str, query: str) -> Encoder | None:
        camera = self.find(f"{path}?{query}")
        return camera.encoder if camera is not None and camera.fault_now() != "gone" else None


def run(settings: Settings, stop: threading.Event | None = None) -> None:
    """Serve the demo cameras until `stop` is set (or for ever). Raises: OSError, when a port is taken."""
    cv2.setNumThreads(1)
    few_arenas()
    players = Players(tz=settings.tz, is_quiet=settings.demo_quiet)
    players.start()
    try:
        (stop or threading.Event()).wait()
    finally:
        players.stop()
