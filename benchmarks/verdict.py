"""From the first frame of a source to the verdict of `Gate`, in video time and in the gate's own time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from benchmarks.machine import pin
from benchmarks.options import Options, say
from benchmarks.report import Book
from benchmarks.sequence import CLIPS, FPS, rendered
from pipeline import Gate, Settings, open_source
from pipeline.camera import Frame, Source, SourceInfo, SyntheticSource

CHECKS: Final = 24
"""Checks of each kind of rendered source, each with a seed of its own."""
LONGEST_S: Final = 5


class Timed:
    """A source that adds up how long its frames took to come.

    Args:
        source: where they come from.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.ns = 0
        self.frames = 0

    @property
    def info(self) -> SourceInfo:
        """The source's."""
        return self._source.info

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        began = time.perf_counter_ns()
        try:
            frame = next(self._source)
        finally:
            self.ns += time.perf_counter_ns() - began
        self.frames += 1
        return frame

    def close(self) -> None:
        """End the source."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def measure(options: Options, book: Book) -> None:
    """Rendered people and replays, and the labelled clips where they are there."""
    pin(options.one)
    size = options.sizes[0]
    seeds = range(options.seed, options.seed + min(CHECKS, options.repeats))
    with Gate(Settings(mode="liveness")) as gate:
        for kind, replay, most in (("person", False, 300), ("replay", True, 1000)):
            sources = [
                lambda seed=seed, replay=replay: SyntheticSource(
                    rendered(size, seed=seed, replay=replay, count=LONGEST_S * FPS)
                )
                for seed in seeds
            ]
            group = f"gate, rendered {kind}, {size[0]}x{size[1]}"
            p95 = _check(book, gate, group, sources)
            if p95 is not None:
                book.target(f"{group}: video time to the verdict, p95", p95, "ms", most=most)
        for label in ("live", "spoof"):
            paths = clips(options.arguments.data, label)
            group = f"gate, labelled clips, {label}"
            if paths:
                _check(book, gate, group, [lambda clip=clip: open_source(str(clip)) for clip in paths])
            else:
                book.skip(group, "not run: the labelled data is not on this machine")
    pin(options.outer)


def clips(data: Path, label: str) -> list[Path]:
    """Labelled clips of a kind, sorted; none where the folder is absent."""
    return sorted(p for p in (data / "video" / "faces" / label).glob("*") if p.suffix in CLIPS)


def _check(book: Book, gate: Gate, group: str, sources: list[Callable[[], Source]]) -> float | None:
    """One check of each source; p95 of the video time, or None where no check got as far as a verdict."""
    say(f"  {group}: {len(sources)} checks")
    video, work, wall = [], [], []
    ends: Counter[str] = Counter()
    for make in sources:
        source = Timed(make())
        began = time.perf_counter_ns()
        result = gate.check(source)
        took = time.perf_counter_ns() - began
        wall.append(took / 1e6)
        work.append((took - source.ns) / 1e6)
        ends[f"{int(result.code)} {result.reason or 'passed'}"] += 1
        if result.liveness is not None:
            video.append(result.liveness.elapsed_ms)
    note = ", ".join(f"{count} x {end}" for end, count in ends.most_common())
    book.add_case(f"{group}: the gate's own time to the verdict", group, work, note=note)
    book.add_case(f"{group}: wall time with the source's, as fast as it goes", group, wall, note=note)
    if not video:
        return None
    return book.add_case(f"{group}: video time to the verdict", group, video, note=note).marks.p95
