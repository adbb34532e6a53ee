"""Does anything in the face box move more than the sensor's noise does?

The face box of a reference frame is cut out of both frames, grey, and reduced to at most 96x96 pixels. Of the
difference d of both, block means over a 12x12 grid are taken: m. A change of gain and offset is fitted out
    of m
(exposure control), and the root mean square of what is left is compared with what white noise of the size
seen inside the blocks would leave:

    ratio = rms(m - fit) / sqrt((mean((d - m)^2) + 1/12) / pixels per block)

1/12 is the variance of rounding to whole grey levels. White noise gives about 1; a shift of the face by a
part of a pixel moves whole blocks along the face's gradients and gives several times that.
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
CLIPPED: Final = 250
"""Grey level from which a pixel is taken for saturated and left out."""
BOUND: Final = 3.5
"""A ratio from here on is motion. Stills of 8 clips' frames with noise of 0.5 to 8 grey levels, 5 % of
exposure drift and JPEG (quality 95 to 50), MPEG-4 or VP8 compression stayed below 3.4; live faces reached
3.5 within 0.08 to 0.5 s, the one who keeps stillest last. ``python -m benchmarks.pad_clips motion``."""


def face_grey(image: Image, box: F32) -> F32 | None:
    """Cut a box out as grey.

    Args:
        image: uint8 (height, width, 3), BGR.
        box: float32 (4,), x1 y1 x2 y2 in pixels; what lies outside the picture is left out.

    Returns:
        float32 (h, w) with h, w <= 96, or None where less than 12 pixels a side are inside.
    """
    height, width = image.shape[:2]
    x1, y1 = (max(0, int(v)) for v in box[:2])
    x2, y2 = min(width, int(box[2])), min(height, int(box[3]))
    if x2 - x1 < GRID or y2 - y1 < GRID:
        return None
    grey = cv2.cvtColor(image[y1:y2, x1:x2], cv2.COLOR_BGR2GRAY)
    size = (min(SIDE, x2 - x1), min(SIDE, y2 - y1))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def motion_ratio(reference: F32, grey: F32) -> float:
    """Change between two cut-outs of one box over the change that noise alone makes.

    Args:
        reference: float32 (h, w), grey levels 0..255.
        grey: float32 (h, w), the same region later.

    Returns:
        The ratio, 0 or more; 0 for equal pictures.
    """
    clipped = np.maximum(reference, grey) >= CLIPPED
    difference = np.where(clipped, np.float32(0), grey - reference)
    means = _blocks(difference)
    base = np.column_stack([_blocks(reference).ravel(), np.ones(GRID * GRID, np.float32)])
    rest = means.ravel() - base @ np.linalg.lstsq(base, means.ravel(), rcond=None)[0]
    inside = difference - cv2.resize(means, grey.shape[::-1], interpolation=cv2.INTER_NEAREST)
    noise = float(np.mean(inside**2)) + 1 / 12
    pixels = grey.size / GRID**2
    return math.sqrt(float(np.mean(rest**2)) / (noise / pixels))


def _blocks(grey: F32) -> F32:
    """Means over a 12x12 grid: float32 (12, 12)."""
    return np.asarray(cv2.resize(grey, (GRID, GRID), interpolation=cv2.INTER_AREA), dtype=np.float32)
