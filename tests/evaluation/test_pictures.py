"""Small pictures of the gallery."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.evaluation.pictures import SIDE, data_url, middle_frame

from .support import picture


def decoded(url: str) -> np.ndarray:
    data = base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def test_a_large_picture_is_scaled_down_and_a_small_one_left(tmp_path: Path) -> None:
    large = data_url(picture(tmp_path / "large.png", size=(1200, 600)))
    assert large is not None
    assert decoded(large).shape == (SIDE // 2, SIDE, 3)
    small = data_url(picture(tmp_path / "small.png", size=(64, 48)))
    assert small is not None
    assert decoded(small).shape == (48, 64, 3)


@pytest.mark.parametrize("frames", [1, 2, 31, 100])
def test_of_a_folder_the_middle_frame_is_shown(tmp_path: Path, frames: int) -> None:
    for number in range(frames):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((32, 32, 3), number, np.uint8))
    image = middle_frame(tmp_path)
    assert image is not None
    assert abs(int(image[0, 0, 0]) - (frames - 1) / 2) <= max(0.5, frames / 32)


def test_of_a_video_the_middle_frame_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 64))
    for number in range(21):
        writer.write(np.full((64, 64, 3), number * 10, np.uint8))
    writer.release()
    image = middle_frame(path)
    assert image is not None
    assert abs(int(image[32, 32, 0]) - 100) <= 6


def test_what_shows_nothing_gives_none_and_no_device_is_opened(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "text.png", tmp_path / "empty", tmp_path / "absent", tmp_path / "pipe"):
        assert data_url(path) is None
    assert data_url(Path("/dev/null")) is None
