"""Single pictures: scores of the liveness nets on labelled data, their calibration, and the report.

    python -m benchmarks.pad_stills score --net fr_liveness --net facenox=FILE.onnx ...
    python -m benchmarks.pad_stills fit --nets fr_liveness        (after `python -m benchmarks.pad_clips
    score`) python -m benchmarks.pad_stills eval python -m benchmarks.pad_stills cost

``score`` keeps numbers, no pictures, in the folder ``--work``. ``fit`` writes
`pipeline/liveness/calibrations` from half of the subjects; ``eval`` reports on the other half, and with
every data set left out of the fit in turn.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import pad_clips
from benchmarks.pad_data import WORK, Stills, fit_half, load_nets, read_stills, score_stills, share
from pipeline.calibrate.fit import fit_line as platt
from pipeline.camera.frame import Frame
from pipeline.evaluation.curve import auc, equal_error, error_curve
from pipeline.liveness.calibration import VERSION, key_of, load_calibration
from pipeline.liveness.decision import APCER_CEILING, DecisionLimits
from pipeline.liveness.livepass import seal

ROOT = Path(__file__).resolve().parents[1]
CALIBRATIONS = ROOT / "pipeline" / "liveness" / "calibrations"
FULL_FRAMES = ("nuaa_raw", "pourfard_bench", "sankalita_webcam")
"""Data sets that are fitted on: their pictures show the face's surroundings as a camera does."""
FULL_WEIGHT = 20
"""Presentations of one class from which on a data set has its full weight in the fit."""
NOTES = (
    "Half of the subjects, both classes alike in weight. Few attacks, few clips: expect it to be wrong on "
    "attacks and cameras that are not in there."
)
SETS: tuple[tuple[str, ...], ...] = (
    ("fr_liveness",),
    ("livegate_pad",),
    ("fr_liveness", "livegate_pad"),
    ("minifasnet_v2", "minifasnet_v1se"),
    ("livegate_pad", "minifasnet_v2", "minifasnet_v1se"),
    ("minifasnet_v2", "minifasnet_v1se", "facenox"),
    ("fr_liveness", "minifasnet_v2", "minifasnet_v1se"),
    ("livegate_pad", "minifasnet_v2", "minifasnet_v1se", "facenox"),
)
FOLD_NOTE = (
    " The scores of livegate_pad are those of nets trained as it was, each without the data set that it"
    " scored; the shipped file has seen them all, and its own scale may differ."
)


def fit_line(stills: Stills, nets: Sequence[str], rows: NDArray[np.bool_]) -> tuple[float, float]:
    """Platt's calibration with the prior removed, see `pipeline.calibrate.fit.fit_line`.

    Both classes weigh the same. Within a class a data set's weight grows with its presentations up to
    `FULL_WEIGHT`, so that the line belongs neither to the set with the most pictures nor to three pictures
    of one attack.

    Returns:
        Slope and intercept of the log-likelihood ratio of live over spoof.
    """
    log_odds, live, dataset = stills.fused(nets)[rows], stills.live[rows], stills.dataset[rows]
    weights = np.zeros(len(live))
    for side in (False, True):
        for name in np.unique(dataset[live == side]):
            mine = (live == side) & (dataset == name)
            shown = len(np.unique(stills.presentation[rows][mine]))
            weights[mine] = min(shown, FULL_WEIGHT) / mine.sum()
    return platt(log_odds, live, weights)


def scored(names: Collection[str]) -> list[tuple[str, ...]]:
    """Those of `SETS` whose nets all have scores."""
    return [nets for nets in SETS if set(nets) <= set(names)]


def fit(args: argparse.Namespace) -> None:
    """Write the calibration of one set of nets, or of all of them."""
    stills = read_stills(args.work / "stills.tsv")
    usable = stills.face & np.isin(stills.dataset, FULL_FRAMES)
    rows = usable & fit_half(stills)
    for nets in [tuple(args.nets)] if args.nets else scored(stills.log_odds):
        slope, intercept = fit_line(stills, nets, rows)
        correlation = pad_clips.correlation(args.work / "clips.json", nets)
        attacks = len(np.unique(stills.presentation[rows & ~stills.live]))
        file = {
            "version": VERSION,
            "nets": sorted(nets),
            "slope": round(slope, 4),
            "intercept": round(intercept, 4),
            "bound": round(math.log(attacks + 1), 4),
            "rho": round(correlation.rho, 3),
            "tau_s": round(correlation.tau_s, 3),
            "provenance": {
                "data": [name for name in FULL_FRAMES if (stills.dataset[rows] == name).any()],
                "subjects": len(np.unique(stills.subject[rows])),
                "live_pictures": int((rows & stills.live).sum()),
                "attack_pictures": int((rows & ~stills.live).sum()),
                "attacks": attacks,
                "clips": correlation.clips,
                "command": "python -m benchmarks.pad_stills fit",
                "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
                "notes": NOTES + (FOLD_NOTE if "livegate_pad" in nets else ""),
            },
        }
        CALIBRATIONS.mkdir(exist_ok=True)
        path = CALIBRATIONS / f"{key_of(nets)}.json"
        path.write_text(json.dumps(file, indent=2) + "\n", encoding="utf-8")
        print(path.name, {k: file[k] for k in ("slope", "intercept", "bound", "rho", "tau_s")})


INTRO = (
    "Scores are fused by the mean of log-odds, livegate_pad twice (`pipeline.liveness.passive.fuse`). "
    "Intervals are exact (Clopper-Pearson, 95 %) and take pictures "
    "for independent, which pictures of one person are not: the true ones are wider. Pictures without a "
    "face are non-responses and in no rate. `selfie_replay_crops` has tight crops and a camera for each "
    "class: it is shown, not fitted on. `livegate_pad` stands for nets trained as the shipped one was, each "
    "without the data set that it scores here."
)
POINT = "A picture counts as live where its calibrated posterior at equal priors is 0.5 or more."
LEFT_OUT = (
    "Fitted on all subjects of the other full-frame sets. *Pass*: the picture's ratio, within the bound of "
    "the fit, is at least the mean that a whole check needs, `DecisionLimits.upper` x rho."
)


def evaluate(args: argparse.Namespace) -> None:
    """Write the report."""
    stills = read_stills(args.work / "stills.tsv")
    held_out = stills.face & ~fit_half(stills)
    lines = ["# Single pictures: the liveness nets alone", ""]
    lines += [*facts("python -m benchmarks.pad_stills eval"), "", INTRO, "", *no_response(stills), ""]
    lines += ["## All pictures, no threshold of ours", "", *overview(stills), ""]
    lines += ["## Subjects that no calibration has seen, at the calibrated point", "", POINT, ""]
    for nets in scored(stills.log_odds):
        lines += at_point(stills, held_out, nets)
    lines += ["## A data set that the calibration has not seen", "", *leave_one_out(stills)]
    path = args.out or ROOT / "docs" / "pad-results" / f"{today()}-stills.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(path)


def no_response(stills: Stills) -> list[str]:
    """Pictures in which no face was found."""
    rows = ["| data set | live without a face | attacks without a face |", "|---|---|---|"]
    for name in np.unique(stills.dataset):
        mine = stills.dataset == name
        counts = [
            f"{int((mine & side & ~stills.face).sum())} of {int((mine & side).sum())}"
            for side in (stills.live, ~stills.live)
        ]
        rows.append(f"| {name} | {counts[0]} | {counts[1]} |")
    return rows


def overview(stills: Stills) -> list[str]:
    """AUC, EER and APCER at BPCER 5 % for each net and set of nets on each data set."""
    names = [name for name in np.unique(stills.dataset) if name != "sdk_samples"]
    rows = [
        "AUC / EER % / APCER % at BPCER 5 %, the threshold chosen on the very data: the best a net could do.",
        "",
        "| nets | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    singles = [(name,) for name in stills.log_odds]
    for nets in [*singles, *(s for s in scored(stills.log_odds) if len(s) > 1)]:
        cells = []
        for name in names:
            mine = stills.face & (stills.dataset == name)
            odds, live = stills.fused(nets)[mine], stills.live[mine]
            curve = error_curve(odds, live)
            at_5 = float(curve.false_accept[curve.false_reject <= 0.05].min())
            rate = equal_error(curve).rate
            cells.append(f"{auc(odds, live):.3f} / {100 * rate:.1f} / {100 * at_5:.1f}")
        rows.append(f"| {' + '.join(nets)} | " + " | ".join(cells) + " |")
    return rows


def at_point(stills: Stills, rows: NDArray[np.bool_], nets: Sequence[str]) -> list[str]:
    """BPCER and APCER by data set and species at posterior 0.5, with exact intervals."""
    calibration = load_calibration(nets)
    llr = calibration.slope * stills.fused(nets) + calibration.intercept
    table = [
        f"### {' + '.join(nets)}",
        "",
        f"llr = {calibration.slope} x log-odds + {calibration.intercept}, bound {calibration.bound}.",
        "",
        "| data set | species | BPCER | APCER |",
        "|---|---|---|---|",
    ]
    for name in np.unique(stills.dataset[rows]):
        mine = rows & (stills.dataset == name)
        live = llr[mine & stills.live]
        table.append(f"| {name} | live | {share(int((live < 0).sum()), live.size)} | |")
        for species in np.unique(stills.species[mine & ~stills.live]):
            spoof = llr[mine & ~stills.live & (stills.species == species)]
            table.append(f"| {name} | {species} | | {share(int((spoof >= 0).sum()), spoof.size)} |")
    return [*table, ""]


def leave_one_out(stills: Stills) -> list[str]:
    """The calibration fitted without a data set, on that data set: two points."""
    head = "| nets | left out | slope, intercept | BPCER at 0.5 | APCER at 0.5 "
    for apcer in (DecisionLimits().target_apcer, APCER_CEILING):
        head += f"| live pass, wanted APCER {apcer:.0%} | attacks pass, {apcer:.0%} "
    table = [LEFT_OUT, "", head + "|", "|---" * 9 + "|"]
    for nets in scored(stills.log_odds):
        rho = load_calibration(nets).rho
        for name in ("nuaa_raw", "pourfard_bench", "sankalita_webcam", "selfie_replay_crops"):
            mine = stills.face & (stills.dataset == name)
            others = stills.face & np.isin(stills.dataset, FULL_FRAMES) & (stills.dataset != name)
            odds = stills.fused(nets)
            slope, intercept = fit_line(stills, nets, others)
            bound = math.log(len(np.unique(stills.presentation[others & ~stills.live])) + 1)
            llr = np.clip(slope * odds + intercept, -bound, bound)
            live, spoof = llr[mine & stills.live], llr[mine & ~stills.live]
            cells = [share(int((live < 0).sum()), live.size), share(int((spoof >= 0).sum()), spoof.size)]
            for apcer in (DecisionLimits().target_apcer, APCER_CEILING):
                wanted = DecisionLimits(target_apcer=apcer).upper * rho
                cells += [share(int((x >= wanted).sum()), x.size) for x in (live, spoof)]
            table.append(
                f"| {' + '.join(nets)} | {name} | {slope:.2f}, {intercept:+.2f} | " + " | ".join(cells) + " |"
            )
    return table


def cost(args: argparse.Namespace) -> None:
    """Time of sealing a frame and of its digest."""
    rng = np.random.default_rng(0)
    for height, width in ((480, 640), (720, 1280), (1080, 1920)):
        frame = Frame(rng.integers(0, 256, (height, width, 3), np.uint8), t=0.0, seq=0)
        times: dict[str, list[float]] = {"seal": [], "sha256": []}
        for _ in range(args.runs):
            start = time.perf_counter()
            sealed = seal(frame)
            middle = time.perf_counter()
            sealed.sha256()
            times["seal"].append((middle - start) * 1e3)
            times["sha256"].append((time.perf_counter() - middle) * 1e3)
        print(f"{width}x{height}", {k: f"{np.median(v):.3f} ms" for k, v in times.items()})


def facts(command: str) -> list[str]:
    """Date, commit and command of a report."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return [f"- date: {today()}", f"- commit: {commit or 'unknown'}", f"- command: `{command}`"]


def today() -> str:
    """ISO date, UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for scores")
    commands = parser.add_subparsers(required=True)
    score = commands.add_parser("score", help="score every picture")
    score.add_argument("--net", action="append", required=True, metavar="NAME[=FILE[@DATASET,...]]")
    score.set_defaults(
        run=lambda a: score_stills(a.data, load_nets(a.net), a.work / "stills.tsv"),
    )
    fitting = commands.add_parser("fit", help="write calibrations")
    fitting.add_argument("--nets", nargs="*", help="one set of nets; all sets when left out")
    fitting.set_defaults(run=fit)
    report = commands.add_parser("eval", help="write the report")
    report.add_argument("--out", type=Path)
    report.set_defaults(run=evaluate)
    timing = commands.add_parser("cost", help="time sealing and digest")
    timing.add_argument("--runs", type=int, default=200)
    timing.set_defaults(run=cost)
    args = parser.parse_args(argv)
    args.run(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
