from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from pipeline.vision import View
from pipeline.vision.boxes import area, face_box, iou, iou_one_to_many, mesh_bounds

coordinate = st.floats(-1000, 1000, width=32)
boxes = st.lists(coordinate, min_size=4, max_size=4).map(lambda v: np.array(v, np.float32))


def test_overlap_of_known_boxes() -> None:
    a = np.array([0, 0, 10, 10], np.float32)
    b = np.array([5, 0, 15, 10], np.float32)
    assert iou(a, b) == pytest.approx(50 / 150)
    assert iou(a, a) == 1
    assert iou(a, a + 20) == 0


@given(boxes, boxes)
def test_overlap_is_a_symmetric_share_and_turned_boxes_overlap_nothing(a: np.ndarray, b: np.ndarray) -> None:
    assert 0 <= iou(a, b) <= 1 + 1e-6
    assert iou(a, b) == pytest.approx(iou(b, a))
    if area(a) == 0:
        assert iou(a, b) == 0


SLIVER = np.array([-6.3e-40, 0, 0, 1], np.float32)


@given(boxes, st.lists(boxes, min_size=1, max_size=5))
@example(SLIVER, [SLIVER])
def test_one_to_many_is_the_same_overlap(box: np.ndarray, others: list[np.ndarray]) -> None:
    expected = [iou(box, other) for other in others]
    assert_allclose(iou_one_to_many(box, np.stack(others)), expected, atol=1e-3)


def test_bounds_leave_the_irises_out() -> None:
    points = np.zeros((478, 3), np.float32)
    points[:468, :2] = np.random.default_rng(0).uniform(10, 20, (468, 2))
    points[468:, :2] = 500
    assert mesh_bounds(points).max() <= 20


def test_face_box_is_a_square_that_moves_and_grows_with_the_mesh(seen: View) -> None:
    assert seen.face is not None
    points = seen.face.landmarks
    box = face_box(points)
    assert box[2] - box[0] == pytest.approx(box[3] - box[1], rel=1e-4)
    assert_allclose(face_box(points + np.float32(30)), box + 30, atol=0.01)
    assert_allclose(face_box(points * np.float32(2)), box * 2, rtol=1e-4)
