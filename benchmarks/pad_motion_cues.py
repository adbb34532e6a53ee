"""Cues over time: relief, surroundings, blinks, gaze, pulse. What each measures on clips and on renderings.

    python -m benchmarks.pad_motion_cues collect        clips, stills, renderings; numbers to a file
    python -m benchmarks.pad_motion_cues cost           time of each beside one pass of the mesh net
    python -m benchmarks.pad_motion_cues report         both into docs/pad-results

None of these cues is in the product; docs/adr/0018-motion-cues.md tells why. Constants of the cues come from
renderings and from literature, none from the clips. There are eight labelled clips of seven people.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import cv2

from benchmarks.cues_motion import tables
from benchmarks.cues_motion.gather import PARTS, say
from benchmarks.cues_motion.series import Eyes
from benchmarks.pad_data import WORK
from pipeline.nets import open_store
from pipeline.vision import Vision

ROOT = Path(__file__).resolve().parents[1]
FILE: Final = "motion_cues_{}.json"
FEW: Final = (
    "Eight labelled clips of seven people, five live and three replays: with 0 errors in 5 the exact 95 % "
    "interval reaches 52 %, with 0 in 3 it reaches 71 %. No rate can be had from them; they can refute a cue "
    "and not prove one. Sessions of `nuaa_raw` are stills some seconds apart, of eight people and of "
    "photographs of the same eight. What is rendered is synthetic, from press pictures of four people at two "
    "frames a second: the tables' counts are of windows or of seconds. Lids drawn from smeared skin move "
    "none of the three measures of openness far enough, so the drawn blinks prove nothing either way."
)
RULES: Final = (
    "Windows are 4 s, a check's deadline. Relief confirms at a gain of {gain}, an agreement of {agrees} and "
    "a turn of {confirm:.0f} degrees; it denies from {deny:.0f} degrees where the gain over either sheet "
    "stays below {low}. These numbers lie between the renderings' sheets and heads. Clips and stills had "
    "been looked at before they were fixed, so they are no blind test; nothing was moved to suit them. Cells "
    "are median (least, largest)."
)
HOLDERS: Final = (
    "Clip 6 is labelled a replay, and what vision follows there is the live face of the man who holds the "
    "telephone, 28 frames long, until telephone and thumb slide before it. Whatever a cue says there it says "
    "of a live face that is being covered. The two other replays show videos of people who move."
)


SHOWN: Final[dict[str, tuple[str, Callable[[dict[str, Any]], None]]]] = {
    "relief": ("Planarity over head motion", tables.show_relief),
    "surroundings": ("Face against background", tables.show_ring),
    "blinks": ("Blinks", tables.show_blinks),
    "gaze": ("Gaze and micro-movements", tables.show_gaze),
    "pulse": ("Pulse", tables.show_pulse),
}


def measure(args: argparse.Namespace) -> None:
    """Run every cue over everything and keep the numbers."""
    cv2.setNumThreads(1)
    store = open_store()
    vision, eyes = Vision(store), Eyes(store)
    args.work.mkdir(parents=True, exist_ok=True)
    for name in args.part or PARTS:
        numbers = PARTS[name](args.data, vision, eyes)
        (args.work / FILE.format(name)).write_text(json.dumps(numbers, default=float), encoding="utf-8")
        say(name)


def read(work: Path) -> dict[str, Any]:
    """What `measure` wrote."""
    out: dict[str, Any] = {}
    for path in sorted(work.glob(FILE.format("*"))):
        out.update(json.loads(path.read_text("utf-8")))
    return out


def show(args: argparse.Namespace) -> None:
    """Print one table."""
    SHOWN[args.command][1](read(args.work))


def cost(args: argparse.Namespace) -> None:
    """Milliseconds of a frame beside one pass of the mesh net."""
    tables.show_cost(args.repeats)


def report(args: argparse.Namespace) -> None:
    """Write what all the others print to docs/pad-results."""
    from benchmarks.pad_stills import facts, today

    command = "python -m benchmarks.pad_motion_cues collect && python -m benchmarks.pad_motion_cues report"
    rules = RULES.format(
        confirm=tables.CONFIRM_TURN,
        deny=tables.DENY_TURN,
        gain=tables.GAIN,
        low=tables.GAIN / 2,
        agrees=tables.AGREES,
    )
    lines = ["# Cues over time: relief, surroundings, blinks, gaze, pulse", ""]
    lines += [*facts(command), "", FEW, "", HOLDERS, "", rules, ""]
    lines += ["What follows, cue by cue: docs/adr/0018-motion-cues.md. In short: none of them decides.", ""]
    numbers = read(args.work)
    works = [(title, work.__doc__, lambda w=work: w(numbers)) for title, work in SHOWN.values()]
    works.append(("Cost", tables.show_cost.__doc__, lambda: tables.show_cost(args.repeats)))
    for title, text, work in works:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            work()
        lines += [f"## {title}", "", (text or "").partition("\n")[0], ""]
        lines += ["```", printed.getvalue().rstrip(), "```", ""]
    path = ROOT / "docs" / "pad-results" / f"{today()}-motion-cues.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    print(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for numbers")
    commands = parser.add_subparsers(required=True, dest="command")
    collect = commands.add_parser("collect", help=measure.__doc__)
    collect.add_argument("--part", action="append", choices=list(PARTS), help="all unless told")
    collect.set_defaults(run=measure)
    for name, (title, _) in SHOWN.items():
        commands.add_parser(name, help=f"table: {title}").set_defaults(run=show)
    for name, work in (("cost", cost), ("report", report)):
        command = commands.add_parser(name, help=work.__doc__)
        command.add_argument("--repeats", type=int, default=60)
        command.set_defaults(run=work)
    args = parser.parse_args(argv)
    args.run(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
