"""What changes where nets see only frames that are due: verdicts, their time, S, how often nets are asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice

import numpy as np

from benchmarks.frame import NEVER, NOBODY, label, make_vision
from benchmarks.machine import pin
from benchmarks.options import Options, say
from benchmarks.report import Book
from benchmarks.sequence import FPS, rendered
from benchmarks.verdict import CHECKS, LONGEST_S, clips
from pipeline.camera import Frame, open_source
from pipeline.camera.frame import Image
from pipeline.liveness.evidence import Verdict
from pipeline.liveness.judge import Judge, JudgeSettings
from pipeline.nets import open_store
from pipeline.settings import Settings
from pipeline.vision import View

Seen = list[tuple[Frame, View]]


def measure(options: Options, book: Book) -> None:
    """Each check twice over the same views: every frame judged, and only those that are due."""
    pin(options.one)
    size, nets = options.sizes[0], options.nets[0]
    seeds = range(options.seed, options.seed + min(CHECKS, options.repeats))
    store, wanted = open_store(), replace(JudgeSettings.of(Settings()), nets=nets)
    every, paced = Judge(store, replace(wanted, max_loss=0.0)), Judge(store, wanted)
    endless = {"deadline_s": NEVER, "target_apcer": NOBODY, "target_bpcer": NOBODY}
    long_every = Judge(store, replace(wanted, max_loss=0.0, **endless))  # type: ignore[arg-type]
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
        later, asked, changes = [], [], []
        for source in sources:
            seen = _look(source())
            a, b = (_run(judge, seen) for judge in (every, paced))
            same[f"{_end(a[0])} and {_end(b[0])}"] += 1
            later.append(b[0].elapsed_ms - a[0].elapsed_ms)
            c, d = (_run(judge, seen) for judge in (long_every, long_paced))
            if c[1]:
                asked.append(len(d[1]) / len(c[1]))
                changes += [abs(d[1][t] - c[1][t]) for t in d[1] if t in c[1]]
        note = ", ".join(f"{count} x {ends}" for ends, count in same.most_common())
        book.add_number(f"{group}: verdict later by, at most", max(later), "ms", note)
        if asked:
            share = f"{group}: share of the frames that can be judged that are"
            book.add_number(share, 100 * float(np.mean(asked)), "%")
            book.add_number(f"{group}: change of S, median", float(np.median(changes)), "nats")
            book.add_number(f"{group}: change of S, largest", max(changes), "nats", "checks kept open")
    pin(options.outer)


def _timed(images: Iterable[Image]) -> Iterable[Frame]:
    return (Frame(image, t=number / FPS, seq=number) for number, image in enumerate(images))


def _look(frames: Iterable[Frame]) -> Seen:
    """A source's first seconds with their views; the pixels stay in memory while they are looked at."""
    vision = make_vision(open_store(), 1)
    return [(frame, vision.see(frame)) for frame in islice(frames, LONGEST_S * FPS)]


def _run(judge: Judge, seen: Seen) -> tuple[Verdict, dict[float, float]]:
    """The verdict, and S after each judged frame by the frame's time."""
    session = judge.begin("benchmark", live=False)
    sums = {}
    for frame, view in seen:
        step = session.observe(frame, view)
        if step.evidence is not None:
            sums[frame.t] = session._decision.total
        if step.verdict is not None:
            break
    return session.finish(), sums


def _end(verdict: Verdict) -> str:
    return verdict.state if verdict.reason is None else f"{verdict.state} ({verdict.reason})"
