"""Pixels to a JPEG that the service takes: no EXIF, within its limits of bytes and size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import cv2

from pipeline.camera.frame import Image
from pipeline.errors import FrameError

MAX_BYTES: Final = 600_000
"""Limit for a picture that is sent as base64: 0.6 MB raw (public pages of the vendor's sister products)."""
MAX_LONG: Final = 1920
MAX_SHORT: Final = 1080
"""Largest picture, 1920x1080 in either orientation, from the same pages."""
QUALITIES: Final = (90, 80, 70, 60, 50)
"""Tried in this order; after the last one the size goes down by `SHRINK` a step."""
SHRINK: Final = 0.8


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A JPEG file in memory.

    Attributes:
        data: the file, hidden from the repr.
        width: pixels.
        height: pixels.
        quality: libjpeg's quality, 1 to 100.
    """

    data: bytes = field(repr=False)
    width: int
    height: int
    quality: int


def encode_jpeg(image: Image) -> Jpeg:
    """Encode within the service's limits: first a smaller size if needed, then quality, then size again.

    `cv2.imencode` writes a JFIF header and no EXIF, so neither place nor device leaves with the picture.

    Args:
        image: uint8 (height, width, 3), BGR.

    Returns:
        At most `MAX_BYTES`, and at most `MAX_LONG` by `MAX_SHORT` pixels. A picture below 640x480 keeps its
        size: enlarging adds nothing that a face comparison could use.

    Raises:
        FrameError: the array is not a picture, or can't be encoded.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != "uint8" or image.size == 0:
        raise FrameError("The picture to encode is not uint8 BGR.")
    height, width = image.shape[:2]
    scale = min(1.0, MAX_LONG / max(height, width), MAX_SHORT / min(height, width))
    while True:
        scaled = _scaled(image, scale)
        for quality in QUALITIES:
            done, data = cv2.imencode(".jpg", scaled, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if not done:
                raise FrameError("The picture can't be encoded as JPEG.")
            if data.size <= MAX_BYTES:
                return Jpeg(data.tobytes(), scaled.shape[1], scaled.shape[0], quality)
        scale *= SHRINK


def _scaled(image: Image, scale: float) -> Image:
    if scale >= 1.0:
        return image
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    scaled: Image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return scaled
