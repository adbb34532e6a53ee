"""The pulse in the colour of skin: POS (Wang, den Brinker, Stuijk and de Haan, IEEE TBME 64(7), 2017).

Mean colours of forehead and cheeks over time are projected on the plane orthogonal to skin tone and summed
by overlap-adding windows of 1.6 s. `snr_db` compares the power about a rate and its double with the rest of
the band (de Haan and Jeanne, IEEE TBME 60(10), 2013). A second of video says nothing; 4 to 8 s say little
where the codec throws chroma away. A replay carries the pulse of who was filmed.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from benchmarks.cues_motion.corners import F64
from pipeline.camera.frame import Image
from pipeline.vision.types import F32

RATE_HZ: Final = 30.0
"""Series are brought to this rate."""
BAND_HZ: Final = (0.7, 3.0)
"""42 to 180 beats a minute."""
WINDOW_S: Final = 1.6
SKIN: Final = (
    np.array([109, 10, 338, 337, 9, 108]),
    np.array([117, 118, 101, 36, 205, 187, 123]),
    np.array([346, 347, 330, 266, 425, 411, 352]),
)
"""Outlines of forehead and both cheeks among the mesh's points."""


def skin_colour(image: Image, landmarks: F32) -> F64 | None:
    """Mean colour of the skin: float64 (3,), BGR; None where it is out of view."""
    regions = [landmarks[outline, :2] for outline in SKIN]
    every = np.concatenate(regions)
    low = np.maximum(np.floor(every.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(every.max(axis=0)).astype(int) + 1, (image.shape[1], image.shape[0]))
    if (high - low < 8).any():
        return None
    mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    cv2.fillPoly(mask, [(region - low).astype(np.int32) for region in regions], 255)
    mean = cv2.mean(image[low[1] : high[1], low[0] : high[0]], mask)
    return np.array(mean[:3])


def pos(t: F64, colour: F64) -> F64:
    """Pulse signal.

    Args:
        t: float64 (n,), seconds, increasing.
        colour: float64 (n, 3), BGR means.

    Returns:
        float64 (m,) at `RATE_HZ`, mean 0.
    """
    grid = np.arange(t[0], t[-1], 1 / RATE_HZ)
    rgb = np.stack([np.interp(grid, t, colour[:, c]) for c in (2, 1, 0)], axis=1)
    size = round(WINDOW_S * RATE_HZ)
    out = np.zeros(len(grid))
    if len(grid) < size:
        return out
    windows = np.lib.stride_tricks.sliding_window_view(rgb, size, axis=0)
    windows = windows / np.maximum(windows.mean(axis=-1, keepdims=True), 1e-6) - 1
    s1 = windows[:, 1] - windows[:, 2]
    s2 = windows[:, 1] + windows[:, 2] - 2 * windows[:, 0]
    h = s1 + (s1.std(axis=1) / np.maximum(s2.std(axis=1), 1e-12))[:, None] * s2
    h -= h.mean(axis=1, keepdims=True)
    rows = np.arange(len(h))[:, None] + np.arange(size)[None]
    np.add.at(out, rows, h)
    return out - out.mean()


def snr_db(signal: F64) -> tuple[float, float]:
    """Strength and rate of the strongest rhythm.

    Args:
        signal: float64 (m,) at `RATE_HZ`.

    Returns:
        dB of the power about the rate and its double over the rest of the band up to 4 Hz, and the rate in
        Hz; NaN for a signal without power. "About" is 0.1 Hz as in the paper, and for short signals the main
        lobe of their window, 1.5 / length.
    """
    power = np.abs(np.fft.rfft(signal * np.hanning(len(signal)), 4096)) ** 2
    hz = np.fft.rfftfreq(4096, 1 / RATE_HZ)
    inside = (hz >= BAND_HZ[0]) & (hz <= 4.0)
    candidates = inside & (hz <= BAND_HZ[1])
    if not power[inside].sum() > 0:
        return float("nan"), float("nan")
    rate = float(hz[candidates][np.argmax(power[candidates])])
    reach = max(0.1, 1.5 * RATE_HZ / len(signal))
    near = (np.abs(hz - rate) <= reach) | (np.abs(hz - 2 * rate) <= reach)
    return 10 * float(np.log10(power[inside & near].sum() / power[inside & ~near].sum())), rate
