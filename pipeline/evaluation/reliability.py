"""Whether scores mean what they say: calibration error and cost of likelihood ratios. Arrays in, no I/O.

A score of livegate is the posterior of a live person at equal priors. Here both classes weigh the same
whatever their numbers, so that a data set with few attacks is not told to be calibrated otherwise. Without a
response there is no score to be right or wrong: such presentations are left out and counted beside.

Cllr is the cost of the ratios over all priors and costs (Bruemmer and du Preez, Application-independent
evaluation of speaker detection, Computer Speech and Language 20, 2006): 0 is perfect, 1 is a score that says
nothing, above 1 is worse than saying nothing. Its least value under any rising map of the scores, found by
pool adjacent violators (Ayer et al., Annals of Mathematical Statistics 26(4), 1955), is what the scores could
do; the rest is loss by calibration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.curve import Flags, check
from pipeline.evaluation.intervals import F64, ROUNDS, Interval, Rate, bootstrap, percentile_interval
from pipeline.evaluation.metrics import ClassDrawer

BINS: Final = 10
"""Bins of equal width for the calibration error, as Guo et al. (ICML 2017) and most since."""
CERTAIN: Final = 1e-6
"""Scores nearer to 0 or 1 are taken for this: a veto scores 0, and a wrong one would cost infinitely."""


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of the reliability plot.

    Attributes:
        low, high: its edges; the last one holds its upper edge.
        score: mean score in it, both classes alike in weight.
        observed: share of live presentations in it, likewise.
        interval: exact 95 % interval of `observed`: Clopper and Pearson's of the plain share, its odds scaled
            by the weights of the classes.
        live, attacks: presentations.
    """

    low: float
    high: float
    score: float
    observed: float
    interval: Interval | None
    live: int
    attacks: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far scores are what they claim to be.

    Attributes:
        n_live, n_spoof: presentations with a score.
        cllr: in bits; see the module.
        cllr_interval: 95 %, whole subjects drawn; None where nothing varied or a class has one subject.
        cllr_min: the least that any rising map of the scores could have.
        ece: expected calibration error: mean of ``abs(observed - score)`` over bins, by their weight.
        mce: the largest of them.
        brier: mean squared distance of score and truth, both classes alike in weight; 0.25 says nothing.
        certain: scores that lie within `CERTAIN` of 0 or 1.
        bins: those that are not empty.
    """

    n_live: int
    n_spoof: int
    cllr: float
    cllr_interval: Interval | None
    cllr_min: float
    ece: float
    mce: float
    brier: float
    certain: int
    bins: tuple[Bin, ...]

    @property
    def loss(self) -> float:
        """Part of Cllr that a better calibration would take away, in bits."""
        return self.cllr - self.cllr_min


def reliability(
    scores: F64, live: Flags, units: NDArray[np.str_] | None = None, rounds: int = ROUNDS
) -> Reliability | None:
    """Measure the calibration of scores.

    Args:
        scores: float64 (n,), in [0, 1], NaN where there was no response.
        live: bool (n,).
        units: str (n,), the subject of each; no interval without.
        rounds: bootstrap replicates.

    Returns:
        The measures; None where a class has no score.
    """
    seen = ~np.isnan(scores)
    scores, live = scores[seen], live[seen]
    if not live.any() or live.all():
        return None
    ratios = log_ratios(scores)
    weights = balanced(live)
    bins = reliability_bins(scores, live)
    parts = np.array([_weight(b, live) for b in bins])
    gaps = np.array([abs(b.observed - b.score) for b in bins])
    return Reliability(
        n_live=int(live.sum()),
        n_spoof=int((~live).sum()),
        cllr=cllr(ratios, live),
        cllr_interval=None if units is None else _interval(ratios, live, units[seen], rounds),
        cllr_min=cllr_min(scores, live),
        ece=float(parts @ gaps),
        mce=float(gaps.max()),
        brier=float(weights @ (scores - live) ** 2),
        certain=int(((scores <= CERTAIN) | (scores >= 1 - CERTAIN)).sum()),
        bins=bins,
    )


def log_ratios(scores: F64) -> F64:
    """Posteriors at equal priors as natural log-likelihood ratios, `CERTAIN` from the ends at least."""
    p = np.clip(scores, CERTAIN, 1 - CERTAIN)
    return np.asarray(np.log(p) - np.log1p(-p), np.float64)


def cllr(ratios: F64, live: Flags) -> float:
    """Cost of log-likelihood ratios in bits.

    ``(mean over live of log2(1 + exp(-llr)) + mean over attacks of log2(1 + exp(llr))) / 2``

    Args:
        ratios: float64 (n,), natural logs, infinite ones allowed.
        live: bool (n,), both classes in it.

    Raises:
        UsageError: a ratio is NaN or a class is empty.
    """
    check(ratios, live)
    costs = np.logaddexp(0.0, np.where(live, -ratios, ratios)) / np.log(2)
    return float(balanced(live) @ costs)


def cllr_min(scores: F64, live: Flags) -> float:
    """The least Cllr under any map that keeps the order of the scores.

    Raises:
        UsageError: a score is NaN or a class is empty.
    """
    check(scores, live)
    with np.errstate(divide="ignore"):
        p = pool(scores, live.astype(np.float64), balanced(live))
        return cllr(np.log(p) - np.log1p(-p), live)


def pool(x: F64, y: F64, weights: F64) -> F64:
    """Least-squares rising fit of ``y`` over ``x`` by pool adjacent violators; equal ``x`` get one value.

    Args:
        x: float64 (n,).
        y: float64 (n,).
        weights: float64 (n,), above 0.

    Returns:
        float64 (n,), in the order of the arguments.
    """
    _, group = np.unique(x, return_inverse=True)
    group = group.reshape(-1)
    weight = np.bincount(group, weights)
    value = np.bincount(group, weights * y) / weight
    blocks: list[list[float]] = []  # mean, weight, groups
    for mean, mass in zip(value.tolist(), weight.tolist(), strict=True):
        blocks.append([mean, mass, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            last = blocks.pop()
            before = blocks[-1]
            total = before[1] + last[1]
            before[0] = (before[0] * before[1] + last[0] * last[1]) / total
            before[1], before[2] = total, before[2] + last[2]
    fitted = np.repeat([b[0] for b in blocks], [int(b[2]) for b in blocks])
    return np.asarray(np.clip(fitted, 0.0, 1.0)[group] if _shares(y) else fitted[group], np.float64)


def reliability_bins(scores: F64, live: Flags, bins: int = BINS) -> tuple[Bin, ...]:
    """Bins of equal width over [0, 1] that hold a presentation, in their order."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, bins - 1)
    weights = balanced(live)
    odds = live.sum() / (~live).sum()
    found = []
    for k in np.unique(place):
        mine = place == k
        mass = float(weights[mine].sum())
        people, attacks = int((mine & live).sum()), int((mine & ~live).sum())
        plain = Rate(people, people + attacks).interval
        found.append(
            Bin(
                low=float(edges[k]),
                high=float(edges[k + 1]),
                score=float(weights[mine] @ scores[mine]) / mass,
                observed=float(weights[mine & live].sum()) / mass,
                interval=None
                if plain is None
                else Interval(_scaled(plain.low, float(odds)), _scaled(plain.high, float(odds))),
                live=people,
                attacks=attacks,
            )
        )
    return tuple(found)


def balanced(live: Flags) -> F64:
    """Weights that sum to 1, half of it on each class: float64 (n,)."""
    return np.where(live, 0.5 / max(1, int(live.sum())), 0.5 / max(1, int((~live).sum())))


def _shares(y: F64) -> bool:
    return bool(y.size) and float(y.min()) >= 0 and float(y.max()) <= 1


def _scaled(share: float, odds: float) -> float:
    """A share of live presentations as it would be with as many attacks as live ones."""
    return share / (share + (1 - share) * odds)


def _weight(one: Bin, live: Flags) -> float:
    return 0.5 * one.live / int(live.sum()) + 0.5 * one.attacks / int((~live).sum())


def _interval(ratios: F64, live: Flags, units: NDArray[np.str_], rounds: int) -> Interval | None:
    drawer = ClassDrawer(live, units)
    if drawer.fewest < 2:
        return None
    costs = np.logaddexp(0.0, np.where(live, -ratios, ratios)) / np.log(2)

    def measure(weights: F64) -> F64:
        sides = [(weights[:, side] @ costs[side]) / weights[:, side].sum(axis=1) for side in (live, ~live)]
        return np.asarray((sides[0] + sides[1])[:, None] / 2, np.float64)

    return percentile_interval(bootstrap(live.size, drawer.draw, measure, rounds)[:, 0])
