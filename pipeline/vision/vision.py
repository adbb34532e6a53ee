"""`Vision`: frames to views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from pipeline.camera.frame import Frame, Image
from pipeline.errors import ModelMissingError
from pipeline.vision.align import five_points
from pipeline.vision.detect import BlazeFaceDetector, BorderedDetector, Detector
from pipeline.vision.image import check_image
from pipeline.vision.mesh import FaceMesh, MeshSource
from pipeline.vision.pose import head_pose
from pipeline.vision.quality import measure
from pipeline.vision.track import FaceTracker, Step, TrackLimits
from pipeline.vision.types import Face, View


class ModelPaths(Protocol):
    """Gives the file of a model by its name in the manifest; `pipeline.nets.ModelStore` is one."""

    def path(self, name: str) -> Path:
        """The verified file."""
        ...


class Vision:
    """Finds, follows and measures one face. One camera, one `Vision`; not safe to share between threads.

    Args:
        models: a model store, or model names to paths.
        mesh: ``face_mesh`` (468 points, the faster one) or ``face_mesh_478`` (with irises, the finer one).
        detect_every: the detector runs at least on every n-th frame.
        limits: when a track holds; ``detect_every`` goes before the one in there.
        detector: a detector of your own in place of BlazeFace.
        mesh_source: a mesh of your own in place of the file that ``mesh`` names.
        provider: execution provider of both nets, see `pipeline.nets.make_session`.

    Raises:
        ModelError: a model file is missing or can't be loaded.
    """

    def __init__(
        self,
        models: ModelPaths | Mapping[str, Path],
        *,
        mesh: str = "face_mesh",
        detect_every: int = 5,
        limits: TrackLimits | None = None,
        detector: Detector | None = None,
        mesh_source: MeshSource | None = None,
        provider: str = "cpu",
    ) -> None:
        def path(name: str) -> Path:
            if not isinstance(models, Mapping):
                return models.path(name)
            if name not in models:
                raise ModelMissingError(f"no path was given for the model {name}")
            return models[name]

        self._detector = (
            BlazeFaceDetector(path("face_detector"), provider=provider) if detector is None else detector
        )
        self._mesh = FaceMesh(path(mesh), provider=provider) if mesh_source is None else mesh_source
        self._limits = replace(limits or TrackLimits(), detect_every=detect_every)
        self._tracker = FaceTracker(self._detector, self._mesh, self._limits)
        self._noise = _NO_NOISE

    def see(self, frame: Frame, *, detect: bool | None = None) -> View:
        """Look at the next frame of a stream.

        Noise is measured where the detector runs, and stands for the frames of the track in between.

        Args:
            frame: the frame; its time decides whether the track can go on.
            detect: True runs the detector, False runs it only where there is no track, None every n-th frame.

        Returns:
            The tracked face with its measures, or a view without a face.

        Raises:
            FrameError: the frame's picture is not one.
        """
        image = check_image(frame.image)
        step = self._tracker.step(image, frame.t, detect=detect)
        track, known = self._noise
        new = step.detected or step.face is None or step.face.track_id != track
        view = _view(image, step, None if new else known)
        if view.face is not None and view.quality is not None:
            self._noise = view.face.track_id, view.quality.noise
        return view

    def look(self, image: Image) -> View:
        """Look at a single picture: detector and mesh, nothing carried over; the track goes on untouched.

        Where the detector finds nothing it is asked once more with a border around the picture, see
        `BorderedDetector`.

        Args:
            image: uint8 (height, width, 3), BGR.

        Returns:
            The largest face with its measures and track number 1, or a view without a face.

        Raises:
            FrameError: the array is not a BGR picture.
        """
        image = check_image(image)
        alone = FaceTracker(BorderedDetector(self._detector), self._mesh, self._limits)
        return _view(image, alone.step(image, 0.0))

    def reset(self) -> None:
        """Forget the track; the next face gets a new track number."""
        self._tracker.reset()
        self._noise = _NO_NOISE


_NO_NOISE: Final = (-1, 0.0)
"""Of no track: track number and grey levels."""


def _view(image: Image, step: Step, known_noise: float | None = None) -> View:
    tracked = step.face
    if tracked is None:
        return View(face=None, faces=step.faces, quality=None)
    face = Face(
        track_id=tracked.track_id,
        box=tracked.box,
        landmarks=tracked.mesh.points,
        five=five_points(tracked.mesh.points),
        presence=tracked.mesh.presence,
        pose=head_pose(tracked.mesh.points),
        detected=step.detected,
    )
    return View(
        face=face, faces=step.faces, quality=measure(image, face, step.faces, known_noise=known_noise)
    )
