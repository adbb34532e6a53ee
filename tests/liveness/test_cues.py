"""Cues: a frozen picture denies, motion confirms, and what is not known refuses to start."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.camera.frame import Image
from pipeline.errors import SettingsError
from pipeline.liveness.cues import (
    CUES,
    CueContext,
    CueNeed,
    CueReading,
    CueRole,
    CueSet,
    FrozenCue,
    MotionCue,
    same_pixels,
)
from pipeline.liveness.motion import BOUND, face_grey, motion_ratio
from pipeline.reasons import Reason

from .support import NO_FACE, frame, view

LIVE, FILE = CueContext(live=True), CueContext(live=False)
BOX = (40.0, 30.0, 200.0, 190.0)


def run_frozen(equal: list[bool], context: CueContext) -> CueReading:
    """Frames of which each is an exact copy of the one before where the list says so."""
    cue, seed = FrozenCue(context), 0
    reading = cue.update(frame(0, image=frame(seed).image), view())
    for k, copy in enumerate(equal, 1):
        seed += not copy
        reading = cue.update(frame(k, image=frame(seed).image), view())
    return reading


def test_a_picture_that_stands_still_to_the_last_bit_denies() -> None:
    for context in (LIVE, FILE):
        assert run_frozen([True] * 10, context).veto is Reason.FROZEN_SOURCE


def test_a_camera_that_repeats_half_of_its_frames_denies_and_a_file_does_not() -> None:
    assert run_frozen([True, False] * 5, LIVE).veto is Reason.FROZEN_SOURCE
    assert run_frozen([True, True, False] * 5, FILE).veto is None


@given(st.lists(st.booleans(), max_size=9))
def test_too_few_frames_never_deny(equal: list[bool]) -> None:
    assert run_frozen(equal, LIVE).veto is None


def test_frames_with_noise_never_deny() -> None:
    reading = run_frozen([False] * 40, LIVE)
    assert (reading.value, reading.veto) == (0.0, None)


def test_one_changed_pixel_is_another_picture() -> None:
    a = frame(0)
    changed = a.image.copy()
    changed[0, 0, 0] ^= 1
    assert same_pixels(a, frame(0))
    assert same_pixels(a, a)
    assert not same_pixels(a, frame(0, image=changed))
    assert not same_pixels(a, frame(0, image=a.image[:-1]))


def scene() -> np.ndarray:
    """A smooth grey-level relief, float32 (240, 320, 3): edges and flat parts, as a face has."""
    rng = np.random.default_rng(5)
    coarse = rng.uniform(40, 200, (12, 16, 3)).astype(np.float32)
    return cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)


def expose(base: np.ndarray, seed: int, sigma: float = 2.0, gain: float = 1.0, shift: float = 0.0) -> Image:
    matrix = np.array([[1, 0, shift], [0, 1, 0.5 * shift]], np.float32)
    moved = cv2.warpAffine(base, matrix, (320, 240), borderMode=cv2.BORDER_REPLICATE)
    noise = np.random.default_rng(seed).normal(0, sigma, base.shape)
    return np.clip(moved * gain + noise, 0, 255).astype(np.uint8)


def ratio(a: Image, b: Image) -> float:
    box = np.array(BOX, np.float32)
    first, second = face_grey(a, box), face_grey(b, box)
    assert first is not None
    assert second is not None
    return motion_ratio(first, second)


@given(sigma=st.floats(0.3, 10), gain=st.floats(0.95, 1.05), seed=st.integers(1, 10**6))
@settings(max_examples=60, deadline=None)
def test_noise_and_exposure_drift_are_not_motion(sigma: float, gain: float, seed: int) -> None:
    base = scene()
    assert ratio(expose(base, 0, sigma), expose(base, seed, sigma, gain)) < BOUND


def test_saturated_pixels_are_left_out() -> None:
    """What is clipped follows no gain: brighter by 5 %, the rest of the scene changes and it does not."""
    base = scene()
    base[60:120, 60:150] = 400.0
    base[90:160, 120:180, 1] = 300.0
    assert ratio(expose(base, 0), expose(base, 1, gain=1.05)) < BOUND
    white = np.full((240, 320, 3), 255, np.uint8)
    assert ratio(white, white) == 0
    assert ratio(expose(base, 0), white) == 0


@pytest.mark.parametrize("quality", [95, 80, 60])
def test_jpeg_is_not_motion(quality: int) -> None:
    base = scene()
    coded = [
        cv2.imdecode(cv2.imencode(".jpg", expose(base, k), [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)
        for k in range(5)
    ]
    assert max(ratio(coded[0], c) for c in coded[1:]) < BOUND


@pytest.mark.parametrize("shift", [0.5, 1.0, 4.0])
def test_a_shift_by_half_a_pixel_is_motion(shift: float) -> None:
    base = scene()
    assert ratio(expose(base, 0), expose(base, 1, shift=shift)) >= BOUND


def test_equal_pictures_have_no_motion_and_odd_boxes_no_region() -> None:
    picture = expose(scene(), 0)
    assert ratio(picture, picture) == 0
    for box in ((0, 0, 5, 50), (400, 400, 500, 500), (-90, -90, -10, -10)):
        assert face_grey(picture, np.array(box, np.float32)) is None
    partly = face_grey(picture, np.array([-50, -50, 100, 100], np.float32))
    assert partly is not None
    assert partly.shape == (96, 96)


def run_motion(shifts: list[float], tracks: list[int] | None = None) -> CueReading:
    cue, base = MotionCue(LIVE), scene()
    reading = CueReading(math.nan)
    for k, shift in enumerate(shifts):
        seen = view(box=BOX, track_id=tracks[k] if tracks else 1)
        reading = cue.update(frame(k, image=expose(base, k, shift=shift)), seen)
    return reading


def test_a_picture_on_a_stand_is_not_confirmed() -> None:
    reading = run_motion([0.0] * 60)
    assert not reading.confirmed
    assert reading.value < BOUND


def test_a_moving_face_is_confirmed_and_stays_so() -> None:
    assert run_motion([0.0, 1.0]).confirmed
    assert run_motion([0.0, 1.0, 0.0, 0.0]).confirmed


def test_a_new_track_is_compared_with_itself_alone() -> None:
    assert not run_motion([0.0, 3.0], tracks=[1, 2]).confirmed
    assert run_motion([0.0, 3.0, 6.0], tracks=[1, 2, 2]).confirmed


def test_without_a_face_motion_can_not_tell() -> None:
    cue = MotionCue(LIVE)
    for k in range(5):
        reading = cue.update(frame(k), NO_FACE)
    assert math.isnan(reading.value)
    assert not reading.confirmed


class Denier:
    """Denies from the third frame on, and says `confirmed` too, which must prove nothing."""

    name, role = "denier", CueRole.DENY

    def __init__(self, context: CueContext) -> None:
        self.frames = 0

    need = CueNeed.FACE

    def update(self, frame: object, view: object) -> CueReading:
        self.frames += 1
        veto = Reason.SPOOF_SCREEN if self.frames > 2 else None
        return CueReading(float(self.frames), veto, confirmed=True)


class Prover(Denier):
    """Confirms from the second frame on."""

    name, role = "prover", CueRole.CONFIRM

    need = CueNeed.FACE

    def update(self, frame: object, view: object) -> CueReading:
        self.frames += 1
        return CueReading(math.nan, confirmed=self.frames > 1)


def test_the_set_gathers_vetoes_values_and_what_is_pending() -> None:
    table = {**CUES, "denier": Denier, "prover": Prover}
    cues = CueSet(("denier", "prover"), LIVE, table)
    states = [cues.update(frame(k), view()) for k in range(3)]
    assert [s.pending for s in states] == [("prover",), (), ()]
    assert [s.veto for s in states] == [None, None, Reason.SPOOF_SCREEN]
    assert states[2].values == {"denier": 3.0}


@pytest.mark.parametrize("names", [("nobody",), ("frozen", "frozen")])
def test_unknown_or_repeated_cues_refuse_to_start(names: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError):
        CueSet(names, LIVE)


def test_every_cue_in_the_table_has_the_name_it_is_found_by() -> None:
    for name, factory in CUES.items():
        cue = factory(LIVE)
        assert cue.name == name
        assert cue.role in CueRole
