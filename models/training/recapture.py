"""Recapture simulator: a live picture printed or shown on a screen, and held before a camera.

Only what the second capture adds to `models.training.medium` stands here; the camera's own way with a scene
is `camera.capture`, and it is applied to live pictures and attacks alike. Models, with their sources:

- Screen grid: the sub-pixel lattice is evaluated at the camera's pixel centres, so it aliases into moire
  by itself; its contrast falls with the pixel aperture (sinc) and the lens (Gaussian MTF).
- Paper: cylindrical bend with shading.
- Glass: a blurred lamp and a veil are added; glossy paper gets a sheen that multiplies and adds.
- Refresh: bright and dark bands along the rows, from exposure time against the refresh of the panel.

Ranges of the constants are our own choice, wide on purpose; they are not fitted to any data set.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.camera import defocus, noise
from models.training.medium import MEDIA, Plane, make_medium
from pipeline.camera.frame import Image
from pipeline.vision.types import F32


@dataclass(frozen=True, slots=True, eq=False)
class Recapture:
    """A simulated attack before the camera's own degradations.

    Attributes:
        image: uint8 (H, W, 3) BGR.
        box: float32 (4,), where the face went, x1 y1 x2 y2 in pixels.
        medium: one of `MEDIA`.
        steps: names of the steps that were applied.
    """

    image: Image
    box: F32
    medium: str
    steps: tuple[str, ...]


def pixel_grid(u: F32, v: F32, pitch: float, lens: float, rng: np.random.Generator) -> F32:
    """Transmission of a striped panel at camera pixels, float32 (H, W, 3) about mean 1.

    Args:
        u: panel coordinate along the rows of sub-pixels, in camera pixels, at each camera pixel.
        v: panel coordinate across.
        pitch: panel pixel in camera pixels; under 2 it aliases.
        lens: Gaussian sigma of the lens in camera pixels.
        rng: draws sub-pixel contrast and phase.
    """
    freq = 1 / pitch
    mtf = float(np.sinc(freq) * np.exp(-2 * (np.pi * lens * freq) ** 2))
    depth = rng.uniform(0.5, 1.0) * abs(mtf)
    phase = rng.uniform(0, 2 * np.pi)
    out = np.empty((*u.shape, 3), np.float32)
    rows = np.cos(v * np.float32(2 * np.pi * freq) + np.float32(phase)) * np.float32(0.5 * depth)
    base = u * np.float32(2 * np.pi * freq)
    for channel in range(3):
        out[..., channel] = 1 + depth * np.cos(base + np.float32(channel * 2 * np.pi / 3)) + rows
    return out


def glare(shape: tuple[int, int], rng: np.random.Generator) -> F32:
    """Reflected lamps and a veil, float32 (H, W) to be added, in units of full scale."""
    height, width = shape
    yy, xx = np.mgrid[0:height, 0:width].astype(np.float32)
    light = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        cx, cy = rng.uniform(-0.1, 1.1) * width, rng.uniform(-0.1, 1.1) * height
        angle, size = rng.uniform(0, np.pi), rng.uniform(0.04, 0.3) * max(shape)
        long = rng.uniform(1, 6)
        a = (xx - cx) * np.cos(angle) + (yy - cy) * np.sin(angle)
        b = -(xx - cx) * np.sin(angle) + (yy - cy) * np.cos(angle)
        light += np.float32(rng.uniform(0.1, 0.9)) * np.exp(-((a / (size * long)) ** 2 + (b / size) ** 2))
    if rng.random() < 0.4:
        slope = rng.normal(0, 1, 2)
        light += np.float32(rng.uniform(0, 0.2)) * np.clip(
            xx / width * slope[0] + yy / height * slope[1], 0, 1
        )
    return light


def _homography(
    plane: tuple[int, int], frame: tuple[int, int], centre: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Plane pixels to frame pixels: turn, tilt and shift of a hand-held sheet; scale about one.

    Args:
        plane: height, width.
        frame: height, width.
        centre: x, y in the plane that goes near the frame's centre.
        rng: draws turn (sigma 7 degrees), tilt (corners move by up to 8 %) and offset.
    """
    height, width = plane
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    turn = np.deg2rad(rng.normal(0, 7))
    rotate = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = (corners - centre) @ rotate.T
    moved += rng.uniform(-0.08, 0.08, (4, 2)) * min(height, width) * rng.uniform(0, 1)
    target = np.array([frame[1], frame[0]]) * (0.5 + rng.uniform(-0.15, 0.15, 2))
    return np.asarray(
        cv2.getPerspectiveTransform(corners.astype(np.float32), (moved + target).astype(np.float32))
    )


def _coordinates(homography: NDArray[np.float64], frame: tuple[int, int]) -> tuple[F32, F32]:
    inverse = np.linalg.inv(homography)
    x = np.arange(frame[1], dtype=np.float32)[None]
    y = np.arange(frame[0], dtype=np.float32)[:, None]
    m = (inverse / inverse[2, 2]).astype(np.float32)
    w = 1 / (m[2, 0] * x + m[2, 1] * y + m[2, 2])
    return (m[0, 0] * x + m[0, 1] * y + m[0, 2]) * w, (m[1, 0] * x + m[1, 1] * y + m[1, 2]) * w


def _coverage(u: F32, v: F32, plane: tuple[int, int], radius: float) -> F32:
    """Share of each camera pixel that the medium covers: signed distance to a rounded rectangle, clipped."""
    height, width = plane
    qx = np.abs(u - width / 2) - (width / 2 - radius)
    qy = np.abs(v - height / 2) - (height / 2 - radius)
    outside = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0)) + np.minimum(np.maximum(qx, qy), 0) - radius
    return np.asarray(np.clip(0.5 - outside, 0, 1), np.float32)


def fingers(
    scene: Image, anchor: tuple[float, float], inward: float, rng: np.random.Generator, size: float
) -> Image:
    """Capsules of skin colour that reach over an edge at `anchor` in direction `inward` (radians)."""
    mask = np.zeros(scene.shape[:2], np.uint8)
    count, thick = int(rng.integers(1, 5)), max(2, int(size * rng.uniform(0.16, 0.34)))
    across = inward + np.pi / 2
    reach = size * rng.uniform(0.15, 0.5)
    for k in range(count):
        step = (k - count / 2) * thick * 1.05
        x, y = anchor[0] + np.cos(across) * step, anchor[1] + np.sin(across) * step
        bend = inward + rng.normal(0, 0.15)
        tip = (int(x + np.cos(bend) * reach), int(y + np.sin(bend) * reach))
        back = size * (0.3 if rng.random() < 0.5 else 1.5)
        root = (int(x - np.cos(bend) * back), int(y - np.sin(bend) * back))
        cv2.line(mask, root, tip, 255, thick)
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.6, thick / 12)).astype(np.float32)[..., None] / 255
    shade = cv2.GaussianBlur(mask, (0, 0), max(1.0, thick / 2.5)).astype(np.float32)[..., None] / 255
    skin = np.array([95, 125, 180], np.float32) * rng.uniform(0.35, 1.25) * np.exp(rng.normal(0, 0.08, 3))
    colour = np.clip(skin * (0.45 + 0.65 * shade), 0, 255).astype(np.float32)
    return np.asarray(scene * (1 - soft) + colour * soft, np.uint8)


def scene(sources: list[Image], frame: tuple[int, int], rng: np.random.Generator) -> Image:
    """Something behind the medium: a part of another picture, or a plain wall, out of focus or not."""
    height, width = frame
    if rng.random() < 0.2 or not sources:
        low = rng.uniform(20, 230, (2, 3, 3)).astype(np.float32)
        wall = cv2.resize(low, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.asarray(np.clip(wall + noise((height, width), rng) * rng.uniform(0, 6), 0, 255), np.uint8)
    picture = sources[int(rng.integers(len(sources)))]
    ph, pw = picture.shape[:2]
    zoom = max(height / ph, width / pw) * rng.uniform(1, 2.2)
    part_h, part_w = min(ph, int(height / zoom)), min(pw, int(width / zoom))
    y, x = int(rng.integers(ph - part_h + 1)), int(rng.integers(pw - part_w + 1))
    part = picture[y : y + part_h, x : x + part_w]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    out = np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return defocus(out, float(rng.uniform(0, 5))) if rng.random() < 0.5 else out


def _compose(
    back: Image, plane: Plane, homography: NDArray[np.float64], screen: bool, rng: np.random.Generator
) -> Image:
    """Lay the plane into the scene, with bend, grid, bands, light, glare and shadow."""
    frame = (back.shape[0], back.shape[1])
    size = (plane.image.shape[0], plane.image.shape[1])
    u, v = _coordinates(homography, frame)
    shading: F32 | None = None
    if not screen and rng.random() < 0.4:
        plane.steps.append("bend")
        amount, along = rng.uniform(0.01, 0.07), rng.random() < 0.5
        t = (u / size[1]) if along else (v / size[0])
        curve = np.sin(np.clip(t, 0, 1) * np.float32(np.pi)).astype(np.float32)
        if along:
            v = v + curve * np.float32(amount * size[0])
        else:
            u = u + curve * np.float32(amount * size[1])
        shading = 1 + np.cos(np.clip(t, 0, 1) * np.float32(np.pi)) * np.float32(rng.normal(0, 0.18))
    mask = _coverage(u, v, size, plane.radius)
    flat = cv2.remap(plane.image, u - 0.5, v - 0.5, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    shown = flat.astype(np.float32)
    if shading is not None:
        shown *= shading[..., None]
    if screen and rng.random() < 0.6:
        plane.steps.append("grid")
        pitch = float(np.exp(rng.uniform(np.log(0.75), np.log(4))))
        shown *= pixel_grid(u, v, pitch, float(rng.uniform(0.25, 0.6)), rng)
    if screen and rng.random() < 0.25:
        plane.steps.append("bands")
        rows = np.arange(frame[0], dtype=np.float32) / frame[0]
        wave = np.sin(2 * np.pi * (rows * rng.uniform(0.5, 8) + rng.random()))
        shown *= (1 + rng.uniform(0.02, 0.15) * np.tanh(2 * wave))[:, None, None].astype(np.float32)
    light = rng.uniform(0.75, 1.35) if screen else rng.uniform(0.55, 1.1)
    slope = rng.normal(0, 0.12, 2)
    ramp = light * (
        1
        + slope[0] * (np.arange(frame[1], dtype=np.float32) / frame[1] - 0.5)[None]
        + slope[1] * (np.arange(frame[0], dtype=np.float32) / frame[0] - 0.5)[:, None]
    )
    shown *= ramp[..., None].astype(np.float32)
    if rng.random() < (0.45 if screen else 0.3):
        plane.steps.append("glare")
        blob = glare((frame[0] // 4 + 1, frame[1] // 4 + 1), rng)
        lamp = cv2.resize(blob, (frame[1], frame[0]), interpolation=cv2.INTER_LINEAR)
        shown += lamp[..., None] * np.float32(
            255 * (rng.uniform(0.1, 0.8) if screen else rng.uniform(0.1, 0.5))
        )
    dim = rng.uniform(0.25, 1.0) if screen else rng.uniform(0.6, 1.1)
    behind = back.astype(np.float32) * np.float32(dim)
    if rng.random() < 0.5:
        shift = rng.uniform(-10, 10, 2)
        dark = cv2.warpAffine(
            mask, np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32), (frame[1], frame[0])
        )
        dark = cv2.GaussianBlur(dark, (0, 0), float(rng.uniform(2, 10)))
        behind *= (1 - np.float32(rng.uniform(0.1, 0.5)) * dark)[..., None]
    out = behind + (shown - behind) * mask[..., None]
    return np.asarray(np.clip(out, 0, 255), np.uint8)


def _project(homography: NDArray[np.float64], box: F32) -> F32:
    """Box of the same mean side about the projected centre."""
    x1, y1, x2, y2 = (float(b) for b in box)
    corners = np.array([[[x1, y1], [x2, y1], [x2, y2], [x1, y2]]], np.float32)
    moved = cv2.perspectiveTransform(corners, homography)[0]
    centre = moved.mean(0)
    sides = np.linalg.norm(moved - np.roll(moved, 1, axis=0), axis=1)
    half = np.array([(sides[1] + sides[3]) / 4, (sides[0] + sides[2]) / 4])
    return np.concatenate([centre - half, centre + half]).astype(np.float32)


def _hands(
    image: Image, homography: NDArray[np.float64], size: tuple[int, int], rng: np.random.Generator
) -> Image:
    height, width = size
    for _ in range(int(rng.integers(1, 3))):
        edge = rng.random()
        spots = (
            (0.0, edge * height, 1.0, 0.0),
            (width, edge * height, -1.0, 0.0),
            (edge * width, height, 0.0, -1.0),
        )
        x, y, dx, dy = spots[int(rng.integers(3))]
        ends = cv2.perspectiveTransform(np.array([[[x, y], [x + dx, y + dy]]], np.float32), homography)[0]
        if 0 <= ends[0, 0] < image.shape[1] and 0 <= ends[0, 1] < image.shape[0]:
            way = float(np.arctan2(*(ends[1] - ends[0])[::-1]))
            anchor = (float(ends[0, 0]), float(ends[0, 1]))
            image = fingers(image, anchor, way, rng, min(size) * float(rng.uniform(0.2, 0.5)))
    return image


def recapture(
    picture: Image, box: F32, sources: list[Image], rng: np.random.Generator, medium: str | None = None
) -> Recapture:
    """Show a live picture to a camera on paper or on a screen.

    Args:
        picture: uint8 (H, W, 3) BGR, live.
        box: float32 (4,), its face.
        sources: pictures for the scene behind the medium.
        rng: all chance comes from here; the same generator state gives the same bytes.
        medium: one of `MEDIA`, drawn if left out.

    Returns:
        The recaptured scene with the new box.
    """
    if medium is None:
        medium = str(rng.choice(MEDIA, p=[0.25, 0.23, 0.3, 0.1, 0.12]))
    frames = ((360, 480), (360, 480), (360, 360), (480, 360), (270, 480), (480, 300))
    frame = frames[int(rng.integers(len(frames)))]
    in_view = rng.random() < (0.35 if medium == "monitor" else 0.65)
    face = float(np.exp(rng.uniform(np.log(45), np.log(110 if in_view else 180))))
    plane = make_medium(picture, box, medium, face, rng)
    size = (plane.image.shape[0], plane.image.shape[1])
    face_at = (float(plane.box[0] + plane.box[2]) / 2, float(plane.box[1] + plane.box[3]) / 2)
    if not in_view:  # the camera sees nothing but the medium
        room = (int(size[0] * 0.8), int(size[1] * 0.8))
        frame = (max(64, min(frame[0], room[0])), max(64, min(frame[1], room[1])))
        face_at = (
            float(np.clip(face_at[0], frame[1] / 2, size[1] - frame[1] / 2)),
            float(np.clip(face_at[1], frame[0] / 2, size[0] - frame[0] / 2)),
        )
        plane.steps.append("border_out_of_view")
    homography = _homography(size, frame, face_at, rng)
    image = _compose(scene(sources, frame, rng), plane, homography, medium in MEDIA[2:], rng)
    if in_view and rng.random() < 0.6:
        image = _hands(image, homography, size, rng)
        plane.steps.append("hand")
    return Recapture(image, _project(homography, plane.box), medium, tuple(plane.steps))


def distract(picture: Image, box: F32, sources: list[Image], rng: np.random.Generator) -> Image:
    """A medium beside a live face: the same sheets, phones, monitors and hands, never around the face.

    A live person may hold a phone or sit before a screen: what counts is a medium around the face.
    """
    height, width = picture.shape[:2]
    side = float(max(box[2] - box[0], box[3] - box[1]))
    centre = (box[:2] + box[2:]) / 2
    medium = str(rng.choice(MEDIA))
    content = sources[int(rng.integers(len(sources)))] if sources else picture
    ph, pw = content.shape[:2]
    spot = np.array([pw * 0.35, ph * 0.35, pw * 0.65, ph * 0.65], np.float32)
    plane = make_medium(content, spot, medium, side * float(rng.uniform(0.3, 0.9)), rng)
    size = (plane.image.shape[0], plane.image.shape[1])
    homography = _homography(size, (height, width), (size[1] / 2, size[0] / 2), rng)
    outline = cv2.perspectiveTransform(
        np.array([[[0, 0], [size[1], 0], [size[1], size[0]], [0, size[0]]]], np.float32), homography
    )[0]
    low, high = outline.min(0), outline.max(0)
    gap = side * float(rng.uniform(0.5, 0.8))
    way = int(rng.integers(4))
    target = centre + rng.uniform(-1.2, 1.2, 2) * side
    target[way % 2] = centre[way % 2] + (gap + (high - low)[way % 2] / 2) * (1 if way < 2 else -1)
    shift = np.eye(3)
    shift[:2, 2] = target - (low + high) / 2
    homography = shift @ homography
    image = _compose_beside(picture, plane, homography, medium in MEDIA[2:], rng)
    return _hands(image, homography, size, rng) if rng.random() < 0.4 else image


def _compose_beside(
    picture: Image, plane: Plane, homography: NDArray[np.float64], screen: bool, rng: np.random.Generator
) -> Image:
    """As `_compose`, but the rest of the picture keeps its light."""
    laid = _compose(picture, plane, homography, screen, rng)
    u, v = _coordinates(homography, (picture.shape[0], picture.shape[1]))
    mask = _coverage(u, v, (plane.image.shape[0], plane.image.shape[1]), plane.radius)[..., None]
    return np.asarray(picture * (1 - mask) + laid * mask, np.uint8)
