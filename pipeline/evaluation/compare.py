"""Two reports on the same presentations: what the difference is, and whether it can be chance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UsageError
from pipeline.evaluation.curve import Flags, Sweep, area, auc, equal_rates, error_curve, reject_at
from pipeline.evaluation.extra import need
from pipeline.evaluation.folder import SCORES_CSV, read_json
from pipeline.evaluation.intervals import (
    F64,
    ROUNDS,
    Interval,
    Rate,
    bootstrap,
    percentile_interval,
)
from pipeline.evaluation.metrics import ClassDrawer, rank
from pipeline.evaluation.numbers import ends, rounded
from pipeline.evaluation.outcomes import Outcome, Table, read_outcomes, table

RANKED = ("auc", "eer", "bpcer_at_apcer_5")


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The verdicts of both on one kind of presentation.

    Attributes:
        name: ``live``, or ``spoof/`` and the species.
        a, b: error rate of each.
        only_a, only_b: presentations that this one alone got wrong.
        p: McNemar's test, exact two-sided binomial form: chance of so uneven a split if both erred alike.
            Psychometrika 12(2), 1947. It takes presentations for independent.
    """

    name: str
    a: Rate
    b: Rate
    only_a: int
    only_b: int
    p: float


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure of both.

    Attributes:
        name: `auc`, `eer` or `bpcer_at_apcer_5`.
        a, b: the measure of each.
        interval: 95 % of b - a, whole subjects drawn for both at once; None where nothing varied.
    """

    name: str
    a: float
    b: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` found.

    Attributes:
        common: presentations in both.
        only_a, only_b: presentations in one of them; they are left out of everything else.
        verdicts: at each one's own threshold; live first, then the species, the largest change first.
        differences: without thresholds; empty where a class is.
    """

    common: int
    only_a: int
    only_b: int
    verdicts: tuple[Verdicts, ...]
    differences: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "kind": "pad_comparison",
            "common": self.common,
            "only_a": self.only_a,
            "only_b": self.only_b,
            "verdicts": {
                v.name: {
                    "a": rounded(v.a.value),
                    "b": rounded(v.b.value),
                    "n": v.a.n,
                    "wrong_in_a_only": v.only_a,
                    "wrong_in_b_only": v.only_b,
                    "p_mcnemar": rounded(v.p),
                }
                for v in self.verdicts
            },
            "differences": {
                d.name: {
                    "a": rounded(d.a),
                    "b": rounded(d.b),
                    "b_minus_a": rounded(d.b - d.a),
                    "ci95": ends(d.interval),
                }
                for d in self.differences
            },
        }


def compare(first: Path, second: Path, *, rounds: int = ROUNDS) -> Comparison:
    """Compare two folders that `evaluate_pad` wrote, presentation by presentation.

    Args:
        first: folder A.
        second: folder B.
        rounds: bootstrap replicates.

    Raises:
        UsageError: one holds no such report, they share no presentation, or their labels differ.
    """
    for folder in (first, second):
        read_json(folder, "pad")
    ours = {o.item.name: o for o in read_outcomes(first / SCORES_CSV)}
    theirs = {o.item.name: o for o in read_outcomes(second / SCORES_CSV)}
    names = [name for name in ours if name in theirs]
    if not names:
        raise UsageError("the two reports share no presentation", hint="Both must be on the same manifest.")
    pairs = [(ours[name], theirs[name]) for name in names]
    if any(_label(a) != _label(b) for a, b in pairs):
        raise UsageError("the two reports label a presentation differently", hint="Mend the manifest.")
    a, b = table([p[0] for p in pairs]), table([p[1] for p in pairs])
    return Comparison(
        common=len(names),
        only_a=len(ours) - len(names),
        only_b=len(theirs) - len(names),
        verdicts=_verdicts(a, b),
        differences=_differences(a, b, rounds),
    )


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact two-sided p of so uneven a split; 1 where neither erred alone."""
    if only_a + only_b == 0:
        return 1.0
    return float(need("scipy.stats").binomtest(only_a, only_a + only_b, 0.5).pvalue)


def _label(outcome: Outcome) -> tuple[bool, str]:
    return outcome.item.live, "" if outcome.item.live else outcome.item.species


def _verdicts(a: Table, b: Table) -> tuple[Verdicts, ...]:
    kinds = [("live", a.live)] if a.live.any() else []
    species = [(f"spoof/{name}", (a.species == name) & ~a.live) for name in np.unique(a.species[~a.live])]
    rows = [_verdict(name, rows, a, b) for name, rows in (*kinds, *species)]
    rest = sorted(rows[len(kinds) :], key=lambda v: (-abs(v.only_a - v.only_b) / v.a.n, v.name))
    return (*rows[: len(kinds)], *rest)


def _verdict(name: str, rows: Flags, a: Table, b: Table) -> Verdicts:
    wrong_a, wrong_b = (a.accepted != a.live) & rows, (b.accepted != b.live) & rows
    only_a, only_b = int((wrong_a & ~wrong_b).sum()), int((wrong_b & ~wrong_a).sum())
    n = int(rows.sum())
    return Verdicts(
        name,
        Rate(int(wrong_a.sum()), n),
        Rate(int(wrong_b.sum()), n),
        only_a,
        only_b,
        mcnemar(only_a, only_b),
    )


def _differences(a: Table, b: Table, rounds: int) -> tuple[Difference, ...]:
    live = a.live
    if not live.any() or live.all():
        return ()
    scores = (rank(a.scores), rank(b.scores))
    sweeps = [Sweep(s, live) for s in scores]

    def measure(weights: F64) -> F64:
        found = [_ranked(*sweep.errors(weights)) for sweep in sweeps]
        return found[1] - found[0]

    drawer = ClassDrawer(live, a.units)
    intervals: list[Interval | None] = [None] * len(RANKED)
    if drawer.fewest >= 2:
        intervals = [percentile_interval(c) for c in bootstrap(live.size, drawer.draw, measure, rounds).T]
    values = []
    for ranked in scores:
        curve = error_curve(ranked, live)
        found = _ranked(curve.false_accept[None], curve.false_reject[None])[0]
        values.append([auc(ranked, live), *found[1:]])
    return tuple(
        Difference(name, float(values[0][k]), float(values[1][k]), intervals[k])
        for k, name in enumerate(RANKED)
    )


def _ranked(accept: F64, reject: F64) -> F64:
    """The measures of `RANKED`, (b, k + 1) twice to (b, 3)."""
    columns = [area(accept, reject), equal_rates(accept, reject), reject_at(accept, reject, 0.05)]
    return np.stack(columns, axis=1)
