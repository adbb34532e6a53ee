from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.vision.boxes import face_box
from pipeline.vision.mesh import Mesh, Roi
from pipeline.vision.track import FaceTracker, TrackLimits
from pipeline.vision.types import F32, Detection, View

Picture = NDArray[np.uint8]
BLANK: Picture = np.zeros((480, 640, 3), np.uint8)


@dataclass
class Stage:
    """What the fakes see: meshes on stage, the region picks the nearest; the detector sees all of them."""

    meshes: list[F32]
    presence: float = 1.0
    dips: int = 0
    detections: list[Detection] | None = None
    detector_ran: int = 0
    mesh_ran: int = 0
    log: list[Roi] = field(default_factory=list)

    def detect(self, image: Picture) -> list[Detection]:
        self.detector_ran += 1
        if self.detections is not None:
            return self.detections
        found = [
            Detection(box=face_box(m), score=0.9, keypoints=m[[33, 263, 1, 13, 234, 454], :2])
            for m in self.meshes
        ]
        return sorted(found, key=lambda d: float(d.box[2] - d.box[0]), reverse=True)

    def locate(self, image: Picture, roi: Roi) -> Mesh:
        self.mesh_ran += 1
        self.log.append(roi)
        if self.dips:
            self.dips -= 1
            return Mesh(self.meshes[0], 0.1)
        if not self.meshes:
            return Mesh(np.zeros((468, 3), np.float32), 0.0)
        gap = [float(np.hypot(*(m[:, :2].mean(0) - (roi.x, roi.y)))) for m in self.meshes]
        nearest = int(np.argmin(gap))
        return Mesh(self.meshes[nearest], self.presence if gap[nearest] < roi.side / 2 else 0.0)


@pytest.fixture
def points(seen: View) -> F32:
    """The astronaut's mesh, about 100 pixels wide, in the middle of a 640 x 480 frame."""
    assert seen.face is not None
    middle = seen.face.landmarks[:, :2].mean(axis=0)
    return (seen.face.landmarks - (*(middle - (320, 240)), 0)).astype(np.float32)


def at(points: F32, x: float, y: float = 0, scale: float = 1.0) -> F32:
    middle = points.mean(axis=0)
    return ((points - middle) * scale + middle + (x, y, 0)).astype(np.float32)


def tracker(stage: Stage, **limits: float) -> FaceTracker:
    return FaceTracker(stage, stage, TrackLimits(**limits))  # type: ignore[arg-type]


def test_the_detector_rests_while_the_mesh_holds(points: F32) -> None:
    stage = Stage([points])
    follow = tracker(stage, detect_every=5)
    steps = [follow.step(BLANK, i / 30) for i in range(11)]
    assert [s.detected for s in steps] == [i % 5 == 0 for i in range(11)]
    assert stage.detector_ran == 3
    assert stage.mesh_ran == 11
    assert {s.face.track_id for s in steps if s.face} == {1}
    assert all(s.faces == 1 for s in steps)


def test_the_box_is_the_mesh_s_also_where_the_detector_ran(points: F32) -> None:
    stage = Stage([points])
    follow = tracker(stage, detect_every=2)
    for i in range(4):
        step = follow.step(BLANK, i / 30)
        assert step.face is not None
        np.testing.assert_array_equal(step.face.box, face_box(points))


def test_a_face_that_moves_slowly_stays_the_same_face(points: F32) -> None:
    stage = Stage([points])
    follow = tracker(stage)
    for i in range(20):
        stage.meshes = [at(points, 8 * i - 80)]
        step = follow.step(BLANK, i / 30)
        assert step.face is not None
        assert step.face.track_id == 1


def test_a_face_that_jumps_is_another_face(points: F32) -> None:
    stage = Stage([points])
    follow = tracker(stage)
    follow.step(BLANK, 0)
    stage.meshes = [at(points, 70)]
    step = follow.step(BLANK, 0.03)
    assert step.face is not None
    assert step.face.track_id == 2
    assert step.detected


def test_a_lost_face_is_looked_for_at_once_and_comes_back_as_another(points: F32) -> None:
    stage = Stage([points])
    follow = tracker(stage)
    follow.step(BLANK, 0)
    stage.meshes = []
    for i in range(3):
        step = follow.step(BLANK, 0.1 * i)
        assert step.face is None
        assert step.faces == 0
        assert step.detected
    stage.meshes = [points]
    step = follow.step(BLANK, 0.4)
    assert step.face is not None
    assert step.face.track_id == 2


def test_a_dip_that_the_detector_makes_good_in_the_same_frame_does_not_break_the_track(points: F32) -> None:
    stage = Stage([points])
    follow = tracker(stage)
    follow.step(BLANK, 0)
    stage.dips = 1
    step = follow.step(BLANK, 0.03)
    assert step.detected
    assert step.face is not None
    assert step.face.track_id == 1
    stage.dips = 2
    assert follow.step(BLANK, 0.06).face is None
    step = follow.step(BLANK, 0.09)
    assert step.face is not None
    assert step.face.track_id == 2


@pytest.mark.parametrize("presence", [0.49, 0.0, float("nan")])
def test_without_presence_there_is_no_face(points: F32, presence: float) -> None:
    step = tracker(Stage([points], presence=presence)).step(BLANK, 0)
    assert step.face is None
    assert step.faces == 1


@pytest.mark.parametrize("t", [1.2, -0.1, float("nan")])
def test_a_gap_in_time_breaks_the_track(points: F32, t: float) -> None:
    follow = tracker(Stage([points]), max_gap=1.0)
    follow.step(BLANK, 0)
    step = follow.step(BLANK, t)
    assert step.face is not None
    assert step.face.track_id == 2


def test_a_detector_that_sees_the_face_elsewhere_ends_the_track(points: F32) -> None:
    stage = Stage([points])
    follow = tracker(stage, detect_every=2)
    follow.step(BLANK, 0)
    elsewhere = at(points, -200)
    keypoints = elsewhere[[33, 263, 1, 13, 234, 454], :2]
    stage.detections = [Detection(box=face_box(elsewhere), score=0.9, keypoints=keypoints)]
    follow.step(BLANK, 0.03)
    assert follow.step(BLANK, 0.06).face is None
    stage.meshes = [elsewhere]
    step = follow.step(BLANK, 0.09)
    assert step.face is not None
    assert step.face.track_id == 2


def test_the_largest_face_is_tracked_and_all_are_counted(points: F32) -> None:
    stage = Stage([at(points, -180, scale=0.8), at(points, 150)])
    step = tracker(stage).step(BLANK, 0)
    assert step.faces == 2
    assert step.face is not None
    assert step.face.box[0] > 320


def test_a_clearly_larger_face_takes_the_track_over_under_a_new_number(points: F32) -> None:
    stage = Stage([at(points, -150)])
    follow = tracker(stage, detect_every=1)
    follow.step(BLANK, 0)
    stage.meshes.append(at(points, 150, scale=1.1))
    same = follow.step(BLANK, 0.03)
    assert same.faces == 2
    assert same.face is not None
    assert same.face.track_id == 1
    stage.meshes[1] = at(points, 150, scale=1.6)
    other = follow.step(BLANK, 0.06)
    assert other.face is not None
    assert other.face.track_id == 2
    assert other.face.box[0] > 320


def test_the_caller_can_ask_for_the_detector_and_forgo_it(points: F32) -> None:
    stage = Stage([points])
    follow = tracker(stage, detect_every=1)
    assert follow.step(BLANK, 0, detect=False).detected, "without a track it runs anyway"
    assert not follow.step(BLANK, 0.03, detect=False).detected
    assert follow.step(BLANK, 0.06, detect=True).detected


@pytest.mark.parametrize("change", ["nan", "outside", "tiny"])
def test_an_implausible_mesh_is_no_face(points: F32, change: str) -> None:
    stage = Stage([points])
    follow = tracker(stage)
    follow.step(BLANK, 0)
    bad = {"nan": points * np.float32("nan"), "outside": at(points, 0, 250), "tiny": at(points, 0, scale=0.1)}
    stage.meshes, stage.detections = [bad[change]], []
    assert follow.step(BLANK, 0.03).face is None


def test_reset_forgets_the_face_but_not_the_numbers(points: F32) -> None:
    follow = tracker(Stage([points]))
    follow.step(BLANK, 0)
    follow.reset()
    step = follow.step(BLANK, 0.03)
    assert step.face is not None
    assert step.face.track_id == 2
