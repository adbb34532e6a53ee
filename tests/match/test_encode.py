"""Only a pass is encoded; the JPEG keeps the service's limits and carries nothing but the picture."""

from __future__ import annotations

import base64
import copy
import dataclasses
import os
import pickle
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.camera.frame import Frame, pixel_sha256
from pipeline.errors import FrameError, PassError, SourceOpenError
from pipeline.liveness.livepass import LivePass
from pipeline.match.by_hand import HandPicture
from pipeline.match.encode import Upload, encode_upload
from pipeline.match.jpeg import MAX_BYTES, MAX_LONG, MAX_SHORT, encode_jpeg
from pipeline.match.person import Person

from .conftest import CONSENT, OK_MATCH, Build, pass_of, picture


def decoded(data: bytes) -> np.ndarray[Any, Any]:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def test_the_upload_is_the_judged_frame_with_its_digest() -> None:
    image = picture(480, 640)
    live_pass = pass_of(image)
    upload = encode_upload(live_pass)
    assert upload.pixel_sha256 == live_pass.sha256 == pixel_sha256(image)
    assert (upload.width, upload.height, upload.quality) == (640, 480, 90)
    assert np.abs(decoded(upload.jpeg).astype(int) - image).mean() < 8
    assert base64.b64decode(upload.base64, validate=True) == upload.jpeg


@pytest.mark.parametrize(
    "forged",
    [
        None,
        Frame(picture(48, 64), t=0, seq=0),
        picture(48, 64),
        b"\xff\xd8\xff",
        SimpleNamespace(frame=Frame(picture(48, 64), t=0, seq=0), sha256="0" * 64, check=lambda: None),
        object.__new__(LivePass),
    ],
    ids=["none", "frame", "array", "bytes", "look-alike", "not minted"],
)
def test_anything_but_a_pass_is_refused(forged: Any) -> None:
    with pytest.raises(PassError) as caught:
        encode_upload(forged)
    assert "ff" not in str(caught.value)


def test_a_picture_by_hand_is_no_pass(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), picture(48, 64))
    with pytest.raises(PassError):
        encode_upload(HandPicture.read(path))  # type: ignore[arg-type]


def test_a_pass_whose_frame_was_swapped_is_refused() -> None:
    live_pass = pass_of(picture(48, 64))
    object.__setattr__(live_pass, "frame", Frame(picture(48, 64, noise=30), t=1.0, seq=3))
    with pytest.raises(PassError):
        encode_upload(live_pass)


def test_an_upload_can_not_be_made_or_altered_by_hand() -> None:
    upload = encode_upload(pass_of(picture(48, 64)))
    with pytest.raises(PassError):
        Upload(b"jpeg", "0" * 64, 1, 1, 90, capability=object())
    with pytest.raises((PassError, ValueError, TypeError)):  # by version of Python
        dataclasses.replace(upload, jpeg=b"other")
    with pytest.raises(dataclasses.FrozenInstanceError):
        upload.jpeg = b"other"  # type: ignore[misc]
    with pytest.raises(PassError):
        pickle.dumps(upload)
    with pytest.raises(PassError):
        copy.deepcopy(upload)


def test_an_upload_that_the_encoder_did_not_make_is_not_sent(scripted: Build, person: Person) -> None:
    real, changed = (encode_upload(pass_of(picture(48, 64))) for _ in range(2))
    forged = object.__new__(Upload)
    for name in ("jpeg", "pixel_sha256", "width", "height", "quality"):
        object.__setattr__(forged, name, getattr(real, name))
    object.__setattr__(changed, "jpeg", b"other")
    client, script = scripted(OK_MATCH)
    for upload in (forged, changed):
        with pytest.raises(PassError):
            client.match(person, upload, CONSENT)
    assert script.requests == []
    assert client.match(person, real, CONSENT).score == 96.1
    with pytest.raises(PassError):
        type("Loose", (Upload,), {"__post_init__": lambda self, capability: None})


def test_the_picture_is_not_in_the_repr() -> None:
    upload = encode_upload(pass_of(picture(48, 64)))
    assert "jpeg" not in repr(upload)
    assert upload.base64[:40] not in repr(upload)
    assert upload.pixel_sha256 in repr(upload)


def test_the_jpeg_has_no_exif_and_no_other_metadata() -> None:
    data = encode_upload(pass_of(picture(480, 640))).jpeg
    at, markers = 2, []
    while data[at + 1] != 0xDA:
        markers.append(data[at + 1])
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    assert data[:2] == b"\xff\xd8"
    applications = [marker for marker in markers if 0xE0 <= marker <= 0xEF or marker == 0xFE]
    assert applications == [0xE0]
    assert b"Exif" not in data


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (1080, 1920, (1920, 1080)),
        (1920, 1080, (1080, 1920)),
        (2160, 3840, (1920, 1080)),
        (1500, 1500, (1080, 1080)),
        (3000, 400, (256, 1920)),
        (100, 80, (80, 100)),
    ],
)
def test_a_picture_is_only_ever_made_smaller_and_keeps_its_shape(
    height: int, width: int, expected: tuple[int, int]
) -> None:
    jpeg = encode_jpeg(picture(height, width, noise=0))
    assert (jpeg.width, jpeg.height) == expected
    assert decoded(jpeg.data).shape[:2] == (jpeg.height, jpeg.width)
    assert jpeg.quality == 90


def test_quality_goes_down_before_size() -> None:
    some = encode_jpeg(picture(1080, 1920, noise=25))
    assert (some.width, some.height) == (1920, 1080)
    assert some.quality < 90
    assert len(some.data) <= MAX_BYTES


def test_the_worst_noise_still_ends_within_the_limits() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1080, 1920, 3), dtype=np.uint8)
    jpeg = encode_jpeg(noise)
    assert len(jpeg.data) <= MAX_BYTES
    assert jpeg.width < 1920
    assert abs(jpeg.width / jpeg.height - 16 / 9) < 0.01


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 2500), st.integers(1, 2500), st.integers(0, 255))
def test_every_size_ends_within_the_limits(height: int, width: int, grey: int) -> None:
    jpeg = encode_jpeg(np.full((height, width, 3), grey, np.uint8))
    long, short = max(jpeg.width, jpeg.height), min(jpeg.width, jpeg.height)
    assert long <= min(MAX_LONG, max(height, width))
    assert short <= min(MAX_SHORT, min(height, width))
    assert 0 < len(jpeg.data) <= MAX_BYTES


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)],
    ids=["grey", "bgra", "float"],
)
def test_an_array_that_is_no_bgr_picture_is_refused(array: Any) -> None:
    with pytest.raises(FrameError):
        encode_jpeg(array)


def test_a_picture_by_hand_is_brought_within_the_same_limits(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), picture(2000, 3000, noise=0))
    jpeg = HandPicture.read(path).jpeg
    assert (jpeg.width, jpeg.height) == (1620, 1080)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\x00" * 40])
def test_a_file_that_is_no_picture_gets_a_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret-name.png"
    path.write_bytes(content)
    with pytest.raises(FrameError) as caught:
        HandPicture.read(path)
    assert "secret-name" not in str(caught.value)


def test_a_file_that_is_not_there_gets_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError, match="no file"):
        HandPicture.read(tmp_path / "none.jpg")


def test_a_picture_by_hand_that_was_cut_off_is_not_sent_with_its_grey_half(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    data = encode_jpeg(picture(480, 640)).data
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FrameError, match="cut off"):
        HandPicture.read(path)


def test_a_picture_by_hand_is_refused_for_its_size_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    header = struct.pack(">II5B", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + b"IHDR" + header)
    with pytest.raises(FrameError, match="60000"):
        HandPicture.read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes in folders")
def test_a_picture_by_hand_is_not_waited_for_in_a_named_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(SourceOpenError, match="regular file"):
        HandPicture.read(tmp_path / "a.jpg")
