"""A clipped reflection over the face's outline: lamps in glass or on glossy paper. Not used by the gate.

Skin shines too, but on the nose, the forehead and the cheeks, inside the outline; a bright window behind a
person ends at it. A lamp in the glass before a picture knows no outline: one blob lies on both sides.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from pipeline.camera.frame import Image
from pipeline.vision.types import F32

LEVEL: Final = 245
"""All three colours at this level or above: clipped, and so without colour."""
MARGIN: Final = 0.1
"""The outline is as wide as this share of the face, inwards and outwards."""
SIZE: Final = 64
"""Side of the face's landmarks in the reduced mask, pixels."""


def glare_score(image: Image, landmarks: F32) -> float:
    """The largest blob over the outline, measured by its smaller part.

    Args:
        image: uint8 (height, width, 3), BGR.
        landmarks: float32 (n, 2 or more), pixels; their hull is the face.

    Returns:
        The smaller of a blob's areas inside and outside of the outline over the face's area, largest over all
        blobs; 0 without one.
    """
    height, width = image.shape[:2]
    hull = cv2.convexHull(np.ascontiguousarray(landmarks[:, :2], np.float32)).reshape(-1, 2)
    centre, side = hull.mean(0), float(np.ptp(hull, axis=0).max())
    left, top = (max(0, int(v)) for v in centre - side)
    right, bottom = min(width, int(centre[0] + side)), min(height, int(centre[1] + side))
    if min(right - left, bottom - top) < 8:
        return 0.0
    part, factor = image[top:bottom, left:right], SIZE / side
    clipped = np.asarray(part.min(2) >= LEVEL, np.uint8) * 255
    small = cv2.resize(clipped, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    count, blobs = cv2.connectedComponents(np.asarray(small >= 128, np.uint8))

    def filled(scale: float) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        mask = np.zeros(small.shape, np.uint8)
        points = ((hull - centre) * scale + centre - (left, top)) * factor
        return np.asarray(cv2.fillConvexPoly(mask, np.rint(points).astype(np.int32), (1,)), bool)

    area = max(1, int(filled(1.0).sum()))
    inside = np.bincount(blobs[filled(1 - MARGIN)], minlength=count)[1:]
    outside = np.bincount(blobs[~filled(1 + MARGIN)], minlength=count)[1:]
    return float(np.minimum(inside, outside).max(initial=0)) / area
