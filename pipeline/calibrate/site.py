"""`calibrate_site`: labelled recordings of a site to the form of its file; reasons in docs/adr/0022."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import numpy as np

from pipeline import __version__
from pipeline.calibrate.correlation import Series, between_share, correlation_time
from pipeline.calibrate.fit import fit_line, split
from pipeline.calibrate.parts import CalibrateOptions, accepted, limits_of, part_of, pooled, refused
from pipeline.calibrate.recordings import Recording
from pipeline.errors import UsageError
from pipeline.evaluation.intervals import FEW_CLUSTERS, least_trials
from pipeline.evaluation.manifest import Listing, Presentation
from pipeline.liveness.calibration import Calibration
from pipeline.liveness.site import (
    FLOOR_APCER,
    KIND,
    SITE_VERSION,
    Correlation,
    NetMark,
    Part,
    SiteCalibration,
    SiteFile,
    SiteProvenance,
    digest,
)

MIN_SUBJECTS: Final = 5
"""People of each class in each part. Five without an error show no less than 45 % (rule of three over
people); with fewer, a part measures one or two persons and not a site."""
MIN_FIT: Final = 20
"""Presentations of each class that the line is fitted on: ten for each of its two numbers (P. Peduzzi et al.,
Journal of Clinical Epidemiology 49(12), 1996)."""
MIN_CLIPS: Final = 8
"""Videos that rho and tau are measured on: as many as the shipped ones rest on."""
MIN_CLIP_FRAMES: Final = 20
LADDER: Final = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
"""Shares of a wanted rate that are tried as the decision's nominal rate, loosest first."""
_MORE: Final = "Record more people and more presentations, and name the subject of every row."


def calibrate_site(
    listing: Listing[Presentation],
    recordings: Sequence[Recording],
    shipped: Calibration,
    nets: Sequence[NetMark],
    options: CalibrateOptions,
) -> SiteFile:
    """Fit on one half of the people, measure on the other.

    Args:
        listing: the manifest.
        recordings: what `recordings.read_recordings` made of it.
        shipped: the calibration that came with livegate for the same nets.
        nets: the nets with the digests of their files.
        options: what is wanted.

    Raises:
        UsageError: there is too little data, or it shows that these nets can't guard this site. The message
            says how much it takes, and why.
    """
    refuse_unnamed(listing.rows)
    attacks = any(not r.live for r in recordings)
    chosen = check_split(listing.rows, options.seed)
    fit = [r for r in recordings if r.subject in chosen]
    check = [r for r in recordings if r.subject not in chosen]
    correlation = _correlation(fit)
    notes: list[str] = []
    if not attacks:
        notes.append(_LIVE_ONLY)
        if not correlation.measured:  # then nothing is fitted, and everything may be measured
            fit, check = [], list(recordings)
    _enough(fit if attacks else [], check, options, attacks=attacks)
    draft = _draft(fit, shipped, correlation, options, attacks=attacks)
    calibration = _targets(fit, draft, options) if attacks else draft
    part = part_of(check, calibration, options)
    if attacks:
        _bearable(part)
    notes += _notes(part, correlation, options, attacks=attacks)
    return SiteFile(
        kind=KIND,
        version=SITE_VERSION,
        nets=tuple(nets),
        slope=calibration.slope,
        intercept=calibration.intercept,
        bound=calibration.bound,
        rho=calibration.rho,
        tau_s=calibration.tau_s,
        target_apcer=calibration.target_apcer,
        target_bpcer=calibration.target_bpcer,
        provenance=SiteProvenance(
            tool="livegate calibrate",
            tool_version=__version__,
            date=datetime.now(UTC).date().isoformat(),
            manifest_sha256=listing.sha256,
            shipped_sha256=digest(shipped),
            seed=options.seed,
            mode="fitted" if attacks else "live_only",
            species=dict(sorted(Counter(r.species for r in recordings if not r.live).items())),
            fit=part_of(fit, calibration, options) if fit else None,
            check=part,
            correlation=correlation,
            notes=tuple(notes),
        ),
    )


def refuse_unnamed(rows: Iterable[Presentation]) -> None:
    """Refuse rows without a subject: one person in both parts would measure what was fitted.

    Raises:
        UsageError: there are some; the message counts them.
    """
    unnamed = [row.line for row in rows if not row.subject]
    if unnamed:
        raise UsageError(
            f"{len(unnamed)} rows name no subject, the first on line {unnamed[0]}: fit and check are split "
            "by subject, so that nobody is in both",
            hint="Fill the column `subject`; a number for each person will do.",
        )


def check_split(rows: Iterable[Presentation], seed: int) -> frozenset[str]:
    """Subjects that are fitted on."""
    kinds: dict[str, list[bool]] = {}
    for row in rows:
        kinds.setdefault(row.subject, [False, False])[0 if row.live else 1] = True
    return split(((name, has[0], has[1]) for name, has in kinds.items()), seed)


def _correlation(recordings: Sequence[Recording]) -> Correlation:
    series = [
        Series("live" if r.live else "attack", r.t, r.log_odds)
        for r in recordings
        if r.clip and r.log_odds.size >= MIN_CLIP_FRAMES
    ]
    people = len({r.subject for r in recordings if r.clip and r.log_odds.size >= MIN_CLIP_FRAMES})
    tau = correlation_time(series) if len(series) >= MIN_CLIPS and people >= MIN_SUBJECTS else None
    if tau is None:
        return Correlation(measured=False, rho=None, tau_s=None, clips=len(series))
    rho = between_share([s.kind for s in series], [s.log_odds for s in series])
    return Correlation(
        measured=True, rho=max(0.001, round(rho, 3)), tau_s=max(0.001, round(tau, 3)), clips=len(series)
    )


def _enough(
    fit: Sequence[Recording], check: Sequence[Recording], options: CalibrateOptions, *, attacks: bool
) -> None:
    """Refuse too little data, with what it takes."""
    wanted: list[tuple[str, str, Sequence[Recording], bool, int, float | None]]
    wanted = [("checked", "live", check, True, least_trials(options.target_bpcer), options.target_bpcer)]
    if attacks:
        wanted.append(("checked", "attack", check, False, least_trials(FLOOR_APCER), FLOOR_APCER))
        wanted += [
            ("fitted", kind, fit, side, MIN_FIT, None) for kind, side in (("live", True), ("attack", False))
        ]
    for what, kind, part, live, least, rate in wanted:
        mine = [r for r in part if r.live == live]
        people = len({r.subject for r in mine})
        if len(mine) >= least and people >= MIN_SUBJECTS:
            continue
        why = (
            f"without any error, {least} presentations are the fewest that can show a rate of {rate:.0%} "
            "(rule of three)"
            if rate is not None
            else "ten presentations for each number of the line"
        )
        raise UsageError(
            f"too little data: the part that is {what} has {len(mine)} {kind} presentations of {people} "
            f"people; it takes {least} of {MIN_SUBJECTS} people: {why}. Half of the people go to each part; "
            "a video is one presentation, pictures of one subject, species and group are one together",
            hint=_MORE,
        )


def _draft(
    fit: Sequence[Recording],
    shipped: Calibration,
    correlation: Correlation,
    options: CalibrateOptions,
    *,
    attacks: bool,
) -> SiteCalibration:
    slope, intercept, bound = shipped.slope, shipped.intercept, shipped.bound
    if attacks:
        spoken = [r for r in fit if not r.silent]
        if len({r.live for r in spoken}) < 2:
            raise UsageError("no face was found in the recordings of one class", hint="Look at them.")
        log_odds = np.concatenate([r.log_odds for r in spoken])
        live = np.concatenate([np.full(r.log_odds.size, r.live) for r in spoken])
        weights = np.concatenate([np.full(r.log_odds.size, 1 / r.log_odds.size) for r in spoken])
        line = fit_line(log_odds, live, weights)
        slope, intercept = round(line[0], 4), round(line[1], 4)
        bound = round(math.log(sum(not r.live for r in spoken) + 1), 4)
        if slope <= 0:
            raise UsageError(
                "on this site's recordings the nets score attacks as live as people, or more so: no "
                "calibration can mend that",
                hint="Check the labels; else choose other nets.",
            )
    return SiteCalibration(
        nets=shipped.nets,
        slope=slope,
        intercept=intercept,
        bound=bound,
        rho=max(shipped.rho, correlation.rho or 0.0),
        tau_s=max(shipped.tau_s, correlation.tau_s or 0.0),
        provenance=shipped.provenance,
        shipped=shipped,
        target_apcer=options.target_apcer,
        target_bpcer=options.target_bpcer,
    )


def _targets(fit: Sequence[Recording], draft: SiteCalibration, options: CalibrateOptions) -> SiteCalibration:
    """The loosest nominal rates of the ladder at which the fit part keeps the wanted ones."""
    found: SiteCalibration | None = None
    for share in LADDER:
        trial = replace(draft, target_apcer=options.target_apcer * share)
        if accepted(fit, trial, options) <= options.target_apcer:
            found = trial
            break
    if found is None:
        raise UsageError(
            f"no threshold keeps the attacks in the fit at {options.target_apcer:.1%}",
            hint="Check the labels; else choose other nets.",
        )
    limits = limits_of(found, options)
    most = min(found.bound, found.shipped.bound + found.slack) / found.rho
    if most < limits.upper:
        needed = math.ceil(math.expm1(limits.upper * found.rho))
        raise UsageError(
            f"too few attacks: those in the fit carry evidence of exp({found.bound:.2f}) to 1 at most, and a "
            f"pass at an APCER of {found.target_apcer:.2%} takes {needed} attack presentations in the fit",
            hint="Record more attacks, or raise --target-apcer.",
        )
    for share in LADDER:
        trial = replace(found, target_bpcer=options.target_bpcer * share)
        if refused(fit, trial, options) <= options.target_bpcer:
            return trial
    return replace(found, target_bpcer=options.target_bpcer * LADDER[-1])


def _bearable(part: Part) -> None:
    """Refuse a calibration that its own check proves wrong."""
    whole = pooled(part)
    worst = [name for name, c in part.apcer.items() if c.ci95 is not None and c.ci95[0] > FLOOR_APCER]
    if (whole.value or 0.0) > FLOOR_APCER or worst:
        what = f"of {worst[0]} " if worst else ""
        counted = part.apcer[worst[0]] if worst else whole
        raise UsageError(
            f"in the part that was not fitted {counted.errors} of {counted.n} attacks {what}pass, more than "
            f"the {FLOOR_APCER:.0%} that no calibration may go above: no file is written",
            hint="Look at these attacks with `livegate score`; choose other nets, or a smaller target.",
        )


def _notes(part: Part, correlation: Correlation, options: CalibrateOptions, *, attacks: bool) -> list[str]:
    said = [_NO_CUES]
    if not correlation.measured:
        said.append(
            f"Fewer than {MIN_CLIPS} videos of {MIN_SUBJECTS} people in the fit: the correlation of frames "
            "is the shipped one."
        )
    if attacks:
        needed = least_trials(options.target_apcer)
        if pooled(part).n < needed:
            said.append(
                f"{pooled(part).n} attacks in the check can't show an APCER of {options.target_apcer:.1%}; "
                f"it takes {needed} without an error (rule of three)."
            )
    if min(part.live_subjects, part.attack_subjects if attacks else part.live_subjects) < FEW_CLUSTERS:
        said.append(
            "Few people in the check: read the interval over people, the one over presentations takes "
            "them for independent."
        )
    return said


_LIVE_ONLY: Final = (
    "No attack was recorded. The line from score to ratio is the shipped one, and nothing here says how many "
    "attacks pass: only BPCER was checked."
)
_NO_CUES: Final = (
    "Cues and vetoes are not part of these rates. `livegate eval pad` on the rows of the check measures the "
    "whole gate."
)
