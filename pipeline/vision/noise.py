"""Noise of the sensor, measured where the face is flattest."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np

from pipeline.camera.frame import Image
from pipeline.vision.types import F32

REACH: Final = 128
"""Most pixels to each side of the face's centre that are looked at, so that a large face costs no more."""
BLOCK: Final = 8
"""Side of a block in pixels."""
FLATTEST: Final = 10
"""Percentile over blocks: beards, hair and edges stand above it, noise stands everywhere."""
LEVELS: Final = (24, 235)
"""Mean grey levels between which a block counts; beyond them noise is crushed or clipped away."""
FEWEST: Final = 8
"""Blocks that are needed."""
_SECOND: Final = np.array([1, -2, 1], np.float32)
_SCALE: Final = math.sqrt(math.pi / 2) / 6


def noise(image: Image, box: F32) -> float:
    """Standard deviation of the noise in the middle of a face, at the frame's own resolution.

    The mean absolute answer to a mask that is blind to planes, times sqrt(pi / 2) / 6, is the standard
    deviation of white Gaussian noise; here it is taken block by block and the flattest tenth tells.
    Source: Immerkaer, Fast noise variance estimation, Computer Vision and Image Understanding 64, 1996.
    Coding after the noise smooths it away, so the measure is a lower bound.

    Args:
        image: uint8 (height, width, 3), BGR.
        box: float32 (4,), x1, y1, x2, y2 of the face in pixels.

    Returns:
        Grey levels of 0..255; 0 where too little of the face has levels that noise can show in, which the
        limits of brightness tell of.
    """
    x1, y1, x2, y2 = box.tolist()
    across, down = min((x2 - x1) / 2, REACH), min((y2 - y1) / 2, REACH)
    left, top = max(0, int((x1 + x2) / 2 - across)), max(0, int((y1 + y2) / 2 - down))
    right, bottom = max(0, int((x1 + x2) / 2 + across)), max(0, int((y1 + y2) / 2 + down))
    middle = image[top:bottom, left:right]
    columns, rows = middle.shape[1] // BLOCK, middle.shape[0] // BLOCK
    if rows * columns < FEWEST:
        return 0.0
    grey = cv2.cvtColor(np.ascontiguousarray(middle[: rows * BLOCK, : columns * BLOCK]), cv2.COLOR_BGR2GRAY)
    answer = np.abs(cv2.sepFilter2D(grey, cv2.CV_32F, _SECOND, _SECOND))
    blocks = cv2.resize(answer, (columns, rows), interpolation=cv2.INTER_AREA)
    levels = cv2.resize(grey, (columns, rows), interpolation=cv2.INTER_AREA)
    shown = blocks[(levels > LEVELS[0]) & (levels < LEVELS[1])]
    return float(np.percentile(shown, FLATTEST)) * _SCALE if shown.size >= FEWEST else 0.0
