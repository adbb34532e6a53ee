"""Standard error is livegate's own, whatever the libraries think of a broken file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.cli.quiet import libraries_silent


def _png(folder: Path) -> Path:
    ok, data = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8))
    assert ok
    path = folder / "cut.png"
    path.write_bytes(data.tobytes()[: len(data) // 2])
    return path


def _jpeg(folder: Path) -> Path:
    ok, data = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8))
    assert ok
    path = folder / "damaged.jpg"
    path.write_bytes(data.tobytes()[: len(data) // 2] + b"\xff\xd9")
    return path


def _mp4(folder: Path) -> Path:
    path = folder / "broken.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom" + bytes(500))
    return path


BROKEN = pytest.mark.parametrize("broken", [_png, _jpeg, _mp4])


def livegate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@BROKEN
def test_a_broken_file_is_told_of_in_our_words_alone(broken: Callable[[Path], Path], tmp_path: Path) -> None:
    path = broken(tmp_path)
    done = livegate("score", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert path.name in done.stdout


@BROKEN
def test_verbose_shows_what_the_libraries_say(broken: Callable[[Path], Path], tmp_path: Path) -> None:
    said = livegate("--verbose", "score", broken(tmp_path)).stderr
    assert any(word in said for word in ("libpng", "Corrupt JPEG", "moov atom"))


def test_a_video_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    done = livegate("run", _mp4(tmp_path))
    assert done.returncode == 6
    assert done.stderr.splitlines() == [
        "source_open: broken.mp4 can't be opened as a video: it is damaged or cut off"
    ]


def test_an_error_that_ends_the_command_is_shown(tmp_path: Path) -> None:
    done = livegate("match", _png(tmp_path), "--name", "样例", "--cert-number", "11010519491231002X")
    assert done.returncode != 0
    assert "error" in done.stderr
    assert "libpng" not in done.stderr


SCRIPT = """
import os, sys
from pipeline.cli.quiet import libraries_silent
with libraries_silent():
    os.write(2, b"library")
    print("ours", file=sys.stderr)
os.write(2, b"after")
print("!", file=sys.stderr)
"""


def test_the_descriptor_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stderr == "ours\nafter!\n"


def test_a_standard_error_that_is_not_the_process_s_is_left_alone(
    capfd: pytest.CaptureFixture[str],
) -> None:
    stream = sys.stderr
    with libraries_silent():
        assert sys.stderr is stream
        os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
