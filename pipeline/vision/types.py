"""What vision tells of a frame: detections, a tracked face, its quality. Arrays in pixels of the frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """One face found by the detector.

    Attributes:
        box: float32 (4,), x1 y1 x2 y2 in pixels, may reach outside the frame.
        score: detector confidence in [0, 1].
        keypoints: float32 (6, 2) in pixels: image-left eye, image-right eye, nose tip, mouth centre,
            image-left ear, image-right ear.
    """

    box: F32
    score: float
    keypoints: F32


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """Head pose in degrees. Zero is looking straight into the camera.

    Attributes:
        yaw: positive when the nose points to the image's right.
        pitch: positive when the nose points down.
        roll: positive when the head leans clockwise in the image.
    """

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One tracked face in one frame.

    Attributes:
        track_id: the same number while the mesh holds; a new number is a new face.
        box: float32 (4,), x1 y1 x2 y2 in pixels: the detector's convention, also while it is not run.
        landmarks: float32 (468 or 478, 3) in pixels; z in the same scale, smaller is nearer.
        five: float32 (5, 2) in pixels: image-left eye, image-right eye, nose tip, image-left mouth corner,
            image-right mouth corner.
        presence: the mesh net's own probability of a face, in [0, 1].
        pose: head pose in degrees.
        detected: True where the detector itself ran on this frame.
    """

    track_id: int
    box: F32
    landmarks: F32
    five: F32
    presence: float
    pose: Pose
    detected: bool


@dataclass(frozen=True, slots=True)
class Quality:
    """Measures of the judged face, each with its unit; thresholds stand in `QualityLimits`.

    Attributes:
        faces: number of faces last counted in the frame.
        face_size: shorter side of the face box in pixels.
        face_share: face box height over frame height, in [0, ...).
        centre_offset: distance of the face's centre from the frame's centre over half the frame's diagonal.
        yaw, pitch, roll: degrees, see `Pose`.
        sharpness: twice the smaller variance of the second derivative along rows and along columns of the
            112-pixel aligned face, grey levels squared; the scale of a variance of the Laplacian, but
            blur along one direction is enough to lower it.
        brightness: mean luma of the face, 0..255.
        contrast: standard deviation of the face's luma, grey levels.
        clipped: share of face pixels at 250 or above, in [0, 1].
        eyes_open: smaller of both eyes' height over width (eye aspect ratio), about 0.3 when open.
        occlusion: chance that the lower face or the eyes are covered, see `pipeline.vision.occlusion`.
        inside: share of the face box inside the frame, in [0, 1].
        noise: standard deviation of the noise where the face is flattest, grey levels, see
            `pipeline.vision.noise`.
    """

    faces: int
    face_size: float
    face_share: float
    centre_offset: float
    yaw: float
    pitch: float
    roll: float
    sharpness: float
    brightness: float
    contrast: float
    clipped: float
    eyes_open: float
    occlusion: float
    inside: float = 1.0
    noise: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Everything that vision says of one frame; without arguments, of one that holds nobody.

    Attributes:
        face: the tracked face, or None when there is none.
        faces: faces counted in the frame: by the detector where it ran, else carried over.
        quality: measures of `face`, or None without one.
    """

    face: Face | None = None
    faces: int = 0
    quality: Quality | None = None
