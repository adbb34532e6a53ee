"""A process that judges frames and writes down its resident memory. `benchmarks.memory` runs it.

    python -m benchmarks.resident FRAMES.bin WIDTHxHEIGHT NETS COUNT EVERY

FRAMES holds raw BGR frames; each is read anew into memory of its own, as a camera's reader would. Checks
follow one another as in the gate. The garbage collector is left as it is.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.machine import resident_mib
from pipeline.camera.frame import Frame
from pipeline.liveness.judge import Judge, JudgeSettings
from pipeline.liveness.livepass import seal
from pipeline.nets import open_store
from pipeline.settings import Settings
from pipeline.vision import Vision


def main() -> None:
    """Judge, and print a line of JSON at the end."""
    path, size, nets, count, every = Path(sys.argv[1]), *sys.argv[2:6]
    width, height = map(int, size.split("x"))
    store = open_store()
    cv2.setNumThreads(1)
    settings = Settings()
    vision = Vision(store, detect_every=settings.detect_every)
    judge = Judge(store, replace(JudgeSettings.of(settings), nets=tuple(nets.split("+"))))
    session = judge.begin("0", live=True)
    pixels = width * height * 3
    kept = path.stat().st_size // pixels
    period = max(2 * (kept - 1), 1)
    curve, verdicts = [], 0
    began = time.monotonic()
    with path.open("rb") as file:
        for number in range(int(count)):
            place = number % period
            file.seek(min(place, period - place) * pixels)
            image = np.frombuffer(file.read(pixels), np.uint8).reshape(height, width, 3)
            frame = seal(Frame(image, t=number / 30, seq=number))
            step = session.observe(frame, vision.see(frame))
            if step.verdict is not None:
                verdicts += 1
                session = judge.begin(str(verdicts), live=True)
            if (number + 1) % int(every) == 0:
                curve.append([number + 1, resident_mib()])
    print(json.dumps({"curve": curve, "verdicts": verdicts, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main()
