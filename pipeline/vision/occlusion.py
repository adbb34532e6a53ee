"""How likely something covers the face: a worn mask, a hand, a microphone, sunglasses.

Skin of one face in one light has nearly one colour. Each region of the face is compared with the others in
luma, chroma and texture, and two linear models tell a covered lower face and covered eyes from a bare face.
The mesh says where the regions are, so no second net is run.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.camera.frame import Image
from pipeline.vision.types import F32

F64 = NDArray[np.float64]

REGIONS: Final = np.array(
    [
        [1, 4, 5, 45, 275, 51, 281, 195],  # nose
        [2, 97, 326, 98, 327, 99, 328, 94],  # nostrils
        [164, 167, 393, 165, 391, 92, 322, 2],  # between nose and mouth
        [0, 37, 267, 17, 84, 314, 178, 402],  # lips
        [199, 175, 200, 18, 83, 313, 201, 421],  # chin
        [207, 187, 205, 192, 427, 411, 425, 416],  # lower cheeks
        [172, 136, 150, 138, 397, 365, 379, 367],  # jaw
        [159, 145, 386, 374, 160, 144, 385, 380],  # eyes
        [230, 231, 229, 450, 451, 449, 118, 347],  # below the eyes
        [6, 197, 122, 351, 168, 193, 417, 8],  # bridge of the nose
        [151, 9, 108, 337, 69, 299, 107, 336],  # forehead
    ]
)
"""Mesh points of each region, int (11, 8)."""
LOWER: Final = slice(0, 7)
"""Regions that a mask covers; they are compared with `UPPER_REFERENCE`."""
UPPER: Final = slice(7, 11)
"""Regions that sunglasses cover or frame; they are compared with `LOWER_REFERENCE`."""
UPPER_REFERENCE: Final = np.array([8, 9, 10])
LOWER_REFERENCE: Final = np.array([0, 4, 5])
BLUR: Final = 3
"""Side in pixels of the mean taken around each mesh point of the 112-pixel face."""

LOWER_WEIGHTS: Final = np.array(
    [
        [-4.607, 3.321, -0.1, 0.079, 0.125, -0.182],
        [1.436, 1.246, 0.03, -0.139, 0.073, -0.06],
        [1.06, 2.39, 0.12, 0.1, -0.027, -0.061],
        [0.853, -0.064, -0.105, -0.124, 0.013, -0.288],
        [1.138, 0.899, -0.031, -0.022, 0.09, -0.11],
        [-3.066, 2.937, -0.131, 0.227, 0.128, 0.291],
        [1.088, -1.979, 0.11, -0.022, 0.077, -0.251],
    ]
)
LOWER_BIAS: Final = 0.596
UPPER_WEIGHTS: Final = np.array(
    [
        [-0.178, 1.013, 0.027, -0.138, 0.09, -1.055],
        [-0.954, -0.984, -0.192, -0.034, 0.339, 0.763],
        [1.408, 0.84, 0.118, -0.016, -0.009, 0.232],
        [-1.93, -0.6, -0.046, -0.169, -0.085, -0.239],
    ]
)
UPPER_BIAS: Final = -4.874

_MEANS: Final = np.kron(np.eye(len(REGIONS)), np.full((1, REGIONS.shape[1]), 1 / REGIONS.shape[1]))
"""Row by row the mean over the points of a region, float64 (11, 88)."""
_WEIGHTS: Final = np.concatenate([LOWER_WEIGHTS, UPPER_WEIGHTS])
_REFERENCES: Final = np.zeros((len(REGIONS), len(REGIONS)))
"""Row by row the mean over the regions that this one is compared with."""
_REFERENCES[LOWER, UPPER_REFERENCE] = 1 / len(UPPER_REFERENCE)
_REFERENCES[UPPER, LOWER_REFERENCE] = 1 / len(LOWER_REFERENCE)


def occlusion(ycrcb: Image, points: F32) -> float:
    """Chance that the lower face or the eyes are covered.

    Args:
        ycrcb: uint8 (112, 112, 3), the aligned face in YCrCb.
        points: float32 (468 or 478, 2 or 3), the mesh in its pixels.

    Returns:
        In [0, 1], the larger of both chances.
    """
    stats = region_stats(ycrcb, points)
    covered = (_WEIGHTS * _features(stats, _REFERENCES @ stats)).sum(axis=1)
    lower, upper = float(covered[LOWER].sum()) + LOWER_BIAS, float(covered[UPPER].sum()) + UPPER_BIAS
    return 1 / (1 + math.exp(-min(max(lower, upper, -50.0), 50.0)))


def region_stats(ycrcb: Image, points: F32) -> F64:
    """Mean Y, Cr, Cb and standard deviation of Y of each region: float64 (11, 4), grey levels."""
    smooth = cv2.blur(ycrcb, (BLUR, BLUR))
    at = np.rint(points[REGIONS.ravel(), :2]).astype(np.intp)
    x = np.minimum(np.maximum(at[:, 0], 0), ycrcb.shape[1] - 1)
    y = np.minimum(np.maximum(at[:, 1], 0), ycrcb.shape[0] - 1)
    colours = np.empty((len(at), 4))
    colours[:, :3] = smooth[y, x]
    np.square(colours[:, 0], out=colours[:, 3])
    stats = _MEANS @ colours
    spread = np.maximum(stats[:, 3] - stats[:, 0] ** 2, 0.0)  # grey levels are whole: no digits are lost
    np.sqrt(spread, out=stats[:, 3])
    return stats


def features(stats: F64, regions: slice, reference: NDArray[np.intp]) -> F64:
    """Each region against the reference's mean colour, every value bounded: no outlier outvotes the rest.

    Args:
        stats: float64 (11, 4), as `region_stats` gives them.
        regions: rows to describe.
        reference: rows that stand for bare skin.

    Returns:
        float64 (n, 6): logarithm of the luma's ratio within 1.2, its size, and in percent of the reference's
        luma: differences of Cr and Cb within 15, their length up to 15, the luma's spread up to 10.
    """
    return _features(stats[regions], stats[reference].mean(axis=0)[None])


def _features(rows: F64, skin: F64) -> F64:
    """`features` of rows (n, 4) against a reference each, or one for all: (n or 1, 4) to (n, 6)."""
    out = np.empty((len(rows), 6))
    luma = np.log((rows[:, 0] + 8) / (skin[:, 0] + 8))
    out[:, 0] = np.minimum(np.maximum(luma, -1.2), 1.2)
    out[:, 1] = np.abs(out[:, 0])
    scale = 100 / np.maximum(skin[:, :1], 20.0)
    chroma = (rows[:, 1:3] - skin[:, 1:3]) * scale
    out[:, 2:4] = 15 * np.tanh(chroma / 15)
    out[:, 4] = np.minimum(np.hypot(chroma[:, 0], chroma[:, 1]), 15)
    out[:, 5] = 10 * np.tanh(rows[:, 3] * (scale[:, 0] / 10))
    return out
