from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from pipeline.nets import ModelStore
from pipeline.vision import BlazeFaceDetector, Detection, FaceMesh
from pipeline.vision.mesh import Roi, roi_of_detection, roi_of_landmarks

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module", params=["face_mesh", "face_mesh_478"])
def either(request: pytest.FixtureRequest, store: ModelStore) -> FaceMesh:
    return FaceMesh(store.path(request.param))


@pytest.fixture(scope="module")
def roi(detector: BlazeFaceDetector, astronaut: Picture) -> Roi:
    return roi_of_detection(detector.detect(astronaut)[0])


def test_region_of_a_detection_is_turned_by_its_eyes() -> None:
    keypoints = np.zeros((6, 2), np.float32)
    keypoints[:2] = [[10, 10], [20, 20]]
    found = Detection(box=np.array([0, 0, 40, 20], np.float32), score=1.0, keypoints=keypoints)
    assert roi_of_detection(found) == Roi(20.0, 10.0, 60.0, pytest.approx(math.pi / 4))


def test_region_of_a_mesh_is_turned_by_its_outer_eye_corners() -> None:
    points = np.full((468, 3), 50, np.float32)
    points[0], points[1] = (0, 20, 0), (100, 60, 0)
    points[33], points[263] = (40, 40, 0), (60, 40, 0)
    assert roi_of_landmarks(points) == Roi(50.0, 40.0, 150.0, 0.0)


def test_sizes_follow_the_file(store: ModelStore) -> None:
    small, large = FaceMesh(store.path("face_mesh")), FaceMesh(store.path("face_mesh_478"))
    assert (small.size, small.count) == (192, 468)
    assert (large.size, large.count) == (256, 478)


def test_places_the_mesh_on_the_face(
    either: FaceMesh, detector: BlazeFaceDetector, astronaut: Picture, roi: Roi
) -> None:
    placed = either.locate(astronaut, roi)
    eyes = detector.detect(astronaut)[0].keypoints[:2]
    assert placed.points.shape == (either.count, 3)
    assert placed.points.dtype == np.float32
    assert placed.presence > 0.99
    centres = np.stack([placed.points[[33, 133], :2].mean(0), placed.points[[362, 263], :2].mean(0)])
    assert_allclose(centres, eyes, atol=0.05 * roi.side)
    assert placed.points[1, 2] < placed.points[[234, 454], 2].min(), "the nose is nearer than the cheeks"


def test_sees_no_face_in_an_empty_region(either: FaceMesh) -> None:
    assert either.locate(np.full((300, 300, 3), 127, np.uint8), Roi(150, 150, 150, 0)).presence < 0.5


@pytest.mark.parametrize("degrees", [-30, 25])
def test_a_turned_picture_turns_the_mesh(
    mesh: FaceMesh, detector: BlazeFaceDetector, astronaut: Picture, roi: Roi, degrees: float
) -> None:
    upright = mesh.locate(astronaut, roi)
    matrix = cv2.getRotationMatrix2D((roi.x, roi.y), degrees, 1.0)
    turned = cv2.warpAffine(astronaut, matrix, (512, 512))
    placed = mesh.locate(turned, Roi(roi.x, roi.y, roi.side, roi.angle - math.radians(degrees)))
    expected = upright.points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    assert np.sqrt(((placed.points[:, :2] - expected) ** 2).sum(1).mean()) < 0.01 * roi.side
    assert_allclose(placed.points[:, 2], upright.points[:, 2], atol=0.05 * roi.side)


def test_depth_grows_with_the_picture(mesh: FaceMesh, astronaut: Picture, roi: Roi) -> None:
    once = mesh.locate(astronaut, roi)
    large = cv2.resize(astronaut, (1024, 1024), interpolation=cv2.INTER_LINEAR)
    twice = mesh.locate(large, Roi(roi.x * 2, roi.y * 2, roi.side * 2, roi.angle))
    assert_allclose(twice.points, once.points * 2, atol=0.02 * roi.side)


def test_a_second_call_leaves_the_first_result_alone(mesh: FaceMesh, astronaut: Picture, roi: Roi) -> None:
    first = mesh.locate(astronaut, roi)
    kept = first.points.copy()
    mesh.locate(np.ascontiguousarray(astronaut[::-1]), roi)
    assert_array_equal(first.points, kept)


def test_a_region_may_reach_outside_the_picture(mesh: FaceMesh, astronaut: Picture) -> None:
    far = mesh.locate(astronaut, Roi(-5000.0, 9000.0, 100.0, 0.3))
    none = mesh.locate(astronaut, Roi(100.0, 100.0, 0.0, 0.0))
    assert np.isfinite(far.points).all()
    assert np.isfinite(none.points).all()
    assert max(far.presence, none.presence) < 0.5
