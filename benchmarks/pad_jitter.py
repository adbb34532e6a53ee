"""How often a verdict on one picture changes when the face box moves: the nets of the decision, fused.

    python -m benchmarks.pad_jitter --nets fr_liveness livegate_pad --net fr_liveness \
        --net livegate_pad=FOLD.onnx@nuaa_raw --net livegate_pad=OTHER.onnx@pourfard_bench ...

Each picture is judged at the box that `pipeline.vision` gives it and at boxes moved by up to 20 % of their
size and scaled by up to 15 % (`models.training.crops.jitter_box`). A *flip*: the calibrated posterior crosses
0.5. A *reversal*: what would pass by itself leans to a spoof at another box, or the other way round; between
the two the decision waits for more frames. ``--net`` is as for `benchmarks.pad_stills`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.pad_data import Folds, load_nets, read_manifest, share
from benchmarks.pad_stills import ROOT, facts, today
from models.training.crops import jitter_box
from pipeline.liveness.calibration import Calibration, load_calibration
from pipeline.liveness.decision import DecisionLimits
from pipeline.liveness.passive import fuse
from pipeline.nets import open_store
from pipeline.vision import Vision

COPIES = 10
INTRO = (
    "Boxes moved by up to 20 % of their size and scaled by up to 15 %, ten of each picture. *Flip*: the "
    "posterior crosses 0.5. *Reversal*: a picture whose ratio alone would pass leans to a spoof at another "
    "box, or the other way round. `livegate_pad` stands for nets that have not seen the data set. Intervals "
    "are exact (95 %) and take copies for independent, which they are not. The goal is 2 %."
)


def chosen(rows: list[dict[str, str]], each: int) -> list[dict[str, str]]:
    """At most `each` pictures of a class of a data set, spread evenly over the manifest."""
    out: list[dict[str, str]] = []
    for key in dict.fromkeys((row["group"], row["label"]) for row in rows):
        here = [row for row in rows if (row["group"], row["label"]) == key]
        out += [here[int(i)] for i in np.unique(np.linspace(0, len(here) - 1, each).astype(int))]
    return out


def ratios(
    image: NDArray[np.uint8],
    boxes: list[NDArray[np.float32]],
    nets: dict[str, Folds],
    group: str,
    line: Calibration,
) -> NDArray[np.float64]:
    """Calibrated log-likelihood ratio at each box, within the calibration's bound."""
    odds = [{name: folds.of(group).log_odds(image, box) for name, folds in nets.items()} for box in boxes]
    return np.array([line.llr(fuse(row)) for row in odds])


def report(data: Path, nets: dict[str, Folds], each: int, limits: DecisionLimits) -> list[str]:
    """Rows of the table, one for each class of each data set."""
    line = load_calibration(nets)
    enough = min(limits.upper * line.rho, line.bound)
    vision, counts = Vision(open_store()), dict[tuple[str, str], list[int]]()
    for k, row in enumerate(chosen(read_manifest(data / "pad_all.tsv"), each)):
        image = np.asarray(cv2.imread(str(data / row["path"]), cv2.IMREAD_COLOR), np.uint8)
        face = vision.look(image).face
        if face is None:
            continue
        rng = np.random.default_rng([23, k])
        boxes = [face.box, *(jitter_box(face.box, rng) for _ in range(COPIES))]
        base, *moved = ratios(image, boxes, nets, row["group"], line)
        tally = counts.setdefault((row["group"], row["label"]), [0, 0, 0])
        tally[0] += len(moved)
        tally[1] += sum((value > 0) != (base > 0) for value in moved)
        tally[2] += sum(max(value, base) >= enough and min(value, base) < 0 for value in moved)
    lines = ["| data set | class | copies | flips | reversals |", "|---|---|---|---|---|"]
    total = np.sum(list(counts.values()), axis=0)
    for (group, label), (copies, flips, reversals) in [*counts.items(), (("all", "both"), total)]:
        cells = [share(int(count), int(copies)) for count in (flips, reversals)]
        lines.append(f"| {group} | {label} | {copies} | {' | '.join(cells)} |")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--nets", nargs="+", required=True, help="nets of the decision")
    parser.add_argument("--net", action="append", required=True, metavar="NAME[=FILE[@DATASET,...]]")
    parser.add_argument("--each", type=int, default=20, help="pictures of a class of a data set")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pad-results" / f"{today()}-jitter.md")
    args = parser.parse_args(argv)
    every = load_nets(args.net)
    lines = report(args.data, {name: every[name] for name in args.nets}, args.each, DecisionLimits())
    command = f"python -m benchmarks.pad_jitter --nets {' '.join(args.nets)} --each {args.each}"
    text = ["# Verdicts when the box moves", "", *facts(command), "", INTRO, "", *lines, ""]
    args.out.write_text("\n".join(text), encoding="utf-8")
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
