"""Compared pairs to the report's JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from pipeline.evaluation.compared import Compared
from pipeline.evaluation.comparison import (
    FixedFmr,
    MarkErrors,
    MatchMeasures,
    ResampledPairs,
    match_measures,
    resample_pairs,
)
from pipeline.evaluation.intervals import FEW_CLUSTERS, ROUNDS, SEED, Interval, Rate, follows_rule_of_30
from pipeline.evaluation.numbers import det_json, ends, percent, rate_json, rounded

SCHEMA: Final = 1
MARKS: Final = (60.0, 80.0, 90.0, 95.0)
"""The product's scores for which the protocol publishes false-match rates: 1, 0.1, 0.01 and 0.001 %."""
SHOWN_LINES: Final = 10


def match_json(
    compared: Compared, threshold: float, *, marks: Sequence[float] = MARKS, rounds: int = ROUNDS
) -> dict[str, Any]:
    """The report, without what `facts.run_facts` adds.

    Args:
        compared: the pairs.
        threshold: the product's score at or above which it takes two faces for one person, 0..100.
        marks: further scores to report at.
        rounds: bootstrap replicates.
    """
    marks = sorted({*marks, float(threshold)})
    measures = match_measures(compared.cosines, compared.scores, compared.same, marks)
    resampled = resample_pairs(
        compared.cosines, compared.scores, compared.same, compared.people, marks, rounds
    )
    own = next(row for row in measures.marks if row.score == threshold)
    n_people = 1 + int(max(compared.people[0].max(), compared.people[1].max()))
    return {
        "kind": "match",
        "schema": SCHEMA,
        "n_same": int(compared.same.sum()),
        "n_different": int((~compared.same).sum()),
        "n_same_compared": measures.same,
        "n_different_compared": measures.different,
        "n_pictures": compared.pictures,
        "n_people": n_people,
        "failure_to_enrol": {
            **rate_json(Rate(len(compared.failed), compared.pictures)),
            "by_reason": dict(sorted(Counter(compared.failed.values()).items())),
        },
        "threshold": rounded(threshold),
        "fmr": rounded(own.fmr.value),
        "fmr_ci95": ends(own.fmr.interval),
        "fnmr": rounded(own.fnmr.value),
        "fnmr_ci95": ends(own.fnmr.interval),
        "accuracy": rounded(own.accuracy.value),
        "eer": rounded(measures.eer.rate) if measures.eer else None,
        "auc": rounded(measures.auc),
        "at_score": {f"{row.score:g}": _mark(row, resampled) for row in measures.marks},
        "fnmr_at_fmr": {f"{row.target:g}": _fixed(row, resampled) for row in measures.fixed},
        "data_driven": {
            "eer_threshold": rounded(measures.eer.threshold) if measures.eer else None,
            "best_accuracy": rate_json(measures.best_accuracy) if measures.best_accuracy else None,
        },
        "provable_fmr": rounded_small(measures.provable_fmr),
        "bootstrap": _bootstrap(resampled, rounds),
        "notes": notes(measures, resampled, compared),
        "det": det_json(measures.curve, "fmr", "fnmr"),
    }


def notes(measures: MatchMeasures, resampled: ResampledPairs | None, compared: Compared) -> list[str]:
    """What a reader has to know before quoting a number."""
    said = []
    if measures.different:
        said.append(
            f"{measures.different:,} comparisons of different people can't show an FMR below "
            f"{percent(measures.provable_fmr)}, not even without a single false match (rule of 3)."
        )
        beyond = [row for row in measures.fixed if not row.shown]
        if beyond:
            said.append(
                "So nothing here proves an FMR of "
                + " or ".join(percent(row.target) for row in beyond)
                + ": "
                + ", ".join(f"{percent(row.target)} asks for {row.needed:,}" for row in beyond)
                + " independent pairs. The FNMR beside such a target is that of the threshold at which this "
                "data has no false match left."
            )
        said.append(
            "Pairs are not independent: a picture stands in many, a person in more. The exact intervals take "
            "them for independent and are too narrow; the ones by people are the ones to quote."
        )
    if not measures.different or not measures.same:
        said.append("There are only pairs of one kind: EER, AUC and fixed points can't be measured.")
    if resampled is None:
        said.append("Too few people for bootstrap intervals.")
    elif resampled.people < FEW_CLUSTERS:
        said.append(
            f"The bootstrap rests on {resampled.people} people; below {FEW_CLUSTERS} it is too narrow."
        )
    if any(not (pair.subject_a and pair.subject_b) for pair in compared.pairs):
        said.append(
            "The list names no subjects. Pictures that its pairs call the same were taken for one person, "
            "all others for people of their own."
        )
    if compared.failed:
        said.append(
            f"{len(compared.failed)} of {compared.pictures} pictures gave no template. Their pairs are left "
            "out of FMR and FNMR, and count as not accepted in the generalised rates GFAR and GFRR."
        )
    if compared.contradictions:
        lines = ", ".join(str(line) for line in compared.contradictions[:SHOWN_LINES])
        more = ", ..." if len(compared.contradictions) > SHOWN_LINES else ""
        said.append(
            f"{len(compared.contradictions)} rows say different of pictures that other rows call the same "
            f"(lines {lines}{more}): check the labels."
        )
    return said


def rounded_small(value: float) -> float:
    """Three figures that matter, however small."""
    return float(f"{value:.3g}")


def _mark(row: MarkErrors, resampled: ResampledPairs | None) -> dict[str, Any]:
    return {
        "fmr": _with_people(row.fmr, resampled.fmr[row.score] if resampled else None),
        "fnmr": _with_people(row.fnmr, resampled.fnmr[row.score] if resampled else None),
        "gfar": rate_json(row.gfar),
        "gfrr": rate_json(row.gfrr),
        "accuracy": rate_json(row.accuracy),
    }


def _fixed(row: FixedFmr, resampled: ResampledPairs | None) -> dict[str, Any]:
    return {
        "threshold": rounded(row.threshold),
        "fmr": rate_json(row.fmr),
        "fnmr": _with_people(row.fnmr, resampled.fnmr_at_fmr[row.target] if resampled else None),
        "shown": row.shown,
        "needed": row.needed,
    }


def _with_people(rate: Rate, interval: Interval | None) -> dict[str, Any]:
    return {
        **rate_json(rate),
        "ci95_people": ends(interval),
        "rule_of_30": follows_rule_of_30(rate.errors),
    }


def _bootstrap(resampled: ResampledPairs | None, rounds: int) -> dict[str, Any] | None:
    if resampled is None:
        return None
    return {
        "rounds": rounds,
        "seed": SEED,
        "unit": "person",
        "people": resampled.people,
        "eer": ends(resampled.eer),
        "auc": ends(resampled.auc),
    }
