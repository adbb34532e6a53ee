"""Measures of presentation attack detection, ISO/IEC 30107-3:2023. Arrays in, frozen values out, no I/O.

A presentation without a response (no face found, unreadable, no score) is counted as not accepted, whether
it is live or an attack: that is what the gate does with it. It is told apart as APNRR and BPNRR, and next to
every rate stands the one over the responses alone, so that silence can't be mistaken for detection.

Operating points of the product (`bpcer`, `apcer`) rest on its own verdicts and its own threshold. AUC, EER
and BPCER at a fixed APCER choose their thresholds by the very data that they are measured on: read them as
descriptions of the data set, not as what the product will do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
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
    Interval,
    Rate,
    bootstrap,
    draw_clusters,
    number,
    percentile_interval,
)

APCER_LIMITS: Final = (0.10, 0.05, 0.01)
"""Fixed points reported: BPCER10, BPCER20 and BPCER100, after 1 / APCER."""


@dataclass(frozen=True, slots=True)
class SpeciesErrors:
    """Errors on one species of attack instrument (PAIS).

    Attributes:
        species: its name.
        apcer: attacks accepted over all attacks of the species. ISO/IEC 30107-3:2023, 13.2, APCER:
            ``1 - (1 / N) * sum(Res)`` with Res 1 where the attack was not accepted.
        of_responses: the same over the attacks that got a response.
        no_response: APNRR, attacks without a response over all. ISO/IEC 30107-3:2023, 13.2, non-response.
    """

    species: str
    apcer: Rate
    of_responses: Rate
    no_response: Rate


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """BPCER where APCER is held.

    Attributes:
        limit: largest APCER allowed.
        threshold: the lowest score that keeps it; infinity where only accepting nobody does.
        apcer: pooled APCER reached there.
        bpcer: BPCER there; its exact interval knows nothing of the threshold's choice.
    """

    limit: float
    threshold: float
    apcer: Rate
    bpcer: Rate


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """What the scores tell without the product's threshold, all attacks pooled; chosen by the data.

    Attributes:
        auc: chance that a live presentation scores above an attack, ties counted half.
        eer: see `curve.equal_error`.
        pooled: fixed points with the APCER over all attacks, by `APCER_LIMITS`.
        worst: fixed points with the APCER of every single species held.
        curve: APCER as false-accept and BPCER as false-reject rate at every threshold: the DET curve.
    """

    auc: float
    eer: EqualError
    pooled: tuple[FixedPoint, ...]
    worst: tuple[FixedPoint, ...]
    curve: ErrorCurve


@dataclass(frozen=True, slots=True, eq=False)
class PadMeasures:
    """Everything that is measured on one set of presentations.

    Attributes:
        n_live: bona fide presentations.
        n_spoof: attack presentations.
        n_no_response: presentations of both kinds without a response.
        bpcer: live presentations not accepted over all. ISO/IEC 30107-3:2023, 13.2, BPCER.
        bpcer_of_responses: the same over the live presentations that got a response.
        bpnrr: live presentations without a response over all. ISO/IEC 30107-3:2023, 13.2, non-response.
        species: one for each species, the worst first: by APCER, then by the upper end of its interval.
        ranking: None where a class is empty.
        ranking_of_responses: the same over presentations with a response; None where a class is empty.
    """

    n_live: int
    n_spoof: int
    n_no_response: int
    bpcer: Rate
    bpcer_of_responses: Rate
    bpnrr: Rate
    species: tuple[SpeciesErrors, ...]
    ranking: Ranking | None
    ranking_of_responses: Ranking | None

    @property
    def worst(self) -> SpeciesErrors | None:
        """The species with the highest APCER.

        ISO/IEC 30107-3:2023, 13.2: the highest one characterises a detector, an average does not.
        """
        return self.species[0] if self.species else None

    @property
    def apcer_max(self) -> float | None:
        """APCER of the worst species."""
        return self.worst.apcer.value if self.worst else None

    @property
    def acer(self) -> float | None:
        """Mean of `apcer_max` and BPCER; not a measure of the standard, kept for the literature's sake."""
        apcer, bpcer = self.apcer_max, self.bpcer.value
        return None if apcer is None or bpcer is None else (apcer + bpcer) / 2


@dataclass(frozen=True, slots=True)
class Resampled:
    """Bootstrap intervals over whole people: None where nothing varied.

    Attributes:
        live_units, attack_units: how many units (subjects, or files without one) were drawn from.
        auc, eer, bpcer, bpcer_at_apcer_5: 95 % intervals.
        apcer: by species.
    """

    live_units: int
    attack_units: int
    auc: Interval | None
    eer: Interval | None
    bpcer: Interval | None
    bpcer_at_apcer_5: Interval | None
    apcer: dict[str, Interval | None]


def pad_measures(scores: F64, live: Flags, accepted: Flags, species: NDArray[np.str_]) -> PadMeasures:
    """Measure one set of presentations.

    Args:
        scores: float64 (n,), higher is more live, NaN where there was no response.
        live: bool (n,), True for bona fide.
        accepted: bool (n,), the product's verdict.
        species: str (n,), of the attacks; whatever stands beside a live presentation is ignored.

    Raises:
        UsageError: lengths differ, or something without a response was accepted.
    """
    if not scores.shape == live.shape == accepted.shape == species.shape:
        raise UsageError("scores, labels, verdicts and species must be of one length")
    silent = np.isnan(scores)
    if (silent & accepted).any():
        raise UsageError("a presentation without a response can't be accepted")
    attacks = [
        _species(str(name), (species == name) & ~live, accepted, silent) for name in _names(species, live)
    ]
    refused = live & ~accepted
    return PadMeasures(
        n_live=_count(live),
        n_spoof=_count(~live),
        n_no_response=_count(silent),
        bpcer=Rate(_count(refused), _count(live)),
        bpcer_of_responses=Rate(_count(refused & ~silent), _count(live & ~silent)),
        bpnrr=Rate(_count(live & silent), _count(live)),
        species=tuple(sorted(attacks, key=_badness)),
        ranking=_ranking(rank(scores), live, species),
        ranking_of_responses=_ranking(scores[~silent], live[~silent], species[~silent]),
    )


def rank(scores: F64) -> F64:
    """Scores with minus infinity where there was no response: below every score."""
    return np.where(np.isnan(scores), -np.inf, scores)


def resample(
    scores: F64,
    live: Flags,
    accepted: Flags,
    species: NDArray[np.str_],
    units: NDArray[np.str_],
    rounds: int = ROUNDS,
) -> Resampled | None:
    """Second intervals, because presentations of one person are not independent.

    Whole units are drawn with replacement within each class, and everything is measured again.

    Args:
        scores: as for `pad_measures`.
        live: likewise.
        accepted: likewise.
        species: likewise.
        units: str (n,), the subject, or something of its own for each file.
        rounds: replicates.

    Returns:
        The intervals, or None where a class has fewer than two units.
    """
    drawer = ClassDrawer(live, units)
    if drawer.fewest < 2:
        return None
    sweep = Sweep(rank(scores), live)
    names = _names(species, live)
    kinds = [(species == name) & ~live for name in names]

    def measure(weights: F64) -> F64:
        accept, reject = sweep.errors(weights)
        return np.stack(
            [
                area(accept, reject),
                equal_rates(accept, reject),
                reject_at(accept, reject, 0.05),
                weighted_share(weights, live, ~accepted),
                *(weighted_share(weights, rows, accepted) for rows in kinds),
            ],
            axis=1,
        )

    ends = [percentile_interval(column) for column in bootstrap(live.size, drawer.draw, measure, rounds).T]
    return Resampled(
        live_units=drawer.live_units,
        attack_units=drawer.attack_units,
        auc=ends[0],
        eer=ends[1],
        bpcer_at_apcer_5=ends[2],
        bpcer=ends[3],
        apcer=dict(zip((str(name) for name in names), ends[4:], strict=True)),
    )


class ClassDrawer:
    """Draws whole units with replacement, those of live presentations and those of attacks apart.

    Args:
        live: bool (n,).
        units: str (n,), the subject, or something of its own for each file.
    """

    def __init__(self, live: Flags, units: NDArray[np.str_]) -> None:
        self._rows = (live, ~live)
        self._units = (number(units[live]), number(units[~live]))
        self._rng = np.random.default_rng(SEED)
        self.live_units, self.attack_units = (int(u.max()) + 1 if u.size else 0 for u in self._units)

    @property
    def fewest(self) -> int:
        """Units of the class that has fewer; below 2 there is nothing to draw."""
        return min(self.live_units, self.attack_units)

    def draw(self, size: int) -> F64:
        """How often each row is drawn in each of so many replicates, float64 (size, n)."""
        weights = np.empty((size, self._rows[0].size))
        for rows, units in zip(self._rows, self._units, strict=True):
            weights[:, rows] = draw_clusters(units, size, self._rng)
        return weights


def weighted_share(weights: F64, rows: Flags, hit: Flags) -> F64:
    """Weight of the rows that hit over that of all rows, (b, n) to (b,); NaN where they weigh nothing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(weights @ (rows & hit) / (weights @ rows), np.float64)


def _ranking(scores: F64, live: Flags, species: NDArray[np.str_]) -> Ranking | None:
    if not live.any() or live.all():
        return None
    curve = error_curve(scores, live)
    each = [np.sort(scores[(species == name) & ~live]) for name in _names(species, live)]
    by_species = np.stack([1 - np.searchsorted(s, curve.thresholds) / s.size for s in each])
    pooled, worst = [], []
    for limit in APCER_LIMITS:
        pooled.append(_fixed(limit, int(first_at_most(curve.false_accept, limit)), curve, live))
        worst.append(_fixed(limit, int(first_at_most(by_species.max(axis=0), limit)), curve, live))
    return Ranking(auc(scores, live), equal_error(curve), tuple(pooled), tuple(worst), curve)


def _fixed(limit: float, index: int, curve: ErrorCurve, live: Flags) -> FixedPoint:
    n_live = _count(live)
    n_spoof = live.size - n_live
    return FixedPoint(
        limit=limit,
        threshold=float(curve.thresholds[index]),
        apcer=Rate(round(float(curve.false_accept[index]) * n_spoof), n_spoof),
        bpcer=Rate(round(float(curve.false_reject[index]) * n_live), n_live),
    )


def _species(name: str, rows: Flags, accepted: Flags, silent: Flags) -> SpeciesErrors:
    hits, n, mute = _count(rows & accepted), _count(rows), _count(rows & silent)
    return SpeciesErrors(name, Rate(hits, n), Rate(hits, n - mute), Rate(mute, n))


def _badness(errors: SpeciesErrors) -> tuple[float, float, str]:
    interval = errors.apcer.interval
    return -(errors.apcer.value or 0.0), -(interval.high if interval else 1.0), errors.species


def _names(species: NDArray[np.str_], live: Flags) -> NDArray[np.str_]:
    return np.unique(species[~live])


def _count(rows: Flags) -> int:
    return int(rows.sum())
