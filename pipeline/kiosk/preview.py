"""The preview: the newest frame as a small JPEG. It is sent to the one page and kept nowhere.

What it costs is in docs/adr/0025.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from pipeline.camera.frame import Image
from pipeline.errors import FrameError

WIDTH: Final = 640
"""Pixels; narrower frames stay as they are."""
QUALITY: Final = 70
MOST_FPS: Final = 15


def encode_preview(image: Image) -> bytes:
    """A frame as JPEG.

    Args:
        image: uint8 (height, width, 3), BGR.

    Returns:
        JPEG of quality `QUALITY`, at most `WIDTH` pixels wide, not mirrored.

    Raises:
        FrameError: OpenCV can't encode it.
    """
    step = max(1, image.shape[1] // WIDTH)
    small = np.ascontiguousarray(image[::step, ::step])  # averaging a large frame is dear
    height, width = small.shape[:2]
    if width > WIDTH:
        size = (WIDTH, max(1, round(height * WIDTH / width)))
        small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    done, data = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
    if not done:
        raise FrameError("the preview can't be encoded")
    return data.tobytes()
