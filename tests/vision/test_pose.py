from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.vision import Vision
from pipeline.vision.pose import RIGID, SHAPE, head_pose

Picture = NDArray[np.uint8]


def about(axis: int, degrees: float) -> NDArray[np.float64]:
    """Right-handed rotation about x, y or z (0, 1, 2); x to the right, y down, z away from the camera."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    matrix[i, i] = matrix[j, j] = cos
    matrix[i, j], matrix[j, i] = -sin, sin
    return matrix


def head(
    yaw: float, pitch: float, roll: float, noise: float = 0.0, size: float = 60.0
) -> NDArray[np.float32]:
    """A rigid head turned by known angles: nose to the image's right, down, then leaning clockwise."""
    turn = about(1, -yaw) @ about(0, pitch) @ about(2, roll)
    points = np.random.default_rng(0).normal(0, size, (468, 3))
    points[RIGID] = SHAPE @ turn.T * size + np.random.default_rng(1).normal(0, noise * size, SHAPE.shape)
    return (points + np.array([320, 240, 15])).astype(np.float32)


@given(yaw=st.floats(-80, 80), pitch=st.floats(-60, 60), roll=st.floats(-90, 90), size=st.floats(10, 500))
def test_recovers_known_angles(yaw: float, pitch: float, roll: float, size: float) -> None:
    pose = head_pose(head(yaw, pitch, roll, size=size))
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((yaw, pitch, roll), abs=0.1)


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, -10, 5), (-45, 20, -30)])
def test_recovers_known_angles_of_a_noisy_head(angles: tuple[float, float, float]) -> None:
    pose = head_pose(head(*angles, noise=0.02))
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx(angles, abs=1.0)


@pytest.mark.parametrize("degrees", [-25.0, -10.0, 15.0, 30.0])
def test_a_turned_picture_turns_the_roll(vision: Vision, astronaut: Picture, degrees: float) -> None:
    matrix = cv2.getRotationMatrix2D((224, 130), -degrees, 1.0)
    before, after = (
        vision.look(astronaut).face,
        vision.look(cv2.warpAffine(astronaut, matrix, (512, 512))).face,
    )
    assert before is not None
    assert after is not None
    assert after.pose.roll - before.pose.roll == pytest.approx(degrees, abs=2.0)


def test_a_mirrored_picture_mirrors_yaw_and_roll(vision: Vision, astronaut: Picture) -> None:
    before, after = vision.look(astronaut).face, vision.look(astronaut[:, ::-1]).face
    assert before is not None
    assert after is not None
    assert after.pose.yaw == pytest.approx(-before.pose.yaw, abs=3)
    assert after.pose.roll == pytest.approx(-before.pose.roll, abs=3)
    assert after.pose.pitch == pytest.approx(before.pose.pitch, abs=3)


@pytest.mark.parametrize(
    ("name", "angle", "least", "most"),
    [
        ("left_face.jpeg", "yaw", -80, -35),
        ("right_face.png", "yaw", 35, 80),
        ("lower_face.jpeg", "pitch", 15, 50),
        ("rise_face.jpeg", "pitch", -50, -15),
        ("left_wryneck.png", "roll", -80, -45),
    ],
)
def test_named_poses_of_real_pictures(
    shared_data: Path, vision: Vision, name: str, angle: str, least: float, most: float
) -> None:
    image = cv2.imread(str(shared_data / "quality" / "cases" / "pose" / name), cv2.IMREAD_COLOR)
    face = vision.look(image).face
    assert face is not None
    assert least < getattr(face.pose, angle) < most
