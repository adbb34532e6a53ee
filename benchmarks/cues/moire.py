"""Peaks in the spectrum of the face that no skin makes: moire and pixel grids. Not used by the gate.

The face is cut out at its own resolution and covered with half-overlapping patches of `PATCH` pixels under a
Hann window. Each patch's power is divided by what lies around it in the spectrum (median of the logarithm
over `AROUND` cells, smoothed), which takes out edges, skin and the coder's own fall; times ln 2 that is
Exp(1) for noise of any smooth spectrum. The mean over the patches is Gamma with as many shapes as there are
independent patches, taken as half their number, and the cube root makes it normal (Wilson and Hilferty,
PNAS 17(12), 1931):

    z = 3 sqrt(m) (mean^(1/3) - (1 - 1 / (9 m)))

so a picture of few patches is not more suspicious than one of many. Left out are low frequencies (features
of the face), the axes (straight edges, rows of the sensor), and the crossings of the 8x8 grid of JPEG. A
patch may give `CAP` at most: a hair or a thread that is periodic in one place is not a grid over the face.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.camera.frame import Image
from pipeline.vision.types import F32

PATCH: Final = 64
AROUND: Final = 7
INNER: Final = 0.15
"""Share of the box left out on each side: hair, background, the frame of the face."""
LOW: Final = 0.1
"""Cycles a pixel below which nothing is looked at."""
CAP: Final = 6.0


def moire_score(image: Image, box: F32) -> float:
    """Largest z over the spectrum.

    Args:
        image: uint8 (height, width, 3), BGR.
        box: float32 (4,), the face's x1 y1 x2 y2 in pixels.

    Returns:
        About 2.3 to 3 for noise alone, more for a peak; NaN where the face is smaller than one patch.
    """
    x1, y1, x2, y2 = (float(v) for v in box)
    dx, dy = INNER * (x2 - x1), INNER * (y2 - y1)
    part = image[max(0, int(y1 + dy)) : max(0, int(y2 - dy)), max(0, int(x1 + dx)) : max(0, int(x2 - dx))]
    if min(part.shape[:2]) < PATCH:
        return math.nan
    grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_BGR2GRAY), np.float32)
    patches = np.lib.stride_tricks.sliding_window_view(grey, (PATCH, PATCH))[:: PATCH // 2, :: PATCH // 2]
    patches = patches.reshape(-1, PATCH, PATCH)
    window = np.float32(0.5) - np.float32(0.5) * np.cos(
        2 * np.pi * (np.arange(PATCH, dtype=np.float32) + 0.5) / PATCH
    )
    flat = (patches - patches.mean((1, 2), keepdims=True)) * (window[:, None] * window)
    power = np.abs(np.fft.fft2(flat)) ** 2 + 1e-3 * PATCH**2
    level = np.fft.fftshift(np.log(power), axes=(1, 2)).astype(np.float32)
    ratio = np.exp(level - np.stack([_around(one) for one in level])) * math.log(2)
    independent = max(1.0, len(ratio) / 2)
    mean = np.minimum(ratio, CAP).mean(0)
    z = (np.cbrt(mean) - (1 - 1 / (9 * independent))) * 3 * math.sqrt(independent)
    return float(z[_looked_at()].max())


def _around(level: F32) -> F32:
    """Median of a log spectrum about each cell, by eighths of a neper."""
    low = float(level.min())
    eighths = np.clip((level - low) * 8, 0, 255).astype(np.uint8)
    middle = np.asarray(cv2.medianBlur(eighths, AROUND), np.float32) / 8 + low
    return np.asarray(cv2.blur(middle, (3, 3)), np.float32)


def _looked_at() -> NDArray[np.bool_]:
    """Cells of the shifted spectrum that count: bool (PATCH, PATCH)."""
    f = np.fft.fftshift(np.fft.fftfreq(PATCH))
    coder = np.abs(f * 8 - np.rint(f * 8)) < 8.1 / PATCH
    axis = np.abs(f) <= 1.5 / PATCH
    far = np.hypot(f[:, None], f[None]) > LOW
    return far & ~(axis[:, None] | axis[None]) & ~(coder[:, None] & coder[None])
