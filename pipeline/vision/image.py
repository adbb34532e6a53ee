"""Checks that every entry of the room makes on a picture before it reaches OpenCV."""

from __future__ import annotations

import numpy as np

from pipeline.camera.frame import Image
from pipeline.errors import FrameError

MIN_SIDE = 16
"""Pixels. A picture with a shorter side holds no face that any net here could use."""
MAX_SIDE = 32766
"""Pixels. OpenCV's warps address source pixels with 16-bit signed integers."""


def check_image(image: Image) -> Image:
    """Refuse what is not a BGR picture.

    Args:
        image: uint8 (height, width, 3), BGR.

    Returns:
        The same array, or a C-contiguous copy of it.

    Raises:
        FrameError: wrong type, shape or size.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        raise FrameError("A picture must be an array of 8-bit values.")
    if image.ndim != 3 or image.shape[2] != 3:
        raise FrameError(f"A picture must have the shape (height, width, 3), not {image.shape}.")
    if min(image.shape[:2]) < MIN_SIDE or max(image.shape[:2]) > MAX_SIDE:
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise FrameError(f"A picture of {size} is outside {MIN_SIDE} to {MAX_SIDE} pixels a side.")
    return np.ascontiguousarray(image)
