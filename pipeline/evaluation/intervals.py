"""How far a counted error rate can be trusted: exact intervals, the rule of 3, resampled clusters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.evaluation.extra import need

F64 = NDArray[np.float64]
Integers = NDArray[np.int64]

CONFIDENCE: Final = 0.95
ROUNDS: Final = 1000
"""Bootstrap replicates: the ends of a 95 % interval then rest on 25 replicates each."""
SEED: Final = 20240229
"""Fixed, so that a report repeats to the digit."""
FEW_CLUSTERS: Final = 10
"""Below so many resampled units a bootstrap interval is known to be too narrow; reports say so."""
_BLOCK: Final = 4_000_000
"""Weights held at once while resampling: 32 MB."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Ends of a two-sided 95 % confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rate:
    """A counted rate.

    Attributes:
        errors: how often it happened.
        n: how often it could have happened.
    """

    errors: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.n:
            raise UsageError(f"{self.errors} errors in {self.n} trials is not a rate")

    @property
    def value(self) -> float | None:
        """Share in [0, 1]; None where nothing was tried."""
        return self.errors / self.n if self.n else None

    @property
    def interval(self) -> Interval | None:
        """Exact 95 % interval, see `clopper_pearson`; None where nothing was tried."""
        return clopper_pearson(self.errors, self.n) if self.n else None


def clopper_pearson(errors: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Exact two-sided binomial interval, with equal tails.

    Clopper and Pearson, Biometrika 26(4), 1934, in the form with beta quantiles. It takes the trials for
    independent: several frames of one person are not, and the true interval is wider.

    Args:
        errors: 0..n.
        n: trials, 1 or more.
        confidence: in (0, 1).

    Returns:
        The interval; its low end is 0 without an error, its high end 1 without a success.

    Raises:
        UsageError: the counts are none, or scipy is not installed.
    """
    if n < 1 or not 0 <= errors <= n:
        raise UsageError(f"{errors} errors in {n} trials have no interval")
    beta = need("scipy.stats").beta
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, errors, n - errors + 1)) if errors else 0.0
    high = float(beta.ppf(1 - tail, errors + 1, n - errors)) if errors < n else 1.0
    return Interval(low, high)


def zero_error_bound(n: int, confidence: float = CONFIDENCE) -> float:
    """Rule of 3: the smallest error rate that n independent trials without an error can exclude.

    Exact form ``1 - (1 - confidence) ** (1 / n)``, about 3 / n at 95 %. Mansfield and Wayman, Best Practices
    in Testing and Reporting Performance of Biometric Devices, 2002, appendix on test size; taken up by
    ISO/IEC 19795-1.

    Args:
        n: trials, 0 or more; none excludes nothing.
        confidence: one-sided, in (0, 1).
    """
    return 1.0 if n < 1 else -math.expm1(math.log1p(-confidence) / n)


def least_trials(target: float, confidence: float = CONFIDENCE) -> int:
    """Rule of 3, the other way: trials without any error that are needed to show a rate of ``target``."""
    if not 0 < target < 1:
        raise UsageError(f"an error rate to be shown must be between 0 and 1, not {target}")
    return math.ceil(math.log1p(-confidence) / math.log1p(-target) - 1e-9)


def follows_rule_of_30(errors: int) -> bool:
    """Rule of 30: with 30 errors the true rate is within 30 % of the measured one, at 90 % confidence.

    Doddington et al., Speech Communication 31(2-3), 2000; taken up by ISO/IEC 19795-1.
    """
    return errors >= 30


def draw_clusters(clusters: Integers, rounds: int, rng: np.random.Generator) -> F64:
    """Draw whole clusters with replacement, as many as there are.

    Args:
        clusters: cluster of each row, 0..k-1, each number in use, (n,).
        rounds: replicates.
        rng: where chance comes from.

    Returns:
        How often each row is drawn, float64 (rounds, n); rows of one cluster share their number.
    """
    k = int(clusters.max()) + 1
    return draw_counts(k, rounds, rng)[:, clusters]


def draw_counts(clusters: int, rounds: int, rng: np.random.Generator) -> F64:
    """How often each of several clusters is drawn, float64 (rounds, clusters)."""
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=rounds).astype(np.float64)


def bootstrap(
    rows: int,
    draw: Callable[[int], F64],
    measure: Callable[[F64], F64],
    rounds: int = ROUNDS,
) -> F64:
    """Values of several measures over weighted replicates, in blocks of bounded memory.

    Efron, Annals of Statistics 7(1), 1979; for biometric scores with whole people drawn: Bolle, Ratha and
    Pankanti, Computer Vision and Image Understanding 93(1), 2004.

    Args:
        rows: rows that are weighted.
        draw: number of replicates to weights, float64 (replicates, rows).
        measure: weights to values, float64 (replicates, measures); NaN where a replicate has none.
        rounds: replicates.

    Returns:
        float64 (rounds, measures).
    """
    block = max(1, min(rounds, _BLOCK // max(1, rows)))
    sizes = [min(block, rounds - start) for start in range(0, rounds, block)]
    return np.concatenate([measure(draw(size)) for size in sizes])


def percentile_interval(values: F64) -> Interval | None:
    """Middle 95 % of a bootstrap's replicates.

    Args:
        values: float64 (rounds,); NaN is left out.

    Returns:
        The interval; None where fewer than half of the replicates have a value, or all have the same: then
        there was nothing to vary, and an interval of no width would claim what was not shown.
    """
    kept = values[np.isfinite(values)]
    if kept.size < max(1, values.size / 2) or float(np.ptp(kept)) < 1e-12:
        return None
    low, high = np.quantile(kept, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high))


def number(names: NDArray[np.str_]) -> Integers:
    """Names to numbers 0..k-1, equal names to equal numbers."""
    return np.unique(names, return_inverse=True)[1].reshape(-1).astype(np.int64)
