"""Picture cues outside the gate still measure what they say; bounds and vetoes are computed right."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from benchmarks.cues.glare import glare_score
from benchmarks.cues.moire import moire_score
from benchmarks.pad_cues import accepted, bound_of, with_veto
from models.training.recapture import pixel_grid

BOX = np.array([40, 40, 340, 340], np.float32)
NULL = 4.5
"""A z that noise alone does not reach: of the 2,000 cells of a spectrum one in 10,000 pictures would."""


def skin(seed: int = 0) -> np.ndarray:
    """A smooth picture with sensor noise, uint8 (380, 380, 3)."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.uniform(80, 180, (6, 6, 3)), (380, 380), interpolation=cv2.INTER_CUBIC)
    return np.clip(coarse + rng.normal(0, 3, coarse.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("pitch", [2.6, 3.3, 4.7])
def test_a_pixel_grid_is_a_peak_and_noise_is_none(pitch: float) -> None:
    y, x = np.mgrid[0:380, 0:380].astype(np.float32)
    turned = x * np.float32(0.97) + y * np.float32(0.24), y * np.float32(0.97) - x * np.float32(0.24)
    grid = pixel_grid(*turned, pitch, 0.3, np.random.default_rng(0))
    shown = np.clip(skin() * (0.9 + 0.1 * grid), 0, 255).astype(np.uint8)
    assert moire_score(skin(), BOX) < NULL < moire_score(shown, BOX)


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_the_grid_of_jpeg_is_no_peak(quality: int) -> None:
    coded = cv2.imencode(".jpg", skin(), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    assert moire_score(np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8), BOX) < NULL


def test_a_small_face_has_no_spectrum() -> None:
    assert math.isnan(moire_score(skin(), np.array([10, 10, 80, 80], np.float32)))


def outline() -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 60)
    return np.stack([190 + 100 * np.cos(angle), 190 + 120 * np.sin(angle)], 1).astype(np.float32)


def lit(x: int, y: int, radius: int) -> np.ndarray:
    return np.asarray(cv2.circle(skin(), (x, y), radius, (255, 255, 255), -1), np.uint8)


def test_a_lamp_over_the_outline_is_glare_and_shine_on_the_nose_or_a_window_beside_is_none() -> None:
    assert glare_score(lit(190, 70, 45), outline()) > 0.03
    assert glare_score(lit(190, 190, 30), outline()) == 0
    assert glare_score(lit(350, 190, 30), outline()) == 0
    coloured = cv2.circle(skin(), (190, 70), 45, (120, 255, 255), -1)
    assert glare_score(np.asarray(coloured, np.uint8), outline()) == 0


def test_the_bound_comes_from_live_pictures_alone() -> None:
    values = np.array([0.1, 0.2, 0.3, 9.0, -np.inf])
    live = np.array([True, True, True, False, True])
    assert bound_of(values, live) == pytest.approx(0.3 + np.std([0.1, 0.2, 0.3]))
    assert bound_of(np.zeros(5), live) > 0


def test_a_veto_costs_its_false_alarms_at_equal_bpcer() -> None:
    odds = np.array([5.0, 4, 3, 2, 4.5, 1, 0])
    live = np.array([True, True, True, True, False, False, False])
    none = np.zeros(7)
    assert accepted(with_veto(odds, none, 1.0), live, 0.0) == (1, 3, 0)
    catches = np.array([0, 0, 0, 0, 1.0, 0, 0])
    assert accepted(with_veto(odds, catches, 1.0), live, 0.0) == (0, 3, 0)
    alarms = np.array([1.0, 0, 0, 0, 0, 0, 0])
    assert accepted(with_veto(odds, alarms, 1.0), live, 0.25)[0] == 1
    assert accepted(with_veto(odds, alarms, 1.0), live, 0.0)[0] == 3
