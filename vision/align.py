"""Where the eyes, the nose and the mouth of a face belong: the similarity that moves a face onto the template of the embedder."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE_PX = 128
# Source: Open Model Zoo, face-reidentification-retail-0095, shares of the crop's side.
TEMPLATE = np.array(
    [(0.31556875, 0.4615741), (0.6826229, 0.4615741), (0.5002625, 0.6405054), (0.3494719, 0.8246919), (0.6534364, 0.8246919)], np.float32
)


def similarity(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The 2x3 matrix that moves five points onto the template with the least squared error.

    Source: Umeyama, Least-squares estimation of transformation parameters between two point patterns, PAMI 13(4), 1991.
    """
    target = TEMPLATE.astype(np.float64) * SIDE_PX
    source = points.astype(np.float64)
    from_mean, to_mean = source.mean(axis=0), target.mean(axis=0)
    spread = source - from_mean
    left, values, right = np.linalg.svd((target - to_mean).T @ spread / len(source))
    sign = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right)) or 1.0])
    turn = left @ np.diag(sign) @ right
    scale = float((values * sign).sum() / max(spread.var(axis=0).sum(), 1e-9))
    matrix = np.empty((2, 3), np.float32)
    matrix[:, :2] = scale * turn
    matrix[:, 2] = to_mean - scale * turn @ from_mean
    return matrix


def aligned(image: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The face as the network wants to see it, 128x128x3, BGR."""
    return np.asarray(cv2.warpAffine(image, similarity(points), (SIDE_PX, SIDE_PX), flags=cv2.INTER_LINEAR), np.uint8)
