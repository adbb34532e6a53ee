"""Resident memory of a gate over many frames, in a process of its own, and whether it grows."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.machine import pin
from benchmarks.options import Options, say
from benchmarks.report import Book, Series
from benchmarks.samples import growth
from benchmarks.sequence import FPS, rendered
from benchmarks.start import run
from benchmarks.whole import label

POINTS: Final = 60
KEPT: Final = 16
SETTLED: Final = 1000
"""Frames below which a slope would only show how caches fill."""
HOUR: Final = 3600 * FPS
"""Frames of one hour."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """How long to look."""
    parser.add_argument("--frames", type=int, default=1200, help="frames for memory; 108000 are one hour")
    parser.add_argument("--minutes", type=float, help="for so long in place of --frames, at --fps")
    parser.add_argument("--fps", type=float, default=10.0, help="frames a second with --minutes")


def measure(options: Options, book: Book) -> None:
    """The curve for the first set of nets, and its slope over the second half."""
    minutes, fps = options.arguments.minutes, options.arguments.fps
    if minutes is not None and not (minutes > 0 and fps > 0):
        raise ValueError("--minutes and --fps are above 0")
    frames = options.arguments.frames if minutes is None else round(60 * minutes * fps)
    if frames < 2 * POINTS:
        raise ValueError(f"at least {2 * POINTS} frames")
    size, nets = options.sizes[0], options.nets[0]
    name = f"memory, {label(nets)}, {size[0]}x{size[1]}"
    say(f"  {name}: {frames} frames")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.bin"
        with path.open("wb") as file:
            for image in rendered(size, seed=options.seed, count=KEPT):
                file.write(image.data)
        words = [str(path), f"{size[0]}x{size[1]}", "+".join(nets), str(frames), str(frames // POINTS)]
        if minutes is not None:
            words += [str(fps), str(minutes)]
        else:
            pin(options.one)
        answer = run("benchmarks.resident", words)
        pin(options.outer)
    if any(point[1] is None for point in answer["curve"]):
        book.skip(name, "not run: this system does not tell resident memory in /proc")
        return
    paced = minutes is not None
    x = [float(point[2]) / 60 if paced else float(point[0]) for point in answer["curve"]]
    now = [float(point[1][0]) for point in answer["curve"]]
    unit = "minutes" if paced else "frames"
    book.series.append(Series(name=name, x_unit=unit, y_unit="MiB resident", x=tuple(x), y=tuple(now)))
    highest = max(float(point[1][1]) for point in answer["curve"])
    note = f"{answer['frames']} frames, {answer['verdicts']} checks, {answer['seconds'] / 60:.1f} minutes"
    book.add_number(f"{name}: highest", highest, "MiB", note)
    half = len(x) // 2
    if answer["frames"] >= SETTLED and len(x) - half > 1:
        book.add_number(
            f"{name}: growth",
            growth(x[half:], now[half:]) * (60 if paced else HOUR),
            "MiB an hour" if paced else f"MiB an hour at {FPS} fps",
            "median slope of all pairs of points of the second half, extrapolated unless an hour was run",
        )
    book.target(f"{name}: highest", highest * 1.048576, "MB", most=250)
