"""Outcomes to the report's JSON: the contract's keys first, then what stands behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from pipeline.evaluation.curve import Flags
from pipeline.evaluation.intervals import FEW_CLUSTERS, ROUNDS, SEED, Rate, zero_error_bound
from pipeline.evaluation.metrics import (
    FixedPoint,
    PadMeasures,
    Ranking,
    Resampled,
    SpeciesErrors,
    pad_measures,
    resample,
)
from pipeline.evaluation.numbers import det_json, ends, percent, rate_json, rounded
from pipeline.evaluation.outcomes import Outcome, Table, table
from pipeline.evaluation.reliability import reliability

SCHEMA: Final = 1
FEW: Final = 30
"""Presentations of a species below which the report warns: without an error, 30 show no less than 9.5 %."""
MANY_SILENT: Final = 0.05
"""Share without a response above which the report warns."""


def pad_json(outcomes: Sequence[Outcome], threshold: float, *, rounds: int = ROUNDS) -> dict[str, Any]:
    """The report, without what `facts.run_facts` adds.

    Args:
        outcomes: one for each presentation, at least one.
        threshold: the product's own.
        rounds: bootstrap replicates.
    """
    columns = table(outcomes)
    measures = pad_measures(columns.scores, columns.live, columns.accepted, columns.species)
    resampled = resample(
        columns.scores, columns.live, columns.accepted, columns.species, columns.units, rounds
    )
    groups = sorted({str(group) for group in columns.groups if group})
    levels = sorted({str(level) for level in columns.levels if level})
    report: dict[str, Any] = {
        "kind": "pad",
        "schema": SCHEMA,
        **_summary(measures, threshold, resampled),
        "bpcer_detail": {
            **rate_json(measures.bpcer),
            "ci95_subjects": ends(resampled.bpcer) if resampled else None,
            "no_response": measures.bpnrr.errors,
            "bpnrr": rate_json(measures.bpnrr),
            "of_responses": rate_json(measures.bpcer_of_responses),
        },
        "data_driven": _data_driven(measures),
        "bootstrap": _bootstrap(resampled, columns, rounds),
        "no_response": silent_reasons(outcomes),
        "verdicts_beside_threshold": _beside(columns, threshold),
        "reliability": reliability_json(columns, np.ones(columns.live.size, np.bool_), rounds),
        "ms": _times(outcomes),
    }
    if groups:
        report["per_group"] = {
            group: {
                **_summary(_part(columns, columns.groups == group), threshold, None),
                "reliability": reliability_json(columns, columns.groups == group, rounds),
            }
            for group in groups
        }
    if len(levels) > 1:
        report["per_level"] = {
            level: _summary(_part(columns, columns.levels == level), threshold, None) for level in levels
        }
    report["notes"] = notes(measures, resampled, columns)
    ranking = measures.ranking
    report["det"] = det_json(ranking.curve if ranking else None, "apcer", "bpcer")
    return report


def silent_reasons(outcomes: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    """Non-responses by reason and label, the commonest first."""
    counts = Counter((o.reason or "", o.item.live) for o in outcomes if o.score is None)
    totals = Counter({reason: counts[reason, True] + counts[reason, False] for reason, _ in counts})
    ordered = sorted(totals, key=lambda reason: (-totals[reason], reason))
    return {r: {"live": counts[r, True], "spoof": counts[r, False]} for r in ordered}


def reliability_json(columns: Table, rows: Flags, rounds: int) -> dict[str, Any] | None:
    """Calibration of the scores of some rows; None where a class has none."""
    found = reliability(columns.scores[rows], columns.live[rows], columns.units[rows], rounds)
    if found is None:
        return None
    return {
        "n_live": found.n_live,
        "n_spoof": found.n_spoof,
        "cllr": rounded(found.cllr),
        "cllr_ci95_subjects": ends(found.cllr_interval),
        "cllr_min": rounded(found.cllr_min),
        "cllr_loss": rounded(found.loss),
        "ece": rounded(found.ece),
        "mce": rounded(found.mce),
        "brier": rounded(found.brier),
        "scores_at_0_or_1": found.certain,
        "bins": [
            {
                "low": rounded(b.low),
                "high": rounded(b.high),
                "score": rounded(b.score),
                "observed": rounded(b.observed),
                "ci95": ends(b.interval),
                "live": b.live,
                "attacks": b.attacks,
            }
            for b in found.bins
        ],
    }


def notes(measures: PadMeasures, resampled: Resampled | None, columns: Table) -> list[str]:
    """What a reader has to know before quoting a number."""
    said = []
    if not measures.n_live or not measures.n_spoof:
        said.append("There are only presentations of one class: AUC, EER and fixed points can't be measured.")
    for species in measures.species:
        bound = zero_error_bound(species.apcer.n)
        if species.apcer.n < FEW:
            said.append(
                f"{species.species}: only {species.apcer.n} presented. Even with no error so few can't show "
                f"an APCER below {percent(bound)} (rule of 3)."
            )
    silent: list[tuple[str, Rate]] = [("live presentations", measures.bpnrr)]
    silent += [(f"attacks of {s.species}", s.no_response) for s in measures.species]
    for what, rate in silent:
        if rate.value is not None and rate.value > MANY_SILENT:
            said.append(
                f"{rate.errors} of {rate.n} {what} ({percent(rate.value)}) got no response. They "
                "count as not accepted; the rate over responses alone stands beside."
            )
    if len(set(columns.levels) - {""}) > 1:
        said.append(
            "Pictures and videos are in one list. A picture is judged alone at the threshold, a video by the "
            "sequential decision, which wants more: read them apart, by level."
        )
    if not columns.named:
        said.append(
            "Not every row names its subject. Rows without one were resampled as if each were a person "
            "of its own, so the bootstrap intervals may be too narrow."
        )
    if resampled is None:
        said.append("Too few subjects for bootstrap intervals.")
    elif min(resampled.live_units, resampled.attack_units) < FEW_CLUSTERS:
        said.append(
            f"The bootstrap rests on {resampled.live_units} live and "
            f"{resampled.attack_units} attack units; below {FEW_CLUSTERS} its intervals are too narrow."
        )
    return said


def _summary(measures: PadMeasures, threshold: float, resampled: Resampled | None) -> dict[str, Any]:
    ranking = measures.ranking
    worst = measures.worst
    return {
        "n_live": measures.n_live,
        "n_spoof": measures.n_spoof,
        "n_no_response": measures.n_no_response,
        "auc": rounded(ranking.auc) if ranking else None,
        "eer": rounded(ranking.eer.rate) if ranking else None,
        "threshold": rounded(threshold),
        "bpcer": rounded(measures.bpcer.value),
        "bpcer_ci95": ends(measures.bpcer.interval),
        "apcer_max": rounded(measures.apcer_max),
        "apcer_max_species": worst.species if worst else None,
        "apcer": {species.species: _species(species, resampled) for species in measures.species},
        "acer": rounded(measures.acer),
        "bpcer_at_apcer_5": rounded(_at(ranking, 0.05)),
    }


def _part(columns: Table, rows: Flags) -> PadMeasures:
    return pad_measures(
        columns.scores[rows], columns.live[rows], columns.accepted[rows], columns.species[rows]
    )


def _species(species: SpeciesErrors, resampled: Resampled | None) -> dict[str, Any]:
    body = rate_json(species.apcer)
    body["accepted"] = body.pop("errors")
    if resampled is not None:
        body["ci95_subjects"] = ends(resampled.apcer[species.species])
    return {
        **body,
        "no_response": species.no_response.errors,
        "apnrr": rate_json(species.no_response),
        "of_responses": rate_json(species.of_responses),
    }


def _at(ranking: Ranking | None, limit: float) -> float | None:
    points = [point for point in ranking.pooled if point.limit == limit] if ranking else []
    return points[0].bpcer.value if points else None


def _data_driven(measures: PadMeasures) -> dict[str, Any] | None:
    ranking, responses = measures.ranking, measures.ranking_of_responses
    if ranking is None:
        return None
    return {
        "eer_threshold": rounded(ranking.eer.threshold),
        "bpcer_at_apcer": {f"{p.limit * 100:g}": _point(p) for p in ranking.pooled},
        "bpcer_at_apcer_max": {f"{p.limit * 100:g}": _point(p) for p in ranking.worst},
        "of_responses": None
        if responses is None
        else {
            "auc": rounded(responses.auc),
            "eer": rounded(responses.eer.rate),
            "bpcer_at_apcer_5": rounded(_at(responses, 0.05)),
        },
    }


def _point(point: FixedPoint) -> dict[str, Any]:
    return {
        "threshold": rounded(point.threshold),
        "bpcer": rate_json(point.bpcer),
        "apcer": rate_json(point.apcer),
    }


def _bootstrap(resampled: Resampled | None, columns: Table, rounds: int) -> dict[str, Any] | None:
    if resampled is None:
        return None
    return {
        "rounds": rounds,
        "seed": SEED,
        "unit": "subject" if columns.named else "subject, or file where none is named",
        "live_units": resampled.live_units,
        "attack_units": resampled.attack_units,
        "auc": ends(resampled.auc),
        "eer": ends(resampled.eer),
        "bpcer": ends(resampled.bpcer),
        "bpcer_at_apcer_5": ends(resampled.bpcer_at_apcer_5),
    }


def _beside(columns: Table, threshold: float) -> dict[str, int]:
    """Verdicts that the threshold alone would not have given."""
    above = np.nan_to_num(columns.scores, nan=-1.0) >= threshold
    return {
        "refused_above": int((above & ~columns.accepted).sum()),
        "accepted_below": int((~above & columns.accepted).sum()),
    }


def _times(outcomes: Sequence[Outcome]) -> dict[str, float | None]:
    times = [outcome.ms for outcome in outcomes if outcome.ms is not None]
    if not times:
        return {"median": None, "p95": None}
    return {"median": round(float(np.median(times)), 2), "p95": round(float(np.quantile(times, 0.95)), 2)}
