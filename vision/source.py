"""Camera streams: one thread each, the newest frame only, reconnect with a growing pause.

RTSP (over TCP) and files are decoded by OpenCV; HTTP is motion JPEG, whose pictures are kept as
they came and decoded only when somebody looks. Nothing queues: a frame nobody took is replaced.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.mjpeg import OPEN_S, STALL_S, MjpegStream, StreamRefused, check_size

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
JPEG_QUALITY = 80
M_ARENA_MAX = -8  # malloc.h of glibc
Image = NDArray[np.uint8]

# Read by OpenCV from the environment when a capture opens: TCP instead of UDP, a limit on what is decoded, and
# only the protocols a camera speaks, so that a stream cannot make FFmpeg fetch something else.
CAPTURE_OPTIONS = (
    "rtsp_transport;tcp|protocol_whitelist;file,rtsp,rtp,tcp,tls|max_pixels;16777216|timeout;5000000|analyzeduration;200000|fpsprobesize;0"
)


@dataclass(slots=True)
class Frame:
    """One picture of a camera. It lives in memory only.

    Attributes:
        seq: counts the frames of this source from 1; the same number is the same picture.
        at: when it arrived, UTC; `mono_s` the same on the clock that never jumps.
    """

    seq: int
    at: datetime
    mono_s: float
    image: Image | None = None
    packed: bytes | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def age_ms(self) -> int:
        return round((time.monotonic() - self.mono_s) * 1000)

    def bgr(self) -> Image:
        """The picture, HxWx3 uint8, BGR. Raises: StreamRefused, when the bytes do not decode."""
        if self.image is not None:
            return self.image
        return _decoded(self.packed or b"", cv2.IMREAD_COLOR)

    def gray(self, width_px: int, height_px: int) -> Image:
        """A small grey copy, uint8. A JPEG is decoded at half size: a quarter of the work."""
        if self.image is not None:
            small = cv2.cvtColor(cv2.resize(self.image, (width_px, height_px), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
        else:
            half = _decoded(self.packed or b"", cv2.IMREAD_REDUCED_GRAYSCALE_2)
            small = half if half.shape == (height_px, width_px) else cv2.resize(half, (width_px, height_px), interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.uint8)

    def jpeg(self) -> bytes:
        """The picture as JPEG bytes, encoded at most once."""
        with self._lock:
            if self.packed is None:
                ok, data = cv2.imencode(".jpg", self.bgr(), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
                if not ok:
                    raise StreamRefused("garbage", "the picture cannot be encoded")
                self.packed = data.tobytes()
            return self.packed


def _decoded(packed: bytes, flag: int) -> Image:
    try:
        image = cv2.imdecode(np.frombuffer(packed, np.uint8), flag)
    except cv2.error as err:
        raise StreamRefused("garbage", str(err)) from err
    if image is None:
        raise StreamRefused("garbage", "the picture does not decode")
    return np.asarray(image, np.uint8)


class Source:
    """The stream of one camera. `newest` is safe from every thread and never waits."""

    def __init__(
        self,
        camera: str,
        url: str,
        *,
        fps: float = 1.0,
        open_s: float = OPEN_S,
        stall_s: float = STALL_S,
        first_pause_s: float = FIRST_PAUSE_S,
        longest_pause_s: float = LONGEST_PAUSE_S,
    ) -> None:
        """
        Args:
            fps: how many frames a second are worth converting; a stream that sends more is thinned.
            stall_s: an open stream that gives nothing for so long is closed and opened again.
        """
        self.camera, self.url, self.fps = camera, url, fps
        self._open_s, self._stall_s = open_s, stall_s
        self._first_pause_s, self._longest_pause_s = first_pause_s, longest_pause_s
        self._stop = threading.Event()
        self._newest: Frame | None = None
        self._seq = 0
        self._stream: MjpegStream | None = None
        self.reason = "starting"  # why there is no picture now; "" while there is
        self.reconnects = 0
        self._thread = threading.Thread(target=self._run, name=f"source-{camera}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 0.0) -> None:
        """Ask the thread to end and let go of the frame; safe more than once."""
        self._stop.set()
        stream = self._stream
        if stream is not None:
            stream.close()
        if timeout_s and self._thread.is_alive():
            self._thread.join(timeout_s)
        self._newest = None

    def newest(self) -> Frame | None:
        """The last frame, however old it is: the reader decides by its age."""
        return self._newest

    def _keep(self, *, image: Image | None = None, packed: bytes | None = None) -> None:
        self._seq += 1
        self._newest = Frame(seq=self._seq, at=datetime.now(UTC), mono_s=time.monotonic(), image=image, packed=packed)
        self.reason = ""

    def _run(self) -> None:
        pause_s = self._first_pause_s
        while not self._stop.is_set():
            before = self._seq
            try:
                if urlsplit(self.url).scheme in ("http", "https"):
                    self._read_mjpeg()
                else:
                    self._read_capture()
            except StreamRefused as err:
                self.reason = err.reason
            if self._stop.is_set():
                return
            self.reconnects += 1
            # Only a frame proves a stream, not a connect; the share of chance keeps many cameras from knocking together.
            pause_s = self._first_pause_s if self._seq > before else min(pause_s * 2, self._longest_pause_s)
            self._stop.wait(pause_s * random.uniform(0.8, 1.2))

    def _read_mjpeg(self) -> None:
        with MjpegStream(self.url, open_s=self._open_s, stall_s=self._stall_s) as stream:
            self._stream = stream
            try:
                while not self._stop.is_set():
                    self._keep(packed=stream.read())
            finally:
                self._stream = None

    def _read_capture(self) -> None:
        parts = urlsplit(self.url)
        is_file = parts.scheme in ("", "file")
        if not is_file and parts.scheme not in ("rtsp", "rtsps"):
            raise StreamRefused("unsupported", parts.scheme)
        name = unquote(parts.path) if is_file else self.url
        if is_file and not Path(name).is_file():
            raise StreamRefused("not_found", name)
        with _capture(name, open_s=self._open_s, stall_s=self._stall_s) as capture:
            check_size(round(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
            step_s = 1.0 / max(0.5, min(capture.get(cv2.CAP_PROP_FPS) or 25.0, 120.0)) if is_file else 0.0
            due_s = take_s = time.monotonic()
            while not self._stop.is_set():
                if not capture.grab():
                    raise StreamRefused("closed", "no more frames")
                now_s = time.monotonic()
                if now_s >= take_s:  # grab decodes, retrieve converts: only what is wanted is converted
                    take_s = max(take_s + 1.0 / max(self.fps, 0.1), now_s)
                    ok, image = capture.retrieve()
                    if not ok:
                        raise StreamRefused("garbage", "a frame does not decode")
                    check_size(image.shape[1], image.shape[0])
                    self._keep(image=np.asarray(image, np.uint8))
                if is_file:  # a file is played at its own speed, as a camera would send it
                    due_s += step_s
                    self._stop.wait(max(0.0, due_s - time.monotonic()))


def few_arenas() -> None:
    """Let all threads of this process share two heaps: glibc gives each thread its own and keeps what pictures have left in them."""
    with contextlib.suppress(OSError, AttributeError):  # another C library has no such switch, and no such heaps
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


@contextlib.contextmanager
def _capture(name: str, *, open_s: float, stall_s: float) -> Iterator[cv2.VideoCapture]:
    """An open OpenCV capture with time-outs, released at the end. Raises: StreamRefused."""
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = CAPTURE_OPTIONS
    # Otherwise one stream that is slow to open keeps every other from opening (opencv#20114, #23601).
    os.environ["OPENCV_FFMPEG_IS_THREAD_SAFE"] = "1"
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # quiet: a dead camera must not fill a disk with its retries
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # a line for every time-out; we say it once, with a reason
    capture = cv2.VideoCapture()
    try:
        capture.open(
            name,
            cv2.CAP_FFMPEG,
            [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
                round(open_s * 1000),
                cv2.CAP_PROP_READ_TIMEOUT_MSEC,
                round(stall_s * 1000),
                cv2.CAP_PROP_N_THREADS,
                1,
            ],
        )
        if not capture.isOpened():
            raise StreamRefused("refused", "the stream does not open")
        yield capture
    finally:
        capture.release()
