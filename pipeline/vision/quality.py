"""Measures of the judged face, and what they must be before a frame is used."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final

import cv2
import numpy as np

from pipeline.camera.frame import Image
from pipeline.errors import SettingsError
from pipeline.reasons import Reason
from pipeline.vision.align import similarity, template
from pipeline.vision.noise import noise
from pipeline.vision.occlusion import occlusion
from pipeline.vision.types import F32, Face, Quality, View

PATCH: Final = 112
"""Side in pixels of the aligned face that every measure of light and sharpness is taken on."""
INNER: Final = slice(16, 96)
"""Rows and columns of the patch that hold the face without its background."""
CLIPPED: Final = 250
"""Grey level from which a pixel counts as clipped."""
EYES: Final = np.array([[33, 160, 158, 133, 153, 144], [362, 385, 387, 263, 373, 380]])
"""Six points of each eye in the order of Soukupova and Cech: corner, two upper, corner, two lower."""
_EYE_STARTS: Final = EYES[:, [1, 2, 0]]
_EYE_ENDS: Final = EYES[:, [5, 4, 3]]
_TEMPLATE: Final = template(PATCH)


def measure(image: Image, face: Face, faces: int, *, known_noise: float | None = None) -> Quality:
    """Measure one face, on its aligned patch wherever pixels count, so that the picture's size costs nothing.

    Args:
        image: uint8 (height, width, 3), BGR.
        face: the face in it.
        faces: number of faces counted in it.
        known_noise: the noise measured lately, which is the light's and the sensor's and changes slowly, so
            that it is not measured again: it is two fifths of this function's time.

    Returns:
        The measures, each as `Quality` tells.
    """
    height, width = image.shape[:2]
    x1, y1, x2, y2 = face.box.tolist()
    matrix = similarity(face.five, _TEMPLATE)
    patch = cv2.warpAffine(image, matrix, (PATCH, PATCH), flags=cv2.INTER_LINEAR)
    ycrcb = np.asarray(cv2.cvtColor(patch, cv2.COLOR_BGR2YCrCb), dtype=np.uint8)
    points = (face.landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    luma = np.ascontiguousarray(ycrcb[INNER, INNER, 0])
    mean, spread = cv2.meanStdDev(luma)
    rows = cv2.meanStdDev(cv2.Sobel(luma, cv2.CV_16S, 2, 0, ksize=1))[1]
    columns = cv2.meanStdDev(cv2.Sobel(luma, cv2.CV_16S, 0, 2, ksize=1))[1]
    bright = cv2.countNonZero(cv2.threshold(luma, CLIPPED - 1, 255, cv2.THRESH_BINARY)[1])
    seen = max(0.0, min(x2, width) - max(x1, 0.0)) * max(0.0, min(y2, height) - max(y1, 0.0))
    return Quality(
        faces=faces,
        face_size=min(x2 - x1, y2 - y1),
        face_share=(y2 - y1) / height,
        centre_offset=math.hypot(x1 + x2 - width, y1 + y2 - height) / math.hypot(width, height),
        yaw=face.pose.yaw,
        pitch=face.pose.pitch,
        roll=face.pose.roll,
        sharpness=2 * min(float(rows[0, 0]), float(columns[0, 0])) ** 2,
        brightness=float(mean[0, 0]),
        contrast=float(spread[0, 0]),
        clipped=bright / luma.size,
        eyes_open=eyes_open(face.landmarks),
        occlusion=occlusion(ycrcb, points),
        inside=seen / max((x2 - x1) * (y2 - y1), 1e-6),
        noise=noise(image, face.box) if known_noise is None else known_noise,
    )


def eyes_open(landmarks: F32) -> float:
    """Smaller eye aspect ratio of both eyes of a mesh (n, 2 or 3), about 0.3 when open.

    Source: Soukupova and Cech, Real-time eye blink detection using facial landmarks, 2016.
    """
    lines = landmarks[_EYE_STARTS, :2] - landmarks[_EYE_ENDS, :2]
    lengths = np.hypot(lines[..., 0], lines[..., 1])
    return float(((lengths[:, 0] + lengths[:, 1]) / (2 * np.maximum(lengths[:, 2], 1e-6))).min())


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """What a face must be before its frame is judged.

    "Measured" limits lie outside 99 % or more of one half of the people of the live pictures; what they do to
    the other half is printed by ``python -m benchmarks.quality_gate ../shared/data``. "Chosen" limits are
    policy.

    Attributes:
        min_face_size: pixels of the box's shorter side. Chosen: below it the nets' inputs are mostly
            interpolation; the smallest live face measured has 64.
        min_face_share: box height over frame height. Chosen: the short-range detector loses smaller faces.
        max_face_share: the same. Chosen: above it there is no surrounding left for a liveness net.
        min_inside: share of the box inside the frame, in [0, 1]. Measured.
        max_centre_offset: shares of half the frame's diagonal. Measured.
        max_yaw: degrees to either side. Chosen: 5 to 8 % of live press and access-camera pictures are turned
            or tilted beyond max_yaw or max_pitch.
        max_pitch: degrees up or down. Chosen, as max_yaw.
        max_roll: degrees to either side. Measured.
        min_brightness: mean luma of the face, 0..255. Measured: the darkest live face has 37. A daylight face
            gets there by 4 to 5 stops less light.
        max_brightness: the same. Measured: the brightest live face has 218.
        max_clipped: share of face pixels at 250 or above. Measured: all but one sunlit webcam face are below.
        min_contrast: standard deviation of the face's luma, grey levels. Measured.
        min_sharpness: squared grey levels, see `Quality`. Measured: 0.5 % lie below. Blur with a sigma of 3 %
            of the face's side falls below always, one of 2 % or a smear of 15 % in 8 of 10 pictures.
        min_eyes_open: eye aspect ratio. Measured. The 468-point mesh draws closed eyes half open, so this
            stops few of them; with the 478-point mesh a blink goes down to 0.05.
        max_occlusion: chance of a covered mouth or covered eyes, in [0, 1]. The models' even point.
        max_noise: grey levels. Chosen on one half of the people, a seventh below the least noise at 3 stops
            less light, gained up; no live picture there has a third of it. What it does to the other
            half is printed by ``python -m benchmarks.noise_limit ../shared/data``.

    Raises:
        SettingsError: a limit is not a finite number, or is below zero.
    """

    min_face_size: float = 64.0
    min_face_share: float = 0.12
    max_face_share: float = 0.95
    min_inside: float = 0.8
    max_centre_offset: float = 0.55
    max_yaw: float = 30.0
    max_pitch: float = 25.0
    max_roll: float = 30.0
    min_brightness: float = 35.0
    max_brightness: float = 225.0
    max_clipped: float = 0.5
    min_contrast: float = 12.0
    min_sharpness: float = 18.0
    min_eyes_open: float = 0.15
    max_occlusion: float = 0.5
    max_noise: float = 2.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value) or value < 0:
                raise SettingsError(f"quality limit {field.name} must be a finite number of 0 or more")


DEFAULT_LIMITS: Final = QualityLimits()


def problems(view: View, limits: QualityLimits = DEFAULT_LIMITS) -> tuple[Reason, ...]:
    """Everything that is wrong with a view, the most important first; empty when nothing is.

    A measure that is not a number fails its limit.
    """
    found = []
    if view.faces > 1:
        found.append(Reason.SEVERAL_FACES)
    if view.face is None or view.quality is None:
        found.append(Reason.NO_FACE)
        return tuple(found)
    found += [reason for good, reason in _checks(view.quality, limits) if not good and reason not in found]
    return tuple(dict.fromkeys(found))


def first_problem(view: View, limits: QualityLimits = DEFAULT_LIMITS) -> Reason | None:
    """The most important thing that is wrong with a view, or None."""
    if view.faces > 1:
        return Reason.SEVERAL_FACES
    if view.face is None or view.quality is None:
        return Reason.NO_FACE
    return next((reason for good, reason in _checks(view.quality, limits) if not good), None)


def _checks(q: Quality, limits: QualityLimits) -> Iterator[tuple[bool, Reason]]:
    yield q.faces <= 1, Reason.SEVERAL_FACES
    yield q.face_size >= limits.min_face_size, Reason.TOO_FAR
    yield q.face_share >= limits.min_face_share, Reason.TOO_FAR
    yield q.face_share <= limits.max_face_share, Reason.TOO_NEAR
    yield q.inside >= limits.min_inside, Reason.OFF_CENTRE
    yield q.centre_offset <= limits.max_centre_offset, Reason.OFF_CENTRE
    yield q.brightness >= limits.min_brightness, Reason.TOO_DARK
    yield q.brightness <= limits.max_brightness, Reason.TOO_BRIGHT
    yield q.clipped <= limits.max_clipped, Reason.TOO_BRIGHT
    yield q.noise <= limits.max_noise, Reason.TOO_DARK  # noise is what is left of too little light
    yield abs(q.yaw) <= limits.max_yaw, Reason.LOOK_STRAIGHT
    yield abs(q.pitch) <= limits.max_pitch, Reason.LOOK_STRAIGHT
    yield abs(q.roll) <= limits.max_roll, Reason.LOOK_STRAIGHT
    yield q.occlusion <= limits.max_occlusion, Reason.FACE_COVERED
    yield q.eyes_open >= limits.min_eyes_open, Reason.EYES_CLOSED
    yield q.sharpness >= limits.min_sharpness, Reason.BLURRED
    yield q.contrast >= limits.min_contrast, Reason.LOW_CONTRAST
