"""Five points to the upright face that embedding nets were trained on."""

from __future__ import annotations

from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.camera.frame import Image
from pipeline.vision.types import F32

TEMPLATE: Final[F32] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    np.float32,
)
"""ArcFace's five points in a picture of 112 pixels (Deng et al., 2019): eyes, nose tip, mouth corners."""
TEMPLATE_SIZE: Final = 112
FIVE_PAIRS: Final = np.array([[33, 133], [362, 263], [1, 1], [61, 61], [291, 291]])
"""Mesh points whose means are the five points: both corners of each eye, nose tip, mouth corners."""


def five_points(landmarks: F32) -> F32:
    """The five points of a mesh: (n, 2 or 3) to float32 (5, 2), or batched (b, n, 2 or 3) to (b, 5, 2)."""
    pairs = landmarks[..., FIVE_PAIRS, :2]
    return np.asarray((pairs[..., 0, :] + pairs[..., 1, :]) / np.float32(2), dtype=np.float32)


def similarity(source: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float64]:
    """Least-squares rotation, scale and shift from one set of points to another, without reflection.

    In the plane this is Umeyama's solution (IEEE TPAMI 13(4), 1991) in closed form: with points as complex
    numbers, the factor is the regression ``sum(conj(s) t) / sum(|s|^2)`` of the centred sets.

    Args:
        source: (..., k, 2) with k >= 2 points that do not coincide.
        target: (..., k, 2), broadcast against ``source``.

    Returns:
        float64 (..., 2, 3): matrix M with ``target ~ source @ M[:, :2].T + M[:, 2]``.
    """
    if source.ndim == 2 and target.ndim == 2:
        return _similarity_of_one(source, target)
    s = source[..., 0] + 1j * np.asarray(source[..., 1], np.float64)
    t = target[..., 0] + 1j * np.asarray(target[..., 1], np.float64)
    s_mean, t_mean = s.mean(axis=-1, keepdims=True), t.mean(axis=-1, keepdims=True)
    s0, t0 = s - s_mean, t - t_mean
    power = np.maximum((s0.real**2 + s0.imag**2).sum(axis=-1), 1e-12)
    a = (s0.conj() * t0).sum(axis=-1) / power
    b = t_mean[..., 0] - a * s_mean[..., 0]
    rows = [np.stack([a.real, -a.imag, b.real], -1), np.stack([a.imag, a.real, b.imag], -1)]
    return np.stack(rows, axis=-2)


def _similarity_of_one(source: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float64]:
    """The same for two sets (k, 2), in a tenth of the calls: a frame has one face."""
    s = np.ascontiguousarray(source, np.float64).view(np.complex128).ravel()
    t = np.ascontiguousarray(target, np.float64).view(np.complex128).ravel()
    count = len(s)
    s_mean, t_mean = complex(s.sum()) / count, complex(t.sum()) / count
    s0, t0 = s - s_mean, t - t_mean
    a = complex(np.vdot(s0, t0)) / max(float(np.vdot(s0, s0).real), 1e-12)
    b = t_mean - a * s_mean
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


@cache
def template(size: int = TEMPLATE_SIZE) -> F32:
    """ArcFace's template for a picture of ``size`` pixels a side: float32 (5, 2), not writeable."""
    scaled = TEMPLATE * np.float32(size / TEMPLATE_SIZE)
    scaled.setflags(write=False)
    return scaled


def align(image: Image, five: F32, size: int = TEMPLATE_SIZE) -> Image:
    """Warp a face upright.

    Args:
        image: uint8 (height, width, 3), BGR.
        five: float32 (5, 2) in pixels, the order of `TEMPLATE`.
        size: side of the result in pixels.

    Returns:
        uint8 (size, size, 3), BGR; black where the picture ends.
    """
    warped = cv2.warpAffine(image, similarity(five, template(size)), (size, size), flags=cv2.INTER_LINEAR)
    return np.asarray(warped, dtype=np.uint8)


def align_batch(image: Image, fives: F32, size: int = TEMPLATE_SIZE) -> Image:
    """Warp several faces of one picture upright: fives (b, 5, 2) to uint8 (b, size, size, 3), BGR."""
    out = np.empty((len(fives), size, size, 3), np.uint8)
    matrices = similarity(fives, template(size))
    for matrix, face in zip(matrices, out, strict=True):
        cv2.warpAffine(image, matrix, (size, size), dst=face, flags=cv2.INTER_LINEAR)
    return out
