"""Drawn faces: what the demo shows at a gate instead of people.

A drawn face is a coloured oval with hair strands and painted cheeks; sixteen of these marks are light or dark and
spell a word. Words differ in at least eight marks, so no two drawn people resemble each other. Nothing here looks like
a person, and the demo models know nothing else.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.align import TEMPLATE

SKIN = (150, 190, 235)  # BGR; no other thing in a drawn scene has this colour
LIGHT, DARK = (238, 238, 238), (44, 34, 30)
MARKS = 16
SHIFT_BITS = 4  # OpenCV draws in sixteenths of a pixel: sizes change smoothly as somebody comes nearer

#: x, y, width, height of the sixteen marks as shares of the face's side: eight hair strands, four squares on each cheek.
BLOCKS = tuple((0.14 + 0.09 * n, 0.07, 0.09, 0.22) for n in range(8)) + tuple(
    (x + 0.13 * column, 0.56 + 0.095 * row, 0.13, 0.095) for x in (0.10, 0.64) for row in range(2) for column in range(2)
)


def words() -> list[int]:
    """The 30 sixteen-bit words a drawn person can have; any two differ in eight bits or in all sixteen.

    First-order Reed-Muller code of length 16 without its two constant words.
    """
    rows = (0x5555, 0x3333, 0x0F0F, 0x00FF)
    found = []
    for pick in range(1, 16):
        word = 0
        for bit, row in enumerate(rows):
            if pick >> bit & 1:
                word ^= row
        found += [word, word ^ 0xFFFF]
    return found


def _at(value: float) -> int:
    return round(value * (1 << SHIFT_BITS))


def _block(image: NDArray[np.uint8], corner: tuple[float, float], size: tuple[float, float], colour: tuple[int, int, int]) -> None:
    x, y = corner
    points = np.array(
        [[_at(x), _at(y)], [_at(x + size[0]), _at(y)], [_at(x + size[0]), _at(y + size[1])], [_at(x), _at(y + size[1])]], np.int32
    )
    cv2.fillConvexPoly(image, points, colour, cv2.LINE_AA, SHIFT_BITS)


def _disc(image: NDArray[np.uint8], x: float, y: float, radius: float, colour: tuple[int, int, int]) -> None:
    cv2.circle(image, (_at(x), _at(y)), _at(radius), colour, -1, cv2.LINE_AA, SHIFT_BITS)


def draw_face(image: NDArray[np.uint8], x: float, y: float, side: float, word: int) -> None:
    """Draw a face into `image`: top left corner and side of its square in px, and the word its marks spell."""
    cv2.ellipse(
        image, (_at(x + side / 2), _at(y + side / 2)), (_at(side * 0.46), _at(side * 0.5)), 0, 0, 360, SKIN, -1, cv2.LINE_AA, SHIFT_BITS
    )
    for bit, (bx, by, wide, high) in enumerate(BLOCKS):
        _block(image, (x + bx * side, y + by * side), (wide * side, high * side), LIGHT if word >> bit & 1 else DARK)
    left, right, nose, mouth_left, mouth_right = ((x + px * side, y + py * side) for px, py in TEMPLATE.tolist())
    for eye_x, eye_y in (left, right):
        _disc(image, eye_x, eye_y, side * 0.075, (250, 250, 250))
        _disc(image, eye_x, eye_y, side * 0.035, (40, 30, 20))
    thick = max(1, round(side / 40))
    cv2.line(
        image, (_at(nose[0]), _at(nose[1] - side * 0.08)), (_at(nose[0]), _at(nose[1])), (95, 130, 185), thick, cv2.LINE_AA, SHIFT_BITS
    )
    middle = ((mouth_left[0] + mouth_right[0]) / 2, mouth_left[1])
    cv2.ellipse(
        image,
        (_at(middle[0]), _at(middle[1])),
        (_at((mouth_right[0] - mouth_left[0]) / 2), _at(side * 0.05)),
        0,
        0,
        180,
        (60, 50, 170),
        thick,
        cv2.LINE_AA,
        SHIFT_BITS,
    )


def portrait(word: int, *, side: int = 128) -> NDArray[np.uint8]:
    """A picture of one drawn person to enrol from: the face on a plain ground, twice as wide as the face, BGR."""
    image = np.full((side * 2, side * 2, 3), (120, 96, 78), np.uint8)
    _block(image, (side * 0.55, side * 1.45), (side * 0.9, side * 0.7), (110, 80, 40))
    draw_face(image, side * 0.5, side * 0.5, float(side), word)
    return image
