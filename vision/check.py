"""The face check of one gate: from a frame to a candidate or to nothing.

A face is compared only in the gate's zone, only when it is large enough, once per passage, and only with entries that are
valid at this gate now. Whoever does not match is dropped here, in memory: no picture, vector or mark of them leaves
this module, only a number of passages.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import cv2
import numpy as np
from numpy.typing import NDArray

from vision import match
from vision.align import aligned
from vision.detect import Face
from vision.match import Match, Register, Shot
from vision.models import Loaded
from vision.picture import cut_out
from vision.plan import Gate
from vision.source import Frame
from vision.track import Passage, Tracker

MOTION_PX = (160, 90)
MOTION_SHARE = 0.003  # of the pixels: below it nobody moves and the detector rests (0.05 ms against 11)
MOTION_LEVELS = 12
AVERAGE = 0.1  # how fast the background follows
BYSTANDER_SCORE = 0.3  # faces to blur are found at a lower score than faces to compare
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Found:
    """A proposal: which entry, how near, and the picture with everybody else blurred."""

    match: Match
    at: datetime
    picture: bytes
    expected_false_per_day: float


class GateCheck:
    """One gate. Called by the inference thread only."""

    def __init__(self, camera: str, gate: Gate, loaded: Loaded) -> None:
        self.gate = gate
        self._camera, self._loaded = camera, loaded
        self._tracker = Tracker()
        self._background: NDArray[np.float32] | None = None
        self._passages = 0
        self._compared, self._since_s = 0, 0.0

    def take_passages(self) -> int:
        """How many passages were compared since the last call."""
        count, self._passages = self._passages, 0
        return count

    def look(self, frame: Frame, register: Register, now: datetime, now_s: float) -> list[Found]:
        """Look at one new frame. Raises: StreamRefused, when it does not decode."""
        self._since_s = self._since_s or now_s
        rows = register.at(self._camera, self._loaded.pack.sha256, now)
        if not len(rows) or now >= self.gate.valid_until:
            self._tracker = Tracker()  # nothing to compare with: nobody is looked at
            return []
        is_moving = self._moves(frame)
        if is_moving or self._tracker.passages:
            image = frame.bgr()
            for face, passage in self._tracker.update(self._in_zone(image), now_s):
                if not passage.is_decided:
                    crop = aligned(image, face.points)
                    passage.offer(Shot(face, crop, match.quality(face, crop), frame), now_s)
        ended = self._tracker.over(now_s)
        ready = [
            passage
            for passage in (*self._tracker.passages, *ended)
            if not passage.is_decided and (passage.is_ready(now_s) or passage in ended)
        ]
        decided = (self._decide(passage, register, rows, now_s) for passage in ready)
        return [found for found in decided if found is not None]

    def _moves(self, frame: Frame) -> bool:
        gray = frame.gray(*MOTION_PX).astype(np.float32)
        if self._background is None:
            self._background = gray
            return True
        share = float(np.count_nonzero(np.abs(gray - self._background) > MOTION_LEVELS)) / gray.size
        cv2.accumulateWeighted(gray, self._background, AVERAGE)
        return share >= MOTION_SHARE

    def _in_zone(self, image: NDArray[np.uint8]) -> list[Face]:
        high, wide = image.shape[:2]
        left, top, right, bottom = self.gate.zone
        faces = self._loaded.detector.find(image)
        return [face for face in faces if left <= face.centre[0] / wide <= right and top <= face.centre[1] / high <= bottom]

    def _decide(self, passage: Passage, register: Register, rows: NDArray[np.intp], now_s: float) -> Found | None:
        shots, passage.shots, passage.is_decided = passage.shots, [], True
        if not match.may_match(shots):
            return None
        self._passages += 1
        self._compared += 1
        probe = match.fuse([self._loaded.embedder.embed(shot.crop) for shot in shots])
        found = register.nearest(probe, rows, self.gate.threshold)
        if found is None:
            return None
        best = shots[0]
        image = best.frame.bgr()
        others = self._loaded.detector.find(image, min_score=BYSTANDER_SCORE)
        per_day = self._compared / max(now_s - self._since_s, 600.0) * DAY_S
        expected = 0.0 if self._loaded.pack.is_demo else match.false_per_day(self.gate.threshold, len(rows), per_day)
        return Found(found, best.frame.at, cut_out(image, best.face, others), expected)
