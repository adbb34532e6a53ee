"""Mean linear light at points of the face and of the background beside it, frame by frame.

Around each point a grid of pixels is taken, so a frame costs a few thousand look-ups whatever its size. Light
is linearised by the sRGB curve; a camera's own curve differs, which changes the size of a response by a
factor and not its course in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.camera.frame import Image
from pipeline.liveness.flash.safety import linear
from pipeline.vision.types import F32

F64 = NDArray[np.float64]

PATCHES: Final[Mapping[str, tuple[int, ...]]] = {
    "forehead": (151, 9, 108, 337),
    "forehead_left": (69, 104, 68),
    "forehead_right": (299, 333, 298),
    "nose_bridge": (6, 197, 195),
    "nose_tip": (5, 4, 1),
    "cheek_left": (50, 101, 36, 118, 205),
    "cheek_right": (280, 330, 266, 347, 425),
    "side_left": (123, 147, 187, 192),
    "side_right": (352, 376, 411, 416),
    "jaw_left": (214, 210, 135),
    "jaw_right": (434, 430, 364),
    "chin": (199, 175, 200),
}
"""Patch by mesh points; left and right are the image's."""
POINTS: Final = np.concatenate([np.array(points) for points in PATCHES.values()])
"""Mesh points of all patches in their order, (42,)."""
PATCH_OF: Final = np.repeat(np.arange(len(PATCHES)), [len(points) for points in PATCHES.values()])
"""Patch of each of `POINTS`, (42,)."""
_GRID: Final = 7
"""Pixels a side that are taken around a mesh point."""
_REACH: Final = 0.03
"""Half of that grid's width over the face's width."""
_RING: Final = np.deg2rad(np.concatenate([np.arange(-75, 16, 15), np.arange(165, 256, 15)]))
"""Directions of the background from the face's centre, 0 to the image's right and clockwise: both sides and
obliquely above; not straight above (hair) and not below (neck and shoulders stand as near as the face)."""
_RADII: Final = (1.9, 2.4, 3.0)
"""Distance of a background point from the face's centre over half the face's width or height."""
_DARK: Final = 0.004
_BRIGHT: Final = 0.94
"""Linear light outside of which a pixel follows no gain (sRGB 13 and 248)."""
LEAST_RING: Final = 8
"""Usable background points below which there is no background."""
_LINEAR: Final[F64] = linear(np.arange(256, dtype=np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class RegionSample:
    """One frame's light.

    Attributes:
        t: seconds from the sequence's start to the frame's capture.
        face: float64 (42, 3), mean linear R, G, B around each of `POINTS`; NaN where it can't be told.
        ring: float64 (39, 3), the same around each background point.
        places: float64 (42, 2), x and y of `POINTS` from the face's middle over half its width.
        normals: float64 (42, 3), outward unit normals; x to the image's right, y down, z away from the
            camera.
    """

    t: float
    face: F64
    ring: F64
    places: F64
    normals: F64


class RegionMeter:
    """Measures one check's frames. The background's points stay where the first frame put them.

    Args:
        landmarks: float32 (468 or 478, 3) of the first frame, pixels.
    """

    def __init__(self, landmarks: F32) -> None:
        low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
        centre, half = (low + high) / 2, (high - low) / 2
        circle = np.column_stack([np.cos(_RING), np.sin(_RING)])
        self._ring = np.concatenate([centre + radius * half * circle for radius in _RADII])
        self._neighbours = neighbours(landmarks)

    def measure(self, image: Image, landmarks: F32, t: float) -> RegionSample:
        """Take one frame.

        Args:
            image: uint8 (height, width, 3), BGR.
            landmarks: of this frame.
            t: seconds from the sequence's start to the frame's capture.
        """
        width = float(np.ptp(landmarks[:, 0]))
        points = landmarks[POINTS, :2].astype(np.float64)
        middle = (landmarks[:, :2].min(axis=0) + landmarks[:, :2].max(axis=0)) / 2
        return RegionSample(
            t=t,
            face=_around(image, points, _REACH * width, 0.5),
            ring=_around(image, self._ring, _REACH * width, 0.9),
            places=(points - middle) / max(width / 2, 1e-6),
            normals=point_normals(landmarks, self._neighbours),
        )


def neighbours(landmarks: F32) -> NDArray[np.intp]:
    """Mesh points that each of `POINTS` takes its plane from: itself and its nine nearest, (42, 10)."""
    mesh = landmarks[:468].astype(np.float64)
    distance = np.sum((mesh[None] - mesh[POINTS][:, None]) ** 2, axis=2)
    return np.asarray(np.argpartition(distance, 10, axis=1)[:, :10])


def point_normals(landmarks: F32, nearest: NDArray[np.intp]) -> F64:
    """Outward unit normals at `POINTS`.

    Args:
        landmarks: float32 (468 or 478, 3), pixels; z in the same scale, smaller is nearer.
        nearest: of `neighbours`.

    Returns:
        float64 (42, 3).
    """
    offsets = landmarks[nearest].astype(np.float64)
    offsets -= offsets.mean(axis=1, keepdims=True)
    normals = np.linalg.eigh(offsets.transpose(0, 2, 1) @ offsets)[1][:, :, 0]
    return np.asarray(normals * np.where(normals[:, 2:] > 0, -1.0, 1.0))


def _around(image: Image, centres: F64, reach: float, least: float) -> F64:
    """Mean linear R, G, B on a grid around each centre: float64 (n, 3).

    NaN where less than a share ``least`` of the grid is inside the picture, not black and not saturated.
    """
    height, width = image.shape[:2]
    steps = np.linspace(-reach, reach, _GRID)
    x = np.rint(centres[:, 0, None, None] + steps[None, :]).astype(np.intp)
    y = np.rint(centres[:, 1, None, None] + steps[:, None]).astype(np.intp)
    x, y = np.broadcast_arrays(x, y)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    taken = image[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)][..., ::-1]
    light = _LINEAR[taken].reshape(len(centres), _GRID**2, 3)
    usable = inside.reshape(len(centres), -1) & (light.max(axis=2) <= _BRIGHT) & (light.mean(axis=2) >= _DARK)
    count = usable.sum(axis=1)
    mean = np.sum(light * usable[..., None], axis=1) / np.maximum(count, 1)[:, None]
    return np.where((count >= least * _GRID**2)[:, None], mean, np.nan)
