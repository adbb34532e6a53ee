"""The face mesh: a region of a picture to 468 or 478 points in three dimensions.

Regions of interest follow MediaPipe 0.10.21 (Apache-2.0), module ``face_landmark``: a square of 1.5 times the
long side of the box about its centre, turned so that the eyes are level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import cv2
import numpy as np

from pipeline.camera.frame import Image
from pipeline.nets.session import make_session
from pipeline.vision.boxes import mesh_bounds
from pipeline.vision.image import check_image
from pipeline.vision.types import F32, Detection

MARGIN: Final = 1.5
"""Side of the region over the long side of the box."""
EYE_LINE: Final = (33, 263)
"""Outer eye corners, image-left then image-right, that give a mesh its roll."""


@dataclass(frozen=True, slots=True)
class Roi:
    """A square region of a picture, in pixels, that the mesh net looks at.

    Attributes:
        x: centre.
        y: centre.
        side: length of a side.
        angle: radians, positive turns the square clockwise in the picture.
    """

    x: float
    y: float
    side: float
    angle: float


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """What the mesh net saw in a region.

    Attributes:
        points: float32 (468 or 478, 3) in pixels of the picture; z in the same scale, smaller is nearer.
        presence: probability that the region holds a face, in [0, 1].
    """

    points: F32
    presence: float


class MeshSource(Protocol):
    """Anything that places the points of the face mesh in a region of a picture."""

    def locate(self, image: Image, roi: Roi) -> Mesh:
        """Points and presence; image is uint8 (height, width, 3), BGR."""
        ...


def roi_of_box(box: F32, angle: float) -> Roi:
    """Square of `MARGIN` times the long side of a box (4,) about its centre."""
    x1, y1, x2, y2 = box.tolist()
    return Roi((x1 + x2) / 2, (y1 + y2) / 2, MARGIN * max(x2 - x1, y2 - y1), angle)


def roi_of_detection(detection: Detection) -> Roi:
    """Region around a detected face, turned by its eye line."""
    dx, dy = (detection.keypoints[1] - detection.keypoints[0]).tolist()
    return roi_of_box(detection.box, math.atan2(dy, dx))


def roi_of_landmarks(landmarks: F32) -> Roi:
    """Region around the mesh (n, 2 or 3) of the frame before, turned by its outer eye corners."""
    dx, dy = (landmarks[EYE_LINE[1], :2] - landmarks[EYE_LINE[0], :2]).tolist()
    return roi_of_box(mesh_bounds(landmarks), math.atan2(dy, dx))


class FaceMesh:
    """MediaPipe's face mesh on onnxruntime, either size. Not safe to share between threads.

    Args:
        path: ONNX file, input float32 (1, 3, s, s), RGB in [0, 1]: s is 192 for 468 points, 256 for 478.
        threads: onnxruntime threads; more than one is slower for a net this small.
        provider: see `make_session`.

    Attributes:
        size: s in pixels.
        count: number of points.
    """

    def __init__(self, path: Path, *, threads: int = 1, provider: str = "cpu") -> None:
        self._session = make_session(path, threads=threads, provider=provider)
        entry = self._session.get_inputs()[0]
        self._input: str = entry.name
        self.size = int(entry.shape[2])
        names = [o.name for o in self._session.get_outputs()]
        points = next(o for o in self._session.get_outputs() if o.shape[-1] in (3 * 468, 3 * 478))
        presence = next(o.name for o in self._session.get_outputs() if o.name != points.name)
        self._outputs: list[str] = [points.name, "presence" if "presence" in names else presence]
        self.count = int(points.shape[-1]) // 3
        self._small = np.empty((self.size, self.size, 3), np.uint8)
        self._planes = [np.empty((self.size, self.size), np.uint8) for _ in range(3)]
        self._blob = np.empty((1, 3, self.size, self.size), np.float32)

    def locate(self, image: Image, roi: Roi) -> Mesh:
        """Place the mesh in a region.

        Args:
            image: uint8 (height, width, 3), BGR.
            roi: region in pixels of the picture; it may reach outside, border pixels are repeated there.

        Returns:
            The mesh in pixels of the picture. Look at its presence before using its points.

        Raises:
            FrameError: the array is not a BGR picture.
        """
        image = check_image(image)
        scale = max(roi.side, 1e-3) / self.size
        cos, sin = math.cos(roi.angle) * scale, math.sin(roi.angle) * scale
        half = self.size / 2
        # picture = turn @ (net - half) + centre
        x, y = roi.x - half * (cos - sin), roi.y - half * (sin + cos)
        back = np.array([[cos, -sin, x], [sin, cos, y]])
        cv2.warpAffine(
            image,
            back,
            (self.size, self.size),
            dst=self._small,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        cv2.split(self._small, self._planes)
        for plane, channel in zip(reversed(self._planes), self._blob[0], strict=True):
            np.multiply(plane, np.float32(1 / 255), out=channel)
        raw, presence = self._session.run(self._outputs, {self._input: self._blob})
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, scale]], np.float32)
        out = raw.reshape(self.count, 3) @ turn
        out += np.array([x, y, 0], np.float32)
        logit = min(max(float(presence.reshape(-1)[0]), -80.0), 80.0)
        return Mesh(points=out, presence=1 / (1 + math.exp(-logit)))
