"""What every sub-command can be told, and how a run is set up."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2

from benchmarks.machine import allowed_cores
from benchmarks.report import Book, Report
from benchmarks.sequence import Sequence as Frames
from benchmarks.sequence import clip_sequence, live_clips, parse_size
from pipeline.errors import LivegateError
from pipeline.nets import ModelStore, open_store
from pipeline.settings import Settings

ROOT: Final = Path(__file__).resolve().parents[1]
PAIR: Final = ("minifasnet_v1se", "minifasnet_v2")


@dataclass(frozen=True, slots=True)
class Options:
    """A run, as the command line asks for it.

    Attributes:
        sizes: (width, height) in pixels.
        threads: onnxruntime threads of our nets.
        repeats: counted calls of each case.
        seed: of orders, pictures and draws.
        nets: sets of liveness nets to measure.
        outer: cores that the whole run may use.
        arguments: everything else.
    """

    sizes: tuple[tuple[int, int], ...]
    threads: tuple[int, ...]
    repeats: int
    seed: int
    nets: tuple[tuple[str, ...], ...]
    outer: tuple[int, ...]
    arguments: argparse.Namespace

    def cores(self, threads: int) -> tuple[int, ...] | None:
        """Cores for so many threads: the last ones, which have the fewest interrupts; None where too few."""
        return self.outer[-threads:] if threads <= len(self.outer) else None

    @property
    def one(self) -> tuple[int, ...]:
        """The core of everything that is held to one."""
        return self.outer[-1:]

    def clips(self, size: tuple[int, int]) -> Iterator[Frames]:
        """The clip that was asked for, or else the live ones of the labelled data one by one."""
        paths = [self.arguments.clip] if self.arguments.clip else live_clips(self.arguments.data)
        return (clip_sequence(path, size) for path in paths)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What every sub-command can be told."""
    parser.add_argument("--size", default="1280x720", help="WIDTHxHEIGHT, several with commas")
    parser.add_argument("--threads", default="1,2", help="onnxruntime threads of our nets, with commas")
    parser.add_argument("--repeats", type=int, default=300, help="counted calls; below 200 it is a trial")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--nets",
        action="append",
        help="liveness nets with +, may be repeated; the settings' and the MiniFASNet pair if left out",
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="labelled data")
    parser.add_argument("--clip", type=Path, help="clip to time on besides; the first live one of --data")
    parser.add_argument("--out", type=Path, help="write the JSON here, and plots beside it")
    peers = parser.add_argument_group("peers")
    peers.add_argument("--mediapipe", type=Path, default=ROOT / ".venv-mediapipe" / "bin" / "python")
    peers.add_argument("--minifasnet", type=Path, default=ROOT.parent / "shared" / "models")
    peers.add_argument("--task", type=Path, help="model bundle for mediapipe's FaceLandmarker")
    peers.add_argument("--yunet", type=Path, help="weights of OpenCV's YuNet")
    peers.add_argument("--uniface", type=Path, help="Python with uniface")
    peers.add_argument("--uniface-scrfd", type=Path, help="a file of the SCRFD family for uniface")
    peers.add_argument(
        "--uniface-untrained", type=Path, help="a file of uniface's default detector's form, untrained"
    )
    peers.add_argument("--deepface", type=Path, help="Python with deepface and torch")
    peers.add_argument("--torch", type=Path, help="Python with torch, onnx and onnxruntime")
    for name in ("core", "tea"):
        peers.add_argument(
            f"--official-{name}", type=Path, default=ROOT / f".venv-official-{name}" / "bin" / "python"
        )


def read_options(arguments: argparse.Namespace) -> Options:
    """Check what was asked for.

    Raises:
        ValueError: a size, a number or a net is wrong.
    """
    if arguments.repeats < 1:
        raise ValueError("at least one repeat")
    threads = tuple(int(part) for part in arguments.threads.split(","))
    if min(threads) < 1:
        raise ValueError("at least one thread")
    nets = [tuple(sorted(text.split("+"))) for text in arguments.nets or ()]
    return Options(
        sizes=tuple(parse_size(part) for part in arguments.size.split(",")),
        threads=threads,
        repeats=arguments.repeats,
        seed=arguments.seed,
        nets=tuple(dict.fromkeys(nets)) or default_nets(open_store()),
        outer=allowed_cores(),
        arguments=arguments,
    )


def default_nets(store: ModelStore) -> tuple[tuple[str, ...], ...]:
    """The settings' nets, and the public MiniFASNet pair where its files are there."""
    sets = [tuple(sorted(Settings().nets))]
    try:
        for name in PAIR:
            store.path(name)
    except LivegateError:
        return tuple(sets)
    return tuple(dict.fromkeys([*sets, PAIR]))


def run(
    benchmark: str, arguments: argparse.Namespace, parts: Sequence[Callable[[Options, Book], None]]
) -> Report:
    """Measure the parts of a sub-command one after the other, and write what came out.

    Raises:
        ValueError: what was asked for is wrong.
    """
    options = read_options(arguments)
    book = Book(benchmark, command_line(), repeats=options.repeats, seed=options.seed)
    cv2.setNumThreads(1)
    for part in parts:
        name = part.__module__.removeprefix("benchmarks.")
        say(f"{name} ...")
        began = time.monotonic()
        part(options, book)
        say(f"{name}: {time.monotonic() - began:.0f} s")
    if book.busy:
        book.skip("a quiet machine", "not had: other work ran beside this; compare inside a group, by ratios")
    report = book.close()
    if arguments.out is not None:
        report.write(arguments.out)
    return report


def command_line() -> str:
    """The command as it was typed, without folders of this machine."""
    words = [Path(word).name if word.startswith("/") else word for word in sys.argv[1:]]
    return " ".join(["python -m benchmarks", *words])


def say(text: str) -> None:
    """Progress goes to standard error."""
    print(text, file=sys.stderr, flush=True)
