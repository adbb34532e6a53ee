"""The fast forms of the frame's arithmetic give the numbers of the plain ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.reasons import Reason
from pipeline.vision import View
from pipeline.vision.align import FIVE_PAIRS, TEMPLATE, five_points, similarity, template
from pipeline.vision.boxes import (
    BOX_CENTRE,
    BOX_SIDE,
    box_anchors,
    box_spans,
    face_box,
    mesh_bounds,
    share_inside,
)
from pipeline.vision.crop import CropKind, CropSpec, _mirror, _mirrored_region, to_planes
from pipeline.vision.occlusion import (
    LOWER,
    LOWER_BIAS,
    LOWER_REFERENCE,
    LOWER_WEIGHTS,
    REGIONS,
    UPPER,
    UPPER_BIAS,
    UPPER_REFERENCE,
    UPPER_WEIGHTS,
    features,
    occlusion,
    region_stats,
)
from pipeline.vision.quality import first_problem, problems

coordinates = st.floats(-500, 1500, width=32)
meshes = st.integers(0, 2**31).map(
    lambda seed: np.random.default_rng(seed).uniform(-50, 700, (468, 3)).astype(np.float32)
)


@given(arrays.arrays(np.float32, (5, 2), elements=coordinates, unique=True))
def test_the_similarity_of_one_face_is_that_of_a_batch(five: np.ndarray) -> None:
    for size in (32, 112):
        target = template(size)
        assert_array_equal(target, TEMPLATE * np.float32(size / 112))
        one, many = similarity(five, target), similarity(five[None], target)[0]
        assert_allclose(one, many, rtol=1e-9, atol=1e-9 * max(1.0, float(np.abs(many).max())))


def test_the_template_that_everybody_shares_can_not_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        template()[0, 0] = 1


@given(meshes)
def test_the_box_is_made_of_its_anchors_and_spans(points: np.ndarray) -> None:
    anchors = box_anchors(points)
    centre = anchors[0] + BOX_CENTRE @ (anchors[1:] - anchors[0])
    half = float(BOX_SIDE @ box_spans(points, anchors)) / 2
    assert_allclose(face_box(points), np.concatenate([centre - half, centre + half]), atol=2e-3)


@given(meshes, st.integers(16, 700), st.integers(16, 700))
def test_bounds_share_and_five_points(points: np.ndarray, width: int, height: int) -> None:
    xy = points[:, :2]
    assert_array_equal(mesh_bounds(points), np.concatenate([xy.min(axis=0), xy.max(axis=0)]))
    inside = ((xy >= 0) & (xy < (width, height))).all(axis=1).mean()
    assert share_inside(points, width, height) == pytest.approx(inside)
    assert_allclose(five_points(points), points[FIVE_PAIRS, :2].mean(axis=-2), rtol=1e-6)
    assert_allclose(five_points(np.stack([points, points]))[1], five_points(points))


def test_a_point_that_is_no_number_is_not_inside() -> None:
    points = np.full((468, 3), 10, np.float32)
    points[7] = np.nan
    assert share_inside(points, 100, 100) == pytest.approx(467 / 468)


@given(st.integers(0, 2**31), st.floats(-30, 30))
def test_occlusion_is_the_larger_of_both_models(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    patch = rng.integers(0, 256, (112, 112, 3), np.uint8)
    points = (rng.uniform(0, 112, (468, 2)) + shift).astype(np.float32)
    stats = region_stats(patch, points)
    lower = (LOWER_WEIGHTS * features(stats, LOWER, UPPER_REFERENCE)).sum() + LOWER_BIAS
    upper = (UPPER_WEIGHTS * features(stats, UPPER, LOWER_REFERENCE)).sum() + UPPER_BIAS
    expected = 1 / (1 + np.exp(-np.clip(max(lower, upper), None, 50)))
    assert occlusion(patch, points) == pytest.approx(expected, abs=1e-12)


def test_region_stats_are_mean_and_deviation_of_the_smoothed_patch() -> None:
    rng = np.random.default_rng(0)
    patch = np.repeat(np.repeat(rng.integers(0, 256, (28, 28, 3), np.uint8), 4, 0), 4, 1)
    centres = rng.integers(0, 28, (468, 2)) * 4 + 1  # a mean over 3x3 stays inside a block of 4x4
    stats = region_stats(patch, centres.astype(np.float32))
    colours = patch[centres[REGIONS][..., 1], centres[REGIONS][..., 0]].astype(np.float64)
    assert_allclose(stats[:, :3], colours.mean(axis=1), atol=1e-9)
    assert_allclose(stats[:, 3], colours[..., 0].std(axis=1), atol=1e-6)


@pytest.mark.parametrize("rgb", [False, True])
@pytest.mark.parametrize("divide", [1.0, 255.0])
def test_planes_are_the_picture_turned_round(rgb: bool, divide: float) -> None:
    spec = CropSpec(24, CropKind.SHIFTED, 2.0, rgb=rgb, divide=divide)
    image = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    out = np.full((3, 24, 24), np.nan, np.float32)
    to_planes(image, spec, out)
    expected = image.transpose(2, 0, 1)[:: -1 if rgb else 1] / np.float32(divide)
    assert_array_equal(out, expected.astype(np.float32))


def test_the_first_problem_is_the_first_of_all(seen: View) -> None:
    assert seen.quality is not None
    dark = replace(seen, quality=replace(seen.quality, brightness=3.0, sharpness=0.0))
    for shown in (seen, dark, replace(seen, faces=2), View(face=None, faces=0, quality=None)):
        assert first_problem(shown) == next(iter(problems(shown)), None)
    assert first_problem(dark) is Reason.TOO_DARK


@given(
    height=st.integers(16, 60),
    width=st.integers(16, 60),
    x=st.integers(-90, 70),
    y=st.integers(-90, 70),
    side=st.integers(2, 120),
)
def test_a_mirrored_region_is_the_picture_at_mirrored_places(
    height: int, width: int, x: int, y: int, side: int
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    rows, columns = _mirror(np.arange(y, y + side), height), _mirror(np.arange(x, x + side), width)
    assert_array_equal(_mirrored_region(image, x, y, side), image[rows[:, None], columns])
