"""From the start of a process to its first judged frame, over and over in new processes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.machine import pin
from benchmarks.options import ROOT, Options, say
from benchmarks.report import Book
from benchmarks.sequence import rendered
from benchmarks.whole import label

STARTS: Final = 8
"""Processes of each kind; a start takes about a second, so they are fewer than calls of a function."""
FRAMES: Final = 3


def measure(options: Options, book: Book) -> None:
    """Starts with the first set of nets, on one core, files in the system's cache."""
    starts = min(STARTS, options.repeats)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.npy"
        np.save(path, np.stack(list(rendered(options.sizes[0], seed=options.seed, count=FRAMES))))
        pin(options.one)
        nets = options.nets[0]
        group = f"start, {label(nets)}"
        say(f"  {group}: {starts} processes")
        words = [str(path), "+".join(nets)]
        run("benchmarks.first_frame", words)  # files into the cache
        done = [run("benchmarks.first_frame", words) for _ in range(starts)]
        _add(book, group, done, options)
        pin(options.outer)


def run(module: str, arguments: list[str]) -> dict[str, Any]:
    """Run a module in a new process and read the JSON that it prints; ``began`` is added to its marks.

    Raises:
        ValueError: it failed; its last line of standard error is told.
    """
    began = time.monotonic_ns()
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise ValueError(f"{module} failed: {said[-1] if said else done.returncode}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    answer.setdefault("marks", {})["began"] = began
    return answer


def _add(book: Book, group: str, done: list[dict[str, Any]], options: Options) -> None:
    steps: dict[str, Callable[[dict[str, int]], int]] = {
        "interpreter": lambda m: m["entered"] - m["began"],
        "imports": lambda m: m["imported"] - m["entered"],
        "models": lambda m: m["models_loaded"] - m["frames_read"],
        "first judged frame": lambda m: m["judged"] - m["models_loaded"],
        "whole start": lambda m: m["judged"] - m["began"] - (m["frames_read"] - m["imported"]),
    }
    if any("judged" not in answer["marks"] for answer in done):
        raise ValueError("a start judged no frame")
    for name, step in steps.items():
        samples = [step(answer["marks"]) / 1e6 for answer in done]
        case = book.add_case(f"{group}: {name}", group, samples, threads=1, cores=options.one)
        if name == "whole start":
            book.target(f"{group}: to the first judged frame, median", case.marks.median, "ms", most=700)
    resident = [answer["resident_mib"] for answer in done if answer["resident_mib"]]
    if resident:
        book.add_number(f"{group}: resident after it", float(np.median([r[0] for r in resident])), "MiB")
