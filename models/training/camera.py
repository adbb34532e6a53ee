"""Camera side of a picture: what every capture goes through, live or recaptured alike.

Both classes pass through the same steps with the same distribution; were only the attacks blurred, noisy or
compressed, a net would learn quality in place of recapture.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from pipeline.camera.frame import Image
from pipeline.vision.types import F32


@functools.cache
def _noise_bank() -> F32:
    """Standard normal noise (1024, 1024, 3), cut at random offsets: drawing it anew costs 10 ms a frame."""
    return np.random.default_rng(20240611).standard_normal((1024, 1024, 3), np.float32)


def noise(shape: tuple[int, ...], rng: np.random.Generator) -> F32:
    """Standard normal field (H, W, 3) out of the bank, tiled where larger."""
    height, width = shape[:2]
    bank = _noise_bank()
    top, left = rng.integers(0, 1024, 2)
    rows = (np.arange(height) + top) % 1024
    cols = (np.arange(width) + left) % 1024
    field = bank[rows[:, None], cols[None]]
    return np.asarray(field[::-1] if rng.random() < 0.5 else field, np.float32)


def tone(image: Image, rng: np.random.Generator, strength: float = 1.0) -> Image:
    """Exposure, contrast, gamma and white balance as one look-up table per channel."""
    x = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    gain = np.exp(rng.normal(0, 0.16 * strength)) * np.exp(rng.normal(0, 0.07 * strength, 3))
    gamma = np.exp(rng.normal(0, 0.18 * strength))
    pivot, contrast = rng.uniform(0.3, 0.6), np.exp(rng.normal(0, 0.13 * strength))
    lifted = (x * gain) ** gamma
    table = np.clip(pivot + (lifted - pivot) * contrast + rng.normal(0, 0.02 * strength), 0, 1)
    lut = np.round(table * 255).astype(np.uint8)
    out = cv2.LUT(image, np.ascontiguousarray(lut[:, None, :]))
    if rng.random() < 0.3 * strength:
        grey = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        share = float(rng.uniform(0, 0.5))
        out = cv2.addWeighted(out, 1 - share, grey, share, 0)
    return np.asarray(out, np.uint8)


def defocus(image: Image, sigma: float) -> Image:
    """Lens blur: three box filters of the same variance stand for the disc."""
    if sigma < 0.3:
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def motion(image: Image, length: float, angle: float) -> Image:
    """Motion blur along a line of `length` pixels at `angle` radians."""
    size = int(length) | 1
    if size < 3:
        return image
    kernel = np.zeros((size, size), np.float32)
    mid = size // 2
    dx, dy = np.cos(angle) * mid, np.sin(angle) * mid
    cv2.line(kernel, (round(mid - dx), round(mid - dy)), (round(mid + dx), round(mid + dy)), 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def rescale(image: Image, factor: float, rng: np.random.Generator) -> Image:
    """Down by `factor` < 1 and up again, as a low-resolution sensor or a digital zoom does."""
    height, width = image.shape[:2]
    small = cv2.resize(
        image,
        (max(16, round(width * factor)), max(16, round(height * factor))),
        interpolation=int(rng.choice([cv2.INTER_AREA, cv2.INTER_LINEAR])),
    )
    up = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    return np.asarray(cv2.resize(small, (width, height), interpolation=up), np.uint8)


def sensor_noise(image: Image, rng: np.random.Generator, level: float) -> Image:
    """Poisson-Gauss noise: variance a*I + b in grey levels, sometimes smeared as a denoiser leaves it."""
    field = noise(image.shape, rng)
    if rng.random() < 0.5:
        field = cv2.GaussianBlur(field, (0, 0), float(rng.uniform(0.5, 1.2))) * 1.8
    if rng.random() < 0.4:
        field = np.repeat(field.mean(2, keepdims=True) * 1.6, 3, axis=2)
    values = image.astype(np.float32)
    shot = rng.uniform(0.2, 1.0)
    sigma = level * np.sqrt(shot * values / 128 + (1 - shot))
    return np.asarray(np.clip(values + sigma * field, 0, 255), np.uint8)


def sharpen(image: Image, amount: float, sigma: float) -> Image:
    """Unsharp mask, as webcams do on board."""
    blurred = cv2.GaussianBlur(image, (0, 0), sigma)
    return np.asarray(cv2.addWeighted(image, 1 + amount, blurred, -amount, 0), np.uint8)


def jpeg(image: Image, quality: int) -> Image:
    """One JPEG round trip."""
    _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)


def capture(image: Image, rng: np.random.Generator, strength: float = 1.0, unit: float = 1.0) -> Image:
    """One camera's way with a scene.

    Args:
        image: uint8 (H, W, 3) BGR, the scene.
        rng: all chance comes from here.
        strength: scales how often and how hard each step strikes; 0 leaves the picture alone.
        unit: size of a blur pixel, so that blur is measured against the face and not against the frame:
            face box side in pixels over 150.

    Returns:
        uint8 (H, W, 3) BGR.
    """
    if strength <= 0:
        return image
    image = tone(image, rng, strength)
    if rng.random() < 0.35 * strength:
        image = rescale(image, float(np.clip(rng.uniform(0.3, 0.9) / max(unit, 0.5), 0.2, 1.0)), rng)
    pick = rng.random()
    if pick < 0.35 * strength:
        image = defocus(image, float(rng.gamma(2.0, 0.75)) * unit)
    elif pick < 0.5 * strength:
        image = motion(image, float(rng.uniform(3, 14)) * unit, float(rng.uniform(0, np.pi)))
    if rng.random() < 0.2 * strength:
        image = vignette(image, float(rng.uniform(0.1, 0.5)))
    if rng.random() < 0.5 * strength:
        image = sensor_noise(image, rng, float(rng.gamma(2.0, 2.2)))
    if rng.random() < 0.25 * strength:
        image = sharpen(image, float(rng.uniform(0.3, 1.5)), float(rng.uniform(0.7, 1.6)))
    for chance in (0.7, 0.25):
        if rng.random() < chance * strength:
            image = jpeg(image, int(rng.integers(35, 96)))
    return image


def vignette(image: Image, amount: float) -> Image:
    """Corners darker by `amount`, with the square of the distance from the centre."""
    height, width = image.shape[:2]
    yy = ((np.arange(height) / height - 0.5) ** 2)[:, None]
    xx = ((np.arange(width) / width - 0.5) ** 2)[None]
    mask = (1 - amount * 2 * (yy + xx)).astype(np.float32)[..., None]
    return np.asarray(image * mask, np.uint8)
