"""Head pose from the mesh's points in three dimensions."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.vision.types import F32, Pose

PAIRS: Final = np.array([[33, 263], [133, 362], [70, 300], [105, 334], [234, 454], [127, 356]])
"""Mirror pairs of points on bone, image-left then image-right: eye corners, brows, cheeks."""
UP_DOWN: Final = np.array([[10, 152], [151, 164], [9, 2]])
"""Upper and lower points on the midline."""


def head_pose(landmarks: F32) -> Pose:
    """Yaw, pitch and roll of a mesh (468 or 478, 3) in pixels."""
    return angles(rotation(landmarks))


def rotation(landmarks: F32) -> NDArray[np.float64]:
    """Axes of the head as columns, (3, 3): image-right, down, away from the camera when looking straight."""
    points = landmarks.astype(np.float64)
    x = (points[PAIRS[:, 1]] - points[PAIRS[:, 0]]).sum(axis=0)
    y = (points[UP_DOWN[:, 1]] - points[UP_DOWN[:, 0]]).sum(axis=0)
    u, _, vt = np.linalg.svd(
        np.stack([x / np.linalg.norm(x), y / np.linalg.norm(y)], axis=1), full_matrices=False
    )
    xy = u @ vt
    return np.column_stack([xy, np.cross(xy[:, 0], xy[:, 1])])


def angles(axes: NDArray[np.float64]) -> Pose:
    """Angles of a rotation whose columns are the head's axes."""
    nose = -axes[:, 2]
    yaw = math.degrees(math.atan2(nose[0], -nose[2]))
    pitch = math.degrees(math.atan2(nose[1], math.hypot(nose[0], nose[2])))
    roll = math.degrees(math.atan2(axes[1, 0], math.hypot(axes[0, 0], axes[2, 0])))
    return Pose(yaw=yaw, pitch=pitch, roll=roll)
