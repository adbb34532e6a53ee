"""Does the face have a face's relief? Parallax of corners against a bending sheet.

Corners are followed from a reference frame (`benchmarks.cues_motion.corners`). What a plane does between two
views is a homography; what a sheet that bends along any one direction does besides is of second order as
well. Both lie, for the small moves of a check, in the twelve-parameter quadratic flow

    end - start = q(start) = a + B start + c x^2 + d x y + e y^2

A rigid face of relief z turned by small yaw and pitch adds z times one vector, the parallax
(-sin yaw, -sin pitch), whatever the point: Koenderink and van Doorn, J. Opt. Soc. Am. A 8(2), 1991. So the
model ``q(start) + z * parallax`` is nested over the sheet's with two more parameters, and its gain over the
noise is told by Wald's statistic, whose square root over its two degrees of freedom is `Relief.strength`.

Only the part of z that no quadratic explains counts: mostly the nose and the hollows of the eyes. That costs
strength and keeps bent prints out. A video of a face shown on a screen has the parallax of the face that was
filmed: this tells sheets from faces, not replays from faces.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.cues_motion.corners import F64, Moved

LEAST: Final = 30
"""Corners below which nothing is said: more than twice the parameters of one axis."""
FLOOR: Final = 0.01
"""Error of a parallax that no number of corners lowers: depth of a mean face, not of this one."""
_TUKEY: Final = 4.685
"""Tukey's biweight, 95 % efficient for Gaussian noise (Beaton and Tukey, 1974)."""


@dataclass(frozen=True, slots=True)
class Relief:
    """What one pair of frames says of the surface.

    Attributes:
        parallax: float64 (2,), shift of the mean-free relief along x and y for each unit of depth.
        error: standard error of either, the same unit.
        strength: root of Wald's statistic over its two degrees of freedom; about 1 for a sheet with white
            tracking noise.
        noise: standard deviation of what is left, in units of the face's longer side.
        count: corners used.
    """

    parallax: F64
    error: float
    strength: float
    noise: float
    count: int


def relief(moved: Moved, *, order: int = 2, rounds: int = 4) -> Relief | None:
    """Fit sheet and relief to one pair of frames.

    Args:
        moved: corners before and after.
        order: 2 lets the sheet bend; 1 is an affine plane, for comparison.
        rounds: of reweighting.

    Returns:
        None where corners are too few or the relief is all of second order.
    """
    if len(moved.start) < LEAST:
        return None
    x, y = moved.start.T
    columns = [np.ones_like(x), x, y] + ([x * x, x * y, y * y] if order == 2 else [])
    sheet = np.column_stack(columns)
    shift = moved.end - moved.start
    weight = np.ones(len(x))
    z, scale, parallax, power = moved.relief, math.nan, np.zeros(2), 0.0
    for _ in range(rounds):
        root = np.sqrt(weight)[:, None]
        q = np.linalg.qr(sheet * root)[0]
        target = shift * root
        target = target - q @ (q.T @ target)
        bare = z[:, None] * root
        bare = (bare - q @ (q.T @ bare))[:, 0]
        power = float(bare @ bare)
        if power < 1e-6 * len(x):
            return None
        parallax = bare @ target / power
        left = (target - bare[:, None] * parallax) / np.maximum(root, 1e-6)
        length = np.linalg.norm(left, axis=1)
        scale = max(float(np.median(length)) / 1.1774, 1e-6)
        weight = np.clip(1 - (length / (_TUKEY * scale)) ** 2, 0.0, 1.0) ** 2
    degrees = 2 * float(np.count_nonzero(weight > 0)) - 2 * sheet.shape[1] - 2
    if degrees < LEAST:
        return None
    noise = math.sqrt(float((weight[:, None] * left**2).sum()) / degrees)
    error = noise / math.sqrt(power)
    return Relief(parallax, error, float(np.linalg.norm(parallax)) / error / math.sqrt(2), noise, len(x))


@dataclass(frozen=True, slots=True)
class ReliefSum:
    """What all frames since a reference say together.

    Attributes:
        gain: slope of the measured parallax on the one that the mesh's turn of the head predicts; near 1 for
            a head whose mesh depth is true, 0 for a sheet.
        agreement: cosine of both, in [-1, 1].
        turn: largest turn away from the reference that was used, degrees.
        frames: how many.
    """

    gain: float
    agreement: float
    turn: float
    frames: int


class ReliefEvidence:
    """Adds up frames of one reference, each weighted by its error.

    The prediction is the mesh's pose, which a sheet moves too (a bent print that turns by 25 degrees turns
    the mesh by up to 16): what is asked is whether the surface's own parallax goes along.
    """

    def __init__(self) -> None:
        self._sums = np.zeros(3)
        self._turn = 0.0
        self._frames = 0

    def add(self, found: Relief, yaw: float, pitch: float) -> None:
        """Take a frame.

        Args:
            found: what its corners say.
            yaw: degrees since the reference, positive where the nose went to the image's right.
            pitch: degrees since the reference, positive where it went down.
        """
        predicted = -np.sin(np.radians([yaw, pitch]))
        weight = 1 / (found.error**2 + FLOOR**2)
        self._sums += weight * np.array(
            [predicted @ found.parallax, predicted @ predicted, found.parallax @ found.parallax]
        )
        self._turn = max(self._turn, math.hypot(yaw, pitch))
        self._frames += 1

    @property
    def sum(self) -> ReliefSum:
        """What is known so far; NaN for gain and agreement before the head has turned at all."""
        cross, own, other = self._sums
        gain = cross / own if own > 0 else math.nan
        agreement = cross / math.sqrt(own * other) if own > 0 and other > 0 else math.nan
        return ReliefSum(gain, agreement, self._turn, self._frames)
