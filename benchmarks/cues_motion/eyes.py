"""Eyes over time: blinks, and how far the irises move in their eyes.

Openness is the eye aspect ratio (Soukupova and Cech, 2016) of the mesh, or one minus the blendshape of a
blink. A blink is a dip of openness below `CLOSED` of its usual level that comes back within `LONGEST_S`:
spontaneous blinks last 0.1 to 0.4 s and close faster than they open (Caffier, Erdmann and Ullsperger, Eur. J.
Appl. Physiol. 89, 2003). People blink about 17 times a minute at rest (Bentivoglio and others, Movement
Disorders 12(6), 1997), so four seconds hold none for one person in three.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.cues_motion.corners import F64
from pipeline.vision.types import F32

CLOSED: Final = 0.6
"""Share of the usual openness below which an eye counts as closing."""
OPEN: Final = 0.8
"""Share from which it is open again."""
LONGEST_S: Final = 0.5
"""Longer closures are no blinks."""
BLINK_SHAPES: Final = (9, 10)
"""Places of the two blinks among the 52 blendshapes."""
IRISES: Final = (468, 473)
"""Centres of the irises among 478 points, image-left and image-right."""
EYE_CORNERS: Final = np.array([[33, 133], [362, 263]])
# fmt: off
BLEND_POINTS: Final = np.array([
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70,
    78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149,
    150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195,
    197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300,
    308, 310, 311, 312, 314, 317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375,
    377, 378, 379, 380, 381, 382, 384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454,
    466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
])
# fmt: on
"""The 146 of 478 points that the blendshape net takes, in its order (MediaPipe, face_blendshapes_graph)."""


@dataclass(frozen=True, slots=True)
class Blink:
    """One blink.

    Attributes:
        t: seconds, at its deepest.
        duration: seconds between leaving and reaching `OPEN` of the usual openness.
        depth: share of openness lost at its deepest, in [0, 1].
        asymmetry: opening time less closing time over their sum, in [-1, 1]; positive for spontaneous blinks.
    """

    t: float
    duration: float
    depth: float
    asymmetry: float


def blinks(t: F64, openness: F64) -> list[Blink]:
    """Blinks of a series.

    Args:
        t: float64 (n,), seconds, increasing.
        openness: float64 (n,), any unit, 0 for closed.
    """
    if len(t) < 5:
        return []
    share = openness / max(float(np.percentile(openness, 80)), 1e-6)
    below = np.concatenate([[False], share < OPEN, [False]])
    starts, ends = (
        np.flatnonzero(np.diff(below.astype(np.int8)) == 1),
        np.flatnonzero(np.diff(below.astype(np.int8)) == -1),
    )
    out: list[Blink] = []
    for first, last in zip(starts, ends, strict=True):
        if first == 0 or last == len(t):
            continue
        deepest = first + int(np.argmin(share[first:last]))
        left, right = (_crossing(t, share, k) for k in (first, last))
        if share[deepest] < CLOSED and right - left <= LONGEST_S:
            closing, opening = t[deepest] - left, right - t[deepest]
            out.append(
                Blink(
                    t=float(t[deepest]),
                    duration=float(right - left),
                    depth=float(1 - share[deepest]),
                    asymmetry=float((opening - closing) / max(right - left, 1e-6)),
                )
            )
    return out


def _crossing(t: F64, share: F64, k: int) -> float:
    """Time at which the series crosses `OPEN` between samples k-1 and k."""
    a, b = share[k - 1], share[k]
    part = (OPEN - a) / (b - a) if b != a else 0.5
    return float(t[k - 1] + min(max(part, 0.0), 1.0) * (t[k] - t[k - 1]))


def gaze(landmarks: F32) -> F64:
    """Where the irises lie in their eyes.

    Args:
        landmarks: float32 (478, 3).

    Returns:
        float64 (2, 2): for each eye, image-left first, the place of the iris along and across the line of its
        corners, in widths of the eye from its middle. A degree of gaze is about 0.007 of it: the eyeball has
        a radius of 12 mm, the eye a width of 30 mm.
    """
    corner = landmarks[EYE_CORNERS, :2].astype(np.float64)
    middle, along = corner.mean(axis=1), corner[:, 1] - corner[:, 0]
    width = np.maximum((along**2).sum(axis=1), 1e-9)
    off = landmarks[list(IRISES), :2] - middle
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    return np.stack([(off * along).sum(axis=1), (off * across).sum(axis=1)], axis=1) / width[:, None]


def jitter(t: F64, series: F64, high_hz: float = 3.0) -> float:
    """Root mean square of what a series does above a frequency.

    Args:
        t: float64 (n,), seconds.
        series: float64 (n, k).
        high_hz: Hz; at video rates microsaccades and noise lie above 3 Hz, turns of gaze and head below.
    """
    if len(t) < 8:
        return float("nan")
    step = float(np.median(np.diff(t)))
    grid = np.arange(t[0], t[-1], step)
    even = np.stack([np.interp(grid, t, column) for column in series.T], axis=1)
    even = (even - even.mean(axis=0)) * np.hanning(len(grid))[:, None] * np.sqrt(8 / 3)
    power = np.abs(np.fft.rfft(even, axis=0)) ** 2 / len(grid) ** 2 * 2
    keep = np.fft.rfftfreq(len(grid), step) >= high_hz
    return float(np.sqrt(power[keep].sum(axis=0).mean()))
