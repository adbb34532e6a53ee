"""Scores against labels at every threshold: the two error rates, AUC, EER, fixed points. Higher is better.

One definition holds for liveness (genuine: live, impostor: attack) and for comparison (genuine: same person,
impostor: different people): whoever scores at or above the threshold is accepted. What gave no score is
handed in as minus infinity: it ranks below every score, all such tie, and no threshold that is a score
accepts it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.evaluation.intervals import F64

Flags = NDArray[np.bool_]

_SLACK = 1e-9
"""Relative: a share that equals a limit on paper is not above it by a rounding error."""


@dataclass(frozen=True, slots=True, eq=False)
class ErrorCurve:
    """Both error rates at every threshold that changes one; thresholds rise, the last one accepts nobody.

    Attributes:
        thresholds: float64 (k + 1,), the k distinct scores and then infinity.
        false_accept: share of impostors at or above each threshold, falls from 1 to 0.
        false_reject: share of genuine ones below each threshold, rises from 0 to 1.
    """

    thresholds: F64
    false_accept: F64
    false_reject: F64


@dataclass(frozen=True, slots=True)
class EqualError:
    """Where both errors are equal.

    Attributes:
        rate: in [0, 1].
        threshold: the score of the curve's point nearest to it; minus infinity or infinity where that point
            accepts all or none.
    """

    rate: float
    threshold: float


def error_curve(scores: F64, genuine: Flags) -> ErrorCurve:
    """Sweep the threshold.

    Args:
        scores: float64 (n,), no NaN.
        genuine: bool (n,), at least one of each.

    Raises:
        UsageError: a score is NaN, the lengths differ, or a class is empty.
    """
    check(scores, genuine)
    sweep = Sweep(scores, genuine)
    accept, reject = sweep.errors(np.ones((1, scores.size)))
    return ErrorCurve(sweep.thresholds, accept[0], reject[0])


class Sweep:
    """Scores sorted once, their error rates under many weightings.

    Args:
        scores: float64 (n,), no NaN.
        genuine: bool (n,).
    """

    def __init__(self, scores: F64, genuine: Flags) -> None:
        self._order = np.argsort(scores, kind="stable")
        ranked = scores[self._order]
        self._last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        self._genuine = genuine[self._order]
        self.thresholds: F64 = np.append(ranked[self._last], np.inf)

    def errors(self, weights: F64) -> tuple[F64, F64]:
        """False-accept and false-reject rates, each float64 (b, k + 1), of weights (b, n), 0 or above.

        Rows in which a class weighs nothing are NaN.
        """
        ranked = weights[:, self._order]
        return 1.0 - self._below(ranked * ~self._genuine), self._below(ranked * self._genuine)

    def _below(self, ranked: F64) -> F64:
        """Weighted share below each threshold."""
        total = np.cumsum(ranked, axis=1)
        whole = total[:, -1:]
        with np.errstate(invalid="ignore", divide="ignore"):
            share = total[:, self._last] / whole
        return np.concatenate([np.where(whole > 0, 0.0, np.nan), share], axis=1)


def check(scores: F64, genuine: Flags) -> None:
    """Refuse scores that no curve can be made of.

    Raises:
        UsageError: a score is NaN, the lengths differ, or a class is empty.
    """
    if scores.shape != genuine.shape or scores.ndim != 1:
        raise UsageError("scores and labels must be of one length")
    if np.isnan(scores).any():
        raise UsageError("a score is not a number")
    if not genuine.any() or genuine.all():
        raise UsageError("a curve needs both classes")


def auc(scores: F64, genuine: Flags) -> float:
    """Area under the ROC curve: chance that a genuine one scores above an impostor, ties counted half.

    The rank statistic of Mann and Whitney, Annals of Mathematical Statistics 18(1), 1947.

    Raises:
        UsageError: see `check`.
    """
    check(scores, genuine)
    impostor = np.sort(scores[~genuine])
    ours = scores[genuine]
    wins = np.searchsorted(impostor, ours, side="left") + np.searchsorted(impostor, ours, side="right")
    return float(wins.sum(dtype=np.float64) / (2.0 * ours.size * impostor.size))


def area(false_accept: F64, false_reject: F64) -> F64:
    """The same area by trapezoids under the curve: (..., k) and (..., k) to (...,)."""
    step = false_accept[..., :-1] - false_accept[..., 1:]
    height = 1.0 - (false_reject[..., :-1] + false_reject[..., 1:]) / 2
    return np.asarray((step * height).sum(axis=-1), np.float64)


def equal_error(curve: ErrorCurve) -> EqualError:
    """Equal error rate: where the curve, its points joined by straight lines, crosses equality.

    Without ties one rate stands still between two neighbours, and the crossing is the rate of the staircase
    itself; across a tie it is what breaking the tie by lot gives, as for `auc`. The convex hull is not taken:
    it promises an operating point that no threshold has.
    """
    rate = float(equal_rates(curve.false_accept, curve.false_reject))
    nearest = int(np.argmin(np.abs(curve.false_accept - curve.false_reject)))
    return EqualError(rate, float(curve.thresholds[nearest]))


def equal_rates(false_accept: F64, false_reject: F64) -> F64:
    """Equal error rates of many curves: (..., k) and (..., k) to (...,)."""
    gap = false_accept - false_reject
    after = np.argmax(gap <= 0, axis=-1, keepdims=True)
    before = np.maximum(after - 1, 0)

    def at(values: F64, index: NDArray[np.int64]) -> F64:
        return np.take_along_axis(values, index, axis=-1)[..., 0]

    high, low = at(gap, before), at(gap, after)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(high > low, high / (high - low), 0.0)
    start, end = at(false_reject, before), at(false_reject, after)
    return np.where(np.isnan(high), np.nan, start + share * (end - start))


def first_at_most(false_accept: F64, limit: float) -> NDArray[np.int64]:
    """Index of the lowest threshold whose false-accept rate is at most ``limit``: (..., k) to (...,)."""
    return np.asarray(np.argmax(false_accept <= limit * (1 + _SLACK), axis=-1), np.int64)


def reject_at(false_accept: F64, false_reject: F64, limit: float) -> F64:
    """False-reject rates at the lowest thresholds that keep the false-accept rate: (..., k) to (...,)."""
    index = first_at_most(false_accept, limit)[..., None]
    found = np.take_along_axis(false_reject, index, axis=-1)[..., 0]
    return np.where(np.isnan(false_accept[..., 0]), np.nan, found)
