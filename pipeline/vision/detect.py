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

from pipeline.camera.frame import Image
from pipeline.nets.session import make_session
from pipeline.vision.boxes import area, iou_one_to_many
from pipeline.vision.image import check_image
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
    """

    def __init__(
        self, path: Path, *, min_score: float = 0.5, max_overlap: float = 0.3, threads: int = 1
    ) -> None:
        self._session = make_session(path, threads=threads)
        self._input: str = self._session.get_inputs()[0].name
        outputs = {o.shape[-1]: o.name for o in self._session.get_outputs()}
        self._outputs: list[str] = [outputs[16], outputs[1]]
        self._min_logit = math.log(min_score / (1 - min_score))
        self._max_overlap = max_overlap
        self._anchors = anchors()
        self._small = np.empty((SIZE, SIZE, 3), np.uint8)
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
        height, width = image.shape[:2]
        side = float(max(height, width))
        left, top = (width - side) / 2, (height - side) / 2
        self._fill(image, SIZE / side, left, top)
        raw, logits = self._session.run(self._outputs, {self._input: self._blob})
        logits = logits.reshape(-1)
        kept = np.flatnonzero(logits >= self._min_logit)
        if kept.size == 0:
            return []
        points = decode(raw.reshape(-1, 16)[kept], self._anchors[kept])
        points = points * np.float32(side) + np.array([left, top], np.float32)
        scores = 1 / (1 + np.exp(-np.clip(logits[kept], -100, 100)))
        found = weighted_nms(points, scores, self._max_overlap)
        return sorted(found, key=lambda d: area(d.box), reverse=True)

    def _fill(self, image: Image, scale: float, left: float, top: float) -> None:
        """Letterbox the picture into the net's input; pixel corners are mapped, as MediaPipe does."""
        matrix = np.array([[scale, 0, -scale * left], [0, scale, -scale * top]], np.float64)
        cv2.warpAffine(
            image,
            matrix,
            (SIZE, SIZE),
            dst=self._small,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
        )
        rgb = self._small.transpose(2, 0, 1)[::-1]
        np.multiply(rgb, np.float32(1 / 127.5), out=self._blob[0])
        np.subtract(self._blob, np.float32(1), out=self._blob)


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
