from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from pipeline.errors import FrameError
from pipeline.nets import ModelStore
from pipeline.vision import BlazeFaceDetector, Detection
from pipeline.vision.boxes import iou
from pipeline.vision.detect import SIZE, BorderedDetector, anchors, decode, letterbox, weighted_nms

Picture = NDArray[np.uint8]


def test_finds_the_astronaut_with_eyes_above_the_mouth(
    detector: BlazeFaceDetector, astronaut: Picture
) -> None:
    (face,) = detector.detect(astronaut)
    left_eye, right_eye, nose, mouth, left_ear, right_ear = face.keypoints
    assert 0.5 <= face.score <= 1
    assert face.box.shape == (4,)
    assert left_ear[0] < left_eye[0] < nose[0] < right_eye[0] < right_ear[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < mouth[1]
    assert ((face.keypoints >= face.box[:2]) & (face.keypoints <= face.box[2:])).all()


@pytest.mark.parametrize("shape", [(480, 640), (640, 360), (16, 16), (1080, 1920)])
def test_finds_nothing_where_nothing_is(detector: BlazeFaceDetector, shape: tuple[int, int]) -> None:
    assert detector.detect(np.full((*shape, 3), 127, np.uint8)) == []


def test_finds_two_faces_and_gives_the_larger_one_first(
    detector: BlazeFaceDetector, astronaut: Picture
) -> None:
    head = astronaut[:256, 96:352]
    pair = np.concatenate([cv2.resize(head, (192, 192)), np.zeros((64, 192, 3), np.uint8)])
    pair = np.concatenate([pair, head], axis=1)
    large, small = detector.detect(pair)
    assert large.box[0] > 192 > small.box[2]
    assert large.box[3] - large.box[1] > small.box[3] - small.box[1]


@pytest.mark.parametrize(("left", "top"), [(128, 0), (0, 128), (64, 192)])
def test_boxes_follow_the_face_through_the_letterbox(
    detector: BlazeFaceDetector, astronaut: Picture, left: int, top: int
) -> None:
    (face,) = detector.detect(astronaut)
    wide = cv2.copyMakeBorder(astronaut, top, 0, left, 0, cv2.BORDER_CONSTANT)
    (moved,) = detector.detect(wide)
    assert iou(moved.box, face.box + np.array([left, top, left, top], np.float32)) > 0.8


def test_a_call_leaves_the_results_of_the_one_before_alone(
    detector: BlazeFaceDetector, astronaut: Picture
) -> None:
    (first,) = detector.detect(astronaut)
    kept = first.box.copy(), first.keypoints.copy()
    detector.detect(np.ascontiguousarray(astronaut[:, ::-1]))
    assert_array_equal(first.box, kept[0])
    assert_array_equal(first.keypoints, kept[1])
    (again,) = detector.detect(astronaut)
    assert_array_equal(again.box, first.box)


def test_a_border_finds_a_face_that_fills_the_picture_and_keeps_its_place(
    detector: BlazeFaceDetector, astronaut: Picture
) -> None:
    class Shy:
        """Finds faces only in pictures above 200 pixels."""

        def detect(self, image: Picture) -> list[Detection]:
            return detector.detect(image) if image.shape[0] > 200 else []

    head = np.ascontiguousarray(astronaut[40:220, 140:320])
    assert Shy().detect(head) == []
    (framed,) = BorderedDetector(Shy()).detect(head)
    (plain,) = detector.detect(astronaut)
    shift = np.array([140, 40], np.float32)
    assert iou(framed.box + np.tile(shift, 2), plain.box) > 0.8
    assert_allclose(framed.keypoints + shift, plain.keypoints, atol=10)
    assert BorderedDetector(detector).detect(np.full((300, 400, 3), 127, np.uint8)) == []


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((100, 100), np.uint8),
        np.zeros((100, 100, 4), np.uint8),
        np.zeros((100, 100, 3), np.float32),
        np.zeros((0, 100, 3), np.uint8),
        np.zeros((8, 100, 3), np.uint8),
        np.zeros((16, 40000, 3), np.uint8),
        None,
    ],
)
def test_refuses_what_is_not_a_picture(detector: BlazeFaceDetector, picture: Picture) -> None:
    with pytest.raises(FrameError):
        detector.detect(picture)


def test_takes_views_that_are_not_contiguous(detector: BlazeFaceDetector, astronaut: Picture) -> None:
    mirrored = astronaut[:, ::-1]
    (face,) = detector.detect(mirrored)
    (copied,) = detector.detect(np.ascontiguousarray(mirrored))
    assert_array_equal(face.box, copied.box)


def test_anchors_are_the_centres_of_both_grids() -> None:
    centres = anchors()
    assert centres.shape == (896, 2)
    assert_allclose(centres[0], [4 / 128, 4 / 128])
    assert_allclose(centres[2], [12 / 128, 4 / 128])
    assert_allclose(centres[512], [8 / 128, 8 / 128])
    assert_allclose(centres[-1], [120 / 128, 120 / 128])


def test_decodes_a_regression_about_its_anchor() -> None:
    raw = np.array([[12.8, -12.8, 64, 32, 0, 0, 6.4, 6.4, *[0] * 8]], np.float32)
    points = decode(raw, np.array([[0.5, 0.5]], np.float32))
    assert_allclose(points[0, :2], [[0.35, 0.275], [0.85, 0.525]], atol=1e-6)
    assert_allclose(points[0, 2], [0.5, 0.5], atol=1e-6)
    assert_allclose(points[0, 3], [0.55, 0.55], atol=1e-6)


def test_merges_a_group_by_score_and_keeps_strangers_apart() -> None:
    points = np.zeros((3, 8, 2), np.float32)
    points[0, :2] = [[0.0, 0.0], [0.4, 0.4]]
    points[1, :2] = [[0.1, 0.0], [0.5, 0.4]]
    points[2, :2] = [[0.8, 0.8], [0.9, 0.9]]
    found = weighted_nms(points, np.array([0.9, 0.6, 0.7], np.float32), 0.3)
    assert [f.score for f in found] == pytest.approx([0.9, 0.7])
    assert_allclose(found[0].box, [0.04, 0, 0.44, 0.4], atol=1e-6)
    assert_allclose(found[1].box, [0.8, 0.8, 0.9, 0.9], atol=1e-6)


@pytest.mark.parametrize("shape", [(512, 512), (300, 512), (512, 211), (97, 512)])
def test_letterbox_samples_every_k_th_pixel_and_leaves_the_bars(shape: tuple[int, int]) -> None:
    height, width = shape
    canvas = np.full((SIZE, SIZE, 3), 7, np.uint8)
    view, maps = letterbox(canvas, height, width)
    step = max(shape) / SIZE
    assert view.shape[0] == pytest.approx(height / step, abs=1)
    assert view.shape[1] == pytest.approx(width / step, abs=1)
    ramp = np.repeat(np.arange(height, dtype=np.float32)[:, None], width, axis=1)
    sampled = cv2.remap(ramp, *maps, cv2.INTER_LINEAR)
    assert_allclose(np.diff(sampled[1:-1, view.shape[1] // 2]), step, atol=0.1)
    view[:] = 0
    assert (canvas == 0).sum() == view.size


def test_frames_of_another_size_leave_nothing_behind(store: ModelStore, astronaut: Picture) -> None:
    used, fresh = (BlazeFaceDetector(store.path("face_detector")) for _ in range(2))
    used.detect(np.full((512, 512, 3), 255, np.uint8))
    wide = astronaut[:256]
    assert_array_equal(used.detect(wide)[0].box, fresh.detect(wide)[0].box)
