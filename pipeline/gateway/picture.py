"""Uploaded pictures: strict base64, a look at the header, and only then the decoder."""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import cv2
import numpy as np

from pipeline.camera.frame import Image
from pipeline.camera.header import picture_format, picture_header
from pipeline.errors import FrameError

_PNG_START: Final = b"\x89PNG\r\n\x1a\n"
_PNG_END: Final = b"IEND\xaeB`\x82"
_JPEG_END: Final = b"\xff\xd9"
_JPEG_SCAN: Final = b"\xff\xda"
# An honest progressive JPEG has about ten scans. Each one, even of a few bytes, makes the decoder pass over
# the whole picture: a small file with thousands of them would keep a core busy for hours.
_MAX_SCANS: Final = 64

# Chunks that a decoder needs (PNG 1.2, section 4.1), and the orientation. The others are left out before it
# runs: texts and colour profiles may be compressed a thousand times. A PNG of 0.7 MB with a hundred texts
# kept the decoder busy for 4.9 s. An animation loses all frames but its first.
_PNG_CHUNKS: Final = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf"))
_PIECE: Final = 256 * 1024
_MAX_PNG_CHUNKS: Final = 4096
"""The smallest pieces that encoders write are 4 kB: 256 of them in the largest file."""


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
    if picture_format(data) not in ("jpeg", "png"):
        return PictureProblem.NOT_JPEG_OR_PNG
    try:
        header = picture_header(data)
    except FrameError:
        return PictureProblem.CUT_OFF
    if header.format == "png":
        whole = data.rfind(_PNG_END) > 0
    else:
        if data.count(_JPEG_SCAN) > _MAX_SCANS:
            return PictureProblem.UNREADABLE
        whole = data.rfind(_JPEG_END) > data.rfind(_JPEG_SCAN) > 0
    if not whole:
        return PictureProblem.CUT_OFF
    width, height = header.width, header.height
    if min(width, height) < limits.min_side:
        return PictureProblem.TOO_SMALL
    if width * height > limits.max_pixels:
        return PictureProblem.TOO_LARGE
    return None


def bare_png(data: bytes) -> bytes | None:
    """A PNG with nothing in it but pixels, palette, transparency and orientation.

    Args:
        data: the file; checksums are left to the decoder.

    Returns:
        The file; None where its chunks don't follow each other to the end, or are too many.
    """
    kept, at = [_PNG_START], len(_PNG_START)
    for _ in range(_MAX_PNG_CHUNKS):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        if end > len(data):
            return None
        if kind in _PNG_CHUNKS:
            kept.append(data[at:end])
        if kind == b"IEND":
            return b"".join(kept)
        at = end
    return None


def unpacks_to_more(png: bytes) -> bool:
    """True where a PNG's packed pixels are more than its header says. The decoder would unpack them all.

    1 MiB can hold a GiB of them: measured, 0.3 MB that unpack to 300 MB take 0.9 s of a core for 100x100
    pixels. Here they are unpacked piece by piece and thrown away, and no further than the header allows.

    Args:
        png: a file as `bare_png` makes it.
    """
    header = picture_header(png)
    # 16 bits and 4 channels at most, a filter byte a row, interlaced rows counted twice (PNG 1.2, section 2).
    allowed = (header.width * 8 + 2) * (header.height + 8) * 2
    unpacker, unpacked, at = zlib.decompressobj(), 0, len(_PNG_START)
    try:
        while at < len(png) and not unpacker.eof:
            size = int.from_bytes(png[at : at + 4], "big")
            if png[at + 4 : at + 8] == b"IDAT":
                packed = png[at + 8 : at + 8 + size]
                while packed and unpacked <= allowed:
                    unpacked += len(unpacker.decompress(packed, _PIECE))
                    packed = unpacker.unconsumed_tail
            at += 12 + size
    except zlib.error:
        return False  # not more, but broken: the decoder says so
    return unpacked > allowed


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
    if data.startswith(_PNG_START):
        bare = bare_png(data)
        if bare is None or unpacks_to_more(bare):
            return PictureProblem.UNREADABLE
        data = bare
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return PictureProblem.UNREADABLE
    if image is None or image.dtype != np.uint8 or image.ndim != 3:
        return PictureProblem.UNREADABLE
    return np.ascontiguousarray(image)
