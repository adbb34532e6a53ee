"""Repeats: a looped clip denies, whatever noise and coding lie on it; what moves or stands does not."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.camera.frame import Image
from pipeline.liveness.cues import CueContext, CueReading, RepeatCue
from pipeline.liveness.injection import APART, BOUND, CELLS, SPAN, RepeatMeter, signature
from pipeline.reasons import Reason

from .support import NO_FACE, frame

SIZE = (96, 160)


def walk(count: int, seed: int, step: float = 1.5) -> list[np.ndarray]:
    """A textured picture that wanders: float32 frames without noise."""
    rng = np.random.default_rng(seed)
    base = cv2.resize(rng.uniform(30, 220, (14, 18, 3)).astype(np.float32), (260, 190), interpolation=3)
    places = np.cumsum(rng.normal(0, step, (count, 2)), axis=0)
    out = []
    for x, y in np.clip(places, -40, 40):
        matrix = np.array([[1, 0, x - 50], [0, 1, y - 45]], np.float32)
        out.append(cv2.warpAffine(base, matrix, SIZE[::-1], borderMode=cv2.BORDER_REFLECT))
    return out


def expose(scene: np.ndarray, rng: np.random.Generator, noise: float, quality: int = 0) -> Image:
    image = np.clip(scene + rng.normal(0, noise, scene.shape), 0, 255).astype(np.uint8)
    if quality:
        code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        image = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
    return image


def run(images: list[Image]) -> CueReading:
    cue = RepeatCue(CueContext(live=True))
    reading = CueReading(math.nan)
    for k, image in enumerate(images):
        reading = cue.update(frame(k, image=image), NO_FACE)
        if reading.veto is not None:
            break
    return reading


@pytest.mark.parametrize("noise", [0.0, 2.0])
@pytest.mark.parametrize("back", [False, True])
def test_a_looped_clip_denies_forwards_and_to_and_fro(noise: float, back: bool) -> None:
    rng = np.random.default_rng(1)
    part = walk(40, seed=2)
    scenes = part + (part[::-1] if back else part)
    assert run([expose(s, rng, noise) for s in scenes]).veto is Reason.INJECTED_SOURCE


def test_a_loop_through_jpeg_denies() -> None:
    rng = np.random.default_rng(1)
    images = [expose(s, rng, 2.0, quality=70) for s in walk(40, seed=2) * 2]
    assert run(images).veto is Reason.INJECTED_SOURCE


@given(seed=st.integers(0, 10**6), noise=st.floats(0.5, 4))
@settings(max_examples=6, deadline=None)
def test_what_wanders_without_coming_back_does_not_deny(seed: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    reading = run([expose(s, rng, noise) for s in walk(90, seed)])
    assert reading.veto is None
    assert not reading.value < BOUND


@pytest.mark.parametrize("noise", [0.5, 1.0, 4.0])
def test_a_still_scene_under_noise_does_not_deny(noise: float) -> None:
    rng = np.random.default_rng(3)
    scene = walk(1, seed=4)[0]
    assert run([expose(scene, rng, noise) for _ in range(80)]).veto is None


def test_exact_copies_in_a_row_are_left_to_another_cue() -> None:
    rng = np.random.default_rng(3)
    image = expose(walk(1, seed=4)[0], rng, 2.0)
    assert run([image] * 60).veto is None
    doubled = [expose(s, rng, 1.0) for s in walk(40, seed=5) for _ in range(1)]
    assert run([i for i in doubled for _ in range(2)]).veto is None


def test_three_exact_frames_in_a_row_from_before_deny_also_without_motion() -> None:
    rng = np.random.default_rng(3)
    scene = walk(1, seed=4)[0]
    images = [expose(scene, rng, 1.0) for _ in range(10)]
    assert run([*images, *images[2:4]]).veto is None
    assert run([*images, *images[2:5]]).veto is Reason.INJECTED_SOURCE


@pytest.mark.parametrize("loop", [[0, 1], [0, 1, 2], [0, 1, 0, 2], [0, 1, 2, 1]])
def test_a_few_pictures_shown_over_and_over_deny_whatever_their_order(loop: list[int]) -> None:
    rng = np.random.default_rng(3)
    scene = walk(1, seed=4)[0]
    pictures = [expose(scene, rng, 1.0) for _ in range(3)]
    assert run([pictures[k] for k in loop * 3]).veto is Reason.INJECTED_SOURCE
    assert run([pictures[k] for k in (0, 1, 0, 1)]).veto is None


def test_sums_over_stretches_are_what_they_say() -> None:
    """The carried sums against the plain ones, forwards and backwards."""
    rng = np.random.default_rng(6)
    meter, cells = RepeatMeter(), []
    for i in range(3 * SPAN):
        image = rng.integers(0, 256, (*SIZE, 3), np.uint8)
        meter.see(image)
        cells.append(signature(image)[0].astype(np.float64))

        def gap(a: int, b: int) -> float:
            return float(np.sum((cells[a] - cells[b]) ** 2))

        if i >= 2 * SPAN:
            j = SPAN - 1
            plain = sum(gap(i - m, j - m) for m in range(SPAN))
            assert meter._forward[j] == pytest.approx(plain, rel=1e-3)
            plain = sum(gap(i - m, m) for m in range(SPAN))
            assert meter._backward[0] == pytest.approx(plain, rel=1e-3)


def test_it_goes_on_after_its_memory_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.liveness.injection.LONGEST", 50)
    rng = np.random.default_rng(7)
    meter = RepeatMeter()
    part = [expose(s, rng, 1.0) for s in walk(120, seed=8)]
    for image in part:
        meter.see(image)
    assert meter.exact == 0
    for image in part[-30:]:
        meter.see(image)
    assert meter.exact > APART


def test_signatures_take_any_size() -> None:
    rng = np.random.default_rng(9)
    for height, width in ((16, 16), (720, 1280), (848, 480)):
        cells, digest = signature(rng.integers(0, 256, (height, width, 3), np.uint8))
        assert cells.shape == (CELLS[0] * CELLS[1],)
        assert isinstance(digest, int)
    grey = np.full((90, 160, 3), 77, np.uint8)
    assert np.allclose(signature(grey)[0], 77)
