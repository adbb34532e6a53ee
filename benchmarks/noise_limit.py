"""What the limit of noise holds, and what the nets say of what it lets through.

    python -m benchmarks.noise_limit ../shared/data

Subjects of the half that calibrations are fitted on choose the limit, the others report. Low light and coding
are simulated (`benchmarks/pad_degrade.py`). Attacks are scored by ``fr_liveness`` alone, with its own
calibration: the net that is trained here has seen these data sets. Needs ``python -m benchmarks.pad_stills
score`` first.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.faces import in_first_half, pictures, read
from benchmarks.pad_data import WORK, fit_half, read_manifest, read_stills
from benchmarks.pad_degrade import jpeg, low_light
from benchmarks.pad_stills import FULL_FRAMES
from pipeline.camera.frame import Image
from pipeline.evaluation.intervals import Rate
from pipeline.liveness.passive import PassiveScorer
from pipeline.nets import open_store
from pipeline.vision import Vision
from pipeline.vision.quality import DEFAULT_LIMITS

STRENGTHS = (("as it is", 0.0, 100.0), ("-1.5 stops", -1.5, 100.0), ("-3 stops", -3.0, 100.0),
             ("-4.5 stops", -4.5, 100.0), ("-6 stops", -6.0, 100.0), ("-3 stops, JPEG 80", -3.0, 80.0),
             ("-3 stops, JPEG 50", -3.0, 50.0), ("JPEG 50", 0.0, 50.0), ("JPEG 20", 0.0, 20.0))  # fmt: skip


def spoilt(image: Image, stops: float, quality: float, seed: int) -> Image:
    """Less light gained up, then coded."""
    rng = np.random.default_rng([5, seed])
    dark = low_light(image, stops, 0.0, rng) if stops else image
    return jpeg(dark, quality, 0.0, rng)


def told(rate: Rate) -> str:
    """A rate with its exact 95 % interval."""
    ends = rate.interval
    return f"{rate.errors}/{rate.n}" + (f" ({100 * ends.low:.1f} to {100 * ends.high:.1f} %)" if ends else "")


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of labelled data, ../shared/data")
    parser.add_argument("--work", type=Path, default=WORK, help="folder with stills.tsv")
    parser.add_argument("--each", type=int, default=20, help="pictures of a class of a data set to spoil")
    args = parser.parse_args()
    store = open_store()
    vision = Vision(store)
    scorer = PassiveScorer.load(store, ("fr_liveness",))
    rows, stills = read_manifest(args.data / "pad_all.tsv"), read_stills(args.work / "stills.tsv")
    fit = fit_half(stills)
    limit = DEFAULT_LIMITS.max_noise
    untouched: dict[str, list[float]] = defaultdict(list)
    for path in pictures(args.data / "faces" / "lfw_single"):
        image = read(path)
        view = None if image is None else vision.look(image)
        if view is not None and view.quality is not None:
            half = "chooses" if in_first_half(path.stem) else "reports"
            untouched[f"lfw_single, {half}"].append(view.quality.noise)
    measured: dict[tuple[str, str, str], list[tuple[float, bool]]] = defaultdict(list)
    rng = np.random.default_rng(3)
    for dataset in FULL_FRAMES:
        for half in (True, False):
            for live in (True, False):
                mine = stills.face & (fit == half) & (stills.dataset == dataset) & (stills.live == live)
                for place, index in enumerate(rng.permutation(np.flatnonzero(mine))):
                    image = read(args.data / rows[index]["path"])
                    if image is None or (place >= args.each and not live):
                        continue
                    for name, stops, quality in STRENGTHS[: len(STRENGTHS) if place < args.each else 1]:
                        changed = spoilt(image, stops, quality, int(index))
                        view = vision.look(changed)
                        if view.face is None or view.quality is None:
                            continue
                        side = "chooses" if half else "reports"
                        if stops == 0.0 and quality == 100.0 and live:
                            untouched[f"{dataset}, {side}"].append(view.quality.noise)
                        if place < args.each:
                            accepted = scorer.score(changed, view.face.box).probability >= 0.5
                            key = (side, name, "live" if live else "spoof")
                            measured[key].append((view.quality.noise, accepted))
    report = {
        "limit": limit,
        "live, untouched": {
            name: {
                "held": told(Rate(sum(v > limit for v in values), len(values))),
                "median, 99 %, largest": np.percentile(values, (50, 99, 100)).round(2).tolist(),
            }
            for name, values in sorted(untouched.items())
        },
        "spoilt": {
            ", ".join(key): {
                "noise, least, median, largest": np.percentile([v for v, _ in cell], (0, 50, 100))
                .round(2)
                .tolist(),
                "held": told(Rate(sum(v > limit for v, _ in cell), len(cell))),
                "accepted before": told(Rate(sum(a for _, a in cell), len(cell))),
                "accepted and not held": told(Rate(sum(a and v <= limit for v, a in cell), len(cell))),
            }
            for key, cell in sorted(measured.items())
        },
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
