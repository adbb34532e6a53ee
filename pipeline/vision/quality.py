"""Measures of the judged face and what they must be before a frame is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from pipeline.camera.frame import Image
from pipeline.reasons import Reason
from pipeline.vision.align import align
from pipeline.vision.types import F32, Face, Quality

PATCH: Final = 112
"""Side in pixels of the aligned face that every measure of light and sharpness is taken on."""
EYES: Final = np.array([[33, 160, 158, 133, 153, 144], [362, 385, 387, 263, 373, 380]])
"""Six points of each eye in the order of Soukupova and Cech: corner, two upper, corner, two lower."""


def measure(image: Image, face: Face, faces: int) -> Quality:
    """Measure one face.

    Args:
        image: uint8 (height, width, 3), BGR.
        face: the face in it.
        faces: number of faces counted in it.

    Returns:
        The measures, each as `Quality` tells.
    """
    height, width = image.shape[:2]
    x1, y1, x2, y2 = face.box.tolist()
    patch = align(image, face.five, PATCH)
    grey = cv2.cvtColor(patch, cv2.COLOR_BGR2GRAY)
    inner = grey[16:96, 16:96]
    mean, std = (float(v[0, 0]) for v in cv2.meanStdDev(inner))
    sharp = float(cv2.meanStdDev(cv2.Laplacian(inner, cv2.CV_16S))[1][0, 0]) ** 2
    offset = np.hypot((x1 + x2 - width) / 2, (y1 + y2 - height) / 2) / (np.hypot(width, height) / 2)
    return Quality(
        faces=faces,
        face_size=min(x2 - x1, y2 - y1),
        face_share=(y2 - y1) / height,
        centre_offset=float(offset),
        yaw=face.pose.yaw,
        pitch=face.pose.pitch,
        roll=face.pose.roll,
        sharpness=sharp,
        brightness=mean,
        contrast=std,
        clipped=float((inner >= 250).mean()),
        eyes_open=eyes_open(face.landmarks),
        occlusion=0.0,
    )


def eyes_open(landmarks: F32) -> float:
    """Smaller eye aspect ratio of both eyes of a mesh (n, 2 or 3), about 0.3 when open.

    Source: Soukupova and Cech, Real-time eye blink detection using facial landmarks, 2016.
    """
    p = landmarks[EYES, :2]
    d = np.linalg.norm(p[:, [1, 2, 0]] - p[:, [5, 4, 3]], axis=2)
    return float(((d[:, 0] + d[:, 1]) / (2 * np.maximum(d[:, 2], 1e-6))).min())


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """What a face must be before a frame is judged; see `Quality` for the units.

    Attributes:
        min_size: pixels; below it is too far.
        max_share: of the frame's height; above it is too near.
        max_offset: from the frame's centre; above it is off centre.
        max_yaw, max_pitch, max_roll: degrees either way.
        min_brightness, max_brightness: mean luma.
        max_clipped: share of saturated pixels.
        min_contrast: grey levels.
        min_sharpness: squared grey levels.
        min_eyes_open: eye aspect ratio.
        max_occlusion: 0 to 1.
    """

    min_size: float = 64.0
    max_share: float = 0.95
    max_offset: float = 0.75
    max_yaw: float = 30.0
    max_pitch: float = 25.0
    max_roll: float = 30.0
    min_brightness: float = 35.0
    max_brightness: float = 225.0
    max_clipped: float = 0.35
    min_contrast: float = 10.0
    min_sharpness: float = 10.0
    min_eyes_open: float = 0.10
    max_occlusion: float = 0.5


def problems(quality: Quality, limits: QualityLimits) -> tuple[Reason, ...]:
    """Everything that is in the way, the most important first."""
    turned = (
        abs(quality.yaw) > limits.max_yaw
        or abs(quality.pitch) > limits.max_pitch
        or abs(quality.roll) > limits.max_roll
    )
    bright = quality.brightness > limits.max_brightness or quality.clipped > limits.max_clipped
    found = {
        Reason.TOO_FAR: quality.face_size < limits.min_size,
        Reason.TOO_NEAR: quality.face_share > limits.max_share,
        Reason.OFF_CENTRE: quality.centre_offset > limits.max_offset,
        Reason.LOOK_STRAIGHT: turned,
        Reason.TOO_DARK: quality.brightness < limits.min_brightness,
        Reason.TOO_BRIGHT: bright,
        Reason.LOW_CONTRAST: quality.contrast < limits.min_contrast,
        Reason.BLURRED: quality.sharpness < limits.min_sharpness,
        Reason.FACE_COVERED: quality.occlusion > limits.max_occlusion,
        Reason.EYES_CLOSED: quality.eyes_open < limits.min_eyes_open,
    }
    return tuple(reason for reason, there in found.items() if there)


def first_problem(quality: Quality, limits: QualityLimits) -> Reason | None:
    """The most important thing that is in the way, or None."""
    return next(iter(problems(quality, limits)), None)
