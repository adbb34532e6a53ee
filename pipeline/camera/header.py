"""What a file's first bytes say: which kind of picture or video it is, and how large, before any decoding."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Literal

from pipeline.errors import FrameError

Format = Literal["png", "jpeg", "bmp", "webp"]

WHOLE_PICTURES: Final = "Use whole PNG, JPEG, BMP or WebP pictures."
"""The way out for a file that is no picture."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_MAX_SEGMENTS: Final = 2000
_SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD8)})


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """Format and size of a picture, as its header states them.

    Attributes:
        format: png, jpeg, bmp or webp.
        width, height: pixels, before any rotation that EXIF asks for; at least 1.
        end: offset behind the header: for jpeg that of the first segment after the size.
    """

    format: Format
    width: int
    height: int
    end: int


def picture_format(data: bytes) -> Format | None:
    """Format by signature, or None; 12 bytes are enough."""
    if data[:8] == _PNG:
        return "png"
    if data[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if data[:2] == b"BM":
        return "bmp"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return None


def is_video(data: bytes) -> bool:
    """Whether the first 192 bytes are those of a container that FFmpeg reads as a self-contained video.

    AVI, MP4/MOV/3GP, Matroska/WebM, MPEG-PS and -TS, Ogg, FLV, ASF/WMV. Play-lists are not: they are text
    that names other files and hosts.
    """
    return (
        (data[:4] == b"RIFF" and data[8:12] == b"AVI ")
        or data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
        or data[:4] in (b"\x1aE\xdf\xa3", b"OggS", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"0&\xb2u")
        or data[:3] == b"FLV"
        or (data[:1] == b"G" and data[188:189] == b"G")
    )


def picture_header(data: bytes) -> PictureHeader:
    """Read a picture's size without decoding it.

    Formats: PNG (W3C PNG 3rd ed., 11.2.1 IHDR), JPEG (ITU-T T.81, B.2.2 frame header), BMP (Windows bitmap,
    BITMAPCOREHEADER and BITMAPINFOHEADER), WebP (RFC 9649, 2.5 to 2.7).

    Args:
        data: the whole file, or its beginning.

    Returns:
        Format and size.

    Raises:
        FrameError: it is none of these formats, its header is cut off or malformed, or a side is 0.
    """
    kind = picture_format(data)
    if kind is None:
        raise FrameError("this is not a PNG, JPEG, BMP or WebP picture", hint=WHOLE_PICTURES)
    reader = {"png": _png, "jpeg": _jpeg, "bmp": _bmp, "webp": _webp}[kind]
    try:
        width, height, end = reader(data)
    except (struct.error, IndexError):
        raise FrameError(
            f"the {kind} picture's header is cut off or malformed", hint=WHOLE_PICTURES
        ) from None
    if width < 1 or height < 1:
        raise FrameError(f"the {kind} picture's header states no size", hint=WHOLE_PICTURES)
    return PictureHeader(kind, width, height, end)


def is_complete(data: bytes, header: PictureHeader) -> bool:
    """Whether a JPEG reaches its end marker (T.81, B.1.1.3: EOI); True for the other formats.

    Decoders fill the missing part of a JPEG that was cut off with grey and report success; of the others they
    refuse such files themselves.
    """
    return header.format != "jpeg" or data.rfind(b"\xff\xd9") >= header.end


def _png(data: bytes) -> tuple[int, int, int]:
    length, name, width, height = struct.unpack_from(">I4sII", data, 8)
    if name != b"IHDR" or length != 13:
        raise struct.error
    return width, height, 33


def _jpeg(data: bytes) -> tuple[int, int, int]:
    at = 2
    for _ in range(_MAX_SEGMENTS):
        if data[at] != 0xFF:
            raise struct.error
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _BARE:
            at += 2
        elif marker in (0x00, 0xD8, 0xD9, 0xDA):
            raise struct.error
        else:
            (length,) = struct.unpack_from(">H", data, at + 2)
            if length < 2:
                raise struct.error
            if marker in _SOF:
                height, width = struct.unpack_from(">HH", data, at + 5)
                return width, height, at + 2 + length
            at += 2 + length
    raise struct.error


def _bmp(data: bytes) -> tuple[int, int, int]:
    (size,) = struct.unpack_from("<I", data, 14)
    if size == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height), 14 + size


def _webp(data: bytes) -> tuple[int, int, int]:
    chunk = data[12:16]
    if chunk == b"VP8 ":
        start, width, height = struct.unpack_from("<3sHH", data, 23)
        if start != b"\x9d\x01\x2a":
            raise struct.error
        return width & 0x3FFF, height & 0x3FFF, 30
    if chunk == b"VP8L":
        signature, bits = struct.unpack_from("<BI", data, 20)
        if signature != 0x2F:
            raise struct.error
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 25
    if chunk == b"VP8X":
        low, middle, high, low_h, middle_h, high_h = struct.unpack_from("<6B", data, 24)
        width = (low | middle << 8 | high << 16) + 1
        return width, (low_h | middle_h << 8 | high_h << 16) + 1, 30
    raise struct.error
