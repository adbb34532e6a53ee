"""Sweeps over light, distance, blur and coding: simulated degradation of real pictures, scored again.

    python -m benchmarks.pad_sweeps score --net fr_liveness --net livegate_pad=FILE.onnx@DATASET ...
    python -m benchmarks.pad_sweeps report --nets fr_liveness livegate_pad

``score`` takes pictures of subjects that no shipped calibration was fitted on (after ``python -m
benchmarks.pad_stills score``), degrades each in memory, looks for the face again as the product does, and
keeps numbers in the folder ``--work``. ``report`` writes tables and curves to docs/pad-results.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.pad_data import WORK, Folds, fit_half, load_nets, read_manifest, read_stills
from benchmarks.pad_degrade import KINDS, apply
from benchmarks.pad_plots import Curve, Panel, draw_panels
from benchmarks.pad_stills import FULL_FRAMES, ROOT, facts, today
from pipeline.camera.frame import Image
from pipeline.errors import FrameError
from pipeline.evaluation.curve import auc, equal_error, error_curve
from pipeline.evaluation.intervals import Rate
from pipeline.liveness.calibration import load_calibration
from pipeline.liveness.passive import fuse
from pipeline.nets import open_store
from pipeline.vision import Vision
from pipeline.vision.quality import QualityLimits, first_problem

SEED: Final = 5
EACH: Final = 40
"""Pictures of each class of each data set, at most."""
INTRO: Final = (
    "**Simulated degradation of real pictures**, not pictures of dark rooms: each picture is changed in "
    "memory (`benchmarks/pad_degrade.py`), the face is looked for again, and the nets score what is "
    "found. Subjects are those that no calibration was fitted on; a net trained here scores only data "
    "sets that it has not seen. Tight crops, where the class is confounded with the camera, are left out."
    " *No face*: non-response, neither accepted nor in the other rates. *Held*: a face is found and the "
    "gate's own quality limits would guide the person instead of judging the frame. BPCER and APCER are "
    "at the calibrated posterior of 0.5, over all pictures with a face; AUC and EER choose nothing. A "
    "degraded attack is the recording of an attack degraded, not an attack made in bad light."
)


@dataclass(frozen=True, slots=True)
class Cell:
    """All pictures under one kind and strength.

    Attributes:
        bpcer, apcer: at the calibrated posterior of 0.5, over pictures with a face.
        judged: attacks accepted among those that the quality gate does not hold.
        bpnrr, apnrr: pictures without a face, live and attacks.
        held_live, held_spoof: of pictures with a face, those that the quality gate holds.
        auc, eer: None where a class has no face left.
        face: median width of faces found, pixels.
    """

    bpcer: Rate
    apcer: Rate
    judged: Rate
    bpnrr: Rate
    apnrr: Rate
    held_live: Rate
    held_spoof: Rate
    auc: float | None
    eer: float | None
    face: float


def chosen(data: Path, work: Path, each: int) -> list[int]:
    """Rows of ``pad_all.tsv``: up to ``each`` of a class of a full-frame set, of subjects not fitted on."""
    stills = read_stills(work / "stills.tsv")
    if len(read_manifest(data / "pad_all.tsv")) != len(stills.live):
        raise SystemExit(
            "stills.tsv is of another list of pictures: run `python -m benchmarks.pad_stills score`"
        )
    rng = np.random.default_rng(SEED)
    usable = stills.face & ~fit_half(stills)
    rows: list[int] = []
    for dataset in FULL_FRAMES:
        for side in (True, False):
            mine = np.flatnonzero(usable & (stills.dataset == dataset) & (stills.live == side))
            rows += rng.permutation(mine)[:each].tolist()
    return sorted(rows)


def score(args: argparse.Namespace) -> None:
    """Degrade and score; what is in the file already is not done again."""
    nets = load_nets(args.net)
    vision = Vision(open_store())
    rows = read_manifest(args.data / "pad_all.tsv")
    out = args.work / "sweeps.tsv"
    head = ["row", "kind", "strength", "dataset", "label", "face", "width", "held", *nets]
    done = _done(out, head)
    args.work.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    todo = [i for i in chosen(args.data, args.work, args.each) if i not in done]
    with out.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t")
        if not done and file.tell() == 0:
            writer.writerow(head)
        for number, index in enumerate(todo, 1):
            row = rows[index]
            writer.writerows(_versions(index, row, args.data, vision, nets))
            file.flush()
            if number % 20 == 0 or number == len(todo):
                print(f"{number} of {len(todo)} pictures, {time.monotonic() - start:.0f} s", file=sys.stderr)


def _done(path: Path, head: Sequence[str]) -> set[int]:
    """Pictures that are complete in the file; a file of other nets is an error, a cut-off one is mended."""
    if not path.is_file():
        return set()
    with path.open(newline="", encoding="utf-8") as file:
        table = list(csv.reader(file, delimiter="\t"))
    if not table or table[0] != list(head):
        raise SystemExit(f"{path.name} holds scores of other nets: delete it or use another --work")
    whole = 1 + sum(len(kind.strengths) - 1 for kind in KINDS.values())
    counts: dict[str, int] = {}
    for row in table[1:]:
        counts[row[0]] = counts.get(row[0], 0) + (len(row) == len(head))
    kept = [row for row in table[1:] if counts[row[0]] == whole]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter="\t").writerows([head, *kept])
    return {int(row[0]) for row in kept}


def _versions(
    index: int, row: dict[str, str], data: Path, vision: Vision, nets: dict[str, Folds]
) -> Iterator[list[str]]:
    """The picture as it is, and under every kind and strength."""
    image = np.asarray(cv2.imread(str(data / row["path"]), cv2.IMREAD_COLOR), np.uint8)
    face = vision.look(image).face
    width = 0.0 if face is None else float(face.box[2] - face.box[0])
    yield _line(index, "none", 0.0, row, image, vision, nets)
    for name, kind in KINDS.items():
        for place, strength in enumerate(kind.strengths):
            if place != kind.at:
                rng = np.random.default_rng([SEED, index, place])
                changed = apply(name, image, strength, width, rng)
                yield _line(index, name, strength, row, changed, vision, nets)


def _line(
    index: int,
    kind: str,
    strength: float,
    row: dict[str, str],
    image: Image,
    vision: Vision,
    nets: dict[str, Folds],
) -> list[str]:
    start = [str(index), kind, f"{strength:g}", row["group"], row["label"]]
    try:
        view = vision.look(image)
    except FrameError:  # smaller than any frame may be
        view = None
    if view is None or view.face is None:
        return [*start, "0", "0", "0", *["nan"] * len(nets)]
    box = view.face.box
    held = first_problem(view, QualityLimits()) is not None
    odds = [f"{folds.of(row['group']).log_odds(image, box):.4f}" for folds in nets.values()]
    return [*start, "1", f"{float(box[2] - box[0]):.0f}", str(int(held)), *odds]


def cells(path: Path, nets: Sequence[str]) -> dict[tuple[str, float], Cell]:
    """Measure every kind and strength; the untouched pictures stand at each kind's own zero."""
    rows = [row for row in read_manifest(path) if row["dataset"] in FULL_FRAMES]
    calibration = load_calibration(nets)
    odds = fuse({name: np.array([float(row[name]) for row in rows]) for name in nets})
    posterior_live = calibration.slope * odds + calibration.intercept >= 0
    live = np.array([row["label"] == "live" for row in rows])
    face = np.array([row["face"] == "1" for row in rows])
    held = np.array([row["held"] == "1" for row in rows])
    width = np.array([float(row["width"]) for row in rows])
    kinds = np.array([row["kind"] for row in rows])
    strengths = np.array([float(row["strength"]) for row in rows])
    found: dict[tuple[str, float], Cell] = {}
    for name, kind in KINDS.items():
        for place, strength in enumerate(kind.strengths):
            same = (kinds == name) & (strengths == strength)
            mine = kinds == "none" if place == kind.at else same
            found[name, strength] = _cell(mine, odds, posterior_live, live, face, held, width)
    return found


def _cell(
    mine: NDArray[np.bool_],
    odds: NDArray[np.float64],
    accepted: NDArray[np.bool_],
    live: NDArray[np.bool_],
    face: NDArray[np.bool_],
    held: NDArray[np.bool_],
    width: NDArray[np.float64],
) -> Cell:
    seen = mine & face & np.isfinite(odds)

    def rate(hit: NDArray[np.bool_], of: NDArray[np.bool_]) -> Rate:
        return Rate(int((hit & of).sum()), int(of.sum()))

    both = bool((seen & live).any() and (seen & ~live).any())
    return Cell(
        bpcer=rate(~accepted, seen & live),
        apcer=rate(accepted, seen & ~live),
        judged=rate(accepted, seen & ~live & ~held),
        bpnrr=rate(~face, mine & live),
        apnrr=rate(~face, mine & ~live),
        held_live=rate(held, seen & live),
        held_spoof=rate(held, seen & ~live),
        auc=auc(odds[seen], live[seen]) if both else None,
        eer=equal_error(error_curve(odds[seen], live[seen])).rate if both else None,
        face=float(np.median(width[seen])) if seen.any() else math.nan,
    )


def report(args: argparse.Namespace) -> None:
    """Tables, numbers and curves to docs/pad-results."""
    found = cells(args.work / "sweeps.tsv", args.nets)
    name = " + ".join(args.nets)
    stem = args.out or ROOT / "docs" / "pad-results" / f"{today()}-sweeps"
    panels = [_panel(found, key) for key in KINDS]
    picture = draw_panels(
        panels, stem.with_name(stem.name + ".svg"), f"simulated degradation of real pictures; {name}"
    )
    rows = [row for row in read_manifest(args.work / "sweeps.tsv") if row["dataset"] in FULL_FRAMES]
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        if row["kind"] == "none":
            counts[row["dataset"], row["label"]] = counts.get((row["dataset"], row["label"]), 0) + 1
    lines = ["# Sweeps of light, distance, blur and coding", ""]
    lines += [*facts(f"python -m benchmarks.pad_sweeps report --nets {' '.join(args.nets)}"), "", INTRO, ""]
    listed = ", ".join(f"{d} {side} {n}" for (d, side), n in sorted(counts.items()))
    lines += [f"Pictures: {listed}.", ""]
    lines += [f"![curves]({picture.name})", ""]
    for key, kind in KINDS.items():
        lines += [f"## {kind.title} ({kind.unit})", "", *_table(found, key), ""]
    stem.with_name(stem.name + ".md").write_text("\n".join(lines), encoding="utf-8")
    numbers = {f"{k} {s:g}": _numbers(cell) for (k, s), cell in found.items()}
    stem.with_name(stem.name + ".json").write_text(
        json.dumps({"nets": list(args.nets), "date": today(), "cells": numbers}, indent=1) + "\n",
        encoding="utf-8",
    )
    print(stem.with_name(stem.name + ".md"))


def _panel(found: dict[tuple[str, float], Cell], name: str) -> Panel:
    kind = KINDS[name]
    row = [found[name, strength] for strength in kind.strengths]

    def curve(label: str, attribute: str, *, band: bool = False, dashed: bool = False) -> Curve:
        rates: list[Rate] = [getattr(cell, attribute) for cell in row]
        ends = [rate.interval for rate in rates] if band else []
        return Curve(
            label,
            [rate.value for rate in rates],
            [None if e is None else e.low for e in ends],
            [None if e is None else e.high for e in ends],
            dashed,
        )

    return Panel(
        kind.title,
        [f"{strength:g}" for strength in kind.strengths],
        [
            curve("BPCER at 0.5", "bpcer", band=True),
            curve("APCER at 0.5", "apcer", band=True),
            curve("APCER of attacks not held", "judged"),
            Curve("EER", [cell.eer for cell in row]),
            curve("live without a face", "bpnrr", dashed=True),
            curve("attacks without a face", "apnrr", dashed=True),
            curve("live held by the quality gate", "held_live", dashed=True),
        ],
        kind.unit,
    )


def _table(found: dict[tuple[str, float], Cell], name: str) -> list[str]:
    rows = [
        (
            "| strength | face, px | AUC | EER % | BPCER at 0.5 | APCER at 0.5 | APCER, not held "
            "| live, no face | attacks, no face | live held | attacks held |"
        ),
        "|---" * 11 + "|",
    ]
    kind = KINDS[name]
    for place, strength in enumerate(kind.strengths):
        cell = found[name, strength]
        mark = " (as it is)" if place == kind.at else ""
        rows.append(
            f"| {strength:g}{mark} | {cell.face:.0f} | {'-' if cell.auc is None else f'{cell.auc:.3f}'} "
            f"| {'-' if cell.eer is None else f'{100 * cell.eer:.1f}'} | {_full(cell.bpcer)} "
            f"| {_full(cell.apcer)} | {_short(cell.judged)} | {_short(cell.bpnrr)} "
            f"| {_short(cell.apnrr)} | {_short(cell.held_live)} "
            f"| {_short(cell.held_spoof)} |"
        )
    return rows


def _full(rate: Rate) -> str:
    interval = rate.interval
    if rate.value is None or interval is None:
        return "-"
    ends = f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"
    return f"{100 * rate.value:.1f} % ({rate.errors}/{rate.n}; {ends})"


def _short(rate: Rate) -> str:
    return "-" if rate.value is None else f"{rate.errors}/{rate.n}"


def _numbers(cell: Cell) -> dict[str, Any]:
    body: dict[str, Any] = {
        name: [getattr(cell, name).errors, getattr(cell, name).n]
        for name in ("bpcer", "apcer", "judged", "bpnrr", "apnrr", "held_live", "held_spoof")
    }
    return {
        **body,
        "auc": None if cell.auc is None else round(cell.auc, 4),
        "eer": None if cell.eer is None else round(cell.eer, 4),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for scores, outside the checkout")
    commands = parser.add_subparsers(required=True)
    scoring = commands.add_parser("score", help="degrade and score")
    scoring.add_argument("--net", action="append", required=True, metavar="NAME[=FILE[@DATASET,...]]")
    scoring.add_argument("--each", type=int, default=EACH, help="pictures of a class of a data set")
    scoring.set_defaults(run=score)
    writing = commands.add_parser("report", help="write tables and curves")
    writing.add_argument("--nets", nargs="+", required=True, help="nets that are fused")
    writing.add_argument("--out", type=Path, help="files to write, without a suffix")
    writing.set_defaults(run=report)
    args = parser.parse_args(argv)
    args.run(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
