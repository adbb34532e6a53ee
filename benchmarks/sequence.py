"""Frames to time on: the rendered sequence of the demonstration at any size, or a clip, in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pipeline.camera.frame import Frame, Image
from pipeline.demo.scene import FPS, render_person, render_replay
from pipeline.nets import open_store

COUNT: Final = 48
"""Frames that are kept: at 1280x720 they fill 130 MB, far more than a cache, as frames of a camera would."""
_NOISE: Final = 1.5
"""Standard deviation in grey levels of the noise that is laid over a resized frame."""
CLIPS: Final = {".avi", ".mkv", ".mov", ".mp4", ".webm"}


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """Frames in memory, shown forwards and backwards without end.

    Attributes:
        images: uint8 (height, width, 3), BGR, each in memory of its own as a camera's are.
        rendered: True where this project drew them, False for a clip's.
    """

    images: tuple[Image, ...]
    rendered: bool

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.images[0].shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.images[0].shape[0])

    @property
    def name(self) -> str:
        """What they are, in a word."""
        return "rendered" if self.rendered else "clip"

    @property
    def size(self) -> str:
        """WIDTHxHEIGHT."""
        return f"{self.width}x{self.height}"

    def index(self, number: int) -> int:
        """Which frame call ``number`` sees: 0 1 2 ... n-1 n-2 ... 1 0 1, so no frame follows itself."""
        return bounce(number, len(self.images))

    def frame(self, number: int) -> Frame:
        """Frame ``number`` of the endless clip at `FPS`; its number stands in the first pixel.

        No camera gives one picture twice, and a picture that was judged is not judged again.
        """
        image = self.images[self.index(number)]
        image.setflags(write=True)
        image[0, 0] = number & 255, number >> 8 & 255, number >> 16 & 255
        return Frame(image, t=number / FPS, seq=number)


def bounce(number: int, count: int) -> int:
    """Position after ``number`` steps between 0 and ``count - 1``, turning at the ends."""
    period = max(2 * (count - 1), 1)
    place = number % period
    return min(place, period - place)


def parse_size(text: str) -> tuple[int, int]:
    """``WIDTHxHEIGHT`` to two numbers.

    Raises:
        ValueError: it is something else.
    """
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) >= 160 and int(height) >= 120):
        raise ValueError(f"a size is WIDTHxHEIGHT, 160x120 or more, not {text}")
    return int(width), int(height)


def portrait() -> Image:
    """The portrait that the demonstration uses: uint8 (512, 512, 3), BGR."""
    image = cv2.imread(str(open_store().path("sample_astronaut")), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("the sample picture can't be read; run `livegate models pull`")
    return np.asarray(image, dtype=np.uint8)


def rendered(
    size: tuple[int, int], *, seed: int = 0, replay: bool = False, count: int = COUNT
) -> Iterator[Image]:
    """The demonstration's person, or its replay off a telephone, at a size.

    The rendered 640x480 is scaled to the height, mirrored outwards or cut to the width, and gets the noise of
    a sensor again, which scaling smooths away.

    Yields:
        uint8 (height, width, 3), BGR.
    """
    rng = np.random.default_rng(seed)
    frames = (render_replay if replay else render_person)(portrait(), count, seed=seed)
    for frame in frames:
        yield _at_size(frame, size, rng)


def _at_size(frame: Image, size: tuple[int, int], rng: np.random.Generator) -> Image:
    width, height = size
    if frame.shape[:2] == (height, width):
        return frame
    scaled = cv2.resize(
        frame, (round(frame.shape[1] * height / frame.shape[0]), height), interpolation=cv2.INTER_CUBIC
    )
    missing = width - scaled.shape[1]
    if missing > 0:
        scaled = cv2.copyMakeBorder(
            scaled, 0, 0, missing // 2, missing - missing // 2, cv2.BORDER_REFLECT_101
        )
    else:
        left = -missing // 2
        scaled = scaled[:, left : left + width]
    noise = np.empty(scaled.shape, np.int16)
    cv2.setRNGSeed(int(rng.integers(2**31)))
    cv2.randn(noise, 0, _NOISE)
    return np.asarray(cv2.add(scaled, noise, dtype=cv2.CV_8U), dtype=np.uint8)


@cache
def rendered_sequence(size: tuple[int, int], *, seed: int = 0, count: int = COUNT) -> Sequence:
    """Rendered frames of the person."""
    return Sequence(tuple(rendered(size, seed=seed, count=count)), rendered=True)


def empty_sequence(size: tuple[int, int], *, seed: int = 0, count: int = COUNT) -> Sequence:
    """A scene with nobody in it that stands still: a soft random picture under the noise of a sensor."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(30, 220, (9, 16, 3)).astype(np.float32)
    scene = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    noise = np.empty(scene.shape, np.float32)
    cv2.setRNGSeed(int(rng.integers(2**31)))
    images = []
    for _ in range(count):
        cv2.randn(noise, 0, _NOISE)
        images.append(np.asarray(cv2.add(scene, noise, dtype=cv2.CV_8U), dtype=np.uint8))
    return Sequence(tuple(images), rendered=True)


def clip_sequence(path: Path, size: tuple[int, int]) -> Sequence:
    """The first `COUNT` frames of a clip, letterboxed to a size. They stay in memory.

    Raises:
        ValueError: it can't be read or has fewer than two frames.
    """
    capture = cv2.VideoCapture(str(path))
    images = []
    while len(images) < COUNT:
        done, image = capture.read()
        if not done:
            break
        images.append(letterbox(np.asarray(image, np.uint8), size))
    capture.release()
    if len(images) < 2:
        raise ValueError("the clip can't be read, or has fewer than two frames")
    return Sequence(tuple(images), rendered=False)


def letterbox(image: Image, size: tuple[int, int]) -> Image:
    """Scale a picture to fit into a size and fill the rest with black."""
    width, height = size
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    out = np.zeros((height, width, 3), np.uint8)
    x, y = (width - inner[0]) // 2, (height - inner[1]) // 2
    out[y : y + inner[1], x : x + inner[0]] = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    return out


def live_clips(data: Path) -> list[Path]:
    """Clips of live people in the labelled data, sorted; none where the folder is absent."""
    return sorted(p for p in (data / "video" / "faces" / "live").glob("*") if p.suffix in CLIPS)
