"""The medium of an attack, flat: a picture as ink on paper or as light of a screen, with its frame.

- Print: contrast of ink on paper (white 0.75 to 0.97, black 0.03 to 0.2 of full scale), smaller gamut,
  clustered dots on screens turned by 15, 45 and 75 degrees, paper grain.
- Screen: gamma, over-exposure, colour temperature, lifted black, bars of an interface, bezel.

Ranges of the constants are our own choice, wide on purpose; they are not fitted to any data set.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.camera import jpeg, noise
from pipeline.camera.frame import Image
from pipeline.vision.types import F32

MEDIA = ("photo", "sheet", "phone", "tablet", "monitor")


@dataclass(slots=True, eq=False)
class Plane:
    """The medium's face, flat, in about camera pixels, with its box and the frame around the picture."""

    image: Image
    box: F32
    radius: float = 0.0
    steps: list[str] = field(default_factory=list)


def print_tone(picture: Image, rng: np.random.Generator) -> Image:
    """What ink on paper leaves of a picture: range, gamut, cast."""
    values = picture.astype(np.float32) / 255
    grey = values.mean(2, keepdims=True)
    keep = 0.0 if rng.random() < 0.08 else rng.uniform(0.55, 1.05)
    values = grey + (values - grey) * np.float32(keep)
    curve = float(np.exp(rng.normal(0, 0.25)))
    white = rng.uniform(0.75, 0.97) * np.exp(rng.normal(0, 0.04, 3))
    black = rng.uniform(0.03, 0.2)
    out = black + np.power(np.clip(values, 0, 1), curve) * (white - black)
    return np.asarray(np.clip(out * 255, 0, 255), np.uint8)


def screen_tone(picture: Image, rng: np.random.Generator) -> Image:
    """What a panel makes of a picture: gamma, over-exposure, colour temperature, lifted black."""
    values = picture.astype(np.float32) / 255
    gamma = float(np.exp(rng.normal(0.0, 0.22)))
    temperature = rng.normal(0.04, 0.08)
    cast = np.array([1 + temperature, 1 + rng.normal(0, 0.03), 1 - temperature])
    gain, bleed = rng.uniform(0.75, 1.35), rng.uniform(0, 0.1)
    saturation = rng.uniform(0.7, 1.3)
    grey = values.mean(2, keepdims=True)
    values = np.clip(grey + (values - grey) * np.float32(saturation), 0, 1)
    out = bleed + np.power(values, gamma) * gain * cast
    return np.asarray(np.clip(out * 255, 0, 255), np.uint8)


def halftone(picture: Image, rng: np.random.Generator, pitch: float) -> Image:
    """Clustered dots: each ink against a cosine screen of its own angle; `pitch` in pixels."""
    height, width = picture.shape[:2]
    yy, xx = np.mgrid[0:height, 0:width].astype(np.float32)
    values = picture.astype(np.float32) / 255
    turn = rng.uniform(0, np.pi / 2)
    soft = rng.uniform(0.15, 0.5)
    for channel, degrees in enumerate((15.0, 45.0, 75.0)):
        angle = np.deg2rad(degrees) + turn
        u = (xx * np.cos(angle) + yy * np.sin(angle)) * (2 * np.pi / pitch)
        v = (-xx * np.sin(angle) + yy * np.cos(angle)) * (2 * np.pi / pitch)
        screen = 0.5 + 0.25 * (np.cos(u) + np.cos(v))
        dots = np.clip((values[..., channel] - screen) / soft + 0.5, 0, 1)
        share = rng.uniform(0.05, 0.4)
        values[..., channel] = (1 - share) * values[..., channel] + share * dots
    return np.asarray(values * 255, np.uint8)


def _region(picture: Image, box: F32, aspect: float, rng: np.random.Generator) -> tuple[Image, F32]:
    """Part of the source that is shown: `aspect` is width over height as far as the picture allows."""
    height, width = picture.shape[:2]
    side = float(max(box[2] - box[0], box[3] - box[1]))
    tall = min(float(height), side * rng.uniform(1.5, 4.5) * (1.0 if aspect < 1 else 0.75))
    wide = min(float(width), max(tall * aspect, side * 1.1))
    cx, cy = float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2
    cx += rng.uniform(-0.3, 0.3) * max(0.0, wide - side)
    cy += rng.uniform(-0.3, 0.3) * max(0.0, tall - side)
    x1 = int(np.clip(cx - wide / 2, 0, width - wide))
    y1 = int(np.clip(cy - tall / 2, 0, height - tall))
    part = picture[y1 : y1 + int(tall), x1 : x1 + int(wide)]
    return part, box - np.array([x1, y1, x1, y1], np.float32)


def _scaled(picture: Image, box: F32, factor: float) -> tuple[Image, F32]:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    size = (max(8, round(picture.shape[1] * factor)), max(8, round(picture.shape[0] * factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8), box * np.float32(factor)


def _frame(
    picture: Image, box: F32, sides: tuple[int, int, int, int], colour: NDArray[np.float64]
) -> tuple[Image, F32]:
    top, bottom, left, right = sides
    out = cv2.copyMakeBorder(
        picture, top, bottom, left, right, cv2.BORDER_CONSTANT, value=[float(c) for c in colour]
    )
    return np.asarray(out, np.uint8), box + np.array([left, top, left, top], np.float32)


def _interface(picture: Image, rng: np.random.Generator) -> Image:
    """Bars and glyph-like strokes, as a phone's gallery or video call draws over a picture."""
    out = picture.copy()
    height, width = out.shape[:2]
    shade = int(rng.choice([0, 20, 245]))
    for top in (True, False):
        if rng.random() < 0.6:
            bar = max(2, int(height * rng.uniform(0.03, 0.1)))
            rows = slice(0, bar) if top else slice(height - bar, height)
            out[rows] = shade
            ink = 255 - shade
            for x in range(int(width * 0.05), int(width * 0.95), max(4, int(width * rng.uniform(0.06, 0.2)))):
                y = bar // 2 if top else height - bar // 2
                cv2.line(out, (x, y), (x + max(1, width // 40), y), (ink, ink, ink), max(1, bar // 5))
    return out


def make_medium(picture: Image, box: F32, medium: str, face: float, rng: np.random.Generator) -> Plane:
    """A picture on a medium, seen flat.

    Args:
        picture: uint8 (H, W, 3) BGR, live.
        box: float32 (4,), its face.
        medium: one of `MEDIA`.
        face: side of the face's box on the medium, pixels.
        rng: all chance comes from here.
    """
    aspect = {
        "photo": rng.choice([0.7, 0.78, 1.0, 1.4]),
        "sheet": rng.choice([0.707, 1.414]),
        "phone": rng.choice([0.46, 0.56, 0.56, 1.78]),
        "tablet": rng.choice([0.75, 1.33]),
        "monitor": rng.choice([1.6, 1.78]),
    }[medium] * float(rng.uniform(0.92, 1.08))
    part, box = _region(picture, box, aspect, rng)
    steps: list[str] = []
    side = float(max(box[2] - box[0], box[3] - box[1]))
    if rng.random() < 0.5:  # the attacker's copy: small and compressed
        target = rng.uniform(60, 260)
        if target < side:
            part, box = _scaled(part, box, target / side)
            side = float(max(box[2] - box[0], box[3] - box[1]))
            steps.append("low_resolution")
        part = jpeg(part, int(rng.integers(40, 95)))
    part, box = _scaled(part, box, face / side)
    if medium in ("photo", "sheet"):
        part = print_tone(part, rng)
        steps.append("print")
        if rng.random() < 0.2:
            part = halftone(part, rng, float(np.exp(rng.uniform(np.log(1.3), np.log(6)))))
            steps.append("halftone")
        if rng.random() < 0.5:
            grain = noise(part.shape, rng)[..., :1] * rng.uniform(0.5, 5)
            part = np.asarray(np.clip(part + grain, 0, 255), np.uint8)
            steps.append("paper")
        share = rng.uniform(0.01, 0.1) if medium == "photo" else rng.uniform(0.02, 0.3)
        share = 0.0 if rng.random() < 0.35 else share
        margin = int(share * min(part.shape[:2]))
        colour = np.clip(rng.uniform(190, 250) + rng.normal(0, 4, 3), 0, 255)
        extra = int(margin * rng.uniform(0.3, 2)) if medium == "sheet" else margin
        part, box = _frame(part, box, (margin, extra, margin, margin), colour)
        return Plane(part, box, 0.0, steps)
    part = screen_tone(part, rng)
    steps.append("screen")
    want = aspect * part.shape[0]
    pad = int(want - part.shape[1])
    bars = rng.uniform(0, 30) + rng.normal(0, 2, 3)
    if pad > 2:
        part, box = _frame(part, box, (0, 0, pad // 2, pad - pad // 2), np.clip(bars, 0, 255))
    elif pad < -2:
        tall = int(part.shape[1] / aspect) - part.shape[0]
        part, box = _frame(part, box, (tall // 2, tall - tall // 2, 0, 0), np.clip(bars, 0, 255))
    if rng.random() < 0.35:
        part = _interface(part, rng)
        steps.append("interface")
    short = min(part.shape[:2])
    bezel = {"phone": (0.01, 0.08), "tablet": (0.03, 0.12), "monitor": (0.02, 0.07)}[medium]
    width = max(1, int(short * rng.uniform(*bezel)))
    ends = int(width * (rng.uniform(1, 4) if medium == "phone" else 1))
    dark = rng.random() < 0.8
    colour = np.clip((rng.uniform(0, 45) if dark else rng.uniform(150, 235)) + rng.normal(0, 4, 3), 0, 255)
    part, box = _frame(part, box, (ends, ends, width, width), colour)
    return Plane(part, box, width * float(rng.uniform(0, 3)), steps)
