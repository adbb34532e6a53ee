"""A camera before a face that coloured light of the page falls on: simulated, for the flash's way through."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator

from pipeline.camera.frame import Image
from pipeline.liveness.flash.challenge import BASE, srgb
from pipeline.liveness.flash.regions import POINTS, neighbours, point_normals
from pipeline.liveness.flash.safety import linear
from pipeline.vision.types import F32

SHARE = 0.2
"""Of the light on the face that is the screen's while it shows the resting grey."""
BEHIND = 0.1
"""Of the screen's light on the face, what reaches the wall."""
_TO_SCREEN = np.array([0.0, 0.5, -0.87])
"""The screen stands below the camera: x to the image's right, y down, z away from the camera."""
_LINEAR = linear(np.arange(256, dtype=np.float64)).astype(np.float32)
_BACK = np.arange(4097) / 4096


class LitScene(Sequence[Image]):
    """Frames under the colour that the page shows at the moment.

    Args:
        frames: uint8 (height, width, 3), BGR, of a face that hardly moves.
        landmarks: of the first frame.
        flat: the face is a sheet: it faces the screen everywhere.
    """

    def __init__(self, frames: Sequence[Image], landmarks: F32, *, flat: bool = False) -> None:
        self._frames = frames
        self._weight = _weights(frames[0].shape[:2], landmarks, flat=flat)
        self._lock = threading.Lock()
        self._colour = np.full(3, BASE)
        self._back = srgb(_BACK)

    def show(self, rgb: Sequence[int]) -> None:
        """The page has this colour on."""
        with self._lock:
            self._colour = linear(np.array(rgb, dtype=np.float64))

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: Any) -> Image:
        with self._lock:
            change = (self._colour / BASE - 1)[::-1].astype(np.float32)
        light = 1 + SHARE * self._weight[..., None] * change
        seen = np.clip(_LINEAR[self._frames[index]] * light, 0, 1)
        return np.asarray(self._back[np.rint(seen * 4096).astype(np.int32)], np.uint8)


def _weights(shape: tuple[int, int], landmarks: F32, *, flat: bool) -> NDArray[np.float32]:
    """How much of the screen's light each pixel gets, in [0, 1]: float32 (height, width)."""
    height, width = shape
    hull = cv2.convexHull(landmarks[:, :2].astype(np.int32))
    face = cv2.fillConvexPoly(np.zeros(shape, np.uint8), hull, 1)
    facing = np.ones(shape, np.float32)
    if not flat:
        normals = point_normals(landmarks, neighbours(landmarks))
        y, x = np.mgrid[:height:4, :width:4]
        towards = LinearNDInterpolator(landmarks[POINTS, :2], normals @ _TO_SCREEN, fill_value=0.6)(x, y)
        facing = cv2.resize(np.clip(towards, 0, 1).astype(np.float32), (width, height))
    weight = np.where(face > 0, facing, BEHIND).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(weight, (0, 0), 4.0), np.float32)
