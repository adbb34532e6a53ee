"""How far a scene's cells move where nothing does, and where a person is: `pipeline.liveness.look.STILL`.

    python -m benchmarks.still_scene [../shared/data]

Scenes that stand still are made up: a soft random picture of 1280x720 under noise, plain and as JPEG. People
are the labelled clips, where they are there; nothing of them but the table's numbers is kept.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from benchmarks.verdict import clips
from pipeline.camera import open_source
from pipeline.camera.frame import Image
from pipeline.liveness.injection import signature
from pipeline.liveness.look import STILL

FRAMES: Final = 12
LONGEST: Final = 60
"""Frames of a clip."""
AFTER_S: Final = 0.1


def still(sigma: float, quality: int | None) -> Iterator[Image]:
    """A scene under noise of a standard deviation in grey levels, and as JPEG of a quality."""
    rng = np.random.default_rng(0)
    soft = cv2.GaussianBlur(rng.integers(0, 256, (720, 1280, 3)).astype(np.uint8), (0, 0), 40)
    scene = cv2.normalize(soft, np.empty(soft.shape), 20, 230, cv2.NORM_MINMAX, cv2.CV_32F)
    for _ in range(FRAMES):
        image = np.clip(scene + rng.normal(0, sigma, scene.shape), 0, 255).astype(np.uint8)
        if quality is not None:
            written = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            image = np.asarray(cv2.imdecode(written, cv2.IMREAD_COLOR), np.uint8)
        yield image


def main() -> None:
    """Print the table."""
    print(f"Largest change of a cell, grey levels; STILL is {STILL:g}")
    for sigma, quality in ((1, None), (3, None), (6, None), (10, None), (4, 90), (4, 60), (4, 30)):
        cells = np.stack([signature(image)[0] for image in still(sigma, quality)])
        name = f"still, noise {sigma}" + (f", JPEG {quality}" if quality else "")
        print(f"{name:28} from the first frame {np.abs(cells[1:] - cells[0]).max():5.2f}")
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data")
    for label in ("live", "spoof"):
        for path in clips(data, label):
            frames = [(f.t, signature(f.image)[0]) for f in islice(open_source(str(path)), LONGEST)]
            times, cells = np.array([t for t, _ in frames]), np.stack([c for _, c in frames])
            later = np.searchsorted(times, times + AFTER_S - 1e-6)
            pairs = later < len(times)
            change = np.abs(cells[later[pairs]] - cells[pairs]).max(axis=1)
            print(
                f"{label:5} clip after {AFTER_S:g} s          median {np.median(change):5.2f}, "
                f"above STILL {np.mean(change > STILL):4.0%} of {len(change)}"
            )


if __name__ == "__main__":
    main()
