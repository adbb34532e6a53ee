"""A made-up camera before a made-up face, sheet or screen that coloured light falls on; for flash reflection.

What is modelled: a Lambertian face whose normals come from the face mesh and whose albedo is a picture; a
screen as an area of emitters with the camera above it; directed and diffuse tinted ambient light; a wall
behind; a head that moves and turns; auto exposure and white balance; a tone curve that is not quite sRGB;
shot and read noise, 8 bits, JPEG. What is not: gloss and light inside of skin, spectacles, hair as hair, lens
flare, rolling shutter, lamps that flicker, real screens and real cameras. Results from here are simulated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator

from pipeline.camera.frame import Frame, Image
from pipeline.liveness.flash.challenge import Rgb
from pipeline.liveness.flash.safety import linear

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Kind = Literal[
    "live", "photo", "photo_cut", "photo_cut_glossy", "photo_bent", "replay_phone", "replay_full", "injected"
]
SIDE: Final = 144
FACE_PX: Final = 50
"""Width of the face in the rendered frame, pixels."""
FACE_M: Final = 0.14
"""And in the world, metres."""
MONITOR: Final = (0.53, 0.30, 250.0)
TABLET: Final = (0.22, 0.16, 400.0)
"""Width and height in metres, white in cd/m2."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One simulated check.

    Attributes:
        kind: what is before the camera.
        distance: of the face from the screen, metres.
        ambient: light on the face from elsewhere, lux.
        screen: width, height, cd/m2 of white.
        delay_s: from setting a colour to the frame that shows it.
        fps: of the camera.
        jpeg: quality.
        seed: of everything else.
    """

    kind: Kind = "live"
    distance: float = 0.5
    ambient: float = 300.0
    screen: tuple[float, float, float] = MONITOR
    delay_s: float = 0.12
    fps: float = 20.0
    jpeg: int = 90
    seed: int = 0


@dataclass
class SimDisplay:
    """A screen that remembers what it was told and when; `now` is the camera's time."""

    now: float = 0.0
    log: list[tuple[float, Rgb]] = field(default_factory=list)
    refuse_after: int | None = None

    def show(self, rgb: Rgb) -> bool:
        """Take a colour."""
        if self.refuse_after is not None and len(self.log) >= self.refuse_after:
            return False
        self.log.append((self.now, rgb))
        return True

    def light(self, t: float) -> F64:
        """Linear R, G, B that stands on the screen at a time."""
        shown = [rgb for at, rgb in self.log if at <= t]
        return linear(np.array(shown[-1] if shown else (178, 178, 178), dtype=np.float64))


class SimCamera:
    """Frames of one simulated check, with the mesh that vision would give.

    Args:
        image: portrait, uint8 BGR.
        landmarks: its mesh, float32 (468, 3), pixels.
        setting: see `Setting`.
    """

    def __init__(self, image: Image, landmarks: F32, setting: Setting) -> None:
        self.setting = setting
        self._rng = np.random.default_rng(setting.seed)
        self._albedo, self._mesh = _crop(image, landmarks)
        self._prepare()
        self._gain = np.ones(3)
        self._pose = np.zeros(5)
        self._seq = 0
        for _ in range(8):  # exposure has settled before the check begins
            self._expose(self._radiance(np.full(3, 0.45), np.zeros(3)))

    def _prepare(self) -> None:
        s, rng = self.setting, self._rng
        y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64)
        metre = FACE_M / FACE_PX
        self._centre = self._mesh[:, :2].mean(axis=0)
        half = np.ptp(self._mesh[:, :2], axis=0) / 2
        u, v = (x - self._centre[0]) / half[0], (y - self._centre[1]) / half[1]
        face = np.zeros((SIDE, SIDE), np.uint8)
        cv2.fillConvexPoly(face, cv2.convexHull(self._mesh[:, :2].astype(np.int32)), 1)
        body = (u**2 + (v + 0.1) ** 2 < 1.45**2) | ((v > 0.8) & (np.abs(u) < 1.0 + 1.2 * (v - 0.8)))
        self._near = body
        normals = np.zeros((SIDE, SIDE, 3))
        normals[..., 2] = -1
        depth = np.full((SIDE, SIDE), s.distance)
        flat = s.kind not in ("live", "injected")
        if not flat:
            inside = face > 0
            normals[inside] = _dense_normals(self._mesh)[inside]
            depth[body] += 0.03
            depth[~body] += rng.uniform(0.5, 2.0)
        elif s.kind in ("photo", "replay_full"):
            self._near = np.ones_like(body)
        elif s.kind == "photo_bent":
            angle = np.clip(u / 1.45, -1, 1) * np.deg2rad(rng.uniform(20, 55))
            normals[..., 0], normals[..., 2] = np.sin(angle), -np.cos(angle)
        if flat:
            depth[~self._near] += rng.uniform(0.5, 2.0)
        normals /= np.linalg.norm(normals, axis=2, keepdims=True)
        self._normals = normals.astype(np.float32)
        points = np.stack([(x - self._centre[0]) * metre, (y - self._centre[1]) * metre, depth], axis=-1)
        form, towards = _screen_light(points, s.screen)
        self._form, self._towards = form.astype(np.float32), towards.astype(np.float32)
        lamp = np.array([rng.uniform(-0.8, 0.8), -1.0, rng.uniform(-1.2, 0.2)])
        self._lamp = lamp / np.linalg.norm(lamp)
        self._directed = rng.uniform(0.2, 0.6)
        warm = rng.uniform(-0.3, 0.15)
        self._tint = np.array([1 - warm, 1.0, 1 + warm], np.float32)
        self._wall = rng.uniform(0.6, 1.4)
        mirrors = rng.random() < 0.5
        self._mirror = (_mirror(u, v, rng) if mirrors else np.zeros_like(u)).astype(np.float32)
        self._gamma = rng.uniform(2.0, 2.5)
        self._curve = rng.uniform(0.0, 0.25)
        self._still = rng.uniform(0.3, 1.0)
        self._white = rng.uniform(150, 400)
        self._electrons = float(np.clip(15 * s.ambient, 600, 8000))

    def frame(self, t: float, screen: SimDisplay) -> tuple[Frame, F32]:
        """Picture of time ``t`` (seconds) and its mesh."""
        s = self.setting
        light = screen.light(t - s.delay_s)
        # Ornstein-Uhlenbeck: x, y in pixels, roll, yaw, pitch in degrees
        speed = np.array([1.2, 1.2, 0.6, 2.0, 1.0]) * self._still
        self._pose += -self._pose * 0.03 + speed * 0.35 * self._rng.standard_normal(5)
        image = self._expose(self._radiance(light, np.deg2rad(self._pose[[4, 3, 2]])))
        x, y = self._centre
        matrix = cv2.getRotationMatrix2D((float(x), float(y)), float(self._pose[2]) * 0.3, 1.0)
        matrix[:, 2] += self._pose[:2]
        moved = cv2.warpAffine(image, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
        if s.kind not in ("photo", "replay_full"):  # the wall stays where it is
            mask = cv2.warpAffine(self._near.astype(np.float32), matrix, (SIDE, SIDE))[..., None]
            moved = moved * mask + image * (1 - mask)
        pixels = self._develop(np.asarray(moved))
        mesh = self._mesh.copy()
        mesh[:, :2] = mesh[:, :2] @ matrix[:, :2].T.astype(np.float32) + matrix[:, 2].astype(np.float32)
        mesh += self._rng.normal(0, 0.3, mesh.shape).astype(np.float32)
        seq, self._seq = self._seq, self._seq + 1
        return Frame(pixels, t=t, seq=seq), mesh

    def _radiance(self, light: F64, turn: F64) -> F32:
        """Light that reaches the camera, cd/m2: float64 (side, side, 3), R, G, B."""
        s = self.setting
        if s.kind == "injected":
            light = np.full(3, 0.45)
        turned = self._normals @ _rotation(*turn).T.astype(np.float32)
        shade = np.maximum(turned @ self._lamp.astype(np.float32), 0)
        towards = np.maximum(np.einsum("ijk,ijk->ij", turned, self._towards), 0)
        ambient = s.ambient * ((1 - self._directed) + 1.5 * self._directed * shade)
        ambient = np.where(self._near, ambient, np.float32(s.ambient * self._wall))
        near = self._near[..., None]
        shown = light.astype(np.float32)
        lux = ambient[..., None] * self._tint + (self._form * towards)[..., None] * shown
        reflected = self._albedo * lux / np.float32(np.pi)
        gloss = 0.04 * s.screen[2] * self._mirror[..., None] * shown
        if s.kind == "photo_cut_glossy":
            reflected = np.where(near, reflected + gloss, reflected)
        if s.kind.startswith("replay"):
            glass = self._white * self._albedo / 0.8 + 0.008 * lux / np.pi + gloss
            reflected = np.where(near, glass, reflected)
        return np.asarray(reflected, dtype=np.float32)

    def _expose(self, radiance: F32) -> F32:
        """Gain of the moment; the loops of exposure and white balance look at the outcome for the next."""
        out = radiance * self._gain.astype(np.float32)
        means = np.minimum(out[::3, ::3], 1).mean(axis=(0, 1))
        first = self._seq == 0
        self._gain *= (0.2 / means.mean()) ** (0.9 if first else 0.15)
        self._gain *= (means.mean() / means) ** (0.5 if first else 0.02)
        return out

    def _develop(self, light: F32) -> Image:
        noise = self._rng.standard_normal(light.shape, dtype=np.float32)
        variance = np.maximum(light, 0) / self._electrons + 0.002**2
        seen = np.clip(light + noise * np.sqrt(variance), 0, 1)
        toned = seen ** (1 / self._gamma)
        toned = (1 - self._curve) * toned + self._curve * toned * toned * (3 - 2 * toned)
        bgr = np.rint(255 * toned[..., ::-1]).astype(np.uint8)
        code = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, self.setting.jpeg])[1]
        return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), dtype=np.uint8)


def _crop(image: Image, landmarks: F32) -> tuple[F32, F32]:
    """Albedo (side, side, 3) R, G, B with the face at `FACE_PX`, and the mesh in its pixels."""
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    scale = FACE_PX / float(high[0] - low[0])
    centre = (low + high) / 2
    matrix = np.array(
        [[scale, 0, SIDE / 2 - scale * centre[0]], [0, scale, SIDE * 0.52 - scale * centre[1]]], np.float32
    )
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REFLECT)
    mesh = landmarks[:468] * np.float32(scale)
    mesh[:, :2] += matrix[:, 2]
    albedo = 0.05 + 0.75 * linear(small[..., ::-1].astype(np.float64))
    return albedo.astype(np.float32), mesh.astype(np.float32)


def _dense_normals(mesh: F32) -> F64:
    """Unit normals on every pixel of the face: float64 (side, side, 3)."""
    points = mesh.astype(np.float64)
    distance = np.linalg.norm(points[None] - points[:, None], axis=2)
    nearest = points[np.argpartition(distance, 10, axis=1)[:, :10]]
    offsets = nearest - nearest.mean(axis=1, keepdims=True)
    normals = np.linalg.eigh(offsets.transpose(0, 2, 1) @ offsets)[1][:, :, 0]
    normals *= np.where(normals[:, 2:] > 0, -1.0, 1.0)
    y, x = np.mgrid[:SIDE, :SIDE]
    dense = LinearNDInterpolator(points[:, :2], normals, fill_value=0.0)(x, y)
    dense[..., 2] = np.where(np.abs(dense).sum(axis=2) < 1e-6, -1.0, dense[..., 2])
    blurred = cv2.GaussianBlur(dense, (0, 0), 1.5)
    return np.asarray(blurred / np.linalg.norm(blurred, axis=2, keepdims=True))


def _screen_light(points: F64, screen: tuple[float, float, float]) -> tuple[F64, F64]:
    """Lux of a white screen on a surface that faces it, and the unit direction that the light comes from."""
    width, height, white = screen
    form = np.zeros(points.shape[:2])
    direction = np.zeros_like(points)
    cells = [(i, j) for i in np.linspace(-0.375, 0.375, 4) for j in np.linspace(0.125, 0.875, 3)]
    for i, j in cells:
        to = np.array([i * width, j * height, 0.0]) - points
        r = np.linalg.norm(to, axis=2)
        part = white * (points[..., 2] / r) / r**2 * width * height / len(cells)
        form += part
        direction += to / r[..., None] * part[..., None]
    return form, direction / np.linalg.norm(direction, axis=2, keepdims=True)


def _mirror(u: F64, v: F64, rng: np.random.Generator) -> F64:
    """Where a glossy surface mirrors the screen: a soft-edged rectangle somewhere over the face, 0 to 1."""
    x, y = rng.uniform(-0.8, 0.8, 2)
    w, h = rng.uniform(0.4, 1.5, 2)
    inside = ((np.abs(u - x) < w) & (np.abs(v - y) < h)).astype(np.float64)
    return np.asarray(cv2.GaussianBlur(inside, (0, 0), 4.0))


def _rotation(pitch: float, yaw: float, roll: float) -> F64:
    cx, sx, cy, sy, cz, sz = (f(a) for a in (pitch, yaw, roll) for f in (np.cos, np.sin))
    rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(rz @ ry @ rx)
