"""Files of a manifest to log-odds: what is judged, what is grouped, what is silent."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.calibrate import read_recordings
from pipeline.camera import Frame, Image
from pipeline.evaluation.manifest import Presentation
from pipeline.liveness.passive import PassiveScore
from pipeline.vision import View
from pipeline.vision.types import F32, Face, Pose, Quality

GOOD = Quality(
    faces=1, face_size=220.0, face_share=0.45, centre_offset=0.05, yaw=0.0, pitch=0.0, roll=0.0,
    sharpness=500.0, brightness=128.0, contrast=45.0, clipped=0.0, eyes_open=0.3, occlusion=0.0,
)  # fmt: skip
POINTS = np.array([[20, 20], [44, 20], [32, 30], [24, 40], [40, 40]], np.float32)


class Eyes:
    """Sees a face in every picture that is not dark; a video's frames below grey 60 are too dark to judge."""

    def __init__(self) -> None:
        self.resets = 0

    def look(self, image: Image) -> View:
        level = float(image.mean())
        if level < 20:
            return View(face=None, faces=0, quality=None)
        face = Face(
            track_id=1, box=np.array([8, 8, 56, 56], np.float32), landmarks=np.zeros((468, 3), np.float32),
            five=POINTS, presence=1.0, pose=Pose(0.0, 0.0, 0.0), detected=True,
        )  # fmt: skip
        quality = Quality(
            **{**{n: getattr(GOOD, n) for n in GOOD.__slots__}, "brightness": level if level < 60 else 128.0}
        )
        return View(face=face, faces=1, quality=quality)

    def see(self, frame: Frame) -> View:
        return self.look(frame.image)

    def reset(self) -> None:
        self.resets += 1


class Scorer:
    """Log-odds: the grey level over 100; none for white."""

    def score(self, image: Image, box: F32) -> PassiveScore:
        level = float(image.mean())
        return PassiveScore(math.nan if level > 250 else level / 100, 0.0, 0.5, {})


def grey(level: int) -> Image:
    return np.full((64, 64, 3), level, np.uint8)


def item(
    path: Path, subject: str = "s", *, live: bool = True, species: str = "print", group: str = ""
) -> Presentation:
    return Presentation(path.name, path, live, species, subject, group, 2)


def stored(folder: Path, name: str, level: int) -> Path:
    path = folder / name
    assert cv2.imwrite(str(path), grey(level))
    return path


def clip(path: Path, levels: list[int]) -> Path:
    path.mkdir()
    for number, level in enumerate(levels):
        assert cv2.imwrite(str(path / f"{number:03}.png"), grey(level))
    return path


def test_pictures_of_one_subject_species_and_group_are_one_presentation(tmp_path: Path) -> None:
    rows = [
        item(stored(tmp_path, "a.png", 100), group="day"),
        item(stored(tmp_path, "b.png", 120), group="day"),
        item(stored(tmp_path, "c.png", 140), group="night"),
        item(stored(tmp_path, "d.png", 160), live=False, group="day"),
        item(stored(tmp_path, "e.png", 180), live=False, species="replay", group="day"),
        item(stored(tmp_path, "f.png", 200), "t", group="day"),
    ]
    seen: list[tuple[int, int]] = []
    found = read_recordings(rows, Eyes(), Scorer(), progress=lambda done, total: seen.append((done, total)))
    assert [(r.live, r.species, r.subject, r.files) for r in found] == [
        (True, "", "s", 2), (True, "", "s", 1), (False, "print", "s", 1), (False, "replay", "s", 1),
        (True, "", "t", 1),
    ]  # fmt: skip
    assert found[0].log_odds == pytest.approx([1.0, 1.2])
    assert not found[0].clip
    assert seen == [(i, 6) for i in range(1, 7)]


def test_what_is_absent_broken_faceless_or_without_a_number_is_silent(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    rows = [
        item(tmp_path / "absent.png", "a"),
        item(broken, "b"),
        item(stored(tmp_path, "dark.png", 5), "c"),
        item(stored(tmp_path, "white.png", 255), "d"),
    ]
    found = read_recordings(rows, Eyes(), Scorer())
    assert [r.silent for r in found] == [True] * 4
    assert [r.files for r in found] == [1] * 4


def test_of_a_video_only_the_frames_that_a_check_would_judge_count(tmp_path: Path) -> None:
    path = clip(tmp_path / "clip", [100, 100, 110, 5, 30, 120, 255, 130])
    eyes = Eyes()
    (found,) = read_recordings([item(path)], eyes, Scorer())
    assert found.clip
    assert eyes.resets == 1
    assert found.log_odds == pytest.approx([1.0, 1.1, 1.2, 1.3])  # without copy, dark ones and no number
    assert (np.diff(found.t) > 0).all()
    assert found.t[0] == found.start


def test_a_video_that_can_t_be_read_is_silent(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (found,) = read_recordings([item(empty)], Eyes(), Scorer())
    assert found.silent
