"""`Capture`: what gives a live source its frames, behind two methods; and OpenCV's, safe to close."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.camera.clock import Clock
from pipeline.camera.names import redact_url
from pipeline.camera.source import SourceOptions
from pipeline.errors import SourceOpenError


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One picture as the driver gave it.

    Attributes:
        image: any array that `normalise_image` judges; a fresh one each time, so that nobody has to copy it.
        t: seconds on the source's clock when it was grabbed, before it was decoded.
        stamp: the stream's own timestamp in seconds, NaN where there is none.
        missed: pictures since the shot before that the capture left out itself, to catch up.
    """

    image: NDArray[Any]
    t: float
    stamp: float = math.nan
    missed: int = 0


class Capture(Protocol):
    """A device or stream that is open."""

    def read(self) -> Shot | None:
        """Wait for the next picture. None: it ended or was lost."""
        ...

    def close(self) -> None:
        """Give it back; from any thread, any number of times, also while `read` runs, and without waiting.

        A `read` that can't be interrupted runs to its end, and the device is given back by it.
        """
        ...


CaptureFactory = Callable[[], Capture]
"""Opens a capture; raises `SourceOpenError`. It is called again for each try to reconnect."""


class CvCapture:
    """`cv2.VideoCapture` as a `Capture`.

    OpenCV's object may not be released while a read of it runs; this sees to it.

    Args:
        capture: opened.
        clock: gives `Shot.t`.
        kernel_time: take `Shot.t` from the driver's buffer time where that is plausible (V4L2).
    """

    def __init__(self, capture: cv2.VideoCapture, clock: Clock, *, kernel_time: bool = False) -> None:
        self._capture = capture
        self._clock = clock
        self._kernel_time = kernel_time
        self._reading = threading.Lock()
        self._closed = threading.Event()

    def read(self) -> Shot | None:
        """Next picture; the array is OpenCV's own, not a copy."""
        with self._reading:
            shot = None if self._closed.is_set() else self._grab()
        if self._closed.is_set():
            self._release()
            return None
        return shot

    def _grab(self) -> Shot | None:
        try:
            if not self._capture.grab():
                return None
            now = self._clock.now()
            stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
            ok, image = self._capture.retrieve()
        except cv2.error:
            return None
        if not ok or image is None:
            return None
        t = capture_time(stamp, now) if self._kernel_time else now
        return Shot(np.asarray(image), t, stamp)

    def close(self) -> None:
        """Release it, now or at the end of the read that runs."""
        self._closed.set()
        self._release()

    def _release(self) -> None:
        if self._reading.acquire(blocking=False):
            try:
                self._capture.release()
            finally:
                self._reading.release()


def capture_time(stamp: float, now: float) -> float:
    """Time of a V4L2 frame: the driver's buffer time where it is of the same clock, else `now`.

    UVC drivers stamp buffers with CLOCK_MONOTONIC at the start of a frame; others count from elsewhere.

    Args:
        stamp: seconds that the driver gave.
        now: seconds on the monotonic clock after the grab.

    Returns:
        Seconds; `stamp` if it lies at most 0.5 s before `now`, never after it.
    """
    return stamp if math.isfinite(stamp) and now - 0.5 <= stamp <= now else now


def open_cv_device(index: int, options: SourceOptions, clock: Clock) -> Capture:
    """Open a camera by number with the system's own backend (V4L2 on Linux).

    Raises:
        SourceOpenError: it can't be opened.
    """
    linux = sys.platform.startswith("linux")
    try:
        capture = cv2.VideoCapture(index, cv2.CAP_V4L2 if linux else cv2.CAP_ANY)
    except cv2.error:
        raise SourceOpenError(f"camera {index} can't be opened") from None
    if not capture.isOpened():
        capture.release()
        raise SourceOpenError(
            f"camera {index} can't be opened",
            hint="Close the program that holds it, or choose another; `livegate doctor` lists cameras.",
        )
    wishes = (
        (cv2.CAP_PROP_FRAME_WIDTH, options.width),
        (cv2.CAP_PROP_FRAME_HEIGHT, options.height),
        (cv2.CAP_PROP_FPS, options.fps),
    )
    for prop, value in wishes:
        if value is not None:
            capture.set(prop, float(value))
    return CvCapture(capture, clock, kernel_time=linux)


_FFMPEG_OPTIONS: Final = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_environment: Final = threading.Lock()


def open_cv_rtsp(url: str, options: SourceOptions, clock: Clock) -> Capture:
    """Open an RTSP stream with OpenCV's FFmpeg, which bounds opening and each read itself.

    Args:
        url: with credentials, if any; neither errors nor logs show it.
        options: `open_deadline_s`, `read_deadline_s`, `transport`.
        clock: gives `Shot.t`.

    Raises:
        SourceOpenError: it can't be opened within `open_deadline_s`.
    """
    bounds = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        round(options.open_deadline_s * 1000),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        round(options.read_deadline_s * 1000),
    ]
    try:
        with _transport(options.transport):
            capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, bounds)
    except cv2.error:
        raise SourceOpenError(f"{redact_url(url)} can't be opened", hint=_RTSP_HINT) from None
    if not capture.isOpened():
        capture.release()
        raise SourceOpenError(f"{redact_url(url)} can't be opened", hint=_RTSP_HINT)
    return CvCapture(capture, clock)


_RTSP_HINT: Final = "Check host, port, path, user and password, and that the camera allows one more viewer."


@contextmanager
def _transport(transport: str) -> Iterator[None]:
    """Ask FFmpeg for UDP; OpenCV takes this from the environment only, and prefers TCP without it."""
    if transport == "tcp" or _FFMPEG_OPTIONS in os.environ:
        yield
        return
    with _environment:
        os.environ[_FFMPEG_OPTIONS] = "rtsp_transport;udp"
        try:
            yield
        finally:
            del os.environ[_FFMPEG_OPTIONS]
