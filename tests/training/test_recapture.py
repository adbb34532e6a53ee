"""The recapture simulator does what it says, and live pictures never pass through it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.training import pool, recapture
from models.training.camera import capture
from models.training.data import Picture
from models.training.medium import MEDIA, halftone, print_tone
from models.training.recapture import distract, glare, pixel_grid


def shot(portrait, face, seed, medium=None):
    return recapture.recapture(portrait, face, [portrait], np.random.default_rng(seed), medium)


@pytest.mark.parametrize("medium", MEDIA)
def test_same_seed_gives_the_same_bytes_and_another_seed_others(portrait, face, medium):
    first, again, other = (shot(portrait, face, seed, medium) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.box, again.box)
    assert first.steps == again.steps
    assert first.image.shape != other.image.shape or (first.image != other.image).any()


@pytest.mark.parametrize("medium", MEDIA)
def test_every_medium_gives_a_picture_with_the_face_in_it(portrait, face, medium):
    for seed in range(12):
        got = shot(portrait, face, seed, medium)
        assert got.image.dtype == np.uint8
        assert got.image.ndim == 3
        assert got.image.shape[2] == 3
        height, width = got.image.shape[:2]
        centre = (got.box[:2] + got.box[2:]) / 2
        assert 0 < centre[0] < width
        assert 0 < centre[1] < height
        assert (got.box[2:] > got.box[:2]).all()
        assert ("print" in got.steps) == (medium in ("photo", "sheet"))
        assert ("screen" in got.steps) == (medium in ("phone", "tablet", "monitor"))


def test_the_picture_handed_in_is_left_alone(portrait, face):
    before = portrait.copy()
    shot(portrait, face, 1)
    distract(portrait, face, [portrait], np.random.default_rng(1))
    capture(portrait, np.random.default_rng(1))
    np.testing.assert_array_equal(portrait, before)


@given(pitch=st.floats(0.8, 6.0))
@settings(max_examples=25, deadline=None)
def test_screen_grid_aliases_to_where_sampling_theory_puts_it(pitch):
    size = 256
    v, u = np.mgrid[0:size, 0:size].astype(np.float32)
    grid = pixel_grid(u, v, pitch, 0.2, np.random.default_rng(0))[..., 0]
    spectrum = np.abs(np.fft.fft(grid.mean(0) - grid.mean()))[: size // 2 + 1]
    freq = 1 / pitch
    folded = abs(freq - round(freq))
    if folded * size < 3 or spectrum.max() < 0.02 * size:
        return  # no whole period in view, or blurred away
    assert abs(int(spectrum.argmax()) - folded * size) <= 1.5


def test_screen_grid_fades_as_the_lens_blurs():
    v, u = np.mgrid[0:64, 0:64].astype(np.float32)
    sharp, soft = (pixel_grid(u, v, 1.7, lens, np.random.default_rng(0)).std() for lens in (0.2, 0.8))
    assert sharp > 3 * soft


def test_grid_on_a_face_adds_spectral_peaks_over_the_live_one(portrait):
    v, u = np.mgrid[0:240, 0:320].astype(np.float32)
    shown = np.clip(portrait * pixel_grid(u, v, 2.3, 0.3, np.random.default_rng(2)), 0, 255)

    def peak(image):
        grey = image.mean(2) * np.hanning(240)[:, None] * np.hanning(320)[None]
        power = np.abs(np.fft.fft2(grey - grey.mean()))
        band = power[60:120, 40:160]
        return band.max() / np.median(band)

    assert peak(shown) > 3 * peak(portrait.astype(np.float64))


def test_print_keeps_between_ink_and_paper():
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    for seed in range(20):
        got = print_tone(ramp, np.random.default_rng(seed))
        assert got.min() >= 0.03 * 255 - 1
        assert int(got.max()) - int(got.min()) < 255 * 0.98
        assert (np.diff(got.astype(int).mean((0, 2))) >= -1).all()


def test_halftone_puts_dots_at_its_pitch():
    flat = np.full((128, 128, 3), 128, np.uint8)
    got = halftone(flat, np.random.default_rng(0), 4.0)[..., 1].astype(np.float64)
    power = np.abs(np.fft.fft2(got - got.mean()))
    row, column = np.unravel_index(power.argmax(), power.shape)
    freq = np.hypot(min(row, 128 - row), min(column, 128 - column)) / 128
    assert freq == pytest.approx(0.25, abs=0.02)


def test_glare_only_adds_light():
    light = glare((40, 60), np.random.default_rng(0))
    assert light.shape == (40, 60)
    assert light.min() >= 0
    assert light.max() > 0.05


def test_a_medium_beside_a_live_face_never_covers_the_face(portrait, face, monkeypatch):
    monkeypatch.setattr(recapture, "_hands", lambda image, *_: image)
    inner = slice(100, 145), slice(140, 180)
    changed = 0
    for seed in range(30):
        got = distract(portrait, face, [portrait], np.random.default_rng(seed))
        changed += (got != portrait).any()
        np.testing.assert_array_equal(got[inner], portrait[inner])
    assert changed > 20


def test_camera_at_no_strength_changes_nothing(portrait):
    np.testing.assert_array_equal(capture(portrait, np.random.default_rng(0), 0.0), portrait)


@given(seed=st.integers(0, 10_000), strength=st.floats(0, 1), unit=st.floats(0.3, 3))
@settings(max_examples=30, deadline=None)
def test_camera_keeps_type_and_shape_and_is_seeded(portrait, seed, strength, unit):
    got = capture(portrait, np.random.default_rng(seed), strength, unit)
    again = capture(portrait, np.random.default_rng(seed), strength, unit)
    assert got.dtype == np.uint8
    assert got.shape == portrait.shape
    np.testing.assert_array_equal(got, again)


def picture(portrait, face, live, subject="x"):
    return Picture("a.jpg", portrait, face, True, live, "none", subject, "lfw_single")


def test_live_pictures_and_real_attacks_never_pass_the_simulator(portrait, face, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("simulated")

    monkeypatch.setattr(pool, "recapture", refuse)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        assert pool.make(picture(portrait, face, True), False, [portrait], rng)[2] == "live"
        assert pool.make(picture(portrait, face, False), False, [portrait], rng)[2] == "real"
    with pytest.raises(AssertionError, match="simulated"):
        pool.make(picture(portrait, face, True), True, [portrait], np.random.default_rng(0))


def test_distractors_are_for_live_pictures_only(portrait, face, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("distracted")

    monkeypatch.setattr(pool, "distract", refuse)
    for seed in range(20):
        pool.make(picture(portrait, face, False), False, [portrait], np.random.default_rng(seed))


def test_plan_leaves_dev_subjects_out_and_simulates_live_pictures_only(portrait, face):
    dev = sorted(pool.DEV_SUBJECTS)[0]
    pictures = [
        picture(portrait, face, True),
        picture(portrait, face, True, dev),
        picture(portrait, face, False),
    ]
    names = {pictures[0].dataset}
    tasks = pool.plan(pictures, 0, names)
    assert {t.picture for t in tasks if t.simulate} == {0}
    assert 1 not in {t.picture for t in tasks}
    assert tasks == pool.plan(pictures, 0, names)
    assert pool.plan(pictures, 0, ()) == []


def test_reframed_box_still_holds_the_face(portrait, face):
    for seed in range(40):
        image, box = pool.reframe(portrait, face, np.random.default_rng(seed))
        np.testing.assert_allclose(box[2:] - box[:2], face[2:] - face[:2], atol=1e-3)
        assert box[2] > 0
        assert box[3] > 0
        assert box[0] < image.shape[1]
        assert box[1] < image.shape[0]
