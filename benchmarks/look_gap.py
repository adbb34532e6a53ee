"""How the same-face guard's correlation falls as looks at a moving head are further apart.

    python -m benchmarks.look_gap ../shared/data

For each labelled clip, faces of one track some frames apart are compared as `pipeline.liveness.continuity`
compares those of two looks: `pipeline.liveness.look.CEILING_S`.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.verdict import clips
from benchmarks.whole import make_vision
from pipeline.camera import open_source
from pipeline.liveness.continuity import ContinuityLimits, correlation, face_patch
from pipeline.nets import open_store

LONGEST: Final = 200
"""Frames of a clip."""
APART: Final = (1, 2, 3, 4)


def main() -> None:
    """Print a line for each clip."""
    bound = ContinuityLimits().min_correlation
    for label in ("live", "spoof"):
        for number, path in enumerate(clips(Path(sys.argv[1]), label)):
            vision, times, faces = make_vision(open_store(), 1), [], []
            for frame in islice(open_source(str(path)), LONGEST):
                face = vision.see(frame).face
                times.append(frame.t)
                faces.append(None if face is None else (face.track_id, face_patch(frame.image, face.five)))
            step = float(np.median(np.diff(times)))
            columns = []
            for apart in APART:
                pairs = [
                    correlation(a[1], b[1])
                    for a, b in zip(faces, faces[apart:], strict=False)
                    if a is not None and b is not None and a[0] == b[0]
                ]
                below = sum(value < bound for value in pairs)
                columns.append(f"{step * apart:.3f} s: least {min(pairs):.2f}, below {below} of {len(pairs)}")
            print(f"{label} {number}  " + " | ".join(columns))


if __name__ == "__main__":
    main()
