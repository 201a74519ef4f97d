"""A small RTSP server for the demo cameras: TCP interleaved, H.264 from an ffmpeg child that encodes drawn frames.

Sources: RFC 2326 (RTSP), RFC 6184 (H.264 over RTP, single NAL units and FU-A), RFC 3551 (clock of 90 kHz).
Only what cameras' clients need: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN.
"""

from __future__ import annotations

import base64
import contextlib
import queue
import random
import shutil
import socketserver
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO, Any, cast
from urllib.parse import urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_LINE_BYTES, MAX_LINES = 4096, 64
SESSION = ("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=demo", "c=IN IP4 127.0.0.1", "t=0 0", "m=video 0 RTP/AVP 96")
PAYLOAD_BYTES = 1400
CLOCK_HZ = 90_000
CLIENT_S = 75.0  # clients speak at least every minute, as the session header asks
QUEUED = 32  # pictures a slow client may lag behind before it is let go

RAW_IN = ("-hide_banner", "-loglevel", "error", "-fflags", "nobuffer", "-probesize", "32", "-f", "rawvideo", "-pix_fmt", "yuv420p")
H264_OUT = ("-an", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-crf", "24", "-threads", "1", "-flush_packets", "1")

#: Gives the picture to send at a time since the start (s); None while the camera plays dead.
Draw = Callable[[], NDArray[np.uint8] | None]


class NoEncoder(RuntimeError):
    """There is no ffmpeg on this machine, so the demo has no RTSP streams; MJPEG ones are not concerned."""


def _exactly(output: IO[bytes], count: int) -> bytes:
    """Raises: EOFError, when the child has ended."""
    data = b""
    while len(data) < count:
        chunk = output.read(count - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data


def pictures(output: IO[bytes]) -> Iterator[list[bytes]]:
    """NAL units of one picture after the other from an FLV stream; the first list holds SPS and PPS.

    FLV because it says how long a picture is: in a raw stream the end of one is known only when the next begins.

    Raises:
        EOFError: the stream ended.
    """
    _exactly(output, 13)
    while True:
        kind, size, _ = struct.unpack(">B3s7s", _exactly(output, 11))
        body = _exactly(output, int.from_bytes(size, "big"))
        _exactly(output, 4)
        if kind != 9 or len(body) < 6:
            continue
        if body[1] == 0:  # AVCDecoderConfigurationRecord, ISO/IEC 14496-15
            units, at = [], 10
            for is_last in (False, True):
                count, at = body[at] & 0x1F, at + 1
                for _ in range(count):
                    length = int.from_bytes(body[at : at + 2], "big")
                    units.append(body[at + 2 : at + 2 + length])
                    at += 2 + length
                if is_last:
                    yield units
        elif body[1] == 1:
            units, at = [], 5
            while at + 4 <= len(body):
                length = int.from_bytes(body[at : at + 4], "big")
                units.append(body[at + 4 : at + 4 + length])
                at += 4 + length
            yield units


def packets(unit: bytes) -> Iterator[bytes]:
    """RTP payloads of one NAL unit: itself, or its FU-A pieces."""
    if len(unit) <= PAYLOAD_BYTES:
        yield unit
        return
    indicator, kind, body = (unit[0] & 0xE0) | 28, unit[0] & 0x1F, unit[1:]
    step = PAYLOAD_BYTES - 2
    for at in range(0, len(body), step):
        flags = (0x80 if at == 0 else 0) | (0x40 if at + step >= len(body) else 0)
        yield bytes((indicator, flags | kind)) + body[at : at + step]


class Encoder:
    """One camera's H.264, encoded once for all its clients, running only while there are any."""

    def __init__(self, draw: Draw, *, fps: float, size: tuple[int, int]) -> None:
        self._draw, self.fps, self._size = draw, fps, size
        self._clients: list[queue.Queue[list[bytes] | None]] = []
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._ready = threading.Event()
        self.parameters: list[bytes] = []  # SPS and PPS, for the description

    def join(self, *, wait_s: float = 5.0) -> queue.Queue[list[bytes] | None]:
        """Begin to receive pictures (lists of NAL units); None in the queue is the end. Raises: NoEncoder."""
        place: queue.Queue[list[bytes] | None] = queue.Queue(QUEUED)
        with self._lock:
            if self._child is None:
                self._start()
            self._clients.append(place)
        if not self._ready.wait(wait_s):
            self.leave(place)
            raise NoEncoder("the encoder gave no picture")
        return place

    def leave(self, place: queue.Queue[list[bytes] | None]) -> None:
        """Stop receiving; the last one to leave stops the child."""
        with self._lock:
            if place in self._clients:
                self._clients.remove(place)
            if not self._clients:
                self._end()

    def stop(self) -> None:
        with self._lock:
            self._end()

    def _start(self) -> None:
        ffmpeg = shutil.which("ffmpeg")
        if ffmpeg is None:
            raise NoEncoder("ffmpeg is not installed")
        self._ready.clear()
        child = subprocess.Popen(
            [
                ffmpeg,
                *RAW_IN,
                "-s",
                f"{self._size[0]}x{self._size[1]}",
                "-r",
                str(self.fps),
                "-i",
                "pipe:0",
                *H264_OUT,
                "-g",
                str(max(1, round(self.fps * 2))),
                "-f",
                "flv",
                "-flvflags",
                "no_duration_filesize",
                "pipe:1",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self._child = child
        threading.Thread(target=self._feed, args=(child, child.stdin), daemon=True).start()
        threading.Thread(target=self._collect, args=(child, child.stdout), daemon=True).start()

    def _end(self) -> None:
        child, self._child = self._child, None
        for place in self._clients:
            with contextlib.suppress(queue.Full):
                place.put_nowait(None)
        self._clients.clear()
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def _feed(self, child: subprocess.Popen[bytes], feed: IO[bytes]) -> None:
        due_s = time.monotonic()
        while child.poll() is None and child is self._child:
            image = self._draw()
            if image is None:  # the camera is gone: so are its clients
                self.stop()
                return
            try:
                feed.write(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420).tobytes())
            except (OSError, ValueError):
                return  # the child was ended meanwhile
            due_s = max(due_s + 1 / self.fps, time.monotonic() - 1)
            time.sleep(max(0.0, due_s - time.monotonic()))

    def _collect(self, child: subprocess.Popen[bytes], output: IO[bytes]) -> None:
        try:
            for units in pictures(output):
                if child is not self._child:
                    return
                if not self._ready.is_set():
                    self.parameters = units
                    self._ready.set()
                else:
                    # Repeated before each picture that can be begun with: a client may come at any time.
                    is_begin = any(unit[0] & 0x1F == 5 for unit in units)
                    self._spread([*self.parameters, *units] if is_begin else units)
        except (EOFError, OSError, ValueError):
            if child is self._child:
                self.stop()

    def _spread(self, picture: list[bytes]) -> None:
        with self._lock:
            for place in list(self._clients):
                try:
                    place.put_nowait(picture)
                except queue.Full:
                    self._clients.remove(place)


class _Session(socketserver.StreamRequestHandler):
    """One client. RTSP first; after PLAY a second thread sends pictures on the same socket."""

    timeout = CLIENT_S

    def handle(self) -> None:
        self._encoder: Encoder | None = None
        self._place: queue.Queue[list[bytes] | None] | None = None
        self._writing = threading.Lock()
        self._id = f"{random.getrandbits(48):012x}"
        try:
            while (request := self._request()) is not None and self._answer(*request):
                pass
        except (OSError, ValueError):
            pass  # the client went away or spoke something else
        finally:
            self._leave()

    def _leave(self) -> None:
        if self._encoder is not None and self._place is not None:
            self._encoder.leave(self._place)
        self._encoder = self._place = None

    def _request(self) -> tuple[str, str, dict[str, str]] | None:
        first = self.rfile.read(1)
        while first == b"$":  # a client's RTCP report between the requests
            _, length = struct.unpack(">BH", self.rfile.read(3))
            self.rfile.read(length)
            first = self.rfile.read(1)
        if not first:
            return None
        words = (first + self.rfile.readline(MAX_LINE_BYTES)).decode("latin-1").split()
        headers: dict[str, str] = {}
        for _ in range(MAX_LINES):
            line = self.rfile.readline(MAX_LINE_BYTES).decode("latin-1").strip()
            if not line:
                break
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return (words[0], words[1], headers) if len(words) == 3 else None

    def _say(self, sequence: str, status: str = "200 OK", headers: tuple[str, ...] = (), body: str = "") -> bool:
        lines = [f"RTSP/1.0 {status}", f"CSeq: {sequence}", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        with self._writing:
            self.wfile.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        return status.startswith("2")

    def _answer(self, method: str, url: str, headers: dict[str, str]) -> bool:
        sequence, session = headers.get("cseq", "0"), f"Session: {self._id};timeout=60"
        if method == "OPTIONS":
            return self._say(sequence, headers=("Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN",))
        if method == "GET_PARAMETER":
            return self._say(sequence, headers=(session,))
        if method == "DESCRIBE":
            return self._describe(sequence, url)
        if method == "SETUP":
            if "interleaved" not in headers.get("transport", ""):
                self._say(sequence, "461 Unsupported Transport")
                return True  # the client may ask again for TCP
            return self._say(sequence, headers=("Transport: RTP/AVP/TCP;unicast;interleaved=0-1", session))
        if method == "PLAY" and self._place is not None:
            self._say(sequence, headers=(session, "Range: npt=now-"))
            threading.Thread(target=self._send, args=(self._place,), daemon=True).start()
            return True
        if method == "TEARDOWN":
            self._say(sequence, headers=(session,))
            return False
        return self._say(sequence, "405 Method Not Allowed")

    def _describe(self, sequence: str, url: str) -> bool:
        parts = urlsplit(url)
        encoder = cast(RtspServer, self.server).find(parts.path, parts.query)
        if encoder is None:
            return self._say(sequence, "404 Not Found")
        self._leave()
        try:
            self._place, self._encoder = encoder.join(), encoder
        except NoEncoder:
            return self._say(sequence, "503 Service Unavailable")
        sprop = ",".join(base64.b64encode(unit).decode() for unit in encoder.parameters)
        body = "\r\n".join(
            (
                *SESSION,
                f"a=rtpmap:96 H264/{CLOCK_HZ}",
                f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sprop}",
                f"a=framerate:{encoder.fps}",
                "a=control:trackID=0",
                "",
            )
        )
        return self._say(sequence, headers=("Content-Type: application/sdp", f"Content-Base: {url.split('?')[0]}/"), body=body)

    def _send(self, place: queue.Queue[list[bytes] | None]) -> None:
        number, source = random.getrandbits(16), random.getrandbits(32)
        is_begun = False
        try:
            while (picture := place.get(timeout=CLIENT_S)) is not None:
                is_begun = is_begun or any(unit[0] & 0x1F == 5 for unit in picture)
                if not is_begun:
                    continue  # nothing can be decoded before the first whole picture
                stamp = round(time.monotonic() * CLOCK_HZ) & 0xFFFFFFFF
                payloads = [payload for unit in picture for payload in packets(unit)]
                out = bytearray()
                for place_in, payload in enumerate(payloads):
                    marker = 0x80 if place_in == len(payloads) - 1 else 0
                    packet = struct.pack(">BBHII", 0x80, marker | 96, number, stamp, source) + payload
                    number = (number + 1) & 0xFFFF
                    out += struct.pack(">BBH", 0x24, 0, len(packet)) + packet
                with self._writing:
                    self.wfile.write(out)
        except (OSError, ValueError, queue.Empty):
            pass
        with contextlib.suppress(OSError):
            self.connection.shutdown(2)  # the reading side ends with it


class RtspServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Listens on 127.0.0.1 only; `find(path, query)` gives the encoder of a camera or None."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, find: Callable[[str, str], Encoder | None]) -> None:
        self.find = find
        super().__init__(("127.0.0.1", port), _Session)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that breaks off is no news."""
