"""Enrolment: one template from at least three pictures of one person, or a reason why not.

Pictures are looked at in memory; what leaves is the template and one cropped photo, which the caller seals at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from vision import match
from vision.align import aligned
from vision.detect import Face
from vision.models import Loaded
from vision.source import Image

MIN_PICTURES = 3
SAME_PERSON = 0.40  # cosine; at 0.43 one pair of strangers in 10,000 still passes, here all pairs must
PHOTO_WIDTH_PX = 320


class NotEnrolled(ValueError):
    """These pictures do not make a template; `reason` is the code a person is shown, `picture` counts from 0.

    Codes: too_few_pictures, no_face, several_faces, face_too_small, face_unclear, not_the_same_person.
    """

    def __init__(self, reason: str, picture: int | None = None) -> None:
        super().__init__(reason if picture is None else f"{reason}: picture {picture}")
        self.reason, self.picture = reason, picture


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A unit vector of 256 float32, a JPEG of the face to compare by eye, and from how many pictures."""

    template: NDArray[np.float32] = field(repr=False)
    photo: bytes = field(repr=False)
    pictures: int


def enrol(loaded: Loaded, pictures: Sequence[Image]) -> Enrolled:
    """A template from pictures (BGR) of one person. Raises: NotEnrolled."""
    if len(pictures) < MIN_PICTURES:
        raise NotEnrolled("too_few_pictures")
    faces = [_only_face(loaded, picture, number) for number, picture in enumerate(pictures)]
    crops = [aligned(picture, face.points) for picture, face in zip(pictures, faces, strict=True)]
    grades = [match.quality(face, crop) for face, crop in zip(faces, crops, strict=True)]
    for number, grade in enumerate(grades):
        if grade == 0:
            raise NotEnrolled("face_unclear", number)
    vectors = [loaded.embedder.embed(crop) for crop in crops]
    if any(float(one @ other) < SAME_PERSON for one, other in combinations(vectors, 2)):
        raise NotEnrolled("not_the_same_person")
    best = int(np.argmax(grades))
    return Enrolled(match.fuse(vectors), _photo(pictures[best], faces[best]), len(pictures))


def _only_face(loaded: Loaded, picture: Image, number: int) -> Face:
    faces = loaded.detector.find(picture)
    if not faces:
        raise NotEnrolled("no_face", number)
    if len(faces) > 1:
        raise NotEnrolled("several_faces", number)
    if faces[0].width_px < match.ENROL_PX:
        raise NotEnrolled("face_too_small", number)
    return faces[0]


def _photo(picture: Image, face: Face) -> bytes:
    x, y, wide, high = face.box
    top, left = max(0, round(y - high * 0.5)), max(0, round(x - wide * 0.5))
    part = picture[top : round(y + high * 1.4), left : round(x + wide * 1.5)]
    scale = min(1.0, PHOTO_WIDTH_PX / part.shape[1])
    small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
