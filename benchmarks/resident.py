"""A process that judges frames and writes down its resident memory. `benchmarks.memory` runs it.

    python -m benchmarks.resident FRAMES.bin WIDTHxHEIGHT NETS COUNT EVERY [FPS MINUTES]

FRAMES holds raw BGR frames; each is read anew into memory of its own, as a camera's reader would. Checks
follow one another as in the gate. The garbage collector is left as it is. With FPS frames come at that rate
or as fast as the machine goes, and it ends after MINUTES where that comes before COUNT.
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
    fps, minutes = map(float, sys.argv[6:8]) if len(sys.argv) > 6 else (0.0, 0.0)
    curve, verdicts, number = [], 0, 0
    began = time.monotonic()
    with path.open("rb") as file:
        while number < int(count):
            elapsed = time.monotonic() - began
            if fps:
                if elapsed > 60 * minutes:
                    break
                time.sleep(max(0.0, number / fps - elapsed))
            place = number % period
            file.seek(min(place, period - place) * pixels)
            image = np.frombuffer(file.read(pixels), np.uint8).reshape(height, width, 3)
            frame = seal(Frame(image, t=number / (fps or 30), seq=number))
            step = session.take(frame, vision.see)
            if step.verdict is not None:
                verdicts += 1
                session = judge.begin(str(verdicts), live=True)
            number += 1
            if number % int(every) == 0:
                curve.append([number, resident_mib(), time.monotonic() - began])
    done = {"curve": curve, "verdicts": verdicts, "frames": number, "seconds": time.monotonic() - began}
    print(json.dumps(done))


if __name__ == "__main__":
    main()
