"""Every result of liveness again, for given nets: one command writes the tables and curves.

    python -m benchmarks.pad_all --nets fr_liveness livegate_pad --net fr_liveness \
        --net livegate_pad=FOLD_A.onnx@nuaa_raw --net livegate_pad=FOLD_B.onnx@pourfard_bench,faces ...

``--net`` is as for `benchmarks.pad_stills`: a net that was trained here scores each data set (``faces`` for
the clips) by a fold that has not seen it. Each picture is scored once; scores, never pictures, are kept in
``--work``, which must lie outside the checkout, and a second run with ``--keep`` takes them from there.
``--fit`` writes `pipeline/liveness/calibrations` again before anything is reported. About eight minutes of
one slow core for two nets.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import pad_ablation, pad_clips, pad_reliability, pad_stills, pad_sweeps
from benchmarks.pad_data import WORK
from benchmarks.pad_stills import ROOT, today

Step = tuple[str, Callable[[Sequence[str]], int], list[str]]


def steps(args: argparse.Namespace) -> list[Step]:
    """What is run, in order: name, the module's entry point, its arguments."""
    work = ["--work", str(args.work)]
    place = ["--data", str(args.data), *work]
    scorers = [part for entry in args.net for part in ("--net", entry)]
    nets = list(args.nets)
    out: Path = args.out
    made: list[Step] = []
    if not (args.keep and (args.work / "stills.tsv").is_file()):
        made.append(("score pictures", pad_stills.main, [*place, "score", *scorers]))
    if not (args.keep and (args.work / "clips.json").is_file()):
        made.append(("score clips", pad_clips.main, [*place, "score", *scorers]))
    if args.fit:
        made.append(("fit the shipped calibration", pad_stills.main, [*place, "fit", "--nets", *nets]))
    chosen = [part for entry in args.net if entry.partition("=")[0] in nets for part in ("--net", entry)]
    sweep = ["score", *chosen, "--each", str(args.each)]
    return [
        *made,
        ("degrade and score", pad_sweeps.main, [*place, *sweep]),
        ("pictures", pad_stills.main, [*place, "eval", "--out", str(out / f"{today()}-stills.md")]),
        ("clips", pad_clips.main, [*place, "report", *chosen, "--out", str(out / f"{today()}-clips.md")]),
        ("ablation", pad_ablation.main, [*place, "--nets", *nets, "--out", str(out / f"{today()}-ablation")]),
        (
            "reliability",
            pad_reliability.main,
            [*work, "--nets", *nets, "--out", str(out / f"{today()}-reliability")],
        ),
        (
            "sweeps",
            pad_sweeps.main,
            [*place, "report", "--nets", *nets, "--out", str(out / f"{today()}-sweeps")],
        ),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for scores, outside the checkout")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pad-results", help="folder for results")
    parser.add_argument("--nets", nargs="+", required=True, help="nets of the decision")
    parser.add_argument("--net", action="append", required=True, metavar="NAME[=FILE[@DATASET,...]]")
    parser.add_argument(
        "--each", type=int, default=pad_sweeps.EACH, help="pictures of a class for the sweeps"
    )
    parser.add_argument("--keep", action="store_true", help="take scores of pictures and clips from --work")
    parser.add_argument("--fit", action="store_true", help="write the shipped calibration again")
    parser.add_argument("--list", action="store_true", help="print the steps and end")
    args = parser.parse_args(argv)
    if args.work.resolve().is_relative_to(ROOT):
        parser.error("--work must lie outside the checkout")
    missing = set(args.nets) - {entry.partition("=")[0] for entry in args.net}
    if missing:
        parser.error(f"--net is missing for {', '.join(sorted(missing))}")
    for name, run, arguments in steps(args):
        print(f"{name}: {' '.join(arguments)}", file=sys.stderr, flush=True)
        if args.list:
            continue
        start = time.monotonic()
        run(arguments)
        print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
