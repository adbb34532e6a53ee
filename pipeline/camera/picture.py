"""Pictures from bytes, files and folders."""

from __future__ import annotations

import logging
import os
import re
import stat
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pipeline.camera.frame import MAX_PIXELS, Frame, Image, check_size, normalise_image
from pipeline.camera.header import WHOLE_PICTURES, is_complete, picture_header
from pipeline.camera.names import shown_path
from pipeline.camera.source import SourceBase, SourceInfo, SourceOptions
from pipeline.errors import FrameError, SourceError, SourceOpenError

MAX_PICTURE_BYTES: Final = 100_000_000
"""A larger file is refused unread: an uncompressed picture of `MAX_PIXELS` has 75 MB."""

PICTURE_ENDINGS: Final = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})

_log = logging.getLogger(__name__)


def decode_picture(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image:
    """Decode a PNG, JPEG, BMP or WebP picture, upright as its EXIF says.

    The size is read from the header first, so a decompression bomb is refused before it is unpacked; a JPEG
    that was cut off is refused too.

    Args:
        data: the whole file.
        max_pixels: largest width x height.

    Returns:
        uint8 (height, width, 3), BGR, C-contiguous, not writeable. Grey, alpha and 16 bits are treated
        as `normalise_image` does.

    Raises:
        FrameError: it is no such picture, is damaged, or its size is out of bounds.
    """
    header = picture_header(data)
    check_size(header.width, header.height, max_pixels)
    if not is_complete(data, header):
        raise FrameError("the jpeg picture is cut off", hint=WHOLE_PICTURES)
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise FrameError(f"the {header.format} picture is damaged and can't be decoded", hint=WHOLE_PICTURES)
    return normalise_image(image, max_pixels=max_pixels)


def load_picture(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> Image:
    """Read and decode a picture file; see `decode_picture`.

    Raises:
        SourceOpenError: there is no such file, or it can't be read.
        FrameError: it is no picture, is damaged, or its size is out of bounds.
    """
    return decode_picture(_read(Path(path)), max_pixels=max_pixels)


def _read(path: Path) -> bytes:
    try:
        # a named pipe without a writer would block a plain open for ever
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        handle = os.open(path, flags)
        try:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode):
                raise SourceOpenError(f"{shown_path(path)} is not a regular file", hint=WHOLE_PICTURES)
            if state.st_size > MAX_PICTURE_BYTES:
                raise FrameError(
                    f"{shown_path(path)} has {state.st_size} bytes, above {MAX_PICTURE_BYTES} for a picture"
                )
            with os.fdopen(handle, "rb", closefd=False) as file:
                return file.read(MAX_PICTURE_BYTES)
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise SourceOpenError(f"there is no file {shown_path(path)}", hint="Check the path.") from None
    except OSError as error:
        raise SourceOpenError(
            f"{shown_path(path)} can't be read ({error.strerror})", hint="Check the file's rights."
        ) from None


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Key that sorts ``2.png`` before ``10.png``; upper and lower case alike."""
    parts = re.findall(r"\d+|\D+", name.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


class PictureSource(SourceBase):
    """Pictures as frames: ``seq`` is the place in the list, ``t`` is ``seq / folder_fps``.

    A picture that can't be used is skipped and counted; its number stays unused.

    Args:
        paths: picture files in their order.
        info: what the source is called.
        options: `max_pixels`, `folder_fps`.

    Raises:
        SourceOpenError: none of them can be used, or there is none.
    """

    def __init__(self, paths: Sequence[Path], info: SourceInfo, options: SourceOptions) -> None:
        self._paths = list(paths)
        self._info = replace(info, timing="nominal")
        self._options = options
        self._at = 0
        self._skipped = 0
        self._closed = threading.Event()
        self._last_problem = ""
        if not paths:
            raise SourceOpenError(
                f"the folder {info.name} holds no picture",
                hint="Put .jpg, .png, .bmp or .webp files into it.",
            )
        self._first = self._read_next()
        if self._first is None:
            problem = (
                f"{self._last_problem}" if len(paths) == 1 else f"none of {len(paths)} pictures is readable"
            )
            raise SourceOpenError(f"{info.name}: {problem}", hint=WHOLE_PICTURES)

    @property
    def info(self) -> SourceInfo:
        """What is known of the source."""
        return self._info

    @property
    def skipped(self) -> int:
        """Pictures so far that could not be used."""
        return self._skipped

    def __next__(self) -> Frame:
        if self._closed.is_set():
            raise StopIteration
        frame, self._first = self._first, None
        frame = frame or self._read_next()
        if frame is None:
            if self._skipped:
                _log.warning("%d of %d pictures could not be used", self._skipped, len(self._paths))
            self.close()
            raise StopIteration
        return frame

    def _read_next(self) -> Frame | None:
        while self._at < len(self._paths):
            seq, self._at = self._at, self._at + 1
            try:
                image = load_picture(self._paths[seq], max_pixels=self._options.max_pixels)
            except SourceError as error:
                self._skipped += 1
                self._last_problem = error.message
            else:
                return Frame(image, t=seq / self._options.folder_fps, seq=seq)
        return None

    def close(self) -> None:
        """End it."""
        self._closed.set()


def open_picture(path: Path, options: SourceOptions) -> PictureSource:
    """One picture file as a source of one frame.

    Raises:
        SourceOpenError: see `PictureSource`.
    """
    info = SourceInfo(
        kind="file",
        name=shown_path(path),
        live=False,
        trusted=False,
        reason="a stored picture is not a camera",
    )
    return PictureSource([path], info, options)


def open_folder(path: Path, options: SourceOptions) -> PictureSource:
    """A folder's pictures in natural order of their names; sub-folders and other files are left out.

    Raises:
        SourceOpenError: see `PictureSource`; or the folder can't be read.
    """
    try:
        found = [
            entry for entry in path.iterdir() if entry.suffix.lower() in PICTURE_ENDINGS and entry.is_file()
        ]
    except OSError as error:
        raise SourceOpenError(f"the folder {shown_path(path)} can't be read ({error.strerror})") from None
    info = SourceInfo(
        kind="folder",
        name=shown_path(path.resolve()),
        live=False,
        trusted=False,
        reason="a folder of stored pictures is not a camera",
    )
    return PictureSource(
        sorted(found, key=lambda entry: (natural_key(entry.name), entry.name)), info, options
    )
