"""Motion JPEG over HTTP, read with a limit on everything a camera could send without end.

Headers, parts, pictures and waiting all have a bound, so a broken or hostile camera costs its own
thread a bounded time and a bounded memory, and gets a reason code instead of a stall.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from urllib.parse import urlsplit

MAX_HEADER_BYTES = 16 * 1024
MAX_PART_HEADER_BYTES = 4 * 1024
MAX_PICTURE_BYTES = 4 * 1024 * 1024
MIN_SIDE_PX, MAX_SIDE_PX = 64, 4096  # 4K cameras pass; a 16k picture would need 800 MB to decode
CHUNK_BYTES = 64 * 1024
OPEN_S = 5.0  # connect, request and headers together
STALL_S = 5.0  # one picture must be complete within this time
_SOF = frozenset({0xC0, 0xC1, 0xC2})  # the frame headers OpenCV's decoder reads


class StreamRefused(OSError):
    """A stream cannot be used; `reason` is the code a person is shown.

    Codes: refused, timeout, closed, not_found, unsupported, endless_headers, garbage, too_small, too_large.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


def jpeg_size(picture: bytes) -> tuple[int, int]:
    """Width and height (px) a JPEG declares, read from its header without decoding.

    Raises:
        StreamRefused: garbage, when there is no JPEG frame header.
    """
    if picture[:2] != b"\xff\xd8":
        raise StreamRefused("garbage", "not a JPEG")
    at = 2
    while at + 9 <= len(picture):
        if picture[at] != 0xFF:
            break
        marker = picture[at + 1]
        if marker in _SOF:
            return int.from_bytes(picture[at + 7 : at + 9], "big"), int.from_bytes(picture[at + 5 : at + 7], "big")
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD9:
            at += 2
            continue
        at += 2 + int.from_bytes(picture[at + 2 : at + 4], "big")
    raise StreamRefused("garbage", "a JPEG without a frame header")


def check_size(width_px: int, height_px: int) -> None:
    """Raises: StreamRefused, when a picture is too small to mean anything or too large to be decoded safely."""
    if min(width_px, height_px) < MIN_SIDE_PX:
        raise StreamRefused("too_small", f"{width_px}x{height_px}")
    if max(width_px, height_px) > MAX_SIDE_PX:
        raise StreamRefused("too_large", f"{width_px}x{height_px}")


class MjpegStream:
    """One open multipart stream; `read` gives the pictures one after the other. Not thread-safe, except `close`."""

    def __init__(self, url: str, *, open_s: float = OPEN_S, stall_s: float = STALL_S) -> None:
        """Connect and read the headers. Raises: StreamRefused."""
        self._stall_s = stall_s
        self._buffer = bytearray()
        self._deadline = time.monotonic() + open_s
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StreamRefused("unsupported", parts.scheme)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            self._socket = socket.create_connection((parts.hostname, port), timeout=open_s)
        except TimeoutError as err:
            raise StreamRefused("timeout", str(err)) from err
        except OSError as err:
            raise StreamRefused("refused", str(err)) from err
        try:
            if parts.scheme == "https":
                self._socket = ssl.create_default_context().wrap_socket(self._socket, server_hostname=parts.hostname)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            self._socket.sendall(f"GET {target} HTTP/1.0\r\nHost: {parts.hostname}:{port}\r\n\r\n".encode())
            self._boundary = self._open()
        except StreamRefused:
            self.close()
            raise
        except OSError as err:
            self.close()
            raise StreamRefused("refused", str(err)) from err

    def __enter__(self) -> MjpegStream:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; a `read` that waits in another thread ends with it."""
        with contextlib.suppress(OSError):  # the other side was faster
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _more(self) -> None:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise StreamRefused("timeout", "no complete answer in time")
        try:
            self._socket.settimeout(left_s)
            chunk = self._socket.recv(CHUNK_BYTES)
        except TimeoutError as err:
            raise StreamRefused("timeout", "no data") from err
        except OSError as err:
            raise StreamRefused("closed", str(err)) from err
        if not chunk:
            raise StreamRefused("closed", "the camera ended the stream")
        self._buffer += chunk

    def _until(self, mark: bytes, limit: int, reason: str) -> bytes:
        """What stands before `mark`; the mark is taken too."""
        seen = 0
        while True:
            found = self._buffer.find(mark, max(0, seen - len(mark)))
            if found >= 0 and found <= limit:
                head = bytes(self._buffer[:found])
                del self._buffer[: found + len(mark)]
                return head
            if len(self._buffer) > limit:
                raise StreamRefused(reason, f"more than {limit} bytes")
            seen = len(self._buffer)
            self._more()

    def _open(self) -> bytes:
        head = self._until(b"\r\n\r\n", MAX_HEADER_BYTES, "endless_headers").decode("latin-1").split("\r\n")
        words = head[0].split(None, 2)
        if len(words) < 2 or not words[0].startswith("HTTP/"):
            raise StreamRefused("garbage", "not HTTP")
        if words[1] != "200":
            raise StreamRefused("not_found" if words[1] in ("404", "410") else "refused", f"status {words[1]}")
        for line in head[1:]:
            name, _, value = line.partition(":")
            if name.strip().lower() == "content-type" and value.strip().lower().startswith("multipart/"):
                for item in value.split(";")[1:]:
                    key, _, text = item.strip().partition("=")
                    if key.lower() == "boundary" and text.strip('"'):
                        return b"--" + text.strip('"').lstrip("-").encode("latin-1")
        raise StreamRefused("unsupported", "not multipart/x-mixed-replace")

    def read(self) -> bytes:
        """The next picture as JPEG bytes, of a size that is safe to decode. Raises: StreamRefused."""
        self._deadline = time.monotonic() + self._stall_s
        # A boundary may be written with or without its two dashes in the header: search what both share.
        self._until(self._boundary.lstrip(b"-"), MAX_PART_HEADER_BYTES, "garbage")
        head = self._until(b"\r\n\r\n", MAX_PART_HEADER_BYTES, "endless_headers")
        length = -1
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length" and value.strip().isdigit():
                length = int(value.strip()[:12])
        if length > MAX_PICTURE_BYTES:
            raise StreamRefused("too_large", f"{length} bytes")
        if length >= 0:
            while len(self._buffer) < length:
                self._more()
            picture = bytes(self._buffer[:length])
            del self._buffer[:length]
        else:
            picture = self._until(b"\r\n" + self._boundary, MAX_PICTURE_BYTES, "too_large")
            self._buffer[:0] = self._boundary
        check_size(*jpeg_size(picture))
        return picture
