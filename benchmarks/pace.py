"""What changes where faces are looked for, and nets asked, only when due: verdicts, their time, S."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import numpy as np

from benchmarks.machine import pin
from benchmarks.options import Options, say
from benchmarks.report import Book
from benchmarks.sequence import FPS, rendered
from benchmarks.verdict import LONGEST_S, clips
from benchmarks.whole import NEVER, NOBODY, label, make_vision
from pipeline.camera import Frame, open_source
from pipeline.camera.frame import Image
from pipeline.liveness.evidence import Verdict
from pipeline.liveness.judge import Judge, JudgeSettings
from pipeline.nets import open_store
from pipeline.settings import Settings
from pipeline.vision import View

CHECKS: Final = 8
"""Of each kind of rendered source; each runs four times."""


def measure(options: Options, book: Book) -> None:
    """Each check twice over the same frames: all of them looked at and judged, and those that are due."""
    pin(options.one)
    size, nets = options.sizes[0], options.nets[0]
    seeds = range(options.seed, options.seed + min(CHECKS, options.repeats))
    store, wanted = open_store(), replace(JudgeSettings.of(Settings()), nets=nets)
    all_of_them = replace(wanted, max_loss=0.0, look_s=0.0)
    every, paced = Judge(store, all_of_them), Judge(store, wanted)
    endless = {"deadline_s": NEVER, "target_apcer": NOBODY, "target_bpcer": NOBODY}
    long_every = Judge(store, replace(all_of_them, **endless))  # type: ignore[arg-type]
    long_paced = Judge(store, replace(wanted, **endless))  # type: ignore[arg-type]
    groups: dict[str, list[Callable[[], Iterable[Frame]]]] = {
        f"rendered {'replay' if replay else 'person'}": [
            lambda seed=seed, replay=replay: _timed(
                rendered(size, seed=seed, replay=replay, count=LONGEST_S * FPS)
            )
            for seed in seeds
        ]
        for replay in (False, True)
    }
    for kind in ("live", "spoof"):
        paths = clips(options.arguments.data, kind)
        if paths:
            groups[f"labelled clips, {kind}"] = [lambda path=path: open_source(str(path)) for path in paths]
        else:
            book.skip(f"pace, labelled clips, {kind}", "not run: the labelled data is not on this machine")
    for name, sources in groups.items():
        group = f"pace, {name}, {label(nets)}"
        say(f"  {group}: {len(sources)} sequences, each four times")
        same: Counter[str] = Counter()
        later, asked, looked, changes = [], [], [], []
        for source in sources:
            frames = list(islice(source(), LONGEST_S * FPS))
            a, b = (_run(judge, frames) for judge in (every, paced))
            same[f"{_end(a.verdict)} and {_end(b.verdict)}"] += 1
            later.append(b.verdict.elapsed_ms - a.verdict.elapsed_ms)
            c, d = (_run(judge, frames) for judge in (long_every, long_paced))
            looked.append(d.looks / len(frames))
            if c.sums:
                asked.append(len(d.sums) / len(c.sums))
                changes += [abs(d.sums[t] - c.sums[t]) for t in d.sums if t in c.sums]
        note = ", ".join(f"{count} x {ends}" for ends, count in same.most_common())
        book.add_number(f"{group}: verdict later by, at most", max(later), "ms", note)
        book.add_number(f"{group}: share of the frames that are looked at", 100 * float(np.mean(looked)), "%")
        if asked:
            share = f"{group}: share of the frames that can be judged that are"
            book.add_number(share, 100 * float(np.mean(asked)), "%")
            book.add_number(f"{group}: change of S, median", float(np.median(changes)), "nats")
            book.add_number(f"{group}: change of S, largest", max(changes), "nats", "checks kept open")
    pin(options.outer)


def _timed(images: Iterable[Image]) -> Iterable[Frame]:
    return (Frame(image, t=number / FPS, seq=number) for number, image in enumerate(images))


@dataclass(frozen=True, slots=True)
class _Run:
    """A check: its verdict, S by the time of each judged frame, and how many frames were looked at."""

    verdict: Verdict
    sums: dict[float, float]
    looks: int


def _run(judge: Judge, frames: list[Frame]) -> _Run:
    """One check of frames whose pixels stay in memory."""
    vision, session = make_vision(open_store(), 1), judge.begin("benchmark", live=False)
    sums, looks = {}, 0

    def see(frame: Frame, *, detect: bool | None = None) -> View:
        nonlocal looks
        looks += 1
        return vision.see(frame, detect=detect)

    for frame in frames:
        step = session.take(frame, see)
        if step.evidence is not None:
            sums[frame.t] = session._decision.total
        if step.verdict is not None:
            break
    return _Run(session.finish(), sums, looks)


def _end(verdict: Verdict) -> str:
    return verdict.state if verdict.reason is None else f"{verdict.state} ({verdict.reason})"
