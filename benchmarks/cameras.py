"""Several cameras in one process: how many frames each gets as there are more of them, 1 to 16."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from threading import Event
from typing import Final

import numpy as np

from benchmarks.machine import pin, resident_mib
from benchmarks.options import Options, say
from benchmarks.report import Book, Series
from benchmarks.sequence import FPS, Sequence, rendered_sequence
from pipeline import Cameras, Guidance, Result, Settings
from pipeline.camera import Frame, SourceInfo
from pipeline.camera.source import SourceBase

STREAMS: Final = (1, 2, 4, 8, 16)
SECONDS: Final = 10.0
"""Of each number of streams."""
WARM_S: Final = 2.0
"""Before frames are counted."""

LIVE: Final = SourceInfo(
    kind="synthetic", name="paced", live=True, trusted=False, reason="a benchmark's", timing="capture"
)


class Paced(SourceBase):
    """Frames as a camera gives them: at `FPS`, the newest only; what nobody came for in time is dropped.

    Args:
        sequence: what it shows.
        began: seconds of the monotonic clock at its first frame.
        offset: frames that it is ahead of the others.
    """

    def __init__(self, sequence: Sequence, began: float, offset: int) -> None:
        self._sequence = sequence
        self._began = began
        self._offset = offset
        self._last = int((time.monotonic() - began) * FPS)  # the next one is the first
        self._closed = Event()
        self.seen = 0
        self.dropped = 0
        self.waited: list[float] = []

    @property
    def info(self) -> SourceInfo:
        """A live camera's, but for the trust."""
        return LIVE

    def __next__(self) -> Frame:
        due = self._began + (self._last + 1) / FPS
        if self._closed.wait(max(0.0, due - time.monotonic())):
            raise StopIteration
        number = max(self._last + 1, int((time.monotonic() - self._began) * FPS))
        self.dropped += number - self._last - 1
        self.seen += 1
        self._last = number
        t = self._began + number / FPS
        return Frame(self._sequence.images[self._sequence.index(number + self._offset)], t=t, seq=number)

    def close(self) -> None:
        """End it."""
        self._closed.set()


def measure(options: Options, book: Book) -> None:
    """Each number of streams for `SECONDS`, on one core; checks follow one another at each camera."""
    size = options.sizes[0]
    sequence = rendered_sequence(size, seed=options.seed)
    seconds = SECONDS if options.repeats >= 200 else 1.0
    rows = []
    pin(options.one)
    for streams in STREAMS:
        say(f"  {streams} cameras")
        rows.append(_run(book, sequence, streams, seconds, f"cameras, {sequence.size}"))
    pin(options.outer)
    x = tuple(float(streams) for streams in STREAMS)
    for index, (name, unit) in enumerate(
        (
            ("frames a second of a camera", "frames/s"),
            ("frames a second in all", "frames/s"),
            ("resident memory", "MiB resident"),
        )
    ):
        y = tuple(row[index] for row in rows)
        book.series.append(
            Series(name=f"cameras, {sequence.size}: {name}", x_unit="cameras", y_unit=unit, x=x, y=y)
        )


def _run(
    book: Book, sequence: Sequence, streams: int, seconds: float, group: str
) -> tuple[float, float, float]:
    name = f"{group}, {streams}"
    with Cameras(Settings(mode="liveness")) as cameras:
        began = time.monotonic()
        sources: dict[str, list[Paced]] = {}

        def start(lane: str) -> None:
            kept = sources.setdefault(lane, [])
            kept.append(Paced(sequence, began, 7 * len(sources)))
            cameras.start(lane, kept[-1])

        for number in range(streams):
            start(f"lane {number}")
        counting, ends, ended = 0.0, Counter[str](), time.monotonic()
        before: dict[str, tuple[int, int]] = {}
        cpu = time.process_time()
        for lane, event in _until(cameras, began + WARM_S + seconds):
            ended = time.monotonic()
            if not counting and ended >= began + WARM_S:
                counting, cpu = ended, time.process_time()
                before = {key: _count(kept) for key, kept in sources.items()}
            if isinstance(event, Result):
                if counting:
                    ends[f"{int(event.code)} {event.reason or 'passed'}"] += 1
                start(lane)
        cpu = time.process_time() - cpu
        after = {key: _count(kept) for key, kept in sources.items()}
    took = ended - counting
    seen = np.array([after[key][0] - before[key][0] for key in after])
    dropped = np.array([after[key][1] - before[key][1] for key in after])
    memory = resident_mib()
    book.add_case(f"{name}: frames a second", group, list(seen / took), unit="frames/s", better="higher")
    book.add_number(f"{name}: dropped", 100 * dropped.sum() / max(1, (seen + dropped).sum()), "%")
    book.add_number(f"{name}: least over most frames of a camera", seen.min() / max(1, seen.max()), "times")
    book.add_number(f"{name}: processor time of a frame", 1e3 * cpu / max(1, seen.sum()), "ms")
    book.add_number(f"{name}: cores used", cpu / took, "cores")
    told = ", ".join(f"{count} x {end}" for end, count in ends.most_common())
    book.add_number(f"{name}: checks a minute", 60 * ends.total() / took, "checks", told)
    resident = float(memory[0]) if memory else 0.0
    book.add_number(f"{name}: resident", resident, "MiB", f"with the frames: {_mib(sequence):.0f} MiB")
    return float(np.median(seen / took)), float(seen.sum() / took), resident


def _until(cameras: Cameras, end: float) -> Iterator[tuple[str, Guidance | Result]]:
    for name, event in cameras.events():
        yield name, event
        if time.monotonic() >= end:
            return


def _count(kept: list[Paced]) -> tuple[int, int]:
    return sum(source.seen for source in kept), sum(source.dropped for source in kept)


def _mib(sequence: Sequence) -> float:
    return sum(image.nbytes for image in sequence.images) / 2**20
