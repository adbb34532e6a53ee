from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from pipeline.vision import BlazeFaceDetector, FaceMesh, View
from pipeline.vision.align import TEMPLATE, align, align_batch, five_points, similarity, template
from pipeline.vision.mesh import roi_of_landmarks

Picture = NDArray[np.uint8]


@given(
    scale=st.floats(0.05, 20),
    angle=st.floats(-3.2, 3.2),
    x=st.floats(-2000, 2000),
    y=st.floats(-2000, 2000),
)
def test_recovers_a_known_similarity(scale: float, angle: float, x: float, y: float) -> None:
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    known = np.array([[cos, -sin, x], [sin, cos, y]])
    target = TEMPLATE @ known[:, :2].T + known[:, 2]
    assert_allclose(similarity(TEMPLATE, target), known, atol=1e-3 * max(scale, 1), rtol=1e-4)


@given(st.integers(0, 2**32 - 1))
def test_no_other_similarity_fits_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, target = rng.normal(0, 10, (5, 2)), rng.normal(0, 10, (5, 2))
    best = similarity(source, target)

    def error(matrix: NDArray[np.float64]) -> float:
        return float(((source @ matrix[:, :2].T + matrix[:, 2] - target) ** 2).sum())

    a, b = best[0, 0] + rng.normal(0, 0.1), best[1, 0] + rng.normal(0, 0.1)
    other = np.array([[a, -b, best[0, 2]], [b, a, best[1, 2]]])
    assert error(best) <= error(other) + 1e-9
    assert np.linalg.det(best[:, :2]) >= 0


def test_batch_equals_one_by_one(astronaut: Picture, seen: View) -> None:
    assert seen.face is not None
    fives = np.stack([seen.face.five, seen.face.five + 7, seen.face.five * np.float32(1.1)])
    batch = align_batch(astronaut, fives, 64)
    assert batch.shape == (3, 64, 64, 3)
    for face, five in zip(batch, fives, strict=True):
        assert_array_equal(face, align(astronaut, five, 64))


@pytest.mark.parametrize("size", [112, 224])
def test_the_five_points_land_on_the_template(
    astronaut: Picture, seen: View, mesh: FaceMesh, size: int
) -> None:
    assert seen.face is not None
    face = align(astronaut, seen.face.five, size)
    matrix = similarity(seen.face.five, template(size))
    guess = (seen.face.landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    again = mesh.locate(face, roi_of_landmarks(guess))
    assert again.presence > 0.9
    residual = seen.face.five @ matrix[:, :2].T + matrix[:, 2]
    assert_allclose(five_points(again.points), residual, atol=0.04 * size)
    assert_allclose(residual, template(size), atol=0.06 * size)


def test_five_points_of_a_batch(seen: View) -> None:
    assert seen.face is not None
    both = np.stack([seen.face.landmarks, seen.face.landmarks * 2])
    assert_allclose(five_points(both)[1], five_points(seen.face.landmarks) * 2, rtol=1e-5)
    assert_array_equal(five_points(seen.face.landmarks), seen.face.five)


def test_eyes_of_the_five_agree_with_the_detector(
    detector: BlazeFaceDetector, astronaut: Picture, seen: View
) -> None:
    assert seen.face is not None
    side = seen.face.box[2] - seen.face.box[0]
    assert_allclose(seen.face.five[:2], detector.detect(astronaut)[0].keypoints[:2], atol=0.05 * side)
