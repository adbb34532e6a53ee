"""A process that starts, judges one frame and says when it had done what. `benchmarks.start` runs it.

    python -m benchmarks.first_frame FRAMES.npy NETS

FRAMES holds a few frames, uint8 (n, height, width, 3), NETS is names with ``+`` between. The times are
``time.monotonic_ns``, which on Linux is one clock for all processes.
"""

from __future__ import annotations

import sys
import time

ENTERED = time.monotonic_ns()


def main() -> None:
    """Import, load, judge, tell."""
    import json
    from dataclasses import replace

    import cv2
    import numpy as np

    import pipeline.gate  # noqa: F401 - what a gate's process imports
    from pipeline.camera.frame import Frame
    from pipeline.liveness.judge import Judge, JudgeSettings
    from pipeline.liveness.livepass import seal
    from pipeline.nets import open_store
    from pipeline.settings import Settings
    from pipeline.vision import Vision

    marks = {"entered": ENTERED, "imported": time.monotonic_ns()}
    cv2.setNumThreads(1)
    frames = np.load(sys.argv[1])
    marks["frames_read"] = time.monotonic_ns()
    settings, store = Settings(), open_store()
    nets = tuple(sys.argv[2].split("+"))
    vision = Vision(store, detect_every=settings.detect_every)
    judge = Judge(store, replace(JudgeSettings.of(settings), nets=nets))
    session = judge.begin("benchmark", live=True)
    marks["models_loaded"] = time.monotonic_ns()
    for number, image in enumerate(frames):
        frame = seal(Frame(image, t=number / 30, seq=number))
        step = session.take(frame, vision.see)
        if step.evidence is not None:
            marks["judged"] = time.monotonic_ns()
            break
    from benchmarks.machine import resident_mib

    print(json.dumps({"marks": marks, "frames": number + 1, "resident_mib": resident_mib()}))


if __name__ == "__main__":
    main()
