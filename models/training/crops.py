"""The crops that the net and its teachers see, cut by `pipeline.vision.crop` itself."""

from __future__ import annotations

from typing import Final

import numpy as np

from pipeline.camera.frame import Image
from pipeline.vision.crop import CropKind, CropSpec, crop
from pipeline.vision.types import F32

#: Square of 1.5 times the longer box side, mirrored outside the picture: texture of the face. The product
#: shrinks it by halves, which is faster and errs alike (docs/pad-results/2026-11-24-own-net-lodo.md).
TIGHT: Final = CropSpec(96, CropKind.REFLECTED, 1.5)
#: Box times 3.5, shrunk and shifted to lie inside the picture: what surrounds the face, no made-up pixels.
CONTEXT: Final = CropSpec(96, CropKind.SHIFTED, 3.5)


def pair(image: Image, box: F32) -> tuple[Image, Image]:
    """The net's two inputs, tight and context, uint8 (96, 96, 3) BGR each."""
    return crop(image, box, TIGHT), crop(image, box, CONTEXT)


def jitter_box(box: F32, rng: np.random.Generator, shift: float = 0.2, scale: float = 0.15) -> F32:
    """Box moved by up to `shift` of its size on each axis and scaled by up to `scale` either way."""
    centre = (box[:2] + box[2:]) / 2
    size = box[2:] - box[:2]
    centre = centre + rng.uniform(-shift, shift, 2) * size
    size = size * rng.uniform(1 - scale, 1 + scale)
    return np.concatenate([centre - size / 2, centre + size / 2]).astype(np.float32)
