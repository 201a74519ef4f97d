"""Compare a passage with the register: exact, in memory, and only when the face is large enough.

A face that is too small does not only get missed: at a fixed threshold the false matches rise (2 times at 24 px,
8 times at 16 px of width), so the size rule is a safety rule and no option.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.detect import Face
from vision.embed import LENGTH, unit
from vision.source import Frame

ENROL_PX = 80.0  # narrowest face a template may be made from
MATCH_PX = 40.0  # narrowest face that may be compared alone
FUSE_PX = 30.0  # from here to MATCH_PX only several shots of one passage together
FUSE_SHOTS = 3
MAX_TURN = 0.30  # how far the nose may leave the middle of the eyes, in eye distances
MIN_SHARPNESS = 15.0  # variance of the Laplacian of the aligned face; below, edges that matter are gone

# Share of pairs of different people that score above a threshold, LFW, 29.6 M pairs, model 0095. Adults on press
# photos: a lower bound for what a gate sees, and recalibrated per site on consented data.
_FALSE_BY_THRESHOLD = ((0.340, 1e-3), (0.427, 1e-4), (0.501, 1e-5), (0.593, 1e-6))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a worker may know of a register entry: nothing that says who it is."""

    entry_id: int
    cameras: frozenset[str]
    model_sha256: str
    template: NDArray[np.float32]
    until: datetime


@dataclass(frozen=True, slots=True)
class Shot:
    """One look at a face of a passage."""

    face: Face
    crop: NDArray[np.uint8]
    quality: float
    frame: Frame


@dataclass(frozen=True, slots=True)
class Match:
    """The nearest entry above the threshold."""

    entry_id: int
    score: float


def quality(face: Face, crop: NDArray[np.uint8]) -> float:
    """How good a look this is, 0 for one that must not be used: width, detector score, frontality and sharpness together."""
    eyes = face.points[1] - face.points[0]
    distance = float(np.hypot(*eyes))
    if distance < 1.0 or face.width_px < FUSE_PX:
        return 0.0
    middle = (face.points[0] + face.points[1]) / 2
    turn = abs(float(np.dot(face.points[2] - middle, eyes))) / distance**2
    sharpness = float(cv2.meanStdDev(cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), cv2.CV_32F))[1][0, 0]) ** 2
    if turn > MAX_TURN or sharpness < MIN_SHARPNESS:
        return 0.0
    return min(face.width_px, 160.0) * face.score * (1.0 - turn) * min(1.0, math.sqrt(sharpness / 200.0))


def may_match(shots: Sequence[Shot]) -> bool:
    """Whether these shots of one passage may be compared at all: one of 40 px, or three of 30 px."""
    good = [shot for shot in shots if shot.quality > 0]
    return any(shot.face.width_px >= MATCH_PX for shot in good) or sum(shot.face.width_px >= FUSE_PX for shot in good) >= FUSE_SHOTS


def fuse(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """One direction for several shots: the mean of unit vectors, of length 1 again."""
    return unit(np.mean(np.stack(list(vectors)), axis=0))


class Register:
    """The entries of one worker as one matrix: numpy is at the memory bandwidth up to 100,000 entries, no index needed."""

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self.entries = tuple(entries)
        self._matrix = np.stack([unit(entry.template) for entry in entries]) if entries else np.zeros((0, LENGTH), np.float32)

    def at(self, camera: str, model_sha256: str, now: datetime) -> NDArray[np.intp]:
        """Row numbers of the entries that are valid at this gate, for this model, at this moment."""
        return np.array(
            [
                row
                for row, entry in enumerate(self.entries)
                if camera in entry.cameras and entry.model_sha256 == model_sha256 and entry.until > now
            ],
            np.intp,
        )

    def nearest(self, probe: NDArray[np.float32], rows: NDArray[np.intp], threshold: float) -> Match | None:
        """The best entry among `rows` with cosine at or above `threshold`; None, and nothing is kept, for everybody else."""
        if not len(rows):
            return None
        scores = self._matrix[rows] @ probe
        best = int(np.argmax(scores))
        if not scores[best] >= threshold:  # written so that NaN does not match
            return None
        return Match(self.entries[rows[best]].entry_id, float(scores[best]))


def false_per_day(threshold: float, entries: int, passages_per_day: float) -> float:
    """How many candidates of the wrong person a gate must expect a day: pairs a day times the false share at the threshold.

    The share is interpolated between measured points on a logarithmic scale and held outside them.
    """
    (low, high) = (_FALSE_BY_THRESHOLD[0], _FALSE_BY_THRESHOLD[-1])
    thresholds = [item[0] for item in _FALSE_BY_THRESHOLD]
    share = 10 ** float(np.interp(min(max(threshold, low[0]), high[0]), thresholds, [math.log10(item[1]) for item in _FALSE_BY_THRESHOLD]))
    return share * entries * passages_per_day
