"""Is a sequence of colours safe to look at? The general and the red flash of WCAG 2.2, counted.

WCAG 2.2, "general flash and red flash thresholds" (success criteria 2.3.1 and 2.3.2): a general flash is a
pair of opposing changes in relative luminance of 10 % or more of the maximum, where the darker state is below
0.80; a red flash is a pair of opposing transitions involving a saturated red, R / (R + G + B) >= 0.8. Three
of either within any second are allowed; the stricter criterion 2.3.2 says so whatever the area. The
project's own sequences hold none at all, which `FlashSafety.none` says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.liveness.flash.challenge import LUMA, FlashChallenge, Rgb

F64 = NDArray[np.float64]

SWING: Final = 0.10
DARKER: Final = 0.80
SATURATED_RED: Final = 0.80
FLASHES: Final = 3
"""In any one second."""


@dataclass(frozen=True, slots=True)
class FlashSafety:
    """What a sequence of colours holds.

    Attributes:
        swing: largest minus smallest relative luminance, in [0, 1].
        reddest: largest R / (R + G + B) of linear values.
        general: most general flashes within any second.
        red: most transitions to or from a saturated red within any second, halved.
    """

    swing: float
    reddest: float
    general: float
    red: float

    @property
    def safe(self) -> bool:
        """At most three flashes of each kind in any second."""
        return self.general <= FLASHES and self.red <= FLASHES

    @property
    def none(self) -> bool:
        """Not one flash: no two states differ by 10 % of luminance, and none is a saturated red."""
        return self.swing < SWING and self.reddest < SATURATED_RED


def linear(rgb: F64) -> F64:
    """Turn sRGB 0..255 to linear light in [0, 1] (IEC 61966-2-1)."""
    x = np.asarray(rgb, dtype=np.float64) / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def flash_safety(sequence: Iterable[tuple[float, Rgb]]) -> FlashSafety:
    """Count the flashes of a sequence as it is shown.

    Args:
        sequence: (seconds, sRGB colour) in order of time; each colour stays until the next one.
    """
    rows = list(sequence)
    if not rows:
        return FlashSafety(0.0, 0.0, 0.0, 0.0)
    times = np.array([t for t, _ in rows])
    light = linear(np.array([colour for _, colour in rows], dtype=np.float64))
    luminance = light @ LUMA
    redness = light[:, 0] / np.maximum(light.sum(axis=1), 1e-9)
    saturated = redness >= SATURATED_RED
    swaps = times[1:][saturated[1:] != saturated[:-1]]
    return FlashSafety(
        swing=float(np.ptp(luminance)),
        reddest=float(redness.max()),
        general=_most_in_a_second(_changes(times, luminance)) / 2,
        red=_most_in_a_second(swaps) / 2,
    )


def challenge_safety(challenge: FlashChallenge, fps: float = 60.0) -> FlashSafety:
    """`flash_safety` of a challenge as a screen of so many frames a second shows it."""
    return flash_safety(challenge.frames(fps))


def _changes(times: F64, luminance: F64) -> F64:
    """Times at which opposing changes of `SWING` or more are complete, the darker state below `DARKER`."""
    found: list[float] = []
    low = high = float(luminance[0])
    rising: bool | None = None
    for t, y in zip(times.tolist(), luminance.tolist(), strict=True):
        low, high = min(low, y), max(high, y)
        if rising is not True and y - low >= SWING and low < DARKER:
            found.append(t)
            rising, high = True, y
        elif rising is not False and high - y >= SWING and y < DARKER:
            found.append(t)
            rising, low = False, y
        if rising:
            low = y if y >= high else low
        elif rising is False:
            high = y if y <= low else high
    return np.array(found)


def _most_in_a_second(times: F64) -> int:
    """Largest number of times within any closed second."""
    if not len(times):
        return 0
    ends = np.searchsorted(times, times + 1.0, side="right")
    return int((ends - np.arange(len(times))).max())
