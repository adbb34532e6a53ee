"""Does the stream show what it showed before? A camera never does; a looped clip does so at every turn.

Each frame leaves a signature, the means of 16x15 cells, and a digest, both of a grid of 160x90 of its pixels.
The last `SPAN` frames are compared with every earlier stretch of as many frames, run forwards and, for clips
that are played to and fro, backwards:

    ratio = sum of |s(i) - s(j)|^2 over the stretch / sum of |s(i) - s(i - 1)|^2 over the same frames

i.e. how much two visits differ, over how much one frame differs from the next. Two exposures of anything
differ by the sensor's noise, so where nothing moves the ratio is about 1, and a person who moves does not
come back to the same fraction of a grey level in each cell, frame after frame. A loop comes back to nothing
but its coding noise, far below its own movement.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.camera.frame import Image

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

GRID: Final = (160, 90)
CELLS: Final = (16, 15)
SPAN: Final = 12
"""Frames of a stretch."""
APART: Final = 15
"""Frames between two stretches that are compared forwards: shorter loops are seen at their second turn."""
LONGEST: Final = 450
"""Frames that are remembered; then it begins anew."""
BOUND: Final = 0.08
"""A ratio below it is a repeat. Ten clips stay at 1.65 or above; loops of them under noise and JPEG reach
0.06 or less, but for one that hardly moves (``python -m benchmarks.injection repeat``); a made-up picture on
a pendulum of rising speed reaches 0.1."""
LEAST_MOTION: Final = 0.02
"""Mean square change of a cell between frames below which a stretch holds nothing to recognise, grey levels
squared: a still scene, or a lens cap."""
EXACT: Final = 3
"""So many frames in a row whose grid equals that of earlier frames in a row are a repeat too."""


def signature(image: Image) -> tuple[F32, int]:
    """Cell means and digest of a picture.

    Args:
        image: uint8 (height, width, 3), BGR.

    Returns:
        float32 (240,), grey levels; and a digest that is equal for equal grids, within this process.
    """
    small = _grid(image)
    across, down = GRID[0] // CELLS[0], GRID[1] // CELLS[1]
    rows = cv2.reduce(small.reshape(-1, 3 * across), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
    sums = rows.reshape(CELLS[1], down, CELLS[0]).sum(axis=1)
    return (sums.ravel() / np.float32(3 * across * down)).astype(np.float32), hash(small.tobytes())


def grid_digest(image: Image) -> int:
    """Digest of a grid of a picture's pixels, the one of `signature`: equal for equal pictures."""
    return hash(_grid(image).tobytes())


def _grid(image: Image) -> Image:
    return np.asarray(cv2.resize(image, GRID, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


class RepeatMeter:
    """Compares each frame's stretch with all before it. Exact copies of the frame before are left out."""

    def __init__(self) -> None:
        self._reset()
        self.lowest = math.nan
        """Smallest ratio so far; NaN before two stretches with motion could be compared."""
        self.exact = 0
        """Most frames in a row whose grids equal those of earlier frames in a row."""

    def _reset(self) -> None:
        self._signatures = np.empty((LONGEST, CELLS[0] * CELLS[1]), np.float32)
        self._norms = np.empty(LONGEST)
        self._count = 0
        self._rows: deque[F64] = deque(maxlen=SPAN + 1)
        self._steps: deque[float] = deque(maxlen=SPAN)
        self._forward = self._backward = np.zeros(0)
        self._places: dict[int, list[int]] = {}
        self._runs: dict[int, int] = {}
        self._digest = 0
        self._origin = np.zeros(CELLS[0] * CELLS[1], np.float32)

    def see(self, image: Image) -> None:
        """Take the next frame."""
        cells, digest = signature(image)
        if self._count and digest == self._digest:
            return
        if self._count == LONGEST:
            self._reset()
        self._exact(digest)
        i = self._count
        if not i:
            self._origin = cells
        cells = cells - self._origin  # small numbers keep their digits
        self._signatures[i] = cells
        self._norms[i] = float(cells @ cells)
        self._count, self._digest = i + 1, digest
        row = self._norms[:i] + self._norms[i] - 2.0 * (self._signatures[:i] @ cells)
        row = np.maximum(row, 0.0)
        if i:
            self._steps.append(float(row[-1]))
        self._compare(row)

    def _exact(self, digest: int) -> None:
        """Follow runs: a frame that continues an earlier run which the frame before belonged to.

        Every place is followed: of two pictures by turns, the first one alone is never three in a row.
        """
        places = self._places.setdefault(digest, [])
        self._runs = {at: self._runs.get(at - 1, 0) + 1 for at in places}
        self.exact = max([self.exact, *self._runs.values()])
        places.append(self._count)

    def _compare(self, row: F64) -> None:
        """Carry the sums over stretches on: along diagonals forwards, along antidiagonals backwards."""
        i = len(row)
        self._rows.append(row)
        gone = self._rows[0] if len(self._rows) == SPAN + 1 else np.zeros(0)
        forward, backward = row.copy(), row.copy()
        forward[1:] += self._forward
        backward[: max(0, i - 2)] += self._backward[1:]
        if len(gone):  # what leaves the stretches: the row of i - SPAN, at j - SPAN and j + SPAN
            forward[SPAN:] -= gone
            backward[: max(0, i - 2 * SPAN)] -= gone[SPAN:]
        self._forward, self._backward = forward, backward
        motion = sum(self._steps)
        if len(self._steps) < SPAN or motion < LEAST_MOTION * SPAN * CELLS[0] * CELLS[1]:
            return
        candidates = [forward[SPAN - 1 : max(SPAN - 1, i + 1 - APART)]]
        # a stretch played backwards must lie wholly before the one it is compared with
        candidates.append(backward[: max(0, i - 2 * SPAN - 1)])
        best = min((float(c.min()) for c in candidates if len(c)), default=math.inf)
        if math.isfinite(best):
            ratio = max(0.0, best) / motion
            self.lowest = ratio if math.isnan(self.lowest) else min(self.lowest, ratio)

    @property
    def repeats(self) -> bool:
        """True once the stream came back to what it showed before."""
        return self.exact >= EXACT or self.lowest < BOUND
