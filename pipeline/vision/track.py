"""Follows one face through frames and runs the detector only when it is needed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pipeline.camera.frame import Image
from pipeline.vision.boxes import area, face_box, iou, share_inside
from pipeline.vision.detect import Detector
from pipeline.vision.mesh import Mesh, MeshSource, roi_of_detection, roi_of_landmarks
from pipeline.vision.types import F32, Detection


@dataclass(frozen=True, slots=True)
class TrackLimits:
    """When a track holds.

    Attributes:
        detect_every: the detector runs at least on every n-th frame, 1 or more.
        min_presence: least probability of a face that the mesh net must give, in [0, 1].
        min_inside: least share of mesh points inside the picture, in [0, 1].
        min_side: least shorter side of the face box in pixels.
        min_overlap: least intersection over union of the boxes of two consecutive frames.
        min_agreement: least intersection over union of the mesh's box and the detector's.
        max_gap: longest time between two frames in seconds.
        takeover: another face this many times as large by area takes the track over.
    """

    detect_every: int = 5
    min_presence: float = 0.5
    min_inside: float = 0.5
    min_side: float = 24.0
    min_overlap: float = 0.3
    min_agreement: float = 0.4
    max_gap: float = 1.0
    takeover: float = 1.5


DEFAULT_LIMITS: Final = TrackLimits()


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """The followed face in one frame.

    Attributes:
        track_id: the same number while every frame holds the face and its boxes overlap from frame to frame.
        mesh: its points and presence.
        box: float32 (4,) in pixels, in the detector's convention.
    """

    track_id: int
    mesh: Mesh
    box: F32


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What the tracker says of one frame.

    Attributes:
        face: the followed face, or None.
        faces: faces last counted by the detector.
        detected: True where the detector ran on this frame.
    """

    face: Tracked | None
    faces: int
    detected: bool


class FaceTracker:
    """One face, the largest, from frame to frame.

    The mesh net is run on the region of the frame before, as MediaPipe does. The detector runs when there is
    no track and every ``detect_every`` frames, to count faces and to check the track by a second opinion.

    Args:
        detector: finds faces.
        mesh: places the points.
        limits: when a track holds.
    """

    def __init__(self, detector: Detector, mesh: MeshSource, limits: TrackLimits = DEFAULT_LIMITS) -> None:
        self._detector = detector
        self._mesh = mesh
        self._limits = limits
        self._last_id = 0
        self._face: Tracked | None = None
        self._t = 0.0
        self._faces = 0
        self._since_detection = 0

    def reset(self) -> None:
        """Forget the track; the next face gets a new number."""
        self._face = None
        self._faces = 0
        self._since_detection = 0

    def step(self, image: Image, t: float, *, detect: bool | None = None) -> Step:
        """Follow into the next frame.

        Args:
            image: uint8 (height, width, 3), BGR.
            t: capture time in seconds. Going backwards breaks the track, and so does a gap above ``max_gap``.
            detect: True runs the detector, False only where there is no track, None as the limits say.

        Returns:
            The face and the count.
        """
        before = self._face if 0 <= t - self._t <= self._limits.max_gap else None
        self._t = t
        self._since_detection += 1
        due = self._since_detection >= self._limits.detect_every if detect is None else detect
        face = None if before is None else self._follow(image, before)
        ran = due or face is None
        if ran:
            found = self._detector.detect(image)
            self._faces = len(found)
            self._since_detection = 0
            if face is None:
                face = self._acquire(image, found, before)
            elif self._contradicted(face, found):
                face = self._acquire(image, found, None)
        self._face = face
        return Step(face=face, faces=self._faces, detected=ran)

    def _follow(self, image: Image, before: Tracked) -> Tracked | None:
        face = self._place(
            image, self._mesh.locate(image, roi_of_landmarks(before.mesh.points)), before.track_id
        )
        if face is None or iou(face.box, before.box) < self._limits.min_overlap:
            return None
        return face

    def _acquire(self, image: Image, found: list[Detection], before: Tracked | None) -> Tracked | None:
        """The largest detection that the mesh confirms; the same track where it lies on the box before."""
        for detection in found:
            mesh = self._mesh.locate(image, roi_of_detection(detection))
            face = self._place(image, mesh, self._last_id + 1)
            if face is None or iou(face.box, detection.box) < self._limits.min_agreement:
                continue
            if before is not None and iou(face.box, before.box) >= self._limits.min_overlap:
                return replace(face, track_id=before.track_id)
            self._last_id += 1
            return face
        return None

    def _place(self, image: Image, mesh: Mesh, track_id: int) -> Tracked | None:
        """The mesh as a face, or None where it is not one."""
        limits = self._limits
        if not mesh.presence >= limits.min_presence or not math.isfinite(mesh.points.sum()):
            return None
        box = face_box(mesh.points)
        x1, y1, x2, y2 = box.tolist()
        if min(x2 - x1, y2 - y1) < limits.min_side:
            return None
        if share_inside(mesh.points, image.shape[1], image.shape[0]) < limits.min_inside:
            return None
        return Tracked(track_id=track_id, mesh=mesh, box=box)

    def _contradicted(self, face: Tracked, found: list[Detection]) -> bool:
        """True where the detector sees the face elsewhere, or another one that is clearly larger."""
        agreement = [iou(face.box, d.box) for d in found]
        if not agreement or max(agreement) < self._limits.min_agreement:
            return True
        own = found[int(np.argmax(agreement))]
        return area(found[0].box) > self._limits.takeover * area(own.box)
