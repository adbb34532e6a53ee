"""What the decision says of one part of the recordings: verdicts, and rates with exact intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.calibrate.fit import clip_verdict, lasting_verdict
from pipeline.calibrate.recordings import Recording
from pipeline.evaluation.intervals import Rate
from pipeline.liveness.calibration import Calibration
from pipeline.liveness.decision import DecisionLimits
from pipeline.liveness.evidence import VerdictState
from pipeline.liveness.site import Counted, Part, SiteCalibration


@dataclass(frozen=True, slots=True)
class CalibrateOptions:
    """What is wanted.

    Attributes:
        target_apcer: wanted share of attacks accepted, at most `FLOOR_APCER`.
        target_bpcer: wanted share of live people refused.
        deadline_s: of a check.
        seed: of the split by subject.
    """

    target_apcer: float = 0.01
    target_bpcer: float = 0.10
    deadline_s: float = 4.0
    seed: int = 0


def verdict_of(recording: Recording, calibration: Calibration, limits: DecisionLimits) -> VerdictState:
    """What the decision says of a recording, cues and vetoes left aside."""
    llr = np.array([calibration.llr(float(x)) for x in recording.log_odds], np.float64)
    if recording.clip:
        return clip_verdict(recording.t, llr, recording.start, limits)
    return lasting_verdict(llr, limits)


def limits_of(calibration: SiteCalibration, options: CalibrateOptions) -> DecisionLimits:
    """The decision's limits under a calibration."""
    return DecisionLimits(
        target_apcer=calibration.target_apcer,
        target_bpcer=calibration.target_bpcer,
        deadline_s=options.deadline_s,
        rho=calibration.rho,
        tau_s=calibration.tau_s,
    )


def accepted(part: Sequence[Recording], calibration: SiteCalibration, options: CalibrateOptions) -> float:
    """Share of the attacks that pass."""
    limits = limits_of(calibration, options)
    return float(np.mean([verdict_of(r, calibration, limits) == "live" for r in part if not r.live]))


def refused(part: Sequence[Recording], calibration: SiteCalibration, options: CalibrateOptions) -> float:
    """Share of the live presentations that are refused as attacks."""
    limits = limits_of(calibration, options)
    return float(np.mean([verdict_of(r, calibration, limits) == "spoof" for r in part if r.live]))


def part_of(recordings: Sequence[Recording], calibration: SiteCalibration, options: CalibrateOptions) -> Part:
    """Counts and rates of one part, the worst species first."""
    limits = limits_of(calibration, options)
    said = [(r, verdict_of(r, calibration, limits)) for r in recordings]
    live = [(r, v) for r, v in said if r.live]
    spoof = [(r, v) for r, v in said if not r.live]
    species: dict[str, Counted] = {
        name: _counted([(r.subject, v == "live") for r, v in spoof if r.species == name])
        for name in sorted({r.species for r, _ in spoof})
    }
    return Part(
        live=len(live),
        attacks=len(spoof),
        files=sum(r.files for r in recordings),
        live_subjects=len({r.subject for r, _ in live}),
        attack_subjects=len({r.subject for r, _ in spoof}),
        no_response=sum(r.silent for r in recordings),
        bpcer=_counted([(r.subject, v != "live") for r, v in live]),
        refused=_counted([(r.subject, v == "spoof") for r, v in live]),
        apcer=dict(sorted(species.items(), key=lambda entry: (-_share(entry[1]), entry[0]))),
    )


def _counted(errors: Sequence[tuple[str, bool]]) -> Counted:
    """Errors over presentations, and over people with one error or more."""
    by_subject: Mapping[str, bool] = {
        name: any(wrong for other, wrong in errors if other == name) for name, _ in errors
    }
    rate = Rate(sum(wrong for _, wrong in errors), len(errors))
    people = Rate(sum(by_subject.values()), len(by_subject))
    return Counted(
        errors=rate.errors,
        n=rate.n,
        ci95=_ends(rate),
        subjects_with_errors=people.errors,
        subjects=people.n,
        subjects_ci95=_ends(people),
    )


def _ends(rate: Rate) -> tuple[float, float] | None:
    interval = rate.interval
    return None if interval is None else (round(interval.low, 6), round(interval.high, 6))


def _share(counted: Counted) -> float:
    return counted.errors / counted.n if counted.n else 0.0


def pooled(part: Part) -> Rate:
    """Attacks of all species that pass."""
    return Rate(sum(c.errors for c in part.apcer.values()), sum(c.n for c in part.apcer.values()))
