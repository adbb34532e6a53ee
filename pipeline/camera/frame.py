"""`Frame`: one picture with its capture time, as every later room sees it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""uint8, shape (height, width, 3), BGR, C-contiguous."""


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
    h.update(memoryview(np.ascontiguousarray(image)).cast("B"))
    return h.hexdigest()
