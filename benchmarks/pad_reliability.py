"""Whether calibrated scores mean what they say, for each data set: numbers and plots out of kept scores.

    python -m benchmarks.pad_reliability --nets fr_liveness livegate_pad

Needs the scores of ``python -m benchmarks.pad_stills score`` in the folder ``--work``; no net runs here.
Pictures are those of subjects that the shipped calibration was not fitted on. Beside them, each data set with
a calibration that was fitted on the other sets alone: what a new camera gets.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.pad_data import WORK, Stills, fit_half, read_stills
from benchmarks.pad_plots import draw_reliability
from benchmarks.pad_stills import FULL_FRAMES, ROOT, facts, fit_line, today
from pipeline.evaluation.reliability import Reliability, reliability
from pipeline.liveness.calibration import load_calibration

INTRO: Final = (
    "A score is the posterior of a live person at equal priors; both classes weigh the same here. Cllr is"
    " the cost of the scores as likelihood ratios in bits: 0 is perfect, 1 says nothing, more is worse "
    "than saying nothing. *Least*: what any rising map of the scores could reach on this data; *loss* is "
    "the rest, that is, calibration. Intervals of Cllr draw whole subjects (95 %; a dash where a class "
    "has one subject). Pictures without a face have no score and are left out. Arms in the plots are "
    "exact 95 % intervals; the numbers beside the points are live / attacks."
)
SHIPPED: Final = "Subjects that the shipped calibration has not seen"
OTHER: Final = "Data sets that the calibration has not seen"


def measured(
    stills: Stills, rows: NDArray[np.bool_], line: tuple[float, float], nets: Sequence[str]
) -> Reliability | None:
    """Reliability of some rows under a line from log-odds to ratios."""
    ratios = line[0] * stills.fused(nets)[rows] + line[1]
    scores = 1 / (1 + np.exp(-np.clip(ratios, -500, 500)))
    return reliability(scores, stills.live[rows], stills.subject[rows])


def parts(stills: Stills, nets: Sequence[str]) -> dict[str, dict[str, Reliability]]:
    """Both views, by data set."""
    calibration = load_calibration(nets)
    shipped = (calibration.slope, calibration.intercept)
    held = stills.face & ~fit_half(stills)
    found: dict[str, dict[str, Reliability]] = {SHIPPED: {}, OTHER: {}}

    def add(view: str, name: str, rows: NDArray[np.bool_], line: tuple[float, float]) -> None:
        one = measured(stills, rows, line, nets)
        if one is not None:
            found[view][name] = one

    add(SHIPPED, "full-frame sets together", held & np.isin(stills.dataset, FULL_FRAMES), shipped)
    for name in np.unique(stills.dataset):
        mine = stills.dataset == name
        add(SHIPPED, str(name), held & mine, shipped)
        others = stills.face & np.isin(stills.dataset, FULL_FRAMES) & ~mine
        if name != "sdk_samples":
            add(OTHER, str(name), stills.face & mine, fit_line(stills, nets, others))
    return found


def table(view: dict[str, Reliability]) -> list[str]:
    """Markdown rows."""
    rows = [
        "| data set | live | attacks | ECE % | largest % | Cllr | 95 % | least | loss | Brier |",
        "|---" * 10 + "|",
    ]
    for name, one in view.items():
        ends = one.cllr_interval
        interval = "-" if ends is None else f"{ends.low:.3f} to {ends.high:.3f}"
        rows.append(
            f"| {name} | {one.n_live} | {one.n_spoof} | {100 * one.ece:.1f} | {100 * one.mce:.1f} "
            f"| {one.cllr:.3f} | {interval} | {one.cllr_min:.3f} | {one.loss:.3f} | {one.brier:.3f} |"
        )
    return rows


def numbers(one: Reliability) -> dict[str, Any]:
    """JSON-ready measures."""
    return {
        "live": one.n_live, "attacks": one.n_spoof, "ece": round(one.ece, 4), "mce": round(one.mce, 4),
        "cllr": round(one.cllr, 4), "cllr_min": round(one.cllr_min, 4), "brier": round(one.brier, 4),
    }  # fmt: skip


def report(args: argparse.Namespace) -> None:
    """Write tables, numbers and plots to docs/pad-results."""
    found = parts(read_stills(args.work / "stills.tsv"), args.nets)
    stem = args.out or ROOT / "docs" / "pad-results" / f"{today()}-reliability"
    name = " + ".join(args.nets)
    lines = [f"# Do scores mean what they say? {name}", ""]
    lines += [*facts(f"python -m benchmarks.pad_reliability --nets {' '.join(args.nets)}"), "", INTRO, ""]
    for suffix, (view, entries) in zip(("shipped", "left-out"), found.items(), strict=True):
        bins = {
            f"{key}: Cllr {one.cllr:.2f} (least {one.cllr_min:.2f})": one.bins for key, one in entries.items()
        }
        plot = draw_reliability(bins, stem.with_name(f"{stem.name}-{suffix}.svg"), f"{view}; {name}")
        lines += [f"## {view}", "", *table(entries), "", f"![reliability]({plot.name})", ""]
    stem.with_name(stem.name + ".md").write_text("\n".join(lines), encoding="utf-8")
    body = {view: {key: numbers(one) for key, one in entries.items()} for view, entries in found.items()}
    stem.with_name(stem.name + ".json").write_text(
        json.dumps({"nets": list(args.nets), "date": today(), **body}, indent=1) + "\n", encoding="utf-8"
    )
    print(stem.with_name(stem.name + ".md"))


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the scores")
    parser.add_argument("--nets", nargs="+", required=True, help="nets that are fused")
    parser.add_argument("--out", type=Path, help="files to write, without a suffix")
    report(parser.parse_args(argv))
    return 0


if __name__ == "__main__":
    sys.exit(main())
