"""What the default quality limits let through, and what they stop.

    python -m benchmarks.quality_gate ../shared/data

Live pictures, by set and by half of the people: share that passes, reasons of the others, and the percentiles
of each measure. Pictures spoilt by known amounts: share that is refused for the right reason. Real worn
masks, closed eyes, poses and pictures without a face from ``quality/cases``.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.faces import in_first_half, live_pictures, pictures, read
from pipeline.camera.frame import Image
from pipeline.nets import open_store
from pipeline.reasons import Reason
from pipeline.vision.quality import DEFAULT_LIMITS, problems
from pipeline.vision.types import F32, View
from pipeline.vision.vision import Vision

MEASURES = (
    "face_size",
    "face_share",
    "inside",
    "centre_offset",
    "yaw",
    "pitch",
    "roll",
    "brightness",
    "clipped",
    "contrast",
    "sharpness",
    "eyes_open",
    "occlusion",
)
PERCENTILES = (0, 0.5, 1, 5, 50, 95, 99, 99.5, 100)
SPOILT = 12
"""Every so many-th live picture is spoilt."""


def blurred(share: float) -> Callable[[Image, F32], Image]:
    """Gaussian blur whose sigma is a share of the face box's side."""

    def spoil(image: Image, box: F32) -> Image:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), share * float(box[2] - box[0])), np.uint8)

    return spoil


def smeared(share: float) -> Callable[[Image, F32], Image]:
    """Motion blur along a row, its length a share of the face box's side."""

    def spoil(image: Image, box: F32) -> Image:
        length = max(1, round(share * float(box[2] - box[0])))
        return np.asarray(cv2.blur(image, (length, 1)), np.uint8)

    return spoil


def exposed(stops: float) -> Callable[[Image, F32], Image]:
    """Light times two to the power of ``stops``, in linear light of an sRGB-like gamma of 2.2."""

    def spoil(image: Image, box: F32) -> Image:
        table = 255 * np.clip((np.arange(256) / 255) ** 2.2 * 2**stops, 0, 1) ** (1 / 2.2)
        return np.asarray(cv2.LUT(image, np.rint(table).astype(np.uint8)), np.uint8)

    return spoil


def hazed(share: float) -> Callable[[Image, F32], Image]:
    """Contrast taken away: that share of every pixel is replaced by a light grey."""

    def spoil(image: Image, box: F32) -> Image:
        return np.rint(image * (1 - share) + 200 * share).astype(np.uint8)

    return spoil


def shrunk(side: float) -> Callable[[Image, F32], Image]:
    """The whole picture made smaller until the face has so many pixels; sharp, but small."""

    def spoil(image: Image, box: F32) -> Image:
        scale = side / float(box[2] - box[0])
        return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)

    return spoil


DAMAGE: dict[str, tuple[Callable[[Image, F32], Image], set[Reason]]] = {
    **{f"blur sigma {s:.0%} of face": (blurred(s), {Reason.BLURRED}) for s in (0.01, 0.02, 0.03, 0.04, 0.06)},
    **{f"smear {s:.0%} of face": (smeared(s), {Reason.BLURRED}) for s in (0.05, 0.1, 0.15, 0.2)},
    **{f"shrunk to {s} pixels": (shrunk(s), {Reason.BLURRED}) for s in (80, 68)},
    **{f"{s:+d} stops": (exposed(s), {Reason.TOO_DARK}) for s in (-2, -3, -4, -5, -6)},
    **{f"{s:+d} stops": (exposed(s), {Reason.TOO_BRIGHT}) for s in (1, 2, 3, 4)},
    **{f"haze {s:.0%}": (hazed(s), {Reason.LOW_CONTRAST, Reason.BLURRED}) for s in (0.4, 0.6, 0.7, 0.8, 0.9)},
}


def table(views: list[View]) -> dict[str, object]:
    """Share passed, reasons of the rest (all of each), percentiles of each measure."""
    found = [problems(v) for v in views]
    qualities = [v.quality for v in views if v.quality is not None]
    return {
        "n": len(views),
        "passed": round(sum(not p for p in found) / len(found), 4),
        "reasons": dict(Counter(str(r) for p in found for r in p).most_common()),
        "percentiles": {
            m: [float(f"{x:.3g}") for x in np.percentile([getattr(q, m) for q in qualities], PERCENTILES)]
            for m in MEASURES
        },
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of labelled data, ../shared/data")
    args = parser.parse_args()
    vision = Vision(open_store())
    views: dict[str, list[View]] = defaultdict(list)
    spoilt: dict[str, list[bool]] = defaultdict(list)
    lost: Counter[str] = Counter()
    for index, (group, person, image) in enumerate(live_pictures(args.data)):
        view = vision.look(image)
        views[f"{group}, {'first' if in_first_half(person) else 'second'} half"].append(view)
        if index % SPOILT or view.face is None or problems(view):
            continue
        for name, (spoil, reasons) in DAMAGE.items():
            worse = vision.look(spoil(image, view.face.box))
            if worse.face is None:
                lost[name] += 1
            spoilt[name].append(bool(reasons.intersection(problems(worse))))
    cases = {}
    for folder in sorted((args.data / "quality" / "cases").iterdir()):
        if folder.is_dir():
            many = [vision.look(image) for image in map(read, pictures(folder)) if image is not None]
            cases[folder.name] = dict(
                Counter(str(next(iter(problems(v)), "passed")) for v in many).most_common()
            )
    report = {
        "limits": str(DEFAULT_LIMITS),
        "percentiles": PERCENTILES,
        "live": {name: table(many) for name, many in sorted(views.items())},
        "spoilt": {
            name: {"refused for it": round(float(np.mean(v)), 3), "no face found": lost[name], "n": len(v)}
            for name, v in spoilt.items()
        },
        "cases, first reason": cases,
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
