"""Renders a portrait as a turning head or as a sheet that turns and bends. Synthetic, and called so.

The portrait is scikit-image's astronaut (NASA, public domain). The head is a relief: the depth of the mesh
net's points, smoothed and carried on around the face, under a perspective camera; it has one texture, so
light, hair and eyes do not change as a person's do. The sheet is the same picture without relief, flat or
bent about an axis. Both stand before a wall of noise that stays where it is. So both have the same texture,
noise and track, and differ in shape alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from benchmarks.cues_motion.corners import F64, OVAL, interpolate
from pipeline.camera.frame import Frame, Image
from pipeline.vision.types import F32

SIZE: Final = (640, 480)
"""Width and height, pixels."""
FPS: Final = 15
DISTANCE: Final = 4.0
"""Camera to face in heights of the face: some 80 cm."""
_GRID: Final = 4
"""The inverse map is computed on every fourth pixel and interpolated."""


LIDS: Final = (
    ([33, 246, 161, 160, 159, 158, 157, 173, 133], [33, 7, 163, 144, 145, 153, 154, 155, 133]),
    ([362, 398, 384, 385, 386, 387, 388, 466, 263], [362, 382, 381, 380, 374, 373, 390, 249, 263]),
)
"""Mesh points of upper and lower lids, both eyes."""


@dataclass(frozen=True, slots=True)
class Motion:
    """How the surface moves: peaks of slow sines.

    Attributes:
        yaw, pitch, roll: degrees.
        shift: pixels of the frame.
        bend: curvature of a sheet about its upright axis, one over face heights; negative is hollow.
        bend_change: how much of the bend comes and goes, in [0, 1].
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 1.5
    shift: float = 6.0
    bend: float = 0.0
    bend_change: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A portrait with a depth.

    Attributes:
        texture: uint8 (h, w, 3), BGR.
        centre: float64 (2,), the point it turns about, pixels of the texture.
        unit: height of the face in pixels of the texture.
        depth: float32 (h, w) in face heights, smaller is nearer; None for a sheet.
        cover: float32 (h, w, 1), 1 where the surface is, 0 where the wall shows.
    """

    texture: Image
    centre: F64
    unit: float
    depth: F32 | None
    cover: F32


def head(portrait: Image, landmarks: F32, *, depth_scale: float = 1.0) -> Surface:
    """The portrait with the mesh's relief, cut out along an ellipse around the head and shoulders."""
    centre, unit = _frame_of(landmarks)
    height, width = portrait.shape[:2]
    xy = landmarks[:, :2].astype(np.float64)
    z = landmarks[:, 2].astype(np.float64) / unit
    ys, xs = np.mgrid[0:height:8, 0:width:8].astype(np.float64)
    at = np.stack([xs.ravel(), ys.ravel()], axis=1)
    coarse = interpolate(xy, z - z[OVAL].mean(), at).reshape(xs.shape)
    away = (np.hypot(xs - centre[0], ys - centre[1]) / unit - 0.55).clip(0)
    coarse = coarse + 0.5 * away
    depth = cv2.resize(cv2.GaussianBlur(coarse, (0, 0), 0.8), (width, height), interpolation=cv2.INTER_CUBIC)
    mask = np.zeros((height, width), np.float32)
    place = (int(centre[0]), int(centre[1] - 0.1 * unit))
    cv2.ellipse(mask, place, (int(0.62 * unit), int(0.85 * unit)), 0, 0, 360, 1.0, -1)
    body = (place[0], int(centre[1] + 1.6 * unit))
    cv2.ellipse(mask, body, (int(1.2 * unit), int(1.1 * unit)), 0, 0, 360, 1.0, -1)
    cover = cv2.GaussianBlur(mask, (0, 0), 2.0)[..., None]
    return Surface(portrait, centre, unit, (depth_scale * depth).astype(np.float32), cover)


def sheet(portrait: Image, landmarks: F32) -> Surface:
    """The portrait printed on a sheet a little larger than the head."""
    centre, unit = _frame_of(landmarks)
    cover = np.zeros((*portrait.shape[:2], 1), np.float32)
    x1, x2 = (int(centre[0] + side * 1.1 * unit) for side in (-1, 1))
    y1, y2 = int(centre[1] - 0.95 * unit), int(centre[1] + 1.5 * unit)
    cover[max(y1, 0) : y2, max(x1, 0) : x2] = 1
    return Surface(portrait, centre, unit, None, cover)


def render(
    surface: Surface,
    motion: Motion,
    frames: int,
    *,
    seed: int = 0,
    face: float = 190.0,
    sigma: float = 2.0,
    jpeg: int | None = None,
    fps: float = FPS,
) -> Iterator[Frame]:
    """Frames of a moving surface.

    Args:
        surface: what moves.
        motion: how.
        frames: how many.
        seed: of phases, wall and noise.
        face: height of the face, pixels.
        sigma: sensor noise, grey levels.
        jpeg: quality of a coding, or None.
        fps: frames a second.
    """
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * np.pi, 6)
    hz = rng.uniform(0.2, 0.5, 6)
    coarse = rng.uniform(60, 180, (30, 40, 1)).astype(np.float32)
    wall = np.repeat(cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC)[..., None], 3, axis=2)
    zoom = face / surface.unit
    for k in range(frames):
        wave = np.sin(2 * np.pi * hz * k / fps + phase)
        yaw, pitch, roll = np.radians(np.array([motion.yaw, motion.pitch, motion.roll]) * wave[:3])
        bend = motion.bend * (1 + motion.bend_change * wave[5])
        turn = _rotation(yaw, pitch, roll)
        source = _inverse(surface, turn, bend, zoom, motion.shift * wave[3:5])
        seen = cv2.remap(
            surface.texture, source, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        ).astype(np.float32)
        cover = cv2.remap(surface.cover, source, None, cv2.INTER_LINEAR)[..., None]
        picture = cover * seen + (1 - cover) * wall
        picture += sigma * rng.standard_normal(picture.shape, dtype=np.float32)
        image = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
        if jpeg is not None:
            coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, jpeg])[1]
            image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)
        yield Frame(np.ascontiguousarray(image), t=k / fps, seq=k)


def blink(portrait: Image, landmarks: F32, closed: float) -> Image:
    """The portrait with its upper lids drawn down over a share of the eyes' opening, by skin from above them.

    Args:
        portrait: uint8 (h, w, 3), BGR.
        landmarks: float32 (468 or 478, 3), the mesh in it.
        closed: share in [0, 1].
    """
    height, width = portrait.shape[:2]
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    source = ys.copy()
    for upper, lower in LIDS:
        top = landmarks[upper][np.argsort(landmarks[upper, 0]), :2]
        base = landmarks[lower][np.argsort(landmarks[lower, 0]), :2]
        line = np.interp(xs[0], top[:, 0], top[:, 1]).astype(np.float32)
        floor = np.interp(xs[0], base[:, 0], base[:, 1]).astype(np.float32)
        open_ = (xs[0] > top[0, 0]) & (xs[0] < top[-1, 0])
        lid = open_ & (ys > line) & (ys < line + closed * (floor - line))
        source = np.where(lid, line - 0.35 * (ys - line) - 1, source).astype(np.float32)
    return np.asarray(cv2.remap(portrait, xs, source, cv2.INTER_LINEAR), dtype=np.uint8)


def _frame_of(landmarks: F32) -> tuple[F64, float]:
    oval = landmarks[OVAL, :2].astype(np.float64)
    low, high = oval.min(axis=0), oval.max(axis=0)
    return (low + high) / 2, float(high[1] - low[1])


def _rotation(yaw: float, pitch: float, roll: float) -> F64:
    vectors = np.diag([-pitch, -yaw, roll])  # the nose goes to the image's right and down
    parts = [np.asarray(cv2.Rodrigues(v)[0], dtype=np.float64) for v in vectors]
    return np.asarray(parts[2] @ parts[0] @ parts[1])


def _inverse(surface: Surface, turn: F64, bend: float, zoom: float, shift: F64) -> F32:
    """For every pixel of the frame, the texture's pixel that it shows: float32 (h, w, 2).

    Fixed-point iteration from the unturned place; it converges for slopes below one over the tangent of the
    turn, which faces have up to some 25 degrees.
    """
    width, height = SIZE
    ys, xs = np.mgrid[0 : height + _GRID : _GRID, 0 : width + _GRID : _GRID].astype(np.float64)
    middle = np.array(SIZE) / 2 + shift
    wanted = np.stack([xs - middle[0], ys - middle[1]], axis=-1) / (zoom * surface.unit)
    plane = wanted.copy()
    for _ in range(12):
        plane -= 0.8 * (_project(surface, plane, turn, bend) - wanted)
    at = (plane * surface.unit + surface.centre).astype(np.float32)
    full = cv2.resize(
        at, (at.shape[1] * _GRID, at.shape[0] * _GRID), interpolation=cv2.INTER_LINEAR
    )  # resize samples centres of cells
    offset = (_GRID - 1) / 2
    shifted = cv2.warpAffine(full, np.array([[1, 0, -offset], [0, 1, -offset]], np.float64), (width, height))
    return np.asarray(shifted, dtype=np.float32)


def _project(surface: Surface, plane: F64, turn: F64, bend: float) -> F64:
    """Where points of the texture (..., 2), in face heights about the centre, come to lie."""
    if surface.depth is None:
        z = bend * plane[..., 0] ** 2 / 2
    else:
        at = (plane * surface.unit + surface.centre).astype(np.float32)
        z = cv2.remap(surface.depth, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    solid = np.concatenate([plane, np.asarray(z, np.float64)[..., None]], axis=-1) @ turn.T
    return np.asarray(solid[..., :2] * (DISTANCE / (DISTANCE + solid[..., 2:])))
