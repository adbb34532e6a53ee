"""BlazeFace, short range: pictures to face boxes with six key points.

The arithmetic follows MediaPipe 0.10.21 (Apache-2.0), module ``face_detection_short_range``: whole picture in
a square letterbox, 896 fixed anchors, sigmoid scores, weighted non-maximum suppression.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.camera.frame import Image
from pipeline.nets.session import make_session
from pipeline.vision.boxes import area, iou_one_to_many
from pipeline.vision.image import MAX_SIDE, check_image
from pipeline.vision.types import F32, Detection

SIZE: Final = 128
"""Side of the net's input in pixels."""
ANCHORS_PER_CELL: Final = ((8, 2), (16, 6))
"""(stride in pixels, anchors at each cell); three layers of stride 16 with two anchors each count as six."""


class Detector(Protocol):
    """Anything that finds faces in a picture."""

    def detect(self, image: Image) -> list[Detection]:
        """All faces, the largest box first; uint8 (height, width, 3), BGR."""
        ...


class BlazeFaceDetector:
    """MediaPipe's short-range face detector on onnxruntime. Not safe to share between threads.

    Good for faces from about a sixth of the picture's long side upwards; smaller ones are missed.

    Args:
        path: ONNX file, input float32 (1, 3, 128, 128), RGB in [-1, 1].
        min_score: least confidence of a detection in (0, 1); 0.5 is MediaPipe's.
        max_overlap: boxes above this intersection over union are one face; 0.3 is MediaPipe's.
        threads: onnxruntime threads; more than one is slower for a net this small.
        provider: see `make_session`.
    """

    def __init__(
        self,
        path: Path,
        *,
        min_score: float = 0.5,
        max_overlap: float = 0.3,
        threads: int = 1,
        provider: str = "cpu",
    ) -> None:
        self._session = make_session(path, threads=threads, provider=provider)
        self._input: str = self._session.get_inputs()[0].name
        outputs = {o.shape[-1]: o.name for o in self._session.get_outputs()}
        self._outputs: list[str] = [outputs[16], outputs[1]]
        self._min_logit = math.log(min_score / (1 - min_score))
        self._max_overlap = max_overlap
        self._anchors = anchors()
        self._small = np.zeros((SIZE, SIZE, 3), np.uint8)
        self._planes = [np.empty((SIZE, SIZE), np.uint8) for _ in range(3)]
        self._shape: tuple[int, ...] = ()
        self._view, self._maps = letterbox(self._small, SIZE, SIZE)
        self._blob = np.empty((1, 3, SIZE, SIZE), np.float32)

    def detect(self, image: Image) -> list[Detection]:
        """Find faces.

        Args:
            image: uint8 (height, width, 3), BGR.

        Returns:
            Detections in pixels of the picture, the largest box first. Boxes may reach outside.

        Raises:
            FrameError: the array is not a BGR picture.
        """
        image = check_image(image)
        side = self._fill(image)
        raw, logits = self._session.run(self._outputs, {self._input: self._blob})
        logits = logits.reshape(-1)
        kept = np.flatnonzero(logits >= self._min_logit)
        if kept.size == 0:
            return []
        points = decode(raw.reshape(-1, 16)[kept], self._anchors[kept]) * np.float32(side)
        points -= (side - np.array(image.shape[1::-1], np.float32)) / 2
        scores = 1 / (1 + np.exp(-np.clip(logits[kept], -100, 100)))
        found = weighted_nms(points, scores, self._max_overlap)
        return sorted(found, key=lambda d: area(d.box), reverse=True)

    def _fill(self, image: Image) -> float:
        """Letterbox the picture into the net's input; the side of the letterbox in pixels of the picture.

        Pixels are sampled where MediaPipe samples them, at every k-th from the first: a shift of half a pixel
        of the input already moves BlazeFace's boxes. The bars stay black, the map is kept for the next frame.
        """
        if image.shape != self._shape:
            self._shape = image.shape
            self._small[:] = 0
            self._view, self._maps = letterbox(self._small, image.shape[0], image.shape[1])
        cv2.remap(image, *self._maps, cv2.INTER_LINEAR, dst=self._view, borderMode=cv2.BORDER_CONSTANT)
        cv2.split(self._small, self._planes)
        for plane, channel in zip(reversed(self._planes), self._blob[0], strict=True):
            np.multiply(plane, np.float32(1 / 127.5), out=channel)
        np.subtract(self._blob, np.float32(1), out=self._blob)
        return float(max(image.shape[:2]))


class BorderedDetector:
    """A detector that tries again with a grey border where it finds nothing, for faces that fill the picture.

    On tight crops of 150 press pictures (the detector's own box) it finds all faces, without the border 97 %.

    Args:
        detector: the detector to ask, once or twice.
        border: width of the border in shares of the picture's long side.
    """

    def __init__(self, detector: Detector, border: float = 0.25) -> None:
        self._detector = detector
        self._border = border

    def detect(self, image: Image) -> list[Detection]:
        """All faces, the largest box first, in pixels of the picture without its border."""
        found = self._detector.detect(image)
        width = round(self._border * max(image.shape[:2]))
        if found or max(image.shape[:2]) + 2 * width > MAX_SIDE:
            return found
        wide = cv2.copyMakeBorder(
            image, width, width, width, width, cv2.BORDER_CONSTANT, value=(127, 127, 127)
        )
        again = self._detector.detect(np.asarray(wide, np.uint8))
        return [Detection(d.box - np.float32(width), d.score, d.keypoints - np.float32(width)) for d in again]


Maps = tuple[NDArray[np.int16], NDArray[np.uint16]]
"""OpenCV's fixed-point maps for ``cv2.remap``."""


def letterbox(canvas: Image, height: int, width: int) -> tuple[Image, Maps]:
    """The part of a square canvas that a picture fills, as a view, and the map from there to the picture."""
    side = max(height, width)
    step = side / len(canvas)
    x, y = (np.arange(len(canvas)) * step - (side - length) / 2 for length in (width, height))
    columns, rows = (np.flatnonzero((at > -1) & (at < length)) for at, length in ((x, width), (y, height)))
    map_x, map_y = np.meshgrid(x[columns].astype(np.float32), y[rows].astype(np.float32))
    view = canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    whole, part = cv2.convertMaps(map_x, map_y, cv2.CV_16SC2)
    return view, (np.asarray(whole, np.int16), np.asarray(part, np.uint16))


def anchors() -> F32:
    """Centres of the 896 anchors in [0, 1]: float32 (896, 2), x then y."""
    layers = []
    for stride, count in ANCHORS_PER_CELL:
        centre = (np.arange(SIZE // stride, dtype=np.float32) + 0.5) * (stride / SIZE)
        y, x = np.meshgrid(centre, centre, indexing="ij")
        layers.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), count, axis=0))
    return np.concatenate(layers).astype(np.float32)


def decode(raw: F32, centres: F32) -> F32:
    """Box regressions to points.

    Args:
        raw: float32 (n, 16): centre x y, width, height, then six key points x y, in pixels of the net's input
            and all but the size relative to the anchor.
        centres: float32 (n, 2), anchors in [0, 1].

    Returns:
        float32 (n, 8, 2) in [0, 1] of the letterbox: upper left corner, lower right corner, six key points.
    """
    points = raw.reshape(-1, 8, 2) / np.float32(SIZE)
    half = points[:, 1] / 2
    points[:, 2:] += centres[:, None]
    middle = points[:, 0] + centres
    points[:, 0] = middle - half
    points[:, 1] = middle + half
    return points


def weighted_nms(points: F32, scores: F32, max_overlap: float) -> list[Detection]:
    """Merge overlapping candidates, each into the score-weighted mean of its group.

    Args:
        points: float32 (n, 8, 2), as `decode` gives them.
        scores: float32 (n,) in [0, 1].
        max_overlap: candidates whose intersection over union with the group's best exceeds this join it.

    Returns:
        One detection per group, with the score of its best candidate, best first.
    """
    boxes = points[:, :2].reshape(-1, 4)
    left = np.argsort(-scores, kind="stable")
    found = []
    while left.size:
        best = left[0]
        joins = iou_one_to_many(boxes[best], boxes[left]) > max_overlap
        joins[0] = True
        group = left[joins]
        left = left[~joins]
        weight = scores[group] / scores[group].sum()
        mean = np.tensordot(weight, points[group], axes=1).astype(np.float32)
        found.append(Detection(box=mean[:2].reshape(4), score=float(scores[best]), keypoints=mean[2:]))
    return found
