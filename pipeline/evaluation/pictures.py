"""Small pictures for the gallery of a report, as data URLs."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pipeline.camera import Image, open_source
from pipeline.errors import SourceError

SIDE: Final = 240
"""Pixels of the longer side: two to a row on a telephone, at about 10 KB each."""
QUALITY: Final = 82
MAX_FRAMES: Final = 3000
"""Frames of a video that are looked at for its middle one."""
_KEPT: Final = 32


def data_url(path: Path) -> str | None:
    """A JPEG of at most `SIDE` pixels; of a video or a folder its middle frame. None where there is none."""
    image = middle_frame(path)
    if image is None:
        return None
    done, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii") if done else None


def middle_frame(path: Path) -> Image | None:
    """The picture, or the middle frame of a video or a folder, scaled down.

    Containers state their length wrongly often enough, so the frames are counted: of those seen so far at
    most `_KEPT` evenly spaced ones are held.
    """
    if not (path.is_file() or path.is_dir()):
        return None
    kept: list[Image] = []
    stride = 1
    try:
        with open_source(path) as source:
            for number, frame in enumerate(source):
                if number >= MAX_FRAMES:
                    break
                if number % stride:
                    continue
                if len(kept) == _KEPT:
                    kept, stride = kept[::2], stride * 2
                    if number % stride:
                        continue
                kept.append(_small(frame.image))
    except SourceError:
        pass
    return kept[(len(kept) - 1) // 2] if kept else None


def _small(image: Image) -> Image:
    scale = SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
