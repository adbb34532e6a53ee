from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from numpy.typing import NDArray

import pipeline.vision
from pipeline.camera.frame import Frame
from pipeline.errors import FrameError, ModelMissingError
from pipeline.nets import ModelStore
from pipeline.vision import Vision
from pipeline.vision.boxes import iou

Picture = NDArray[np.uint8]


def frame(image: Picture, seq: int) -> Frame:
    return Frame(np.ascontiguousarray(image), t=seq / 30, seq=seq)


def shifted(image: Picture, x: float, y: float = 0) -> Picture:
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
    return np.asarray(cv2.warpAffine(image, matrix, (image.shape[1], image.shape[0])), np.uint8)


def test_all_that_is_promised_can_be_imported() -> None:
    assert sorted(pipeline.vision.__all__) == list(pipeline.vision.__all__)
    assert all(hasattr(pipeline.vision, name) for name in pipeline.vision.__all__)


@pytest.mark.parametrize("mesh", ["face_mesh", "face_mesh_478"])
def test_looks_at_a_single_picture(store: ModelStore, astronaut: Picture, mesh: str) -> None:
    view = Vision(store, mesh=mesh).look(astronaut)
    assert view.faces == 1
    assert view.face is not None
    assert view.quality is not None
    assert view.face.track_id == 1
    assert view.face.detected
    assert view.face.landmarks.shape == ({"face_mesh": 468, "face_mesh_478": 478}[mesh], 3)
    assert view.face.five.shape == (5, 2)
    assert view.face.presence > 0.99
    assert view.quality.faces == 1


def test_follows_a_moving_face_under_one_number_with_the_detector_mostly_at_rest(
    store: ModelStore, astronaut: Picture
) -> None:
    vision = Vision(store, detect_every=5)
    views = [vision.see(frame(shifted(astronaut, 3 * i, i), i)) for i in range(12)]
    faces = [v.face for v in views]
    assert all(f is not None and f.track_id == 1 for f in faces)
    assert [f.detected for f in faces if f] == [i % 5 == 0 for i in range(12)]
    first, last = faces[0], faces[-1]
    assert first is not None
    assert last is not None
    assert_allclose(last.box - first.box, [33, 11, 33, 11], atol=0.06 * (first.box[2] - first.box[0]))


def test_tracked_and_detected_boxes_are_of_one_kind(store: ModelStore, astronaut: Picture) -> None:
    vision = Vision(store, detect_every=2)
    boxes = [v.face.box for v in (vision.see(frame(astronaut, i)) for i in range(6)) if v.face]
    assert len(boxes) == 6
    assert min(iou(a, b) for a in boxes for b in boxes) > 0.94


def test_a_frame_without_a_face_ends_the_track(store: ModelStore, astronaut: Picture) -> None:
    vision = Vision(store)
    vision.see(frame(astronaut, 0))
    nobody = vision.see(frame(np.full_like(astronaut, 90), 1))
    assert (nobody.face, nobody.faces, nobody.quality) == (None, 0, None)
    again = vision.see(frame(astronaut, 2))
    assert again.face is not None
    assert again.face.track_id == 2


def test_a_face_that_changes_place_is_another_face(store: ModelStore, astronaut: Picture) -> None:
    vision = Vision(store)
    vision.see(frame(astronaut, 0))
    moved = vision.see(frame(shifted(astronaut, 120, 60), 1))
    assert moved.face is not None
    assert moved.face.track_id == 2


def test_looking_at_a_picture_leaves_the_track_alone(store: ModelStore, astronaut: Picture) -> None:
    vision = Vision(store)
    vision.see(frame(astronaut, 0))
    vision.look(shifted(astronaut, 150))
    view = vision.see(frame(astronaut, 1))
    assert view.face is not None
    assert view.face.track_id == 1


def test_reset_starts_a_new_track(store: ModelStore, astronaut: Picture) -> None:
    vision = Vision(store)
    vision.see(frame(astronaut, 0))
    vision.reset()
    view = vision.see(frame(astronaut, 1))
    assert view.face is not None
    assert view.face.track_id == 2


def test_takes_paths_as_well_as_a_store(store: ModelStore, astronaut: Picture) -> None:
    paths = {name: store.path(name) for name in ("face_detector", "face_mesh")}
    assert Vision(paths).look(astronaut).faces == 1


def test_a_missing_model_is_told_at_once(store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> None:
    nowhere = tmp_path_factory.mktemp("models") / "none.onnx"
    with pytest.raises(ModelMissingError):
        Vision({"face_detector": nowhere, "face_mesh": nowhere})
    with pytest.raises(ModelMissingError):
        Vision({"face_detector": store.path("face_detector")})


@settings(max_examples=25, deadline=None)
@given(height=st.integers(16, 300), width=st.integers(16, 300), seed=st.integers(0, 2**32 - 1))
def test_any_picture_gives_a_view(vision: Vision, height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (height, width, 3), np.uint8)
    view = vision.look(cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.3, 5)))
    assert (view.face is None) == (view.quality is None)
    assert view.face is None or view.faces >= 1


@pytest.mark.parametrize("shape", [(4, 4, 3), (100, 100), (100, 100, 4)])
def test_refuses_what_is_not_a_picture(vision: Vision, shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameError):
        vision.look(np.zeros(shape, np.uint8))


def test_noise_is_measured_where_the_detector_runs_and_stands_in_between(
    store: ModelStore, astronaut: Picture
) -> None:
    vision, rng = Vision(store, detect_every=4), np.random.default_rng(0)
    grainy = [
        np.clip(shifted(astronaut, i) + rng.normal(0, 6.0 * (i > 1), astronaut.shape), 0, 255).astype(
            np.uint8
        )
        for i in range(8)
    ]
    views = [vision.see(frame(image, i)) for i, image in enumerate(grainy)]
    noise = [v.quality.noise for v in views if v.quality is not None]
    assert [v.face.detected for v in views if v.face is not None] == [i % 4 == 0 for i in range(8)]
    assert noise[:4] == [noise[0]] * 4
    assert noise[4:] == [noise[4]] * 4
    assert noise[4] > noise[0] + 1
    vision.reset()
    view = vision.see(frame(grainy[1], 8))
    assert view.quality is not None
    assert view.quality.noise < noise[4] - 1
