"""Uploaded pictures: what is taken, and that bombs are refused before the decoder runs."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.gateway.picture import (
    PictureLimits,
    PictureProblem,
    check_header,
    decode_picture,
    from_base64,
)

LIMITS = PictureLimits()
IMAGE = cv2.resize(
    np.random.default_rng(0).integers(0, 255, (8, 12, 3), dtype=np.uint8),
    (120, 80),
    interpolation=cv2.INTER_CUBIC,
)


def encode(kind: str, image: np.ndarray = IMAGE, *flags: int) -> bytes:
    return cv2.imencode(kind, image, list(flags))[1].tobytes()


def png(width: int, height: int, bits: int = 8) -> bytes:
    """A PNG whose header claims any size, with next to nothing inside."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 10_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def with_exif(data: bytes, orientation: int) -> bytes:
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    body = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + b"\0\0\0\0"
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


@pytest.mark.parametrize(
    "data",
    [
        encode(".jpg"),
        encode(".jpg", IMAGE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        encode(".jpg", IMAGE[:, :, 0]),
        encode(".png"),
        encode(".png", IMAGE[:, :, 0]),
        encode(".png", cv2.cvtColor(IMAGE, cv2.COLOR_BGR2BGRA)),
        encode(".png", IMAGE.astype(np.uint16) * 257),
        encode(".jpg") + b"\0" * 50,
    ],
    ids=["jpeg", "progressive", "grey jpeg", "png", "grey png", "png with alpha", "16-bit png", "padded"],
)
def test_jpeg_and_png_of_every_usual_kind_are_decoded(data: bytes) -> None:
    image = decode_picture(data, LIMITS)
    assert isinstance(image, np.ndarray)
    assert (image.shape, image.dtype) == ((80, 120, 3), np.uint8)
    assert image.flags.c_contiguous


@pytest.mark.parametrize(("orientation", "turn"), [(3, cv2.ROTATE_180), (6, 0), (8, 2)])
def test_the_exif_orientation_is_honoured(orientation: int, turn: int) -> None:
    image = decode_picture(with_exif(encode(".jpg"), orientation), LIMITS)
    plain = decode_picture(encode(".jpg"), LIMITS)
    assert np.array_equal(image, cv2.rotate(plain, turn))


@pytest.mark.parametrize("kind", [".jpg", ".png"])
def test_a_picture_cut_anywhere_is_refused(kind: str) -> None:
    data = encode(kind)
    for end in range(0, len(data) - 2, 7):
        assert isinstance(decode_picture(data[:end], LIMITS), PictureProblem)


@pytest.mark.parametrize("size", [(100_000, 100_000), (65535, 300), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_header(monkeypatch: Any, size: tuple[int, int]) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("the decoder was called"))
    assert decode_picture(png(*size), LIMITS) is PictureProblem.TOO_LARGE


def test_a_jpeg_bomb_is_refused_by_its_header(monkeypatch: Any) -> None:
    data = bytearray(encode(".jpg"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65500, 65500)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("the decoder was called"))
    assert decode_picture(bytes(data), LIMITS) is PictureProblem.TOO_LARGE


def test_a_jpeg_of_a_thousand_scans_is_refused(monkeypatch: Any) -> None:
    data = encode(".jpg", IMAGE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    at = data.rindex(b"\xff\xda")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("the decoder was called"))
    assert decode_picture(data[:at] + data[at:-2] * 1000 + data[-2:], LIMITS) is PictureProblem.UNREADABLE


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", PictureProblem.NOT_JPEG_OR_PNG),
        (b"GIF89a" + b"\0" * 100, PictureProblem.NOT_JPEG_OR_PNG),
        (encode(".bmp"), PictureProblem.NOT_JPEG_OR_PNG),
        (encode(".webp"), PictureProblem.NOT_JPEG_OR_PNG),
        (b"\xff\xd8\xff\xd9", PictureProblem.CUT_OFF),
        (encode(".jpg", IMAGE[:63]), PictureProblem.TOO_SMALL),
        (png(0, 0), PictureProblem.CUT_OFF),
        (encode(".jpg") + b"\0" * 1024 * 1024, PictureProblem.TOO_MANY_BYTES),
    ],
    ids=["empty", "gif", "bmp", "webp", "no frame", "small", "no size", "large"],
)
def test_other_files_are_refused_with_their_reason(data: bytes, problem: PictureProblem) -> None:
    assert decode_picture(data, LIMITS) is problem


def test_limits_are_exact() -> None:
    data = encode(".png")
    assert check_header(data, PictureLimits(len(data), 80, 9600)) is None
    assert check_header(data, PictureLimits(len(data) - 1)) is PictureProblem.TOO_MANY_BYTES
    assert check_header(data, PictureLimits(min_side=81)) is PictureProblem.TOO_SMALL
    assert check_header(data, PictureLimits(max_pixels=9599)) is PictureProblem.TOO_LARGE


@given(st.binary(max_size=200))
def test_base64_comes_back(data: bytes) -> None:
    assert from_base64(base64.b64encode(data).decode(), LIMITS) == data


@pytest.mark.parametrize(
    "text", ["A", "AAA", "AAAA\n", "AA AA", "_9j_", "-_==", "data:image/png;base64,AAAA", "张", "A==="]
)
def test_only_standard_base64_is_taken(text: str) -> None:
    assert from_base64(text, LIMITS) is PictureProblem.NOT_BASE64


def test_text_too_long_for_any_allowed_file_is_not_decoded(monkeypatch: Any) -> None:
    monkeypatch.setattr(base64, "b64decode", lambda *_, **__: pytest.fail("it was decoded"))
    assert from_base64("A" * 1_400_000, LIMITS) is PictureProblem.TOO_MANY_BYTES


@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]))
def test_no_bytes_break_the_decoder(data: bytes, start: bytes) -> None:
    found = decode_picture(start + data, LIMITS)
    assert isinstance(found, PictureProblem | np.ndarray)


@given(st.sampled_from([".jpg", ".png"]), st.integers(0, 2000), st.integers(0, 255))
def test_no_changed_byte_breaks_the_decoder(kind: str, at: int, value: int) -> None:
    data = bytearray(encode(kind))
    data[at % len(data)] = value
    found = decode_picture(bytes(data), LIMITS)
    assert isinstance(found, PictureProblem) or found.shape[2] == 3
