"""Video files: frames with the file's own timestamps."""

from __future__ import annotations

import logging
import math
import threading
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2

from pipeline.camera.capture import CvCapture
from pipeline.camera.clock import SystemClock
from pipeline.camera.frame import Frame, check_size, normalise_image
from pipeline.camera.names import shown_path
from pipeline.camera.source import SourceBase, SourceInfo, SourceOptions
from pipeline.errors import SourceOpenError

_log = logging.getLogger(__name__)

_RATES: Final = (1.0, 240.0)
"""Frames per second between which a container's stated rate is believed."""

_LONGEST_GAP: Final = 3600.0
"""Seconds between two frames above which a timestamp is taken for damaged."""


class Timeline:
    """Times that always grow, out of a container's timestamps.

    A timestamp that is no number, not above the last one, or an hour above it, is replaced by the last time
    plus ``1 / fps``; a backend that answers 0 throughout so gives the file's nominal rate.

    Args:
        fps: the file's rate; `fallback` is used where it is not between 1 and 240.
        fallback: frames per second.
    """

    def __init__(self, fps: float, fallback: float) -> None:
        self._step = 1.0 / (fps if math.isfinite(fps) and _RATES[0] <= fps <= _RATES[1] else fallback)
        self._start: float | None = None
        self._last = 0.0
        self._rebuilt = 0

    @property
    def rebuilt(self) -> int:
        """How many times were not the container's."""
        return self._rebuilt

    def next(self, stamp: float) -> float:
        """Time of the next frame in seconds from the first one, which is 0.

        Args:
            stamp: seconds that the container states; any float.
        """
        if self._start is None:
            self._start = stamp if math.isfinite(stamp) else 0.0
            return 0.0
        t = stamp - self._start
        if not 0.0 < t - self._last < _LONGEST_GAP:
            t = self._last + self._step
            self._rebuilt += 1
        self._last = t
        return t


class FileSource(SourceBase):
    """Frames of a video file in order, none dropped, upright as its rotation metadata says.

    A damaged file gives what can be decoded and then ends. `info.timing` says ``rebuilt`` as soon as one time
    was not the container's.

    Args:
        path: a file whose beginning is a video's.
        options: `max_pixels`, and `folder_fps` as the rate where the file has none.

    Raises:
        SourceOpenError: it can't be opened, or no frame of it can be decoded.
        FrameError: its frames are larger than `max_pixels`; the header is looked at before a frame is read.
    """

    def __init__(self, path: Path, options: SourceOptions) -> None:
        name = shown_path(path)
        backend = cv2.CAP_FFMPEG if cv2.CAP_FFMPEG in cv2.videoio_registry.getBackends() else cv2.CAP_ANY
        try:
            # absolute: FFmpeg would take a name like http:x.mp4 for an address
            video = cv2.VideoCapture(str(path.absolute()), backend)
        except cv2.error:
            raise SourceOpenError(f"{name} can't be opened as a video", hint=_HINT) from None
        self._capture = CvCapture(video, SystemClock())
        self._closed = threading.Event()
        self._max_pixels = options.max_pixels
        self._info = SourceInfo(
            kind="file",
            name=name,
            live=False,
            trusted=False,
            reason="a video file is not a camera",
            timing="container",
        )
        self._seq = 0
        try:
            if not video.isOpened():
                raise SourceOpenError(
                    f"{name} can't be opened as a video: it is damaged or cut off", hint=_HINT
                )
            width = int(video.get(cv2.CAP_PROP_FRAME_WIDTH))
            height = int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
            if width > 0 and height > 0:
                check_size(width, height, options.max_pixels)
            video.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
            self._declared = int(max(0.0, video.get(cv2.CAP_PROP_FRAME_COUNT)))
            self._timeline = Timeline(video.get(cv2.CAP_PROP_FPS), options.folder_fps)
            self._first = self._read_next()
            if self._first is None:
                raise SourceOpenError(f"{name} holds no frame that can be decoded", hint=_HINT)
        except BaseException:
            self._capture.close()
            raise

    @property
    def info(self) -> SourceInfo:
        """What is known so far: `timing` turns to ``rebuilt`` when a timestamp had to be replaced."""
        return replace(self._info, timing="rebuilt") if self._timeline.rebuilt else self._info

    def __next__(self) -> Frame:
        if self._closed.is_set():
            raise StopIteration
        frame, self._first = self._first, None
        frame = frame or self._read_next()
        if frame is None:
            if self._seq < self._declared and not self._closed.is_set():
                # the count is the container's guess where its frames are uneven
                _log.info("a video ended after %d of about %d frames", self._seq, self._declared)
            self.close()
            raise StopIteration
        return frame

    def _read_next(self) -> Frame | None:
        shot = self._capture.read()
        if shot is None:
            return None
        image = normalise_image(shot.image, max_pixels=self._max_pixels)
        seq, self._seq = self._seq, self._seq + 1
        return Frame(image, t=self._timeline.next(shot.stamp), seq=seq)

    def close(self) -> None:
        """End it from any thread."""
        self._closed.set()
        self._capture.close()


_HINT: Final = "Use a whole MP4, MOV, WebM, MKV or AVI file."
