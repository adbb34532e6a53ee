"""Uploaded pictures: strict base64, a look at the header, and only then the decoder."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import cv2
import numpy as np

from pipeline.camera.frame import Image

_PNG_START: Final = b"\x89PNG\r\n\x1a\n"
_PNG_END: Final = b"IEND\xaeB`\x82"
_JPEG_START: Final = b"\xff\xd8\xff"
_JPEG_END: Final = b"\xff\xd9"
_JPEG_SCAN: Final = b"\xff\xda"
# Start-of-frame markers, ITU-T T.81, table B.1: all of 0xC0..0xCF but DHT (C4), JPG (C8) and DAC (CC).
_JPEG_SIZES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
# An honest progressive JPEG has about ten scans. Each one, even of a few bytes, makes the decoder pass over
# the whole picture: a small file with thousands of them would keep a core busy for hours.
_MAX_SCANS: Final = 64


class PictureProblem(StrEnum):
    """Why a picture can't be used. The word is stable."""

    NOT_BASE64 = "not_base64"
    TOO_MANY_BYTES = "too_many_bytes"
    NOT_JPEG_OR_PNG = "not_jpeg_or_png"
    CUT_OFF = "cut_off"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """What is taken as a picture.

    Attributes:
        file_bytes: largest file. The service's sister products take up to 1 MB.
        min_side: shortest side in pixels.
        max_pixels: most pixels, by the header; 12.6 million is a telephone's whole picture.
    """

    file_bytes: int = 1024 * 1024
    min_side: int = 64
    max_pixels: int = 4096 * 3072


def from_base64(text: str, limits: PictureLimits) -> bytes | PictureProblem:
    """Decode standard base64 (RFC 4648, section 4): its alphabet alone, with padding, without line breaks.

    Args:
        text: ``imgbase64`` as received.
        limits: the file's largest size; longer text is not decoded.
    """
    if len(text) > (limits.file_bytes + 2) // 3 * 4:
        return PictureProblem.TOO_MANY_BYTES
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return PictureProblem.NOT_BASE64


def check_header(data: bytes, limits: PictureLimits) -> PictureProblem | None:
    """Judge a file by its size, type and header, without decoding it.

    Args:
        data: the file.
        limits: sizes in bytes and pixels.

    Returns:
        None where it may be decoded.
    """
    if len(data) > limits.file_bytes:
        return PictureProblem.TOO_MANY_BYTES
    if data.startswith(_PNG_START):
        size, whole = _png_size(data), data.rfind(_PNG_END) > 0
    elif data.startswith(_JPEG_START):
        if data.count(_JPEG_SCAN) > _MAX_SCANS:
            return PictureProblem.UNREADABLE
        size, whole = _jpeg_size(data), data.rfind(_JPEG_END) > data.rfind(_JPEG_SCAN) > 0
    else:
        return PictureProblem.NOT_JPEG_OR_PNG
    if size is None or not whole:
        return PictureProblem.CUT_OFF
    width, height = size
    if min(width, height) < limits.min_side:
        return PictureProblem.TOO_SMALL
    if width * height > limits.max_pixels:
        return PictureProblem.TOO_LARGE
    return None


def decode_picture(data: bytes, limits: PictureLimits) -> Image | PictureProblem:
    """Decode a JPEG or PNG file whose header `check_header` accepts.

    Args:
        data: the file.
        limits: sizes in bytes and pixels.

    Returns:
        uint8 (height, width, 3), BGR, turned as its EXIF orientation says; or why not.
    """
    problem = check_header(data, limits)
    if problem is not None:
        return problem
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return PictureProblem.UNREADABLE
    if image is None or image.dtype != np.uint8 or image.ndim != 3:
        return PictureProblem.UNREADABLE
    return np.ascontiguousarray(image)


def _png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height out of IHDR, which is the first chunk (PNG specification, 11.2.2)."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height out of the first start-of-frame segment (ITU-T T.81, B.2.2)."""
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _JPEG_BARE:
            at += 2
            continue
        if marker in _JPEG_SIZES:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in (0xD9, 0xDA) or length < 2:
            return None
        at += 2 + length
    return None
