"""Runs every cue over a sequence of frames and keeps numbers alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import cv2
import numpy as np

from benchmarks.cues_motion.background import RingTracker
from benchmarks.cues_motion.corners import CornerTracker
from benchmarks.cues_motion.eyes import BLEND_POINTS, BLINK_SHAPES, gaze
from benchmarks.cues_motion.planarity import ReliefEvidence, relief
from benchmarks.cues_motion.pulse import skin_colour
from pipeline.camera.frame import Frame, Image
from pipeline.nets import ModelStore
from pipeline.nets.session import make_session
from pipeline.vision import Face, Vision
from pipeline.vision.mesh import FaceMesh, roi_of_landmarks
from pipeline.vision.quality import EYES

WINDOW_S: Final = 4.0
"""A check's deadline: no cue that needs longer can speak in one."""
RING_S: Final = 1.0
"""Longest time over which the surroundings are followed: what the head uncovers is lost."""
KINDS: Final = ("sheet", "plane", "mesh")
"""Relief over a bending sheet, over an affine plane, and by the mesh's own points."""


@dataclass(slots=True)
class Series:
    """What one sequence gave.

    Attributes:
        relief: for each window of `WINDOW_S` with the face in view, by kind: gain, agreement, turn, frames.
        ring: for each stretch of `RING_S`: coupling, together, moved, count at its largest motion.
        t: seconds of the frames with a face.
        open: eye aspect ratio of 468 points, of 478, and one less the blendshapes' mean blink.
        gaze: place of both irises, 4 numbers.
        head: place of the face's steady points over its size, 2 numbers.
        skin: mean BGR of the skin, and of a patch beside the head.
    """

    relief: list[dict[str, list[float]]] = field(default_factory=list)
    ring: list[list[float]] = field(default_factory=list)
    t: list[float] = field(default_factory=list)
    open: list[list[float]] = field(default_factory=list)
    gaze: list[list[float]] = field(default_factory=list)
    head: list[list[float]] = field(default_factory=list)
    skin: list[list[float]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For a file of numbers."""
        return {name: getattr(self, name) for name in self.__slots__}


class Eyes:
    """The finer mesh and the blendshapes on a face that the coarser mesh found."""

    def __init__(self, store: ModelStore) -> None:
        self._mesh = FaceMesh(store.path("face_mesh_478"))
        self._shapes = make_session(store.path("face_blendshapes"), threads=1)
        self._input = self._shapes.get_inputs()[0].name

    def look(self, image: Image, face: Face) -> tuple[list[float], list[float]]:
        """Openness by 478 points and by blendshapes, and the irises' places."""
        points = self._mesh.locate(image, roi_of_landmarks(face.landmarks)).points
        shapes = self._shapes.run(None, {self._input: points[None, BLEND_POINTS, :2]})[0].reshape(-1)
        blinked = float(shapes[list(BLINK_SHAPES)].mean())
        return [aspect(points), 1 - blinked], gaze(points).ravel().tolist()


def aspect(landmarks: Any) -> float:
    """Mean eye aspect ratio of both eyes."""
    eye = landmarks[EYES, :2]
    tall = np.linalg.norm(eye[:, 1] - eye[:, 5], axis=1) + np.linalg.norm(eye[:, 2] - eye[:, 4], axis=1)
    return float((tall / (2 * np.linalg.norm(eye[:, 0] - eye[:, 3], axis=1))).mean())


def follow_relief(pairs: Iterable[tuple[Frame, Face | None]]) -> list[dict[str, list[float]]]:
    """Relief by kind for every window."""
    windows: list[dict[str, ReliefEvidence]] = []
    tracker, first, start = None, None, 0.0
    for frame, face in pairs:
        if face is None:
            tracker = None
            continue
        if tracker is None or first is None or frame.t - start >= WINDOW_S:
            tracker, first, start = CornerTracker(frame.image, face.landmarks), face, frame.t
            windows.append({kind: ReliefEvidence() for kind in KINDS})
            continue
        moved = tracker.follow(frame.image, face.landmarks)
        yaw, pitch = face.pose.yaw - first.pose.yaw, face.pose.pitch - first.pose.pitch
        found = (relief(moved), relief(moved, order=1), relief(tracker.of_mesh(face.landmarks)))
        for kind, one in zip(KINDS, found, strict=True):
            if one is not None:
                windows[-1][kind].add(one, yaw, pitch)
    out = []
    for window in windows:
        sums = {kind: evidence.sum for kind, evidence in window.items()}
        if sums["sheet"].frames:
            out.append({k: [s.gain, s.agreement, s.turn, s.frames] for k, s in sums.items()})
    return out


def follow_ring(pairs: Iterable[tuple[Frame, Face | None]]) -> list[list[float]]:
    """Surroundings against the face, at the largest motion of every stretch."""
    out: list[list[float]] = []
    tracker, start, best = None, 0.0, None
    for frame, face in pairs:
        if face is None or tracker is None or frame.t - start >= RING_S:
            if best is not None:
                out.append(best)
            tracker, best = None, None
            if face is not None:
                tracker, start = RingTracker(frame.image, face.landmarks), frame.t
            continue
        found = tracker.follow(frame.image)
        if found is not None and (best is None or found.moved > best[2]):
            best = [found.coupling, found.together, found.moved, float(found.count)]
    return out if best is None else [*out, best]


def collect(frames: list[Frame], vision: Vision, eyes: Eyes) -> Series:
    """Every cue over frames of one sequence."""
    vision.reset()
    pairs = [(frame, vision.see(frame).face) for frame in frames]
    out = Series(relief=follow_relief(pairs), ring=follow_ring(pairs))
    for frame, face in pairs:
        if face is None:
            continue
        skin = skin_colour(frame.image, face.landmarks)
        if skin is None:
            continue
        finer, irises = eyes.look(frame.image, face)
        steady = face.landmarks[:, :2].mean(axis=0)
        size = math.sqrt(float(np.ptp(face.landmarks[:, :2], axis=0).prod()))
        out.t.append(frame.t)
        out.open.append([aspect(face.landmarks), *finer])
        out.gaze.append(irises)
        out.head.append((steady / size).tolist())
        out.skin.append([*skin.tolist(), *beside(frame.image, face)])
    return out


def beside(image: Image, face: Face) -> list[float]:
    """Mean BGR of a patch beside the head, on the roomier side."""
    x1, y1, x2, _ = face.box.tolist()
    side = int(max(8, 0.3 * (x2 - x1)))
    left = x1 > image.shape[1] - x2
    x = int(max(0, x1 - 2 * side)) if left else int(min(image.shape[1] - side, x2 + side))
    y = int(min(max(0, y1), image.shape[0] - side))
    return list(cv2.mean(image[y : y + side, x : x + side])[:3])
