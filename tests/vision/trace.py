"""Look for a trace of a face: in files, in Redis, in PostgreSQL, however it was written down.

Every picture in a haystack is decoded (JPEG and PNG, plain, in base64 or in hex) and shown to the matcher; the template is
looked for as f32, f16 and f64; rows of the raw picture as they lie in memory.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psycopg
import redis as redis_client
from numpy.typing import NDArray
from psycopg import sql

from vision.align import aligned
from vision.models import Loaded

_BASE64 = re.compile(rb"[A-Za-z0-9+/]{400,}={0,2}")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){200,}")
SAME = 0.45
MIN_PX = 12.0  # nothing recognises a face below it


class Trace:
    """The person nobody may find again."""

    def __init__(self, loaded: Loaded, template: NDArray[np.float32], frames: Sequence[NDArray[np.uint8]]) -> None:
        self._loaded, self._template = loaded, template
        middle = [frame[frame.shape[0] // 2, at : at + 24].tobytes() for frame in frames for at in range(80, 560, 40)]
        kinds = ("<f4", "<f2", "<f8")
        self._needles = [(f"template {kind}", template.astype(kind).tobytes()[:64]) for kind in kinds] + [
            ("raw frame", row) for row in middle
        ]

    def in_bytes(self, haystack: bytes, where: str) -> Iterator[str]:
        """What was found, one line each."""
        for name, needle in self._needles:
            if needle in haystack:
                yield f"{where}: {name}"
        for kind, packed in (("plain", haystack), *_unpacked(haystack)):
            for image in _images(packed):
                if self._knows(image):
                    yield f"{where}: {kind} picture of {image.shape[1]}x{image.shape[0]}"

    def _knows(self, image: NDArray[np.uint8]) -> bool:
        # Small pictures are looked at enlarged too: somebody may have stored a thumbnail or an aligned crop.
        for scale in (1.0, 3.0):
            if max(image.shape[:2]) * scale > 3000:
                continue
            sized = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)
            edge = max(sized.shape[:2]) // 3
            framed = np.full((sized.shape[0] + 2 * edge, sized.shape[1] + 2 * edge, 3), 90, np.uint8)
            framed[edge:-edge, edge:-edge] = sized
            for face in self._loaded.detector.find(framed, min_score=0.3):
                vector = self._loaded.embedder.embed(aligned(framed, face.points))
                if face.width_px >= MIN_PX and float(vector @ self._template) > SAME:
                    return True
        return False

    def in_folder(self, folder: Path) -> Iterator[str]:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield from self.in_bytes(path.read_bytes(), str(path.relative_to(folder)))

    def in_redis(self, client: redis_client.Redis) -> Iterator[str]:
        for key in client.scan_iter():
            yield from self.in_bytes(_value(client, key), f"redis {key!r}")

    def in_database(self, conn: psycopg.Connection[Any]) -> Iterator[str]:
        """Every row of every table. Args: conn: of the owner, whom row-level security hides nothing from."""
        found = conn.execute("select tablename as name from pg_tables where schemaname = 'public'").fetchall()
        for name in [row["name"] for row in found]:
            with conn.cursor().copy(sql.SQL("copy (select * from {}) to stdout").format(sql.Identifier(name))) as rows:
                yield from self.in_bytes(b"".join(bytes(part) for part in rows), f"table {name}")


def _value(client: redis_client.Redis, key: bytes) -> bytes:
    kind = client.type(key)
    if kind == b"string":
        return bytes(client.get(key) or b"")  # type: ignore[arg-type]
    if kind == b"hash":
        return b"\n".join(client.hgetall(key).values())  # type: ignore[union-attr]
    if kind == b"stream":
        return b"\n".join(value for _, fields in client.xrange(key) for value in fields.values())  # type: ignore[union-attr]
    return bytes(client.dump(key) or b"")  # type: ignore[arg-type]


def _unpacked(haystack: bytes) -> Iterator[tuple[str, bytes]]:
    for found in _BASE64.findall(haystack):
        try:
            yield "base64", base64.b64decode(found[: len(found) // 4 * 4])
        except binascii.Error:
            continue
    for found in _HEX.findall(haystack):
        yield "hex", bytes.fromhex(found[: len(found) // 2 * 2].decode())


def _images(haystack: bytes) -> Iterator[NDArray[np.uint8]]:
    for mark in (b"\xff\xd8\xff", b"\x89PNG\r\n"):
        at = haystack.find(mark)
        while at >= 0:
            image = cv2.imdecode(np.frombuffer(haystack, np.uint8, count=min(len(haystack) - at, 4_000_000), offset=at), cv2.IMREAD_COLOR)
            if image is not None and min(image.shape[:2]) >= 16:
                yield np.asarray(image, np.uint8)
            at = haystack.find(mark, at + 3)
