"""Measures as JSON: shares in [0, 1], rounded to six digits, None where nothing can be said."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from pipeline.evaluation.curve import ErrorCurve
from pipeline.evaluation.intervals import F64, Interval, Rate

DIGITS: Final = 6
DET_CELLS: Final = 250
"""Points of a DET curve nearer than 1/250 of the axis are one in reports; `scores.csv` has all."""


def rounded(value: float | None) -> float | None:
    """A number that JSON can hold."""
    return None if value is None or not math.isfinite(value) else round(float(value), DIGITS)


def percent(value: float) -> str:
    """A share for a sentence."""
    return f"{value * 100:.3g} %"


def ends(interval: Interval | None) -> list[float | None] | None:
    """An interval as ``[low, high]``."""
    return None if interval is None else [rounded(interval.low), rounded(interval.high)]


def rate_json(rate: Rate) -> dict[str, Any]:
    """A rate with its exact 95 % interval."""
    return {
        "value": rounded(rate.value),
        "n": rate.n,
        "errors": rate.errors,
        "ci95": ends(rate.interval),
    }


def det_json(curve: ErrorCurve | None, accept: str, reject: str) -> dict[str, Any] | None:
    """DET points under the two rates' names."""
    if curve is None:
        return None
    keep = thinned(curve)
    return {
        "threshold": [rounded(t) for t in curve.thresholds[keep]],
        accept: [rounded(v) for v in curve.false_accept[keep]],
        reject: [rounded(v) for v in curve.false_reject[keep]],
    }


def thinned(curve: ErrorCurve) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Indices of the points that a drawing on normal-deviate axes can tell apart; the ends always."""
    x, y = deviate(curve.false_accept, 1e-6), deviate(curve.false_reject, 1e-6)
    cells = np.round(np.stack([x, y]) * (DET_CELLS / 8))
    moved = np.flatnonzero(np.any(np.diff(cells, axis=1) != 0, axis=0))
    return np.unique(np.concatenate([[0], moved, moved + 1, [x.size - 1]]).astype(np.int64))


def deviate(rates: F64, floor: float) -> F64:
    """Normal deviates of rates, those nearer to 0 or 1 than ``floor`` moved to it.

    Martin et al., The DET curve in assessment of detection task performance, Eurospeech 1997.
    """
    from pipeline.evaluation.extra import need

    return np.asarray(need("scipy.stats").norm.ppf(np.clip(rates, floor, 1 - floor)), np.float64)
