"""Pictures to face templates: the one embedding that enrolment and ``match`` share."""

from __future__ import annotations

import contextlib
import hashlib
import queue
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import cv2
import numpy as np

from pipeline.camera.frame import Image
from pipeline.gateway.authority import F32, EmbeddingModel
from pipeline.vision import BlazeFaceDetector, FaceEmbedder, Vision
from pipeline.vision.detect import Detector
from pipeline.vision.vision import ModelPaths

LONG_SIDE: Final = 1920
"""Pixels. Larger pictures are scaled down before anything looks at them."""

# The detector finds faces upside down as well, with wrong points. On 400 LFW pictures its score for the
# upright one was above that for the inverted one every time, and the mesh follows a lean of 90 degrees by
# itself. So those two turns are compared; the sideways ones are asked where neither shows a face.
_TURNS: Final = ((None, cv2.ROTATE_180), (cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE))
_GIVEN_BONUS: Final = 0.05
"""What the picture as given has ahead of its turns, in detector score."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FaceReading:
    """The largest face of a picture.

    Attributes:
        embedding: float32 (d,), unit length.
        size: shorter side of its box in pixels of the picture as it was given.
        faces: number of faces found.
        runner_up: shorter side of the second largest face's box, 0.0 where there is one face only.
    """

    embedding: F32
    size: float
    faces: int
    runner_up: float

    def __repr__(self) -> str:
        return f"FaceReading({self.faces} faces, {self.size:.0f} pixels)"


class Embedder(Protocol):
    """Whatever turns pictures into templates. Safe to share between threads."""

    @property
    def model(self) -> EmbeddingModel:
        """What its templates are comparable with."""

    def read(self, image: Image) -> FaceReading | None:
        """The largest face of a picture, uint8 (height, width, 3), BGR; None where there is no face."""


@dataclass(frozen=True, slots=True)
class _Nets:
    detector: BlazeFaceDetector
    vision: Vision
    embedder: FaceEmbedder


class NetEmbedder:
    """Detector, mesh and embedding net on onnxruntime: one set for each thread that is in here at once.

    Args:
        models: a model store, or model names to paths: ``face_detector``, ``face_mesh``, ``fr_feature``.

    Raises:
        ModelError: a model file is missing or can't be loaded.
    """

    NET: Final = "fr_feature"
    MESH: Final = "face_mesh"

    def __init__(self, models: ModelPaths | Mapping[str, Path]) -> None:
        names = ("face_detector", self.MESH, self.NET)
        self._paths = {
            name: models[name] if isinstance(models, Mapping) else models.path(name) for name in names
        }
        # The mesh decides the alignment, so it belongs to the name.
        digest = hashlib.sha256(self._paths[self.NET].read_bytes()).hexdigest()
        self._model = EmbeddingModel(f"{self.NET}/{self.MESH}", digest)
        self._idle: queue.LifoQueue[_Nets] = queue.LifoQueue()
        self._idle.put(self._load())

    @property
    def model(self) -> EmbeddingModel:
        """Net, alignment, and the file's digest."""
        return self._model

    def read(self, image: Image) -> FaceReading | None:
        """Embed the largest face, in whichever right-angle turn of the picture it is upright.

        Args:
            image: uint8 (height, width, 3), BGR.

        Returns:
            The face, or None.

        Raises:
            FrameError: the array is not a BGR picture.
        """
        scale = min(1.0, LONG_SIDE / max(image.shape[:2]))
        if scale < 1:
            resized = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            image = np.asarray(resized, np.uint8)
        with self._nets() as nets:
            turned, sides = _upright(image, nets.detector)
            face = nets.vision.look(turned).face if sides else None
            if face is None:
                return None
            return FaceReading(
                embedding=nets.embedder.embed(turned, face.five),
                size=_side(face.box) / scale,
                faces=len(sides),
                runner_up=sides[1] / scale if len(sides) > 1 else 0.0,
            )

    @contextlib.contextmanager
    def _nets(self) -> Iterator[_Nets]:
        try:
            nets = self._idle.get_nowait()
        except queue.Empty:
            nets = self._load()
        try:
            yield nets
        finally:
            self._idle.put(nets)

    def _load(self) -> _Nets:
        detector = BlazeFaceDetector(self._paths["face_detector"])
        vision = Vision(self._paths, mesh=self.MESH, detector=detector)
        return _Nets(detector, vision, FaceEmbedder(self._paths[self.NET]))


def _upright(image: Image, detector: Detector) -> tuple[Image, list[float]]:
    """The turn of a picture in which its largest face scores best, and its faces' sides, longest first."""
    for turns in _TURNS:
        best: tuple[float, Image, list[float]] = (0.0, image, [])
        for turn in turns:
            turned = image if turn is None else np.asarray(cv2.rotate(image, turn), np.uint8)
            found = detector.detect(turned)
            score = found[0].score + (_GIVEN_BONUS if turn is None else 0.0) if found else 0.0
            if score > best[0]:
                best = score, turned, sorted((_side(d.box) for d in found), reverse=True)
        if best[2]:
            return best[1], best[2]
    return image, []


def _side(box: F32) -> float:
    """Shorter side of a box x1 y1 x2 y2."""
    return float(min(box[2] - box[0], box[3] - box[1]))
