"""Renders the demonstration's two clips from one portrait. Simulated, and called so wherever they are shown.

The portrait is scikit-image's astronaut (NASA, public domain). A still picture set in motion is of course no
live person: the first clip stands in for a person so that the gate can be watched at work without a camera,
and what it proves is that frames, judgement, upload and match hang together, not that liveness is any good.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.camera.frame import Image

SIZE = (640, 480)
"""Width and height of the rendered frames, pixels."""
FPS = 30
"""Frames in a second of the rendered clips."""
_FACE_CENTRE = (222.0, 128.0)
"""The face's centre in the 512x512 portrait, pixels."""
_READ_NOISE = 1.5
"""Standard deviation of the sensor's read noise, grey levels."""
_SHOT_NOISE = 0.15
"""Shot noise: standard deviation is this times the square root of the grey level."""


@dataclass(frozen=True, slots=True)
class Sway:
    """A head's slow drift: pixels, degrees, relative scale; amplitudes of sums of two sines."""

    shift: float = 5.0
    angle: float = 1.2
    scale: float = 0.012


def render_person(
    portrait: Image, frames: int, *, seed: int = 0, sway: Sway | None = None
) -> Iterator[Image]:
    """The portrait as if a camera saw it: drift, sensor noise. Stands in for a person.

    Args:
        portrait: uint8 (512, 512, 3), BGR, the astronaut.
        frames: how many.
        seed: of the noise.
        sway: amplitudes of the drift.

    Yields:
        uint8 (480, 640, 3), BGR.
    """
    rng = np.random.default_rng(seed)
    sway = sway or Sway()
    for k in range(frames):
        yield _expose(_place(portrait, _drift(sway, k), zoom=2.0), rng)


def render_replay(portrait: Image, frames: int, *, seed: int = 0) -> Iterator[Image]:
    """A simulated attack: the portrait on a telephone's screen, held before the camera.

    Bezel, the screen's pixel grid, raised black level, bluish cast and a band of glare are drawn; it is not a
    recording of a real replay.

    Args and yields: as `render_person`.
    """
    rng = np.random.default_rng(seed)
    phone = _telephone(portrait)
    desk = _background(rng)
    height, width = phone.shape[:2]
    for k in range(frames):
        dx, dy, angle, scale = _drift(Sway(shift=7, angle=2.0, scale=0.02), k)
        fit = 1.05 * SIZE[1] / height * (1 + scale)
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, fit)
        matrix[:, 2] += np.array([SIZE[0] / 2 - width / 2 + dx, SIZE[1] / 2 - height / 2 + dy])
        seen = desk.copy()
        cv2.warpAffine(phone, matrix, SIZE, dst=seen, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_TRANSPARENT)
        yield _expose(seen.astype(np.float32), rng)


def _drift(sway: Sway, k: int) -> tuple[float, float, float, float]:
    """Shift x, shift y (pixels), angle (degrees), relative scale of frame `k`."""
    t = k / FPS
    phases = np.array([0.0, 1.3, 2.1, 0.7])
    slow = np.sin(2 * np.pi * 0.31 * t + phases) + 0.5 * np.sin(2 * np.pi * 0.83 * t + 2 * phases)
    amplitude = np.array([sway.shift, 0.6 * sway.shift, sway.angle, sway.scale])
    dx, dy, angle, scale = (float(v) for v in slow * amplitude / 1.5)
    return dx, dy, angle, scale


def _place(portrait: Image, drift: tuple[float, float, float, float], *, zoom: float) -> NDArray[np.float32]:
    dx, dy, angle, scale = drift
    matrix = cv2.getRotationMatrix2D(_FACE_CENTRE, angle, zoom * (1 + scale))
    centre = np.array(SIZE) / 2 + (dx, dy)
    matrix[:, 2] += centre - np.array(_FACE_CENTRE)
    seen = cv2.warpAffine(portrait, matrix, SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return seen.astype(np.float32)


def _expose(scene: NDArray[np.float32], rng: np.random.Generator) -> Image:
    noise = rng.standard_normal(scene.shape, dtype=np.float32)
    noise *= _READ_NOISE + _SHOT_NOISE * np.sqrt(np.maximum(scene, 0))
    return cast(Image, np.clip(scene + noise, 0, 255).astype(np.uint8))


def _telephone(portrait: Image) -> Image:
    """The portrait on a lit screen inside a dark bezel; uint8 (1040, 560, 3)."""
    screen = cv2.resize(portrait[20:340, 112:324], (500, 753), interpolation=cv2.INTER_CUBIC).astype(
        np.float32
    )
    screen = 22 + screen * 0.88  # raised black level of a backlit panel
    screen *= np.array([1.08, 1.0, 0.93], dtype=np.float32)  # bluish white point
    screen[::3] *= 0.86  # the gaps between rows of pixels
    screen[:, ::3] *= 0.86
    rows = np.arange(screen.shape[0], dtype=np.float32)[:, None, None]
    columns = np.arange(screen.shape[1], dtype=np.float32)[None, :, None]
    screen += 60 * np.exp(-(((rows + 0.7 * columns - 420) / 60) ** 2))  # glare across the glass
    phone = np.full((1040, 560, 3), 18, dtype=np.float32)
    phone[140:893, 30:530] = screen
    return cast(Image, np.clip(phone, 0, 255).astype(np.uint8))


def _background(rng: np.random.Generator) -> Image:
    """A plain, unevenly lit wall; uint8 (480, 640, 3)."""
    coarse = rng.uniform(105, 150, size=(3, 4)).astype(np.float32)
    light = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC)
    wall = light[..., None] * np.array([0.92, 1.0, 1.05], dtype=np.float32)
    return cast(Image, np.clip(wall, 0, 255).astype(np.uint8))
