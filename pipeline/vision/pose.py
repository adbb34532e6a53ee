"""Head pose from the mesh's points in three dimensions.

A mean head shape is turned into the mesh by least squares over points that lie on bone, so that a smile, a
blink or a dropped jaw does not turn the head.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.vision.types import F32, Pose

F64 = NDArray[np.float64]

PAIRS: Final = np.array(
    [
        [33, 263],
        [133, 362],
        [122, 351],
        [188, 412],
        [116, 345],
        [67, 297],
        [109, 338],
        [103, 332],
        [54, 284],
    ]
)
"""Mirror pairs of mesh points, image-left first: eye corners, sides of the nose, cheek bones, forehead."""
MIDLINE: Final = np.array([10, 151, 9, 8, 168, 6, 197, 195, 5, 4])
"""Mesh points from the hairline to the tip of the nose."""
RIGID: Final = np.concatenate([PAIRS[:, 0], PAIRS[:, 1], MIDLINE])

_LEFT: Final = np.array(
    [
        [-1.007, 0.26, 0.311],
        [-0.392, 0.289, 0.191],
        [-0.129, 0.381, -0.231],
        [-0.216, 0.464, -0.144],
        [-1.421, 0.637, 0.597],
        [-0.779, -0.847, 0.087],
        [-0.421, -0.908, -0.058],
        [-1.113, -0.714, 0.336],
        [-1.337, -0.514, 0.622],
    ]
)
_MIDDLE: Final = np.array(
    [
        [-0.92, -0.098],
        [-0.557, -0.175],
        [-0.161, -0.234],
        [0.027, -0.204],
        [0.178, -0.19],
        [0.345, -0.286],
        [0.506, -0.395],
        [0.657, -0.513],
        [0.818, -0.636],
        [1.012, -0.689],
    ]
)


def _shape() -> F64:
    middle = np.column_stack([np.zeros(len(_MIDDLE)), _MIDDLE])
    shape = np.concatenate([_LEFT, _LEFT * (-1, 1, 1), middle])
    return np.asarray(shape - shape.mean(axis=0))


SHAPE: Final[F64] = _shape()
"""Mean head, float64 (28, 3), in the order of `RIGID`: x to the image's right, y down, z away from the
camera.

Fitted on one half of 1,200 people by ``python -m benchmarks.fit_head_shape ../shared/data``. Zero pitch is
the median of those press pictures.
"""


def head_pose(landmarks: F32) -> Pose:
    """Yaw, pitch and roll of a mesh.

    Args:
        landmarks: float32 (468 or 478, 3) in pixels, z in the same scale, smaller is nearer.

    Returns:
        Degrees. Against MediaPipe's own face geometry on 305 press pictures: correlation 0.999, 0.988 and
        0.988 for yaw, pitch and roll; half of the pictures within 1.1 degrees.
    """
    return angles(rotation(landmarks[RIGID].astype(np.float64), SHAPE))


def rotation(points: F64, shape: F64) -> F64:
    """Least-squares rotation of a shape into points, whatever their scale and place (Kabsch, 1976).

    Args:
        points: float64 (k, 3).
        shape: float64 (k, 3) with its mean at zero.

    Returns:
        float64 (3, 3), a proper rotation R with ``points ~ scale * shape @ R.T + place``.
    """
    _, u, vt = cv2.SVDecomp(shape.T @ points)
    if cv2.determinant(u) * cv2.determinant(vt) < 0:
        u[:, 2] = -u[:, 2]
    return np.asarray((u @ vt).T)


def angles(rotation: F64) -> Pose:
    """Degrees of a rotation (3, 3), taken apart as yaw about y, then pitch about x, then roll about z."""
    nose = -rotation[:, 2]
    return Pose(
        yaw=math.degrees(math.atan2(nose[0], -nose[2])),
        pitch=math.degrees(math.atan2(nose[1], math.hypot(nose[0], nose[2]))),
        roll=math.degrees(math.atan2(rotation[1, 0], rotation[1, 1])),
    )
