"""Health: injected faults are found within three samples, normal life raises none, and nothing flaps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vision import health, scene
from vision.health import Health, State

CLIP = Path(__file__).parents[3] / "shared/data/video/one-by-one-person-detection.mp4"
Gray = NDArray[np.uint8]
Spoil = Callable[[list[Gray]], list[Gray]]


def _small(image: NDArray[np.uint8]) -> Gray:
    return np.asarray(
        cv2.cvtColor(cv2.resize(image, (health.WIDTH_PX, health.HEIGHT_PX), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY), np.uint8
    )


def _drawn(kind: str, count: int, *, every_s: float = 2.0) -> list[Gray]:
    drawn = scene.Scene("44030500001320000001", kind=kind, name="test")
    start = datetime(2026, 3, 2, 8, tzinfo=UTC)
    return [_small(drawn.frame(start + timedelta(seconds=n * every_s), n * every_s)) for n in range(count)]


def _real(count: int) -> list[Gray]:
    clip = cv2.VideoCapture(str(CLIP))
    found = []
    for number in range(count * 5):
        ok, image = clip.read()
        if ok and number % 5 == 0:
            found.append(_small(np.asarray(image, np.uint8)))
    clip.release()
    return found


def _normal(where: str, count: int) -> list[Gray]:
    if where == "clip":
        if not CLIP.exists():
            pytest.skip("needs the real clip of ../shared/data/video")
        return _real(count)
    return _drawn(where, count)


FAULTS = {
    "frozen": (State.FROZEN, lambda pictures: [pictures[0].copy() for _ in pictures]),
    "black": (State.DARK, lambda pictures: [picture >> 5 for picture in pictures]),
    "over-exposed": (
        State.BRIGHT,
        lambda pictures: [np.clip(picture.astype(np.int16) + 190, 0, 255).astype(np.uint8) for picture in pictures],
    ),
    "out-of-focus": (State.BLURRED, lambda pictures: [np.asarray(cv2.GaussianBlur(picture, (0, 0), 3), np.uint8) for picture in pictures]),
    "covered": (State.BLURRED, lambda pictures: [(118 + picture // 64 + n % 2).astype(np.uint8) for n, picture in enumerate(pictures)]),
}


@pytest.mark.parametrize("where", ["yard", "gate", "hall", "clip"])
@pytest.mark.parametrize(("state", "spoil"), FAULTS.values(), ids=FAULTS.keys())
def test_an_injected_fault_is_found_within_three_samples_and_left_within_three(where: str, state: State, spoil: Spoil) -> None:
    pictures = _normal(where, 30)
    camera = Health()
    for picture in pictures[:20]:
        camera.sample(picture)
    assert camera.state is State.OK
    # A frozen picture needs one sample to be seen standing still: the first copy still differs from the one before it.
    said = [camera.sample(picture) for picture in spoil(pictures[20:24])]
    assert state in said, said
    said = [camera.sample(picture) for picture in pictures[24:28]]
    assert State.OK in said, said


@pytest.mark.parametrize("where", ["yard", "gate", "hall", "clip"])
def test_normal_life_with_changing_light_raises_nothing(where: str) -> None:
    pictures = _normal(where, 240)
    camera, random, said = Health(), np.random.default_rng(3), []
    for number, picture in enumerate(pictures):
        light = 0.75 + 0.25 * np.sin(number / 20)
        noisy = picture.astype(np.float32) * light + random.normal(0, 2, picture.shape)
        said.append(camera.sample(np.clip(noisy, 0, 255).astype(np.uint8)))
    assert [state for state in said if state] == [State.OK]


def test_two_bad_samples_are_not_yet_a_fault() -> None:
    pictures = _drawn("yard", 20)
    camera = Health()
    for picture in pictures[:10]:
        camera.sample(picture)
    black = np.zeros_like(pictures[0])
    said = [camera.sample(picture) for picture in (black, black, pictures[10], black, black, pictures[11])]
    assert said == [None] * 6


def test_silence_is_lost_at_once_and_the_first_picture_is_news_at_once() -> None:
    pictures = _drawn("yard", 4)
    camera = Health()
    assert camera.state is None, "nothing known is not healthy"
    assert camera.sample(pictures[0]) is State.OK
    assert camera.silence() is State.LOST
    assert camera.silence() is None, "said once"
    assert camera.sample(pictures[1]) is State.OK
