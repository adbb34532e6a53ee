"""Does what lies around the face move with it, as a sheet or a phone in a hand does, or on its own?

Corners are followed on a small grey copy of the frame: some inside the face, some beside and above the head
(below it are shoulders, which belong to the face's owner). The face's own affine motion, fitted robustly, is
carried on to the corners outside. `Surroundings.coupling` is the slope of their true motion on that: 0 for a
wall behind a person, 1 for the rest of a sheet, and 1 also for everything that a moving camera sees far away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from benchmarks.cues_motion.corners import F64, OVAL, Grey
from pipeline.camera.frame import Image
from pipeline.vision.types import F32

WIDTH: Final = 400
"""Width of the grey copy in pixels."""
REACH: Final = 3.0
"""Half the ring's width over half the face's."""
HAIR: Final = 1.75
"""Half axes of the ellipse that is left out over the face's: hair and its outline belong to the head."""
LEAST: Final = 10
"""Corners on either side below which nothing is said."""
MOVED: Final = 2.0
"""Root mean square shift, in pixels of the copy, that the face's motion must have outside the face."""
TOGETHER: Final = 0.25
"""Share of the carried shift by which a corner may miss it and still count as moving with the face."""
_WINDOW: Final = {
    "winSize": (13, 13),
    "maxLevel": 3,
    "criteria": (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03),
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How the surroundings moved while the face moved.

    Attributes:
        coupling: slope of their shift on the face's, carried on; about 0 for a wall, 1 for a sheet.
        together: share of corners within `TOGETHER` of the face's motion.
        moved: root mean square of the carried shift, pixels of the copy.
        count: corners outside the face.
    """

    coupling: float
    together: float
    moved: float
    count: int


class RingTracker:
    """Follows face and surroundings from a reference frame.

    Args:
        image: uint8 (height, width, 3), BGR.
        landmarks: float32 (468 or 478, 3), the mesh in it.
    """

    def __init__(self, image: Image, landmarks: F32) -> None:
        self._scale = WIDTH / image.shape[1]
        self._grey = _small(image)
        oval = landmarks[OVAL, :2].astype(np.float64) * self._scale
        centre, half = (oval.min(0) + oval.max(0)) / 2, np.ptp(oval, axis=0) / 2
        inside = np.zeros_like(self._grey)
        cv2.fillConvexPoly(inside, cv2.convexHull(oval.astype(np.int32)), 255)
        ring = np.zeros_like(self._grey)
        low = np.maximum(centre - REACH * half, 0).astype(int)
        high = np.array([centre[0] + REACH * half[0], centre[1] + 0.6 * half[1]]).astype(int)
        ring[low[1] : max(high[1], 0), low[0] : max(high[0], 0)] = 255
        head = (HAIR * half[0], HAIR * half[1])
        cv2.ellipse(ring, (tuple(centre), (2 * head[0], 2 * head[1]), 0.0), 0, -1)
        self._face = _corners(self._grey, cv2.erode(inside, np.ones((5, 5), np.uint8)), 60)
        self._ring = _corners(self._grey, ring, 100)
        self._at = np.concatenate([self._face, self._ring])

    def follow(self, image: Image) -> Surroundings | None:
        """Find all corners in a later frame; None where too few are left or the face has not moved."""
        start = np.concatenate([self._face, self._ring])
        if min(len(self._face), len(self._ring)) < LEAST:
            return None
        grey = _small(image)
        flags = cv2.OPTFLOW_USE_INITIAL_FLOW
        end, ok, _ = cv2.calcOpticalFlowPyrLK(
            self._grey, grey, start, self._at.copy(), flags=flags, **_WINDOW
        )
        back, ok_back, _ = cv2.calcOpticalFlowPyrLK(
            grey, self._grey, end, start.copy(), flags=flags, **_WINDOW
        )
        keep = (ok[:, 0] == 1) & (ok_back[:, 0] == 1) & (np.linalg.norm((back - start)[:, 0], axis=1) < 1)
        self._at = np.where(keep[:, None, None], end, self._at)
        a, b = start[:, 0].astype(np.float64), end[:, 0].astype(np.float64)
        face, ring = keep.copy(), keep.copy()
        face[len(self._face) :] = False
        ring[: len(self._face)] = False
        if min(np.count_nonzero(face), np.count_nonzero(ring)) < LEAST:
            return None
        matrix = _affine(a[face], b[face])
        return surroundings(a[ring], b[ring], matrix)


def surroundings(start: F64, end: F64, matrix: F64) -> Surroundings | None:
    """Compare the surroundings' motion with the face's.

    Args:
        start: float64 (n, 2), corners outside the face.
        end: float64 (n, 2), the same later.
        matrix: float64 (2, 3), the face's motion.
    """
    carried = start @ matrix[:, :2].T + matrix[:, 2] - start
    size = np.linalg.norm(carried, axis=1)
    moved = float(np.sqrt(np.mean(size**2)))
    if moved < MOVED:
        return None
    shift = end - start
    missed = np.linalg.norm(shift - carried, axis=1)
    return Surroundings(
        coupling=float((shift * carried).sum() / (carried**2).sum()),
        together=float(np.mean(missed < TOGETHER * size + 0.5)),
        moved=moved,
        count=len(start),
    )


def _affine(a: F64, b: F64) -> F64:
    """Similarity of most corners, by random samples then least squares: four parameters carry on best."""
    matrix, _ = cv2.estimateAffinePartial2D(a, b, method=cv2.RANSAC, ransacReprojThreshold=1.0)
    if matrix is None:
        return np.array([[1.0, 0, 0], [0, 1.0, 0]])
    return np.asarray(matrix, dtype=np.float64)


def _corners(grey: Grey, mask: Grey, most: int) -> F32:
    found = cv2.goodFeaturesToTrack(grey, most, 0.01, 5, mask=mask, blockSize=3)
    return np.zeros((0, 1, 2), np.float32) if found is None else np.asarray(found, dtype=np.float32)


def _small(image: Image) -> Grey:
    height = round(image.shape[0] * WIDTH / image.shape[1])
    small = cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
