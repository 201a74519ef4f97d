"""One passage, one decision: faces of consecutive pictures joined by overlap, the best shots kept, then forgotten.

A track lives as long as a person stands in the gate and has no name: nothing of it outlives the decision, and two
tracks are never joined.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vision.detect import Face
from vision.match import FUSE_SHOTS, Shot

OVERLAP = 0.15  # at 2 frames a second a walking face moves about half its width
GAP_S = 1.2  # without a face for so long the passage is over
KEEP_SHOTS = 3
GOOD_PX = 60.0  # three shots of this width are good enough to decide while the person still stands there
WAIT_S = 3.0  # somebody who stays far away is decided after this time


@dataclass(slots=True)
class Passage:
    """The shots of somebody who is passing now.

    Attributes:
        is_decided: compared once; later faces of the same passage are not compared again.
    """

    last: Face
    seen_s: float
    shots: list[Shot] = field(default_factory=list)
    shot_s: float | None = None
    is_decided: bool = False

    def offer(self, shot: Shot, now_s: float) -> None:
        """Keep the shot if it is one of the best; others are dropped."""
        if shot.quality > 0:
            self.shot_s = self.shot_s or now_s
            self.shots = sorted([*self.shots, shot], key=lambda one: -one.quality)[:KEEP_SHOTS]

    def is_ready(self, now_s: float) -> bool:
        """Enough good shots to decide before the person is gone; they get better while somebody comes nearer."""
        if self.is_decided or len(self.shots) < FUSE_SHOTS:
            return False
        return min(shot.face.width_px for shot in self.shots) >= GOOD_PX or now_s - (self.shot_s or now_s) >= WAIT_S


def overlap(one: Face, other: Face) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    ax, ay, aw, ah = one.box
    bx, by, bw, bh = other.box
    wide = min(ax + aw, bx + bw) - max(ax, bx)
    high = min(ay + ah, by + bh) - max(ay, by)
    if wide <= 0 or high <= 0:
        return 0.0
    return wide * high / (aw * ah + bw * bh - wide * high)


def _is_near(one: Face, other: Face) -> bool:
    """At few frames a second boxes may not overlap although it is the same walk: near and of like size counts too."""
    (ax, ay), (bx, by) = one.centre, other.centre
    size = max(one.width_px, other.width_px)
    return abs(ax - bx) < size and abs(ay - by) < size and 0.5 < one.width_px / max(other.width_px, 1e-6) < 2.0


class Tracker:
    """The passages of one gate."""

    def __init__(self) -> None:
        self.passages: list[Passage] = []

    def update(self, faces: list[Face], now_s: float) -> list[tuple[Face, Passage]]:
        """Give every face its passage, greedily by overlap; a face without one begins a new passage."""
        free = list(self.passages)
        pairs: list[tuple[Face, Passage]] = []
        for face in faces:
            best = max(free, key=lambda passage: overlap(passage.last, face), default=None)
            if best is None or (overlap(best.last, face) < OVERLAP and not _is_near(best.last, face)):
                best = next((passage for passage in free if _is_near(passage.last, face)), None)
            if best is None:
                best = Passage(last=face, seen_s=now_s)
                self.passages.append(best)
            else:
                free.remove(best)
            best.last, best.seen_s = face, now_s
            pairs.append((face, best))
        return pairs

    def over(self, now_s: float) -> list[Passage]:
        """The passages that ended; they are taken out."""
        ended = [passage for passage in self.passages if now_s - passage.seen_s > GAP_S]
        self.passages = [passage for passage in self.passages if now_s - passage.seen_s <= GAP_S]
        return ended
