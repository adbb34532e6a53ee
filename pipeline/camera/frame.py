"""`Frame`: one picture with its capture time, as every later room sees it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import FrameError

Image = NDArray[np.uint8]
"""uint8, shape (height, width, 3), BGR, C-contiguous."""

MIN_SIDE: Final = 16
"""Pixels. Below this no detector of the house has a single cell to look at."""

MAX_PIXELS: Final = 25_000_000
"""Default limit of width x height: above the 24-megapixel pictures of telephones; 75 MB once decoded."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One captured picture. Its pixels are read-only, so what was judged can't be changed afterwards.

    Attributes:
        image: uint8 (height, width, 3), BGR, C-contiguous, not writeable.
        t: capture time in seconds on a monotonic clock; files count from their own start.
        seq: sequence number within its source, from 0; gaps are frames that were dropped.
    """

    image: Image
    t: float
    seq: int

    def __post_init__(self) -> None:
        self.image.setflags(write=False)

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.image.shape[0])

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.image.shape[1])

    @property
    def owned(self) -> bool:
        """True where the pixels are in memory of their own, so that they are read-only for everybody.

        False for a view of a buffer that somebody else may still write to.
        """
        return self.image.base is None

    def sha256(self) -> str:
        """SHA-256 over ``"{height}x{width}:bgr8:"`` and the pixel bytes, as 64 hex digits."""
        return pixel_sha256(self.image)

    def __repr__(self) -> str:
        return f"Frame(seq={self.seq}, t={self.t:.3f}, {self.width}x{self.height})"


def pixel_sha256(image: Image) -> str:
    """Digest of a picture's pixels and size.

    Args:
        image: uint8 (height, width, 3), BGR.

    Returns:
        64 hex digits of SHA-256 over the header ``"{height}x{width}:bgr8:"`` and the pixels in row order.
    """
    h = hashlib.sha256(f"{image.shape[0]}x{image.shape[1]}:bgr8:".encode())
    h.update(np.ascontiguousarray(image).reshape(-1).data)
    return h.hexdigest()


def check_size(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse a picture by its size, before anything of that size is allocated.

    Args:
        width: pixels.
        height: pixels.
        max_pixels: largest width x height.

    Raises:
        FrameError: a side is below `MIN_SIDE`, or there are more than `max_pixels` pixels.
    """
    if width < MIN_SIDE or height < MIN_SIDE:
        raise FrameError(f"a picture of {width}x{height} is below the least size of {MIN_SIDE}x{MIN_SIDE}")
    if width * height > max_pixels:
        raise FrameError(f"a picture of {width}x{height} is above the limit of {max_pixels} pixels")


def normalise_image(array: object, *, max_pixels: int = MAX_PIXELS) -> Image:
    """Turn what a decoder or a driver gave into the one form that frames have.

    No copy is made of a uint8 (height, width, 3) array that is C-contiguous and owns its memory, which is
    what OpenCV's readers return: that array itself becomes read-only. All others are copied once.

    Args:
        array: uint8 or uint16, (height, width), (height, width, 1), (height, width, 3) BGR or
            (height, width, 4) BGRA. Alpha is dropped, not blended. Of 16 bits the upper 8 are kept, as
            OpenCV's own readers do.
        max_pixels: largest width x height.

    Returns:
        uint8 (height, width, 3), BGR, C-contiguous, not writeable.

    Raises:
        FrameError: it is no array, or its type, number of channels or size is not one of these.
    """
    if not isinstance(array, np.ndarray):
        raise FrameError(f"a frame must be an array, not {type(array).__name__}")
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise FrameError(f"a frame must have 8 or 16 bits without sign, not {array.dtype.kind!r} values")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise FrameError(f"a frame must be grey, BGR or BGRA, not of {array.ndim} axes {array.shape}")
    height, width = array.shape[:2]
    check_size(width, height, max_pixels)
    pixels = np.asarray(array)
    if pixels.dtype.itemsize == 2:
        pixels = (pixels >> 8).astype(np.uint8)
    image: Image
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        grey = np.ascontiguousarray(pixels).reshape(height, width)
        image = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    elif pixels.shape[2] == 4:
        image = np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_BGRA2BGR), dtype=np.uint8)
    elif pixels.base is None and pixels.flags.c_contiguous:
        image = pixels
    else:
        image = pixels.copy(order="C")
    image.setflags(write=False)
    return image
