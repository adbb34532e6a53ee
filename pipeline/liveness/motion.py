"""Does anything in the face box move more than the sensor's noise does?

The face box of a reference frame is cut out of both frames, grey, and reduced to at most 96x96 pixels. Of
the difference d of both, block means over a 12x12 grid are taken: m. A change of gain and offset is fitted
out of m (exposure control), and the root mean square of what is left is compared with what white noise of
the size seen inside the blocks would leave:

    ratio = rms(m - fit) / sqrt((mean((d - m)^2) + 1/12) / pixels per block)

1/12 is the variance of rounding to whole grey levels. Saturated pixels follow no gain and are left out, with
the blocks that they fill by half. White noise gives about 1; a shift of the face by a part of a pixel moves
whole blocks along the face's gradients and gives several times that.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np

from pipeline.camera.frame import Image
from pipeline.vision.types import F32

GRID: Final = 12
SIDE: Final = 96
SATURATED: Final = 250
"""Level of any colour from which a pixel is taken for saturated."""
BOUND: Final = 3.7
"""A ratio from here on is motion. Frames of 8 clips held still under noise of 0.5 to 8 grey levels, 5 % of
exposure drift and JPEG, MPEG-4 or VP8 coding stay at 3.51 or below (the worst at JPEG quality 50); live
faces get there within 0.2 s in the median, the one who keeps stillest within 1 s. ``python -m
benchmarks.pad_clips motion``."""


def face_grey(image: Image, box: F32) -> F32 | None:
    """Cut a box out as grey.

    Args:
        image: uint8 (height, width, 3), BGR.
        box: float32 (4,), x1 y1 x2 y2 in pixels; what lies outside the picture is left out.

    Returns:
        float32 (h, w) with h, w <= 96, grey levels, NaN where a pixel is saturated in any colour; None where
        less than 12 pixels a side are inside.
    """
    height, width = image.shape[:2]
    x1, y1 = (max(0, int(v)) for v in box[:2])
    x2, y2 = min(width, int(box[2])), min(height, int(box[3]))
    if x2 - x1 < GRID or y2 - y1 < GRID:
        return None
    region = image[y1:y2, x1:x2]
    grey = cv2.cvtColor(region, cv2.COLOR_BGR2GRAY).astype(np.float32)
    below = cv2.inRange(region, (0, 0, 0), (SATURATED - 1,) * 3)
    grey[below == 0] = np.nan
    size = (min(SIDE, x2 - x1), min(SIDE, y2 - y1))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def motion_ratio(reference: F32, grey: F32) -> float:
    """Change between two cut-outs of one box over the change that noise alone makes.

    Args:
        reference: float32 (h, w), grey levels, NaN where saturated.
        grey: float32 (h, w), the same region later.

    Returns:
        The ratio, 0 or more; 0 for equal pictures and where too little is left to compare.
    """
    difference = grey - reference
    valid = np.isfinite(difference)
    filled = _blocks(valid.astype(np.float32))
    used = filled >= 0.5
    if np.count_nonzero(used) < GRID:
        return 0.0
    weight = np.maximum(filled, 0.5)
    difference = np.where(valid, difference, np.float32(0))
    means = _blocks(difference) / weight
    level = _blocks(np.where(valid, reference, np.float32(0))) / weight
    base = np.column_stack([level[used], np.ones(np.count_nonzero(used), np.float32)])
    rest = means[used] - base @ np.linalg.lstsq(base, means[used], rcond=None)[0]
    inside = difference - cv2.resize(means, grey.shape[::-1], interpolation=cv2.INTER_NEAREST)
    noise = float(np.mean(inside[valid] ** 2)) + 1 / 12
    pixels = grey.size / GRID**2
    return math.sqrt(float(np.mean(rest**2)) / (noise / pixels))


def _blocks(grey: F32) -> F32:
    """Means over a 12x12 grid: float32 (12, 12)."""
    return np.asarray(cv2.resize(grey, (GRID, GRID), interpolation=cv2.INTER_AREA), dtype=np.float32)
