from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.reasons import Reason
from pipeline.score import FileScorer
from pipeline.settings import Settings
from pipeline.vision import View, Vision, problems
from pipeline.vision.noise import noise
from pipeline.vision.quality import DEFAULT_LIMITS

Picture = NDArray[np.uint8]
BOX = np.array([20, 20, 180, 180], np.float32)


def noisy(image: Picture, sigma: float) -> Picture:
    rng = np.random.default_rng(1)
    return np.clip(np.rint(image + sigma * rng.standard_normal(image.shape)), 0, 255).astype(np.uint8)


def coded(image: Picture, quality: int) -> Picture:
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


@pytest.mark.parametrize("sigma", [2, 5, 10])
def test_white_noise_of_a_plane_is_measured_a_little_low(sigma: float) -> None:
    ramp = np.linspace(80, 160, 200)[None, :, None] + np.zeros((200, 200, 3))
    grain = np.random.default_rng(2).standard_normal((200, 200, 1))
    found = noise(np.rint(ramp + sigma * grain).astype(np.uint8), BOX)
    assert 0.7 * sigma < found < 1.05 * sigma


def test_it_rises_with_noise(astronaut: Picture, seen: View) -> None:
    assert seen.face is not None
    series = [noise(noisy(astronaut, s), seen.face.box) for s in (0, 2, 4, 8, 16)]
    assert series == sorted(series)
    assert series[-1] > 3 * series[0]


def test_texture_on_half_the_face_is_no_noise(astronaut: Picture, seen: View) -> None:
    assert seen.face is not None
    x1, y1, x2, y2 = seen.face.box.astype(int)
    bearded = astronaut.copy()
    lower = (slice((y1 + y2) // 2, y2), slice(x1, x2))
    bearded[lower] = noisy(astronaut, 25)[lower]
    assert noise(bearded, seen.face.box) <= DEFAULT_LIMITS.max_noise


@pytest.mark.parametrize("quality", [90, 50, 20])
def test_coding_alone_is_no_noise(vision: Vision, astronaut: Picture, quality: int) -> None:
    seen = vision.look(coded(astronaut, quality))
    assert seen.quality is not None
    assert seen.quality.noise <= DEFAULT_LIMITS.max_noise


def test_a_noisy_face_is_asked_for_more_light(vision: Vision, astronaut: Picture) -> None:
    assert problems(vision.look(noisy(astronaut, 12))) == (Reason.TOO_DARK,)


def test_a_large_face_is_measured_in_its_middle_and_one_outside_the_frame_not_at_all() -> None:
    flat = np.full((900, 900, 3), 128, np.uint8)
    flat[:300] = noisy(flat, 20)[:300]
    assert noise(flat, np.array([0, 0, 900, 900], np.float32)) == 0
    assert noise(flat, np.array([-500, -500, -300, -300], np.float32)) == 0
    assert noise(noisy(np.zeros_like(flat), 20), np.array([0, 0, 900, 900], np.float32)) == 0


def test_a_noisy_still_picture_never_counts_as_live(astronaut: Picture, tmp_path: Path) -> None:
    path = tmp_path / "noisy.png"
    assert cv2.imwrite(str(path), noisy(astronaut, 12))
    record = FileScorer(Settings()).score(path)
    assert record.live is False
    assert record.reason in {Reason.TOO_DARK, Reason.SPOOF}
