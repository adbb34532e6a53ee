"""How alike the frames of one check are: the share of variance between checks, and the correlation time.

The decision discounts a further frame by both, see `pipeline.liveness.decision`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

FPS: Final = 30.0
"""Rate that log-odds are interpolated to before they are correlated."""
LONGEST_LAG_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Series:
    """Log-odds of one video's frames.

    Attributes:
        kind: rho is measured within it: ``live`` or an attack's class.
        t: float64 (k,), seconds, rising.
        log_odds: float64 (k,).
    """

    kind: str
    t: F64
    log_odds: F64


def between_share(kinds: Sequence[str], values: Sequence[F64]) -> float:
    """Rho: share of the variance of log-odds that lies between videos of one kind.

    Random effects with one mean for each kind: ``s_b^2 / (s_b^2 + s_w^2)``, s_b^2 the pooled variance of the
    videos' means within a kind, s_w^2 the mean variance within videos (the intraclass correlation of Kish,
    1965).

    Returns:
        In [0, 1]; 1 where nothing varies within videos, or no kind has two.
    """
    means = {
        side: [float(v.mean()) for k, v in zip(kinds, values, strict=True) if k == side] for side in kinds
    }
    freedom = sum(len(m) - 1 for m in means.values())
    if freedom < 1:
        return 1.0
    between = sum(float(np.var(m)) * len(m) for m in means.values()) / freedom
    within = float(np.mean([v.var() for v in values]))
    return between / (between + within) if between + within > 0 else 1.0


def autocorrelation(t: F64, value: F64, lags: F64) -> F64:
    """Autocorrelation about the mean at lags in seconds, on values at `FPS`; NaN past half of the video.

    NaN at every lag where the value never changes.
    """
    grid = np.arange(t[0], t[-1], 1 / FPS)
    x = np.interp(grid, t, value - value.mean())
    out = np.full(len(lags), np.nan)
    power = float(np.mean(x * x)) if x.size else 0.0
    if power <= 0:
        return out
    for i in range(min(len(lags), len(x) // 2)):
        out[i] = float(np.mean(x[i:] * x[: len(x) - i])) / power
    return out


def correlation_time(series: Sequence[Series]) -> float | None:
    """Tau in seconds: integral of the mean autocorrelation up to its first value below 0.

    For a first-order process that is its correlation time. None where no series varies.
    """
    lags = np.arange(0, LONGEST_LAG_S, 1 / FPS)
    curves = np.array([autocorrelation(s.t, s.log_odds, lags) for s in series])
    known = ~np.isnan(curves).all(axis=0)
    if not known[0]:
        return None
    end = int(np.argmin(known)) or len(lags)
    curve = np.nanmean(curves[:, :end], axis=0)
    end = int(np.argmax(curve < 0)) or len(curve)
    return float(((curve[1:end] + curve[: end - 1]) / 2).sum() / FPS) if end > 1 else None
