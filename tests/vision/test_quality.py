from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import SettingsError
from pipeline.reasons import Reason
from pipeline.vision import Face, Quality, QualityLimits, View, Vision, first_problem, problems
from pipeline.vision.quality import eyes_open, measure

Picture = NDArray[np.uint8]


@pytest.fixture
def face(seen: View) -> Face:
    assert seen.face is not None
    return seen.face


@pytest.fixture
def quality(seen: View) -> Quality:
    assert seen.quality is not None
    return seen.quality


def test_the_astronaut_is_good_enough(seen: View) -> None:
    assert problems(seen) == ()
    assert first_problem(seen) is None


def test_geometry_of_the_box(astronaut: Picture, face: Face) -> None:
    placed = replace(face, box=np.array([100, 0, 200, 128], np.float32))
    q = measure(astronaut, placed, 1)
    assert q.face_size == pytest.approx(100)
    assert q.face_share == pytest.approx(0.25)
    assert q.centre_offset == pytest.approx(np.hypot(150 - 256, 64 - 256) / np.hypot(256, 256))
    assert q.inside == 1
    half = replace(face, box=np.array([-50, 0, 50, 100], np.float32))
    assert measure(astronaut, half, 1).inside == pytest.approx(0.5)


@pytest.mark.parametrize("axis", [(15, 1), (1, 15)])
def test_a_smear_along_either_axis_lowers_sharpness(
    astronaut: Picture, face: Face, quality: Quality, axis: tuple[int, int]
) -> None:
    assert measure(cv2.blur(astronaut, axis), face, 1).sharpness < 0.2 * quality.sharpness


def test_sharpness_falls_with_blur_and_does_not_depend_on_the_face_s_size(
    vision: Vision, astronaut: Picture, face: Face, quality: Quality
) -> None:
    series = [measure(cv2.GaussianBlur(astronaut, (0, 0), s), face, 1).sharpness for s in (0.5, 1, 2, 4)]
    assert series == sorted(series, reverse=True)
    large = vision.look(cv2.resize(astronaut, None, fx=1.25, fy=1.25, interpolation=cv2.INTER_CUBIC)).quality
    assert large is not None
    assert large.sharpness == pytest.approx(quality.sharpness, rel=0.5)


def test_light_is_measured_on_the_face_alone(astronaut: Picture, face: Face, quality: Quality) -> None:
    darker = measure(cv2.convertScaleAbs(astronaut, alpha=0.5), face, 1)
    assert darker.brightness == pytest.approx(quality.brightness / 2, rel=0.05)
    assert darker.contrast == pytest.approx(quality.contrast / 2, rel=0.1)
    white = measure(np.full_like(astronaut, 255), face, 1)
    assert (white.clipped, white.contrast, white.sharpness) == (1, 0, 0)
    around = astronaut.copy()
    around[220:] = 0
    assert measure(around, face, 1).brightness == pytest.approx(quality.brightness, rel=0.02)


def test_eye_aspect_ratio_of_drawn_eyes() -> None:
    points = np.zeros((468, 3), np.float32)
    for corners, upper, lower in (((33, 133), (160, 158), (144, 153)), ((362, 263), (385, 387), (380, 373))):
        points[list(corners), 0] = [0, 40]
        points[list(upper), 0] = points[list(lower), 0] = [13, 27]
        points[list(upper), 1], points[list(lower), 1] = -6, 6
    assert eyes_open(points) == pytest.approx(0.3)
    points[[385, 387, 380, 373], 1] = 0
    assert eyes_open(points) == pytest.approx(0, abs=1e-6)


def covered(
    image: Picture, points: NDArray[np.float32], outline: list[int], colour: tuple[int, int, int]
) -> Picture:
    out = image.copy()
    cv2.fillPoly(out, [np.rint(points[outline, :2]).astype(np.int32)], colour, cv2.LINE_AA)
    return out


MASK = [234, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 454, 347, 197, 118]
LENSES = [[226, 223, 55, 193, 128, 120, 118, 117], [446, 443, 285, 417, 357, 349, 347, 346]]


@pytest.mark.parametrize("colour", [(220, 200, 160), (235, 235, 235), (30, 30, 30), (60, 140, 60)])
def test_a_drawn_mask_covers_the_face(
    vision: Vision, astronaut: Picture, face: Face, quality: Quality, colour: tuple[int, int, int]
) -> None:
    view = vision.look(covered(astronaut, face.landmarks, MASK, colour))
    assert quality.occlusion < 0.3
    assert view.quality is not None
    assert view.quality.occlusion > 0.7
    assert Reason.FACE_COVERED in problems(view)


def test_drawn_sunglasses_cover_the_face(vision: Vision, astronaut: Picture, face: Face) -> None:
    image = astronaut
    for lens in LENSES:
        image = covered(image, face.landmarks, lens, (25, 20, 20))
    assert Reason.FACE_COVERED in problems(vision.look(image))


def test_worn_masks_are_told_and_bare_faces_mostly_are_not(shared_data: Path, vision: Vision) -> None:
    def occlusions(folder: str, step: int) -> list[float]:
        paths = [
            p for p in sorted((shared_data / folder).rglob("*")) if p.suffix in {".jpg", ".png", ".jpeg"}
        ]
        views = (vision.look(cv2.imread(str(p), cv2.IMREAD_COLOR)) for p in paths[::step])
        return [v.quality.occlusion for v in views if v.quality is not None]

    worn = np.array(occlusions("quality/cases/face_mask", 1))
    bare = np.array(occlusions("pad/nuaa_raw/live", 5) + occlusions("faces/lfw_single", 20))
    assert len(worn) >= 5
    assert (worn > 0.5).mean() >= 0.8
    assert (bare > 0.5).mean() <= 0.05


GOOD = Quality(
    faces=1,
    face_size=200,
    face_share=0.4,
    centre_offset=0.1,
    yaw=0,
    pitch=0,
    roll=0,
    sharpness=100,
    brightness=120,
    contrast=40,
    clipped=0,
    eyes_open=0.3,
    occlusion=0,
)

BAD = {
    "faces": (2, Reason.SEVERAL_FACES),
    "face_size": (30, Reason.TOO_FAR),
    "face_share": (0.05, Reason.TOO_FAR),
    "inside": (0.5, Reason.OFF_CENTRE),
    "centre_offset": (0.9, Reason.OFF_CENTRE),
    "yaw": (-50, Reason.LOOK_STRAIGHT),
    "pitch": (40, Reason.LOOK_STRAIGHT),
    "roll": (-60, Reason.LOOK_STRAIGHT),
    "sharpness": (5, Reason.BLURRED),
    "brightness": (20, Reason.TOO_DARK),
    "contrast": (5, Reason.LOW_CONTRAST),
    "clipped": (0.9, Reason.TOO_BRIGHT),
    "eyes_open": (0.05, Reason.EYES_CLOSED),
    "occlusion": (0.9, Reason.FACE_COVERED),
    "noise": (5.0, Reason.TOO_DARK),
}


def test_every_measure_has_a_limit() -> None:
    assert set(BAD) == {f.name for f in fields(Quality)}


@pytest.mark.parametrize("name", sorted(BAD))
def test_each_bad_measure_gives_its_reason(seen: View, name: str) -> None:
    assert problems(replace(seen, quality=GOOD)) == ()
    value, reason = BAD[name]
    spoilt = replace(seen, quality=replace(GOOD, **{name: value}))
    assert problems(spoilt) == (reason,)
    assert first_problem(spoilt) is reason


@pytest.mark.parametrize("name", sorted(set(BAD) - {"faces"}))
def test_a_measure_that_is_not_a_number_fails(seen: View, name: str) -> None:
    assert problems(replace(seen, quality=replace(GOOD, **{name: float("nan")}))) != ()


def test_upper_limits(seen: View) -> None:
    assert problems(replace(seen, quality=replace(GOOD, face_share=1.2))) == (Reason.TOO_NEAR,)
    assert problems(replace(seen, quality=replace(GOOD, brightness=250))) == (Reason.TOO_BRIGHT,)


def test_problems_come_in_order_of_importance_and_once_each(seen: View) -> None:
    every = replace(GOOD, **{name: value for name, (value, _) in BAD.items()})
    found = problems(replace(seen, faces=3, quality=every))
    assert found[0] is Reason.SEVERAL_FACES
    assert len(set(found)) == len(found) == len({reason for _, reason in BAD.values()})
    assert found.index(Reason.TOO_DARK) < found.index(Reason.LOOK_STRAIGHT) < found.index(Reason.FACE_COVERED)


def test_without_a_face_or_its_measures_there_is_no_pass(seen: View) -> None:
    assert problems(View(face=None, faces=0, quality=None)) == (Reason.NO_FACE,)
    assert problems(View(face=None, faces=2, quality=None)) == (Reason.SEVERAL_FACES, Reason.NO_FACE)
    assert problems(replace(seen, quality=None)) == (Reason.NO_FACE,)


def test_limits_can_be_set_and_bad_ones_refuse(seen: View) -> None:
    strict = QualityLimits(min_face_size=5000)
    assert first_problem(seen, strict) is Reason.TOO_FAR
    for field in fields(QualityLimits):
        for value in (float("nan"), float("inf"), -1.0):
            with pytest.raises(SettingsError, match=field.name):
                QualityLimits(**{field.name: value})
