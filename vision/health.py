"""Is the picture good? Pure verdicts on small grey pictures, with a memory that keeps them from flapping.

References:
    Ribnick, Atev, Masoud, Papanikolopoulos, Voyles: Real-Time Detection of Camera Tampering, AVSS 2006,
        doi 10.1109/AVSS.2006.94 (compare with the camera's own recent past, not with fixed numbers).
    Saglam, Temizel: Real-Time Adaptive Camera Tamper Detection for Video Surveillance, AVSS 2009, pp. 430-435
        (adaptive thresholds for defocus; a verdict needs several frames).
    Lee, Tsai, Shih: Real-Time Camera Tampering Detection Using Edge Disappearance Rate, Sensors 2015, 15(5), 10315,
        doi 10.3390/s150510315 (edges that vanish show blur and darkness).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH_PX, HEIGHT_PX = 320, 180  # what `measure` wants; every threshold below belongs to this size
HITS = 3  # samples in a row before a state is believed, in both directions
LEARN = 5  # good samples before blur can be judged: there is nothing to compare with before
DARK_MEAN, DARK_STD = 20.0, 12.0
BRIGHT_SHARE = 0.60  # of the pixels at or above 250: the sensor has nothing left to say there
FLAT_STD = 8.0  # a picture without any contrast is blinded, whatever its brightness
BLUR_SHARE = 0.25  # of the camera's own usual sharpness
FROZEN_SHARE = 0.10  # of the camera's own usual change between samples
FROZEN_FLOOR = 0.002  # grey levels; below it nothing moves, not even sensor noise or a clock in the picture
NIGHT_MEAN = 60.0  # day and night keep references of their own: cameras switch to infrared


class State(StrEnum):
    """What is known of a camera; the values are those of camera.state."""

    OK = "ok"
    LOST = "lost"
    FROZEN = "frozen"
    DARK = "dark"
    BRIGHT = "bright"
    BLURRED = "blurred"


@dataclass(frozen=True, slots=True)
class Measure:
    """Numbers of one sample: grey mean, contrast (std), share of saturated pixels, sharpness by contrast, change since the last."""

    mean: float
    std: float
    saturated: float
    sharpness: float
    change: float | None


def measure(gray: NDArray[np.uint8], before: NDArray[np.uint8] | None) -> Measure:
    """Measure a grey picture of `HEIGHT_PX` x `WIDTH_PX`; `before` is the sample before it, None at the first.

    Sharpness is the variance of the Laplacian of the denoised picture divided by the picture's own variance, so that
    dusk, which lowers both, does not look like a lens out of focus.
    """
    mean, std = (float(value[0, 0]) for value in cv2.meanStdDev(gray))
    calm = cv2.GaussianBlur(gray, (3, 3), 0)
    edges = float(cv2.meanStdDev(cv2.Laplacian(calm, cv2.CV_16S, ksize=3))[1][0, 0]) ** 2
    change = None if before is None else float(cv2.norm(gray, before, cv2.NORM_L1)) / gray.size
    return Measure(
        mean=mean, std=std, saturated=float(np.count_nonzero(gray >= 250)) / gray.size, sharpness=edges / max(std * std, 1.0), change=change
    )


class Health:
    """The state of one camera. Feed it samples and silence; it answers when the state changes."""

    def __init__(self, *, hits: int = HITS) -> None:
        self.state: State | None = None  # None: nothing is known yet, which is not "ok"
        self._hits = hits
        self._run: tuple[State, int] = (State.OK, 0)
        self._before: NDArray[np.uint8] | None = None
        self._sharp: dict[bool, deque[float]] = {False: deque(maxlen=60), True: deque(maxlen=60)}
        self._moves: deque[float] = deque(maxlen=60)

    def sample(self, gray: NDArray[np.uint8]) -> State | None:
        """Judge one new frame. Returns the new state if it changed, else None. The same frame must not be given twice."""
        seen = measure(gray, self._before)
        self._before = gray
        verdict = self._verdict(seen)
        if verdict is State.OK:
            self._learn(seen)
        return self._count(verdict)

    def silence(self) -> State | None:
        """No frame came for too long. The caller's waiting is the hysteresis: the first call counts."""
        self._run = (State.LOST, self._hits)
        self._before = None
        return self._enter(State.LOST)

    def _verdict(self, seen: Measure) -> State:
        if seen.mean < DARK_MEAN and seen.std < DARK_STD:
            return State.DARK
        if seen.saturated > BRIGHT_SHARE or (seen.std < FLAT_STD and seen.mean > 200):
            return State.BRIGHT
        if seen.change is not None and seen.change <= self._still():
            return State.FROZEN
        if seen.std < FLAT_STD:
            return State.BLURRED
        usual = self._sharp[seen.mean < NIGHT_MEAN]
        if len(usual) >= LEARN and seen.sharpness < BLUR_SHARE * float(np.median(usual)):
            return State.BLURRED
        return State.OK

    def _still(self) -> float:
        usual = float(np.median(self._moves)) if len(self._moves) >= LEARN else 0.0
        # A busy yard must not make a quiet one look frozen: the floor of the usual change is capped.
        return max(FROZEN_FLOOR, min(FROZEN_SHARE * usual, 0.02))

    def _learn(self, seen: Measure) -> None:
        self._sharp[seen.mean < NIGHT_MEAN].append(seen.sharpness)
        if seen.change is not None:
            self._moves.append(seen.change)

    def _count(self, verdict: State) -> State | None:
        last, count = self._run
        self._run = (verdict, count + 1 if verdict is last else 1)
        # The first picture after nothing, or after silence, is news at once: somebody waits for it.
        needed = 1 if self.state in (None, State.LOST) and verdict is State.OK else self._hits
        return self._enter(verdict) if self._run[1] >= needed else None

    def _enter(self, state: State) -> State | None:
        if state is self.state:
            return None
        self.state = state
        return state
