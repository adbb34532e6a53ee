"""``python -m benchmarks``: speed as a written contract. README.md tells how and what the words mean."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks import (
    batch,
    cameras,
    compare,
    frame,
    gateway,
    load,
    memory,
    options,
    pace,
    providers,
    show,
    stages,
    start,
    trials,
    upload,
    verdict,
)
from benchmarks.peers import WorkerError
from benchmarks.report import Book
from pipeline.errors import LivegateError

Part = Callable[[options.Options, Book], None]

COMMANDS: Final[dict[str, tuple[str, tuple[Part, ...]]]] = {
    "frame": (
        "whole frames beside floor and peers, stages, upload, cold start, memory, time to a verdict",
        (frame.measure, stages.brief, upload.measure, start.measure, memory.measure, verdict.measure),
    ),
    "stages": ("every stage of a frame and of an upload on its own", (stages.measure, upload.measure)),
    "gate": ("from the source's first frame to the verdict, in video time and wall time", (verdict.measure,)),
    "pace": ("verdicts where nets see every frame, and where they see those that are due", (pace.measure,)),
    "trials": ("other ways to run the same nets, INT8 among them", (trials.measure,)),
    "match": ("a match through the embedded gateway, in process and over loopback", (gateway.measure,)),
    "start": ("from the start of a process to its first judged frame", (start.measure,)),
    "load": ("signed matches against livegate serve with several workers", (load.measure,)),
    "memory": ("resident memory over many frames", (memory.measure,)),
    "cameras": ("frames of each of 1 to 16 cameras in one process", (cameras.measure,)),
    "batch": ("pictures a second through the liveness nets in batches of 1, 4 and 16", (batch.measure,)),
    "providers": ("the nets on other execution providers, where there are any", (providers.measure,)),
    "peers": ("whole frames and request signing beside the peers", (frame.measure, upload.measure)),
}


def main() -> int:
    """Run what the command line says; 1 where `compare` finds a regression, 2 for bad usage."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (text, _) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        options.add_options(command)
        command.add_argument("--only", action="store_true", help="the first part alone")
        memory.add_options(command)
        if name == "load":
            load.add_options(command)
    profile = commands.add_parser("profile", help="where the whole frame's time goes, by function")
    options.add_options(profile)
    compare.add_command(commands)
    plot = commands.add_parser("plot", help="draw the plots of a report again")
    plot.add_argument("report", type=Path)
    arguments = parser.parse_args()
    try:
        return _run(arguments)
    except (ValueError, LivegateError, WorkerError) as error:
        print(f"{error}", file=sys.stderr)
        return 2


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "compare":
        return compare.run(arguments)
    if arguments.command == "plot":
        show.plot(arguments.report)
        return 0
    if arguments.command == "profile":
        print(frame.profile(options.read_options(arguments)))
        return 0
    parts = COMMANDS[arguments.command][1]
    report = options.run(arguments.command, arguments, parts[:1] if arguments.only else parts)
    print(show.table(report))
    if arguments.out is not None:
        show.plot(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
