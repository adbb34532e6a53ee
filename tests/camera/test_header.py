from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.camera.header import is_complete, is_video, picture_format, picture_header
from pipeline.errors import FrameError

SIGNATURES = [
    b"\x89PNG\r\n\x1a\n",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"\xff\xd8\xff",
    b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    b"BM" + bytes(12),
    b"RIFF\0\0\0\0WEBPVP8 ",
    b"RIFF\0\0\0\0WEBPVP8L",
    b"RIFF\0\0\0\0WEBPVP8X",
]


def encode(kind: str, width: int, height: int, *parameters: int) -> bytes:
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    ok, data = cv2.imencode(f".{kind}", image, parameters)
    assert ok
    return data.tobytes()


@pytest.mark.parametrize(
    ("kind", "ending"), [("png", "png"), ("jpeg", "jpg"), ("bmp", "bmp"), ("webp", "webp")]
)
@pytest.mark.parametrize(("width", "height"), [(17, 300), (640, 480), (1, 1)])
def test_the_size_is_what_the_decoder_sees(kind: str, ending: str, width: int, height: int) -> None:
    header = picture_header(encode(ending, width, height))
    assert (header.format, header.width, header.height) == (kind, width, height)


def test_the_size_of_progressive_jpeg_and_lossy_webp_is_read() -> None:
    progressive = picture_header(encode("jpg", 33, 44, cv2.IMWRITE_JPEG_PROGRESSIVE, 1))
    lossy = picture_header(encode("webp", 33, 44, cv2.IMWRITE_WEBP_QUALITY, 50))
    assert (progressive.width, progressive.height) == (lossy.width, lossy.height) == (33, 44)


def test_extended_webp_and_old_bmp_headers_are_read() -> None:
    extended = b"RIFF\0\0\0\0WEBPVP8X" + struct.pack("<I4x", 10) + b"\x7f\x02\x00\xdf\x01\x00"
    assert (picture_header(extended).width, picture_header(extended).height) == (640, 480)
    core = b"BM" + bytes(12) + struct.pack("<IHH", 12, 640, 480)
    assert (picture_header(core).width, picture_header(core).height) == (640, 480)
    upside_down = b"BM" + bytes(12) + struct.pack("<Iii", 40, 640, -480)
    assert picture_header(upside_down).height == 480


def test_segments_before_the_size_of_a_jpeg_are_stepped_over() -> None:
    data = encode("jpg", 40, 30)
    fake = b"\xff\xc0" + struct.pack(">HBHH", 9, 8, 9, 9)
    exif = b"\xff\xe1" + struct.pack(">H", 2 + len(fake)) + fake
    header = picture_header(data[:2] + exif + b"\xff\xff" + data[2:])
    assert (header.width, header.height) == (40, 30)


def test_a_cut_off_jpeg_is_told_from_a_whole_one_even_with_an_end_marker_in_its_exif() -> None:
    data = encode("jpg", 40, 30)
    whole = data[:2] + b"\xff\xe1\0\x06ab\xff\xd9" + data[2:]
    assert is_complete(whole, picture_header(whole))
    assert is_complete(whole + b"trailing bytes", picture_header(whole))
    assert not is_complete(whole[:-40], picture_header(whole))


@given(start=st.sampled_from(SIGNATURES), rest=st.binary(max_size=300))
def test_hostile_bytes_end_in_a_size_or_a_frame_error(start: bytes, rest: bytes) -> None:
    data = start + rest
    try:
        header = picture_header(data)
    except FrameError:
        return
    assert header.width >= 1
    assert header.height >= 1
    assert header.format == picture_format(data)


@given(st.binary(max_size=64))
def test_bytes_without_a_signature_are_refused(data: bytes) -> None:
    if picture_format(data) is None:
        with pytest.raises(FrameError, match="not a PNG, JPEG, BMP or WebP"):
            picture_header(data)


@given(kind=st.sampled_from(["png", "jpg", "bmp", "webp"]), cut=st.integers(0, 60))
def test_a_cut_off_header_is_a_frame_error_and_never_a_wrong_size(kind: str, cut: int) -> None:
    whole = encode(kind, 40, 30)
    try:
        header = picture_header(whole[:cut])
    except FrameError:
        return
    assert (header.width, header.height) == (40, 30)


def test_a_jpeg_of_countless_tiny_segments_is_given_up() -> None:
    with pytest.raises(FrameError, match="malformed"):
        picture_header(b"\xff\xd8" + b"\xff\xe0\0\x02" * 100_000)


def test_text_and_play_lists_are_no_video() -> None:
    for text in (
        b"#EXTM3U\nhttp://a/b.ts",
        b"ffconcat version 1.0",
        b"hello, this is text",
        b"",
        b"Gxyp" * 40,
    ):
        assert not is_video(text)
