"""The picture of a candidate: the matched face to compare by eye, everybody else made unrecognisable, sealed.

Not only detected faces are blurred: everything outside the matched face is a mosaic too coarse to recognise anybody in,
because a detector misses faces that are small or turned away.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from data.core import seal
from vision.detect import Face
from vision.source import Image
from vision.track import overlap

MAX_BYTES = 34_000  # sealed and in base64 it stays under the 48 kB an event may carry
MAX_WIDTH_PX = 480
BLOCKS = 5  # of the mosaic across a face: the detector finds 5 % of faces 8 px wide, and no matcher uses them
SAME = 0.3  # a detection that overlaps the matched face so much is that face
QUALITIES = (88, 80, 70, 60, 45, 30)

Box = tuple[float, float, float, float]


def _region(image: Image, box: Box, grow: float) -> tuple[slice, slice]:
    """Rows and columns of a box grown by a share of its size on every side, inside the picture."""
    x, y, wide, high = box
    top, left = max(0, round(y - high * grow)), max(0, round(x - wide * grow))
    bottom, right = min(image.shape[0], round(y + high * (1 + grow))), min(image.shape[1], round(x + wide * (1 + grow)))
    return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))


def _mosaic(image: NDArray[np.uint8], block_px: float) -> Image:
    """The picture in blocks of `block_px`, their borders smoothed."""
    high, wide = image.shape[:2]
    small = cv2.resize(image, (max(1, round(wide / block_px)), max(1, round(high / block_px))), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (wide, high), interpolation=cv2.INTER_LINEAR), np.uint8)


def cut_out(image: Image, face: Face, others: Sequence[Face]) -> bytes:
    """JPEG bytes of the surroundings of `face`, at most 34 kB.

    Args:
        image: the whole frame, BGR; it is not changed.
        others: every face found in it, at a low score on purpose; the matched one among them is recognised by its overlap.
    """
    blurred = _mosaic(image, max(4.0, face.width_px / BLOCKS))
    own_rows, own_columns = _region(image, face.box, 0.25)
    blurred[own_rows, own_columns] = image[own_rows, own_columns]
    for other in others:
        if overlap(other, face) > SAME:
            continue
        rows, columns = _region(image, other.box, 0.3)
        blurred[rows, columns] = _mosaic(blurred[rows, columns], max(4.0, other.width_px / BLOCKS))
    rows, columns = _region(image, face.box, 0.0)
    blurred[rows, columns] = image[rows, columns]  # where two overlap, the matched face is what is compared
    x, y, wide, high = face.box
    rows, columns = _region(image, (x - wide * 1.4, y - high * 0.9, wide * 3.8, high * 4.2), 0.0)
    part = blurred[rows, columns]
    if part.shape[1] > MAX_WIDTH_PX:
        part = cv2.resize(part, None, fx=MAX_WIDTH_PX / part.shape[1], fy=MAX_WIDTH_PX / part.shape[1], interpolation=cv2.INTER_AREA)
    packed = b""
    for quality in QUALITIES:
        packed = cv2.imencode(".jpg", part, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(packed) <= MAX_BYTES:
            return packed
    half = cv2.resize(part, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", half, [cv2.IMWRITE_JPEG_QUALITY, QUALITIES[-1]])[1].tobytes()


def sealed(picture: bytes, key: bytes, event_id: str) -> str:
    """Base64 of the wrapped data key and the picture sealed with it; both open for this event only.

    Args:
        key: derived from the master key for the purpose `candidate picture`.
    """
    data_key = seal.new_key()
    packed = seal.seal(key, data_key, event_id) + seal.seal(data_key, picture, event_id)
    return base64.b64encode(packed).decode()
