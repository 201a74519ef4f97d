"""Faces in a picture: YuNet run by onnxruntime, any picture size, no OpenCV network classes.

Source: Wu, Peng, Yu: YuNet: A Tiny Millisecond-level Face Detector, Machine Intelligence Research 20, 2023,
doi 10.1007/s11633-023-1423-y; the model's contract is that of OpenCV Zoo's face_detection_yunet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors  # pyright: ignore[reportAttributeAccessIssue] - a binary module

STRIDES = (8, 16, 32)
PAD_PX = 32  # both sides must be multiples of the largest stride
WIDTH_PX = 640  # the net knows faces of about 10 to 300 px: a close-up of a gate fits that at this width
OVERLAP = 0.3
SCORE = 0.6
MAX_FACES = 50
#: What onnxruntime raises for a graph it cannot read or run; its classes have no base of their own.
NET_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    RuntimeError,
    ValueError,
)
#: Run on what is there, the fastest first; other providers of onnxruntime send data away or are experiments.
PROVIDERS = ("CUDAExecutionProvider", "OpenVINOExecutionProvider", "CPUExecutionProvider")
OUTPUTS = tuple(f"{name}_{stride}" for name in ("cls", "obj", "bbox", "kps") for stride in STRIDES)


@dataclass(frozen=True, slots=True)
class Face:
    """One face in pixels of the picture it was found in.

    Attributes:
        box: x, y, width, height.
        points: 5x2, eye, eye, nose, mouth corner, mouth corner; the left ones of the picture first.
        score: 0 to 1.
    """

    box: tuple[float, float, float, float]
    points: NDArray[np.float32]
    score: float

    @property
    def width_px(self) -> float:
        return self.box[2]

    @property
    def centre(self) -> tuple[float, float]:
        return self.box[0] + self.box[2] / 2, self.box[1] + self.box[3] / 2


def session(model: bytes) -> ort.InferenceSession:
    """A network on one thread: two workers of one thread each beat one worker of two (docs/reference/vision.md)."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # An arena that never shrinks is made for servers; a worker of many picture sizes must stay small.
    options.enable_cpu_mem_arena = False
    return ort.InferenceSession(model, options, providers=[name for name in PROVIDERS if name in ort.get_available_providers()])


class Detector:
    """Finds faces. Not thread-safe by intent: one inference thread per worker."""

    def __init__(self, model: bytes) -> None:
        self._net = session(model)
        self._input = self._net.get_inputs()[0].name

    def find(self, image: NDArray[np.uint8], *, min_score: float = SCORE, width_px: int = WIDTH_PX) -> list[Face]:
        """The faces of a BGR picture, best first; none gives an empty list. Wider pictures are looked at in `width_px`."""
        scale = min(1.0, width_px / image.shape[1])
        small = image if scale == 1.0 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        high, wide = small.shape[:2]
        rows, columns = -(-high // PAD_PX) * PAD_PX, -(-wide // PAD_PX) * PAD_PX
        padded = np.zeros((1, 3, rows, columns), np.float32)
        padded[0, :, :high, :wide] = small.transpose(2, 0, 1)
        answers = [np.asarray(answer, np.float32) for answer in self._net.run(list(OUTPUTS), {self._input: padded})]
        found = dict(zip(OUTPUTS, answers, strict=True))
        boxes, points, scores = zip(*(_decoded(found, stride, columns // stride, min_score) for stride in STRIDES), strict=True)
        return _best(np.concatenate(boxes) / scale, np.concatenate(points) / scale, np.concatenate(scores), min_score)


def _decoded(found: Mapping[str, NDArray[np.float32]], stride: int, columns: int, min_score: float) -> tuple[NDArray, NDArray, NDArray]:
    """Boxes Nx4 (x, y, width, height), points Nx5x2 and scores of one stride, those above the score only."""
    score = np.sqrt(np.clip(found[f"cls_{stride}"][0, :, 0], 0, 1) * np.clip(found[f"obj_{stride}"][0, :, 0], 0, 1))
    keep = np.flatnonzero(score >= min_score)
    box, point = found[f"bbox_{stride}"][0, keep], found[f"kps_{stride}"][0, keep].reshape(-1, 5, 2)
    cell = np.stack([keep % columns, keep // columns], axis=1).astype(np.float32)
    size = np.exp(np.clip(box[:, 2:], -10, 10)) * stride
    corner = (cell + box[:, :2]) * stride - size / 2
    return np.concatenate([corner, size], axis=1), (point + cell[:, None, :]) * stride, score[keep]


def _best(boxes: NDArray, points: NDArray, scores: NDArray, min_score: float) -> list[Face]:
    if not len(boxes):
        return []
    kept = np.asarray(cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), min_score, OVERLAP)).reshape(-1)[:MAX_FACES]
    return [
        Face(box=(float(b[0]), float(b[1]), float(b[2]), float(b[3])), points=points[i].astype(np.float32), score=float(scores[i]))
        for i, b in ((i, boxes[i]) for i in kept)
    ]
