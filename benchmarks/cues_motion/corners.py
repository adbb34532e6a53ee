"""Corners of a face followed optically in crops that hold the face upright and at one size.

Mesh points are no witness of a face's relief: the net draws a face in three dimensions into whatever looks
like one. Corners of the picture move as the surface does. They are followed from one reference frame straight
to the current one, so nothing drifts, and back again, so what was lost is known (Kalal, Mikolajczyk and
Matas, ICPR 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.camera.frame import Image
from pipeline.vision.align import similarity
from pipeline.vision.types import F32

F64 = NDArray[np.float64]
Grey = NDArray[np.uint8]

STEADY: Final = np.array([33, 133, 362, 263, 168, 6, 197, 195, 4, 10, 151, 9, 116, 345, 93, 323])
"""Mesh points that carry the crop: eyes, bridge and tip of the nose, forehead, cheek bones."""
# fmt: off
OVAL: Final = np.array([
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176,
    149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
])
# fmt: on
"""Mesh points of the face's outline, in order."""
SIDE: Final = 224
"""Side of the crop in pixels."""
FACE: Final = 176.0
"""Longer side of the reference mesh in the crop, pixels; a smaller face is enlarged to it."""
MOST: Final = 120
"""Corners at most."""
BACK: Final = 0.5
"""Pixels of the crop by which a corner may miss its start on the way back."""
_WINDOW: Final = {
    "winSize": (15, 15),
    "maxLevel": 2,
    "criteria": (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 12, 0.02),
}


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """Corners of the reference that were found again.

    Attributes:
        start: float64 (n, 2), in units of the face's longer side about its centre, in the reference.
        end: float64 (n, 2), the same in the current frame, after the similarity that aligns the meshes.
        relief: float64 (n,), the mesh's depth at ``start`` in the same unit, smaller is nearer.
    """

    start: F64
    end: F64
    relief: F64


class CornerTracker:
    """Follows the corners of one face from a reference frame.

    Args:
        image: uint8 (height, width, 3), BGR: the reference.
        landmarks: float32 (468 or 478, 3), the mesh in it.
    """

    def __init__(self, image: Image, landmarks: F32) -> None:
        xy = landmarks[:, :2].astype(np.float64)
        low, high = xy.min(axis=0), xy.max(axis=0)
        scale = FACE / max(float((high - low).max()), 1.0)
        place = SIDE / 2 - scale * (low + high) / 2
        self._mesh = scale * xy + place
        self._steady = self._mesh[STEADY]
        self._grey = _crop(image, np.column_stack([scale * np.eye(2), place]))
        mask = np.zeros((SIDE, SIDE), np.uint8)
        cv2.fillConvexPoly(mask, cv2.convexHull(self._mesh[OVAL].astype(np.int32)), 255)
        mask = cv2.erode(mask, np.ones((9, 9), np.uint8))
        found = cv2.goodFeaturesToTrack(self._grey, MOST, 0.01, 6, mask=mask, blockSize=5)
        self._corners = np.zeros((0, 1, 2), np.float32) if found is None else found
        depth = scale * landmarks[:, 2].astype(np.float64)
        self._relief = interpolate(self._mesh, depth - depth.mean(), self._corners[:, 0].astype(np.float64))

    def __len__(self) -> int:
        return len(self._corners)

    def follow(self, image: Image, landmarks: F32) -> Moved:
        """Find the corners in another frame.

        Args:
            image: uint8 (height, width, 3), BGR.
            landmarks: float32 (468 or 478, 3), the mesh in it.
        """
        matrix = similarity(landmarks[STEADY, :2].astype(np.float64), self._steady)
        grey = _crop(image, matrix)
        if not len(self._corners):
            none = np.zeros((0, 2))
            return Moved(none, none, np.zeros(0))
        there, ok, _ = cv2.calcOpticalFlowPyrLK(
            self._grey, grey, self._corners, self._corners.copy(), **_WINDOW
        )
        back, ok_back, _ = cv2.calcOpticalFlowPyrLK(grey, self._grey, there, there.copy(), **_WINDOW)
        missed = np.linalg.norm((back - self._corners)[:, 0], axis=1)
        keep = (ok[:, 0] == 1) & (ok_back[:, 0] == 1) & (missed < BACK)
        keep &= ((there[:, 0] > 4) & (there[:, 0] < SIDE - 4)).all(axis=1)
        start, end = (
            (points[keep, 0].astype(np.float64) - SIDE / 2) / FACE for points in (self._corners, there)
        )
        return Moved(start, end, self._relief[keep] / FACE)

    def of_mesh(self, landmarks: F32) -> Moved:
        """The mesh's own points in place of corners: what not to do, for comparison."""
        matrix = similarity(landmarks[STEADY, :2].astype(np.float64), self._steady)
        end = landmarks[:468, :2] @ matrix[:, :2].T + matrix[:, 2]
        depth = interpolate(self._mesh, self._depth(landmarks), self._mesh[:468])
        return Moved((self._mesh[:468] - SIDE / 2) / FACE, (end - SIDE / 2) / FACE, depth)

    def _depth(self, landmarks: F32) -> F64:
        depth = landmarks[:, 2].astype(np.float64)
        extent = float(np.ptp(landmarks[:, :2], axis=0).max())
        return (depth - depth.mean()) / max(extent, 1.0)


def interpolate(points: F64, values: F64, at: F64) -> F64:
    """Values of scattered points elsewhere, weighted by the inverse fourth power of distance.

    Args:
        points: float64 (m, 2).
        values: float64 (m,).
        at: float64 (n, 2).

    Returns:
        float64 (n,).
    """
    squared = ((at[:, None] - points[None]) ** 2).sum(axis=-1)
    weight = 1 / (squared**2 + 1.0)
    return np.asarray((weight @ values) / np.maximum(weight.sum(axis=1), 1e-12))


def _crop(image: Image, matrix: F64) -> Grey:
    small = cv2.warpAffine(
        image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
