"""What the same-face guard makes of looks that are further apart: correlations, and checks broken off.

    python -m benchmarks.look_gap ../shared/data

First, for each labelled clip, faces of one track some frames apart are compared as
`pipeline.liveness.continuity` compares those of two looks (`pipeline.liveness.look.CEILING_S`). Then looks
wait as `pipeline.liveness.look.Looks` lets them, and the times are counted at which the guard would break off
(`pipeline.liveness.look.CALM`).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.verdict import clips
from benchmarks.whole import make_vision
from pipeline.camera import Frame, open_source
from pipeline.liveness.continuity import ContinuityLimits, correlation, face_patch
from pipeline.liveness.look import CALM, Looks
from pipeline.nets import open_store
from pipeline.vision import View
from pipeline.vision.types import F32

LONGEST: Final = 260
"""Frames of a clip."""
APART: Final = (1, 2, 3, 4)
BEGINNINGS: Final = 8
LIMITS: Final = ContinuityLimits()
WAYS: Final = ((0.0, 0.0), (0.085, 0.0), (0.085, 0.8), (0.1, 0.0), (0.1, 0.8), (0.1, CALM))
"""Longest time between looks in seconds, and correlation below which the next look does not wait."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame without its pixels: its view and the patch that the guard compares, None without a face."""

    frame: Frame
    view: View
    patch: F32 | None


def read(path: Path) -> list[Seen]:
    """A clip's first frames."""
    vision, seen = make_vision(open_store(), 1), []
    blank = np.zeros((90, 160, 3), np.uint8)
    for frame in islice(open_source(str(path)), LONGEST):
        view = vision.see(frame)
        patch = None if view.face is None else face_patch(frame.image, view.face.five)
        seen.append(Seen(Frame(blank.copy(), t=frame.t, seq=frame.seq), view, patch))
    return seen


def same_track(a: Seen, b: Seen) -> bool:
    """Whether both hold the face of one track."""
    return (
        a.view.face is not None and b.view.face is not None and a.view.face.track_id == b.view.face.track_id
    )


def alike(a: Seen, b: Seen) -> float:
    """Correlation of the faces of two frames that have one."""
    return correlation(np.asarray(a.patch), np.asarray(b.patch))


def apart(seen: list[Seen]) -> str:
    """Least correlation, and how many lie below the guard's bound, by the time between two frames."""
    step = float(np.median(np.diff([item.frame.t for item in seen])))
    columns = []
    for count in APART:
        pairs = [alike(a, b) for a, b in zip(seen, seen[count:], strict=False) if same_track(a, b)]
        below = sum(value < LIMITS.min_correlation for value in pairs)
        columns.append(f"{step * count:.3f} s: least {min(pairs):.2f}, below {below} of {len(pairs)}")
    return " | ".join(columns)


def broken_off(seen: list[Seen], look_s: float, calm: float) -> tuple[int, int]:
    """How often the guard would break off, and how many frames were looked at."""
    looks, last, known = Looks(look_s), None, 1.0
    count = breaks = 0
    for item in seen:
        if looks.can_wait(item.frame) and known >= calm:
            continue
        looks.looked(item.frame, item.view)
        count += 1
        if item.patch is None:
            continue
        if last is not None and same_track(last, item) and item.frame.t - last.frame.t <= LIMITS.max_gap_s:
            known = alike(last, item)
            breaks += known < LIMITS.min_correlation
        last = item
    return breaks, count


def main() -> None:
    """Print a line for each clip, then one for each way to wait and kind of clip."""
    kinds = {label: [read(path) for path in clips(Path(sys.argv[1]), label)] for label in ("live", "spoof")}
    for label, items in kinds.items():
        for number, seen in enumerate(items):
            print(f"{label} {number}  {apart(seen)}")
    for look_s, calm in WAYS:
        for label, items in kinds.items():
            runs = [seen[begin:] for seen in items for begin in range(BEGINNINGS)]
            found = [broken_off(run, look_s, calm) for run in runs]
            share = sum(count for _, count in found) / sum(map(len, runs))
            print(
                f"looks up to {look_s:g} s apart, waiting from {calm:g} on, {label}: broken off "
                f"{sum(breaks for breaks, _ in found)} times, {share:.0%} of the frames looked at"
            )


if __name__ == "__main__":
    main()
