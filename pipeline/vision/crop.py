"""Crops that anti-spoof nets were trained on: a face box and its surroundings to a float32 batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.camera.frame import Image
from pipeline.errors import FrameError
from pipeline.vision.types import F32


class CropKind(StrEnum):
    """How the region is cut.

    Attributes:
        SHIFTED: the box scaled about its centre, shrunk and shifted to lie inside the picture, never padded
            (MiniFASNet, minivision Silent-Face-Anti-Spoofing).
        SQUARE_SHIFTED: first a square with the box's height as side, clipped to the picture, then as
            `SHIFTED` (fr_liveness).
        REFLECTED: a square of scale times the box's long side; what lies outside is mirrored (facenox).
        HALVED: the same square, halved while it is twice the net's size or more, then resized (livegate_pad).
            Every pixel counts, in a seventh of the time that `REFLECTED`'s mean over areas takes.
    """

    SHIFTED = "shifted"
    SQUARE_SHIFTED = "square_shifted"
    REFLECTED = "reflected"
    HALVED = "halved"


@dataclass(frozen=True, slots=True)
class CropSpec:
    """What a net wants to see.

    Attributes:
        size: side of the net's input in pixels.
        kind: how the region is cut.
        scale: region over box.
        rgb: True for RGB planes, False for BGR.
        divide: pixel values 0..255 are divided by this.
    """

    size: int
    kind: CropKind
    scale: float
    rgb: bool = False
    divide: float = 1.0


MAX_SIDES: Final = 4
"""A face box may be this many times as long as the picture's long side; more is no face but a way to fill
memory."""

MINIFASNET_V2: Final = CropSpec(80, CropKind.SHIFTED, 2.7)
MINIFASNET_V1SE: Final = CropSpec(80, CropKind.SHIFTED, 4.0)
FR_LIVENESS: Final = CropSpec(128, CropKind.SQUARE_SHIFTED, 2.7)
LIVEGATE_TIGHT: Final = CropSpec(96, CropKind.HALVED, 1.5)
LIVEGATE_CONTEXT: Final = CropSpec(96, CropKind.SHIFTED, 3.5)
FACENOX: Final = CropSpec(128, CropKind.REFLECTED, 1.5, rgb=True, divide=255.0)


def shifted_region(height: int, width: int, box: F32, scale: float) -> tuple[int, int, int, int]:
    """Region of a `CropKind.SHIFTED` crop.

    The arithmetic of the published pre-processing (minivision-ai/Silent-Face-Anti-Spoofing,
    ``src/generate_patches.py``), with its truncation towards zero and its inclusive end: the scale is limited
    so that the region is one pixel smaller than the picture at most, then the region is shifted inside.

    Args:
        height: of the picture in pixels.
        width: of the picture in pixels.
        box: float32 (4,), x1 y1 x2 y2 in pixels.
        scale: region over box.

    Returns:
        x1, y1, x2, y2 in pixels; the last column and row belong to the region.

    Raises:
        FrameError: the box has no area, is not finite or lies outside the picture altogether.
    """
    x1, y1, x2, y2 = _sides(height, width, box)
    w, h = x2 - x1, y2 - y1
    scale = min((height - 1) / h, (width - 1) / w, scale)
    left, right = _shift(w / 2 + x1, w * scale, width)
    top, bottom = _shift(h / 2 + y1, h * scale, height)
    return left, top, right, bottom


def _sides(height: int, width: int, box: F32) -> tuple[float, float, float, float]:
    """The sides of a box that can be cut; comparisons are such that what is not a number can't."""
    x1, y1, x2, y2 = (float(v) for v in box)
    longest = MAX_SIDES * max(height, width)
    if not (0 < x2 - x1 <= longest and 0 < y2 - y1 <= longest):
        raise FrameError(f"A face box must have an area, and at most {MAX_SIDES} times the picture's length.")
    if not (x2 > 0 and y2 > 0 and x1 < width and y1 < height):
        raise FrameError("A face box must touch the picture.")
    return x1, y1, x2, y2


def _shift(centre: float, length: float, limit: int) -> tuple[int, int]:
    """One axis of `shifted_region`: low and high pixel, both inside [0, limit - 1]."""
    low, high = centre - length / 2, centre + length / 2
    if low < 0:
        low, high = 0.0, high - low
    if high > limit - 1:
        low, high = low - (high - limit + 1), float(limit - 1)
    return max(int(low), 0), int(high)


def square_box(height: int, width: int, box: F32) -> F32:
    """Square with the box's height as side about its centre, clipped to the picture: float32 (4,).

    Raises:
        FrameError: the box can't be cut, or its square lies outside the picture.
    """
    x1, y1, x2, y2 = _sides(height, width, box)
    half, x, y = (y2 - y1) / 2, (x1 + x2) / 2, (y1 + y2) / 2
    return np.array(
        [max(0.0, x - half), max(0.0, y - half), min(width - 1.0, x + half), min(height - 1.0, y + half)],
        np.float32,
    )


def crop(image: Image, box: F32, spec: CropSpec) -> Image:
    """Cut and resize one region.

    Args:
        image: uint8 (height, width, 3), BGR.
        box: float32 (4,), x1 y1 x2 y2 in pixels.
        spec: what the net wants.

    Returns:
        uint8 (size, size, 3), BGR.

    Raises:
        FrameError: the box has no area or lies outside the picture.
    """
    height, width = image.shape[:2]
    if spec.kind is CropKind.REFLECTED:
        return _by_area(_mirrored_square(image, box, spec.scale), spec.size)
    if spec.kind is CropKind.HALVED:
        return _by_halves(_mirrored_square(image, box, spec.scale), spec.size)
    if spec.kind is CropKind.SQUARE_SHIFTED:
        box = square_box(height, width, box)
    x1, y1, x2, y2 = shifted_region(height, width, box, spec.scale)
    region = image[y1 : y2 + 1, x1 : x2 + 1]
    return np.asarray(cv2.resize(region, (spec.size, spec.size)), dtype=np.uint8)


def _mirrored_square(image: Image, box: F32, scale: float) -> Image:
    """Square about the box, mirrored where the picture ends; the edge pixel is not repeated."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = _sides(height, width, box)
    length = max(x2 - x1, y2 - y1) * scale
    x, y = int((x1 + x2) / 2 - length / 2), int((y1 + y2) / 2 - length / 2)
    return _mirrored_region(image, x, y, max(2, int(length)))


def _by_area(square: Image, size: int) -> Image:
    """Mean over areas where it shrinks, Lanczos where it grows."""
    how = cv2.INTER_AREA if square.shape[0] >= size else cv2.INTER_LANCZOS4
    return np.asarray(cv2.resize(square, (size, size), interpolation=how), dtype=np.uint8)


def _by_halves(square: Image, size: int) -> Image:
    """Means of 2x2 pixels while there are twice as many as wanted or more, then bilinear.

    An odd side loses its last row and column. Below a ratio of two a bilinear reading has a share of every
    pixel.
    """
    while (half := square.shape[0] // 2) >= size:
        even = square[: 2 * half, : 2 * half]
        square = np.asarray(cv2.resize(even, (half, half), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return np.asarray(cv2.resize(square, (size, size)), dtype=np.uint8)


def _mirrored_region(image: Image, x: int, y: int, side: int) -> Image:
    """Square of a picture from (x, y) on, mirrored where the picture ends."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
    inside = image[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
    border = (y1 - y, y + side - y2, x1 - x, x + side - x2)
    if not any(border):
        return inside
    if max(border[:2]) < inside.shape[0] and max(border[2:]) < inside.shape[1]:
        # What is mirrored lies in the part that is there: OpenCV copies it row by row.
        return np.asarray(cv2.copyMakeBorder(inside, *border, cv2.BORDER_REFLECT_101), dtype=np.uint8)
    rows = _mirror(np.arange(y, y + side), height)
    columns = _mirror(np.arange(x, x + side), width)
    return np.asarray(image[rows[:, None], columns], dtype=np.uint8)


def _mirror(index: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Indices reflected into [0, length), as OpenCV's BORDER_REFLECT_101 does, any number of times."""
    period = max(2 * (length - 1), 1)
    folded = np.abs(index) % period
    return np.asarray(np.where(folded < length, folded, period - folded))


def to_planes(image: Image, spec: CropSpec, out: F32) -> None:
    """Write a crop, uint8 (size, size, 3) BGR, into float32 (3, size, size) in the net's order and range."""
    planes = cv2.split(image)  # of bytes: three times as fast as striding through the floats
    for plane, channel in zip(reversed(planes) if spec.rgb else planes, out, strict=True):
        if spec.divide == 1:
            np.copyto(channel, plane)
        else:
            np.divide(plane, np.float32(spec.divide), out=channel)


def crop_batch(image: Image, boxes: Sequence[F32] | F32, spec: CropSpec, out: F32 | None = None) -> F32:
    """Crops of one picture for one net.

    Args:
        image: uint8 (height, width, 3), BGR.
        boxes: n boxes (4,), x1 y1 x2 y2 in pixels.
        spec: what the net wants.
        out: float32 (m, 3, size, size) with m >= n to write into; made anew when left out.

    Returns:
        float32 (n, 3, size, size): a view of ``out`` where it was given.

    Raises:
        FrameError: a box has no area or lies outside the picture.
    """
    batch = np.empty((len(boxes), 3, spec.size, spec.size), np.float32) if out is None else out[: len(boxes)]
    for box, planes in zip(boxes, batch, strict=True):
        to_planes(crop(image, box, spec), spec, planes)
    return batch
