"""Frames, views and scorers that tests of liveness share."""

from __future__ import annotations

import math

import numpy as np

from pipeline.camera.frame import Frame, Image
from pipeline.liveness.calibration import Calibration, Provenance
from pipeline.liveness.evidence import Evidence, sigmoid
from pipeline.liveness.livepass import seal
from pipeline.liveness.passive import PassiveScore
from pipeline.vision.types import F32, Face, Pose, Quality, View

PROVENANCE = Provenance(
    data=("made up",),
    subjects=1,
    live_pictures=1,
    attack_pictures=1,
    attacks=1,
    clips=0,
    command="",
    date="2026-01-01",
)


def calibration(**changes: object) -> Calibration:
    values: dict[str, object] = {
        "nets": ("fake",),
        "slope": 1.0,
        "intercept": 0.0,
        "bound": 8.0,
        "rho": 0.5,
        "tau_s": 0.2,
        "provenance": PROVENANCE,
    }
    return Calibration(**{**values, **changes})  # type: ignore[arg-type]


def evidence(seq: int, llr: float, *, fps: float = 30.0, **changes: object) -> Evidence:
    return Evidence(seq=seq, t=seq / fps, llr=llr, **changes)  # type: ignore[arg-type]


def frame(
    seq: int = 0, *, fps: float = 30.0, image: Image | None = None, size: tuple[int, int] = (48, 64)
) -> Frame:
    if image is None:
        image = np.random.default_rng(seq).integers(0, 256, (*size, 3), np.uint8)
    return Frame(np.ascontiguousarray(image), t=seq / fps, seq=seq)


def sealed(seq: int = 0) -> Frame:
    return seal(frame(seq))


GOOD = Quality(
    faces=1,
    face_size=220.0,
    face_share=0.45,
    centre_offset=0.05,
    yaw=0.0,
    pitch=0.0,
    roll=0.0,
    sharpness=500.0,
    brightness=128.0,
    contrast=45.0,
    clipped=0.0,
    eyes_open=0.3,
    occlusion=0.0,
)


def view(
    *,
    faces: int = 1,
    track_id: int = 1,
    detected: bool = True,
    box: tuple[float, float, float, float] = (8.0, 8.0, 40.0, 40.0),
    quality: Quality = GOOD,
) -> View:
    x1, y1, x2, y2 = box
    w, h = x2 - x1, y2 - y1
    five = np.array(
        [
            [x1 + 0.3 * w, y1 + 0.4 * h],
            [x1 + 0.7 * w, y1 + 0.4 * h],
            [x1 + 0.5 * w, y1 + 0.6 * h],
            [x1 + 0.35 * w, y1 + 0.8 * h],
            [x1 + 0.65 * w, y1 + 0.8 * h],
        ],
        np.float32,
    )
    face = Face(
        track_id=track_id,
        box=np.array(box, np.float32),
        landmarks=np.zeros((468, 3), np.float32),
        five=five,
        presence=1.0,
        pose=Pose(0.0, 0.0, 0.0),
        detected=detected,
    )
    return View(face=face, faces=faces, quality=quality)


NO_FACE = View(face=None, faces=0, quality=None)


class FakeScorer:
    """Gives the log-odds that it was told, the last one for ever."""

    def __init__(self, *log_odds: float, calibration_: Calibration | None = None) -> None:
        self.calibration = calibration_ or calibration()
        self.seen: list[Image] = []
        self._log_odds = list(log_odds)

    def score(self, image: Image, box: F32) -> PassiveScore:
        self.seen.append(image)
        value = self._log_odds.pop(0) if len(self._log_odds) > 1 else self._log_odds[0]
        probability = sigmoid(value) if math.isfinite(value) else math.nan
        return PassiveScore(value, self.calibration.llr(value), probability, {"fake": probability})


class NoStore:
    """A store without a file: whoever asks it for one has loaded something that the test did not want."""

    def path(self, name: str) -> object:
        raise AssertionError(f"asked for {name}")
