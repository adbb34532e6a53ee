"""Controlled degradation of real pictures: light, noise, distance, blur and coding. Simulated, and called so.

Each kind is a pure function of a picture, a strength and a source of chance. Light is changed in linear
intensities (sRGB, IEC 61966-2-1) and coded to eight bits again, so that what is clipped or crushed is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.camera.frame import Image

Degrade = Callable[[Image, float, float, np.random.Generator], Image]
"""Picture, strength, face width in pixels, chance."""

_LEVELS: Final = np.arange(256) / 255.0
_LINEAR: Final = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of degradation.

    Attributes:
        title: for plots.
        unit: what a strength is.
        strengths: in the order of the plot; the picture as it is stands where ``at`` says.
        at: place of the untouched picture among them.
        apply: the function.
    """

    title: str
    unit: str
    strengths: tuple[float, ...]
    at: int
    apply: Degrade


def coded(linear: NDArray[np.float64]) -> Image:
    """Linear light in [0, 1] to eight bits."""
    x = np.clip(linear, 0.0, 1.0)
    srgb = np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.power(x, 1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * srgb), np.uint8)


def exposure(image: Image, stops: float, face: float, rng: np.random.Generator) -> Image:
    """As if exposed by so many stops more (above 0) or less, without more noise."""
    return np.asarray(cv2.LUT(image, coded(_LINEAR * 2.0**stops)), np.uint8)


def low_light(image: Image, stops: float, face: float, rng: np.random.Generator) -> Image:
    """So many stops less light on the sensor, gained up to the same brightness.

    Shot noise of `FULL_WELL` electrons for white at 0 stops and `READ_NOISE` electrons of read noise: the
    order of a small webcam sensor, ours and no measurement.
    """
    well = FULL_WELL * 2.0**stops
    linear = _LINEAR.astype(np.float32)[image]
    sigma = np.sqrt(linear / np.float32(well) + np.float32((READ_NOISE / well) ** 2))
    noisy = linear + sigma * rng.standard_normal(image.shape, dtype=np.float32)
    index = np.clip(noisy * 4095, 0, 4095).astype(np.int32)
    return np.asarray(coded(np.arange(4096) / 4095.0)[index], np.uint8)


FULL_WELL: Final = 4000.0
READ_NOISE: Final = 5.0


def gamma(image: Image, power: float, face: float, rng: np.random.Generator) -> Image:
    """Another tone curve: levels to the power; above 1 is darker in the middle."""
    return np.asarray(cv2.LUT(image, np.rint(255 * _LEVELS**power).astype(np.uint8)), np.uint8)


def side_light(image: Image, ratio: float, face: float, rng: np.random.Generator) -> Image:
    """Light that falls by the ratio from left to right of the picture, the middle untouched."""
    stops = np.linspace(0.5, -0.5, image.shape[1]) * np.log2(ratio)
    linear = _LINEAR[image] * (2.0**stops)[None, :, None]
    index = np.clip(linear * 4095, 0, 4095).astype(np.int32)
    return np.asarray(coded(np.arange(4096) / 4095.0)[index], np.uint8)


def distance(image: Image, times: float, face: float, rng: np.random.Generator) -> Image:
    """So many times as far: the whole picture smaller by area means, as the sensor would see it."""
    height, width = image.shape[:2]
    size = (max(1, round(width / times)), max(1, round(height / times)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def blur(image: Image, share: float, face: float, rng: np.random.Generator) -> Image:
    """Out of focus: a Gaussian whose sigma is so many percent of the face's width."""
    sigma = share / 100 * face
    return image if sigma <= 0 else np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def jpeg(image: Image, quality: float, face: float, rng: np.random.Generator) -> Image:
    """Coded once more as JPEG of this quality; 100 and above leaves it alone."""
    if quality >= 100:
        return image
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    if not done:
        raise ValueError("a picture could not be coded")
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


KINDS: Final[Mapping[str, Kind]] = {
    "exposure": Kind("exposure", "stops", (-4, -3, -2, -1, 0, 1, 2), 4, exposure),
    "low_light": Kind("less light, gained up: noise", "stops", (-6, -4.5, -3, -1.5, 0), 4, low_light),
    "gamma": Kind("tone curve", "power", (0.5, 0.7, 1, 1.5, 2.2), 2, gamma),
    "side_light": Kind("light from one side", "ratio across the picture", (1, 2, 4, 8, 16), 0, side_light),
    "distance": Kind("distance", "times as far", (1, 1.5, 2, 3, 4), 0, distance),
    "blur": Kind("blur", "sigma, % of the face's width", (0, 0.5, 1, 2, 4), 0, blur),
    "jpeg": Kind("JPEG once more", "quality", (100, 80, 60, 40, 20, 10), 0, jpeg),
}
"""Kinds by name."""


def apply(name: str, image: Image, strength: float, face: float, rng: np.random.Generator) -> Image:
    """A picture under one kind at one strength; at the kind's own zero it is the picture itself.

    Args:
        name: a key of `KINDS`.
        image: uint8 (height, width, 3), BGR.
        strength: one of the kind's.
        face: width of the face in the untouched picture, pixels.
        rng: of noise.
    """
    kind = KINDS[name]
    return image if strength == kind.strengths[kind.at] else kind.apply(image, strength, face, rng)
