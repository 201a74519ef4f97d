"""Drawn scenes for the demo cameras: a yard, a gate, a corridor, with figures that walk, a name and a running clock."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vision import faces

WIDTH_PX, HEIGHT_PX = 640, 360
KINDS = ("yard", "gate", "hall")
FAULTS = ("freeze", "dark", "blur", "gone")
FAULT_EVERY_S, FAULT_LASTS_S = 600.0, 75.0
PASS_EVERY_S, PASS_LASTS_S = 24.0, 7.0  # somebody comes through a gate
HIT_EVERY = 13  # every so many passages it is the person of the demo register: about five minutes a gate
HIT_FIRST = 1  # the second passage after the start already, so that the first run shows one within a minute
ENROLLED = 5  # which of `faces.words()` the demo register holds
COATS = ((178, 92, 46), (62, 132, 74), (60, 70, 168), (40, 150, 190), (150, 80, 130), (120, 120, 60))

Image = NDArray[np.uint8]


class Walker(NamedTuple):
    """A figure of the scene: lane (y of the feet), speed (px/s), height (px), coat, phase (s)."""

    y: float
    speed: float
    height: float
    coat: tuple[int, int, int]
    phase: float


@dataclass(frozen=True, slots=True)
class Passer:
    """Somebody at the gate with a face: which word, how far through (0 to 1), which side of the lane (px)."""

    word: int
    share: float
    aside: float


def fault_at(fault: str, code: str, since_start_s: float) -> str:
    """The fault a camera shows now, "" for none: each kind returns every ten minutes, at a moment of the camera's own."""
    if not fault:
        return ""
    phase = int(hashlib.sha256(code.encode()).hexdigest()[:4], 16) / 65536 * (FAULT_EVERY_S - 2 * FAULT_LASTS_S) + FAULT_LASTS_S
    return fault if phase <= since_start_s % FAULT_EVERY_S < phase + FAULT_LASTS_S else ""


def passers_at(code: str, since_start_s: float) -> list[Passer]:
    """Who walks through this gate now: usually one drawn person, every fifth time two side by side, often nobody."""
    seed = int(hashlib.sha256(code.encode()).hexdigest()[:8], 16)
    number, into_s = divmod(since_start_s + seed % 12, PASS_EVERY_S)
    if into_s > PASS_LASTS_S:
        return []
    turn, words = int(number), faces.words()
    others = [word for place, word in enumerate(words) if place != ENROLLED]
    is_hit = turn % HIT_EVERY == HIT_FIRST
    first = words[ENROLLED] if is_hit else others[(seed + turn * 7) % len(others)]
    share = into_s / PASS_LASTS_S
    if is_hit or turn % 5 == 3:  # a bystander beside the hit: the stored picture must not show them
        return [Passer(first, share, -95.0), Passer(others[(seed + turn * 11 + 3) % len(others)], share, 95.0)]
    return [Passer(first, share, 0.0)]


class Scene:
    """One camera's picture at any moment; the unmoving part is drawn once."""

    def __init__(self, code: str, *, kind: str, name: str = "") -> None:
        """Args: kind: one of `KINDS`; name: ASCII text drawn into the picture, the code when empty."""
        self.code, self.kind = code, kind if kind in KINDS else "yard"
        self._name = "".join(letter if " " <= letter <= "~" else "?" for letter in name)[:40] or code
        self._random = np.random.default_rng(int(hashlib.sha256(code.encode()).hexdigest()[:12], 16))
        self._ground = {"yard": self._yard, "gate": self._gate, "hall": self._hall}[self.kind]()
        lane = {"yard": (215.0, 330.0), "gate": (236.0, 246.0), "hall": (250.0, 345.0)}[self.kind]
        self._walkers = [self._walker(*lane) for _ in range(2 if self.kind == "gate" else 4)]
        self._walkers.sort(key=lambda walker: walker.y)

    def _walker(self, low: float, high: float) -> Walker:
        y = float(self._random.uniform(low, high))
        coat = COATS[int(self._random.integers(len(COATS)))]
        speed = float(self._random.uniform(14, 34) * self._random.choice([-1, 1]))
        return Walker(y, speed, 26 + (y - 200) * 0.34, coat, float(self._random.uniform(0, 900)))

    def frame(self, now: datetime, since_start_s: float, *, is_quiet: bool = False) -> Image:
        """The picture, 640x360x3 BGR. `now` is what its clock shows, in its zone; when quiet nobody comes through the gate."""
        image = self._ground.copy()
        if self.kind == "yard":
            self._flag(image, since_start_s)
        for walker in self._walkers:
            _figure(image, walker, since_start_s)
        if self.kind == "gate" and not is_quiet:
            for passer in passers_at(self.code, since_start_s):
                _approach(image, passer, since_start_s)
        self._caption(image, now)
        return image

    def _caption(self, image: Image, now: datetime) -> None:
        clock = now.strftime("%Y-%m-%d %H:%M:%S.") + str(now.microsecond // 100_000)
        for text, x, y in ((self._name, 10, 22), (clock, 10, HEIGHT_PX - 12), ("DEMO", WIDTH_PX - 62, 22)):
            for shift, colour in ((1, (10, 10, 10)), (0, (245, 245, 245))):
                cv2.putText(image, text, (x + shift, y + shift), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)

    def _sky(self, horizon: int, ground: tuple[int, int, int]) -> Image:
        image = np.empty((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
        fade = np.linspace(0, 1, horizon)[:, None, None]
        image[:horizon] = (np.array([226, 190, 146]) * (1 - fade) + np.array([240, 226, 208]) * fade).astype(np.uint8)
        image[horizon:] = ground
        grain = self._random.integers(-6, 7, (HEIGHT_PX - horizon, WIDTH_PX, 1))
        image[horizon:] = np.clip(image[horizon:].astype(np.int16) + grain, 0, 255).astype(np.uint8)
        return image

    def _building(self, image: Image, x: int, y: int, wide: int, high: int, colour: tuple[int, int, int]) -> None:
        cv2.rectangle(image, (x, y), (x + wide, y + high), colour, -1)
        cv2.rectangle(image, (x, y), (x + wide, y + 8), (90, 96, 120), -1)
        for row in range(y + 20, y + high - 18, 30):
            for column in range(x + 12, x + wide - 20, 28):
                cv2.rectangle(image, (column, row), (column + 16, row + 18), (150, 128, 96), -1)
                cv2.line(image, (column + 8, row), (column + 8, row + 18), (220, 214, 206), 1)

    def _tree(self, image: Image, x: int, y: int, size: int) -> None:
        cv2.rectangle(image, (x - size // 10, y - size), (x + size // 10, y), (50, 72, 96), -1)
        for dx, dy, share in ((-0.35, -1.1, 0.45), (0.3, -1.15, 0.42), (0, -1.5, 0.5)):
            cv2.circle(
                image, (round(x + dx * size), round(y + dy * size)), round(size * share), (58, 118 + round(30 * share), 62), -1, cv2.LINE_AA
            )

    def _yard(self) -> Image:
        image = self._sky(170, (108, 142, 118))
        colour = tuple(int(value) for value in self._random.integers((150, 160, 170), (200, 205, 225)))
        self._building(image, int(self._random.integers(20, 120)), 62, 330, 112, (colour[0], colour[1], colour[2]))
        self._building(image, 470, 92, 150, 82, (176, 190, 206))
        cv2.ellipse(image, (330, 300), (290, 92), 0, 0, 360, (72, 82, 172), 22, cv2.LINE_AA)
        for radius in (280, 290, 300):
            cv2.ellipse(image, (330, 300), (radius, radius * 92 // 290), 0, 0, 360, (210, 214, 226), 1, cv2.LINE_AA)
        cv2.rectangle(image, (250, 262), (410, 330), (150, 116, 66), -1)
        cv2.rectangle(image, (250, 262), (410, 330), (235, 235, 235), 1)
        cv2.line(image, (330, 262), (330, 330), (235, 235, 235), 1)
        for x in self._random.integers(20, 620, 4):
            self._tree(image, int(x), 186, int(self._random.integers(26, 40)))
        cv2.line(image, (438, 60), (438, 190), (205, 205, 205), 3)
        return image

    def _gate(self) -> Image:
        image = self._sky(120, (128, 130, 132))
        self._building(image, 120, 34, 400, 92, (214, 200, 186))
        cv2.fillPoly(image, [np.array([[230, 130], [410, 130], [640, 360], [0, 360]], np.int32)], (146, 148, 150))
        for y in range(150, 360, 34):
            cv2.line(image, (320, y), (320, y + 14 + y // 30), (214, 214, 214), 2 + y // 120)
        for x in (150, 470):
            cv2.rectangle(image, (x, 64), (x + 30, 210), (92, 104, 148), -1)
            cv2.rectangle(image, (x - 4, 56), (x + 34, 66), (70, 78, 110), -1)
        cv2.rectangle(image, (150, 40), (500, 62), (66, 72, 150), -1)
        for x in range(16, 150, 13):
            cv2.line(image, (x, 116), (x, 208), (172, 176, 180), 2)
        cv2.rectangle(image, (510, 96), (628, 214), (196, 186, 170), -1)
        cv2.rectangle(image, (530, 120), (604, 166), (120, 104, 80), -1)
        return image

    def _hall(self) -> Image:
        image = np.full((HEIGHT_PX, WIDTH_PX, 3), (206, 212, 214), np.uint8)
        cv2.fillPoly(image, [np.array([[0, 360], [240, 200], [400, 200], [640, 360]], np.int32)], (138, 150, 158))
        cv2.rectangle(image, (240, 90), (400, 200), (176, 186, 192), -1)
        cv2.rectangle(image, (292, 112), (348, 200), (120, 136, 160), -1)
        for near in (0, 1, 2):
            x, top = 30 + near * 74, 84 + near * 12
            for side in (x, WIDTH_PX - x - 46):
                cv2.rectangle(image, (side, top), (side + 46, 300 - near * 34), (110, 122, 150), -1)
                cv2.rectangle(image, (side + 10, top + 14), (side + 36, top + 46), (204, 190, 158), -1)
        for x in range(0, WIDTH_PX, 80):
            cv2.line(image, (x, 360), (320 + (x - 320) // 4, 200), (124, 136, 144), 1, cv2.LINE_AA)
        grain = self._random.integers(-5, 6, (HEIGHT_PX, WIDTH_PX, 1))
        return np.clip(image.astype(np.int16) + grain, 0, 255).astype(np.uint8)

    def _flag(self, image: Image, at_s: float) -> None:
        top = [(440 + dx, 62 + 3 * math.sin(at_s * 3 + dx / 7)) for dx in range(0, 40, 4)]
        cloth = [*top, *[(x, y + 24) for x, y in reversed(top)]]
        cv2.fillPoly(image, [np.array(cloth, np.int32)], (50, 46, 196), cv2.LINE_AA)


def _figure(image: Image, walker: Walker, at_s: float) -> None:
    span = WIDTH_PX + 120
    x = (walker.phase * abs(walker.speed) + at_s * walker.speed) % span - 60
    y, high = walker.y, walker.height
    step = math.sin(at_s * 6 + walker.phase) * high * 0.18
    thick = max(2, round(high / 9))
    hip, neck = y - high * 0.42, y - high * 0.78
    for sign in (-1, 1):
        cv2.line(image, (round(x), round(hip)), (round(x + sign * step), round(y)), (70, 60, 52), thick, cv2.LINE_AA)
        cv2.line(
            image,
            (round(x), round(neck + high * 0.08)),
            (round(x - sign * step * 0.8), round(hip)),
            walker.coat,
            max(2, thick - 1),
            cv2.LINE_AA,
        )
    cv2.line(image, (round(x), round(hip)), (round(x), round(neck)), walker.coat, thick * 2, cv2.LINE_AA)
    cv2.circle(image, (round(x), round(neck - high * 0.1)), max(2, round(high * 0.12)), (84, 108, 150), -1, cv2.LINE_AA)


def _approach(image: Image, passer: Passer, at_s: float) -> None:
    """Somebody who comes towards the camera: the face grows from about 34 to 92 px."""
    near = passer.share**1.5
    side = 34 + 58 * near
    x = WIDTH_PX / 2 + passer.aside * (0.7 + 0.5 * near) - side / 2 + 3 * math.sin(at_s * 4)
    y = 118 - 40 * near + 2 * math.sin(at_s * 8)
    coat = COATS[(passer.word >> 3) % len(COATS)]
    body = np.array(
        [
            [x + side * 0.5, y + side * 0.9],
            [x - side * 0.2, y + side * 1.35],
            [x - side * 0.1, y + side * 3.2],
            [x + side * 1.1, y + side * 3.2],
            [x + side * 1.2, y + side * 1.35],
        ],
        np.int32,
    )
    for leg in (0.15, 0.65):
        cv2.rectangle(
            image, (round(x + side * leg), round(y + side * 3.0)), (round(x + side * (leg + 0.28)), round(y + side * 4.6)), (62, 56, 50), -1
        )
    cv2.fillConvexPoly(image, body, coat, cv2.LINE_AA)
    faces.draw_face(image, x, y, side, passer.word)
