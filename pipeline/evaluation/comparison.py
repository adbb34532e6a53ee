"""Measures of comparison (one picture against another), ISO/IEC 19795-1:2021. Arrays in, values out, no I/O.

FMR and FNMR are rates over comparisons, so only pairs of which both pictures gave a template count in them.
Pictures that gave none are failures to enrol (FTE); the generalised rates GFAR and GFRR put them back in:
such a pair can't be accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.evaluation.curve import (
    EqualError,
    ErrorCurve,
    Flags,
    Sweep,
    area,
    auc,
    equal_error,
    equal_rates,
    error_curve,
    first_at_most,
    reject_at,
)
from pipeline.evaluation.intervals import (
    F64,
    ROUNDS,
    SEED,
    Integers,
    Interval,
    Rate,
    bootstrap,
    draw_counts,
    least_trials,
    percentile_interval,
    zero_error_bound,
)
from pipeline.evaluation.metrics import weighted_share

FMR_TARGETS: Final = (1e-2, 1e-3, 1e-4, 1e-5)


@dataclass(frozen=True, slots=True)
class MarkErrors:
    """Errors where the product's score is at or above a mark.

    Attributes:
        score: the mark, 0..100.
        fmr: different people accepted over comparisons of different people. ISO/IEC 19795-1, FMR.
        fnmr: the same person refused over comparisons of the same person. ISO/IEC 19795-1, FNMR.
        gfar: different people accepted over all such pairs, those without a template among them.
        gfrr: the same person not accepted over all such pairs, those without a template among them.
        accuracy: comparisons judged right over all comparisons.
    """

    score: float
    fmr: Rate
    fnmr: Rate
    gfar: Rate
    gfrr: Rate
    accuracy: Rate


@dataclass(frozen=True, slots=True)
class FixedFmr:
    """FNMR where FMR is held; the threshold is chosen by the data.

    Attributes:
        target: largest FMR allowed.
        threshold: the lowest cosine that keeps it; infinity where only accepting nobody does.
        fmr: FMR reached there.
        fnmr: FNMR there.
        shown: whether there are pairs enough for the target to be shown at all, by the rule of 3. Where not,
            the row says where the threshold would lie, and proves nothing of the target.
        needed: independent pairs of different people that the rule of 3 asks for.
    """

    target: float
    threshold: float
    fmr: Rate
    fnmr: Rate
    shown: bool
    needed: int


@dataclass(frozen=True, slots=True, eq=False)
class MatchMeasures:
    """Everything that is measured on one list of pairs.

    Attributes:
        same: comparisons of the same person.
        different: comparisons of different people.
        marks: at the product's scores.
        fixed: at FMR targets; empty where a class is.
        auc, eer, curve: None where a class is empty. FMR is the curve's false-accept rate.
        best_accuracy: highest share judged right at any one threshold: chosen by the data, so too good.
        provable_fmr: the lowest FMR that so many pairs could show, had they been independent.
    """

    same: int
    different: int
    marks: tuple[MarkErrors, ...]
    fixed: tuple[FixedFmr, ...]
    auc: float | None
    eer: EqualError | None
    curve: ErrorCurve | None
    best_accuracy: Rate | None
    provable_fmr: float


@dataclass(frozen=True, slots=True)
class ResampledPairs:
    """Bootstrap intervals over people: None where nothing varied.

    Attributes:
        people: how many were drawn from.
        auc, eer: 95 % intervals.
        fnmr_at_fmr: by target.
        fmr, fnmr: by the product's mark.
    """

    people: int
    auc: Interval | None
    eer: Interval | None
    fnmr_at_fmr: dict[float, Interval | None]
    fmr: dict[float, Interval | None]
    fnmr: dict[float, Interval | None]


def match_measures(cosines: F64, scores: F64, same: Flags, marks: Sequence[float]) -> MatchMeasures:
    """Measure one list of pairs.

    Args:
        cosines: float64 (n,), NaN where a picture of the pair gave no template.
        scores: float64 (n,), the product's score of each, 0..100; NaN likewise.
        same: bool (n,), True where both pictures show one person.
        marks: the product's scores at which to report.
    """
    made = ~np.isnan(cosines)
    ours, theirs = made & same, made & ~same
    n_same, n_different = int(ours.sum()), int(theirs.sum())
    rows = []
    for mark in marks:
        accepted = made & (np.nan_to_num(scores, nan=-1.0) >= mark)
        false, missed = int((accepted & theirs).sum()), int((ours & ~accepted).sum())
        rows.append(
            MarkErrors(
                score=float(mark),
                fmr=Rate(false, n_different),
                fnmr=Rate(missed, n_same),
                gfar=Rate(false, int((~same).sum())),
                gfrr=Rate(int((same & ~accepted).sum()), int(same.sum())),
                accuracy=Rate(n_same + n_different - false - missed, n_same + n_different),
            )
        )
    curve = error_curve(cosines[made], same[made]) if n_same and n_different else None
    return MatchMeasures(
        same=n_same,
        different=n_different,
        marks=tuple(rows),
        fixed=() if curve is None else tuple(_fixed(t, curve, n_same, n_different) for t in FMR_TARGETS),
        auc=None if curve is None else auc(cosines[made], same[made]),
        eer=None if curve is None else equal_error(curve),
        curve=curve,
        best_accuracy=None if curve is None else _best(curve, n_same, n_different),
        provable_fmr=zero_error_bound(n_different),
    )


def resample_pairs(
    cosines: F64,
    scores: F64,
    same: Flags,
    people: tuple[Integers, Integers],
    marks: Sequence[float],
    rounds: int = ROUNDS,
) -> ResampledPairs | None:
    """Second intervals, because the pairs of one person, and those of one picture, are not independent.

    People are drawn with replacement; a pair weighs as often as its person was drawn, a pair of two people
    the product of both numbers (the subsets bootstrap of Bolle, Ratha and Pankanti, 2004, carried to both
    sides of a pair).

    Args:
        cosines: as for `match_measures`.
        scores: likewise.
        same: likewise.
        marks: likewise.
        people: person on each side, two int64 arrays (n,), numbers from 0.
        rounds: replicates.

    Returns:
        The intervals, or None where a class is empty or there are fewer than three people.
    """
    made = ~np.isnan(cosines)
    truth = same[made]
    count = 1 + int(max(people[0].max(), people[1].max())) if same.size else 0
    if count < 3 or not truth.any() or truth.all():
        return None
    left, right = people[0][made], people[1][made]
    accepted = [scores[made] >= mark for mark in marks]
    sweep = Sweep(cosines[made], truth)
    rng = np.random.default_rng(SEED)

    def draw(size: int) -> F64:
        drawn = draw_counts(count, size, rng)
        return drawn[:, left] * np.where(left == right, 1.0, drawn[:, right])

    def measure(weights: F64) -> F64:
        accept, reject = sweep.errors(weights)
        return np.stack(
            [
                area(accept, reject),
                equal_rates(accept, reject),
                *(reject_at(accept, reject, target) for target in FMR_TARGETS),
                *(weighted_share(weights, ~truth, hit) for hit in accepted),
                *(weighted_share(weights, truth, ~hit) for hit in accepted),
            ],
            axis=1,
        )

    ends = [percentile_interval(column) for column in bootstrap(truth.size, draw, measure, rounds).T]
    first, second = 2 + len(FMR_TARGETS), 2 + len(FMR_TARGETS) + len(marks)
    return ResampledPairs(
        people=count,
        auc=ends[0],
        eer=ends[1],
        fnmr_at_fmr=dict(zip(FMR_TARGETS, ends[2:first], strict=True)),
        fmr=dict(zip(marks, ends[first:second], strict=True)),
        fnmr=dict(zip(marks, ends[second:], strict=True)),
    )


def unite(names: Sequence[str], together: Sequence[tuple[str, str]]) -> dict[str, int]:
    """People from pairs: pictures that "same" joins, over any number of steps, are one person.

    Args:
        names: all pictures.
        together: pairs of the same person.

    Returns:
        Picture to person, numbers from 0. A picture that no such pair names is a person of its own; if it
        shows somebody who is there already, the bootstrap's interval comes out too narrow.
    """
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for a, b in together:
        parent[root(a)] = root(b)
    numbers: dict[str, int] = {}
    return {name: numbers.setdefault(root(name), len(numbers)) for name in names}


def _fixed(target: float, curve: ErrorCurve, n_same: int, n_different: int) -> FixedFmr:
    index = int(first_at_most(curve.false_accept, target))
    needed = least_trials(target)
    return FixedFmr(
        target=target,
        threshold=float(curve.thresholds[index]),
        fmr=Rate(round(float(curve.false_accept[index]) * n_different), n_different),
        fnmr=Rate(round(float(curve.false_reject[index]) * n_same), n_same),
        shown=n_different >= needed,
        needed=needed,
    )


def _best(curve: ErrorCurve, n_same: int, n_different: int) -> Rate:
    wrong = curve.false_accept * n_different + curve.false_reject * n_same
    return Rate(n_same + n_different - round(float(wrong.min())), n_same + n_different)
