"""What a source of frames is: `Source`, `SourceInfo`, `SourceOptions`, and the fake that tests share."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Protocol, Self, runtime_checkable

from pipeline.camera.address import StreamAddress
from pipeline.camera.frame import MAX_PIXELS, Frame, normalise_image
from pipeline.camera.identity import DeviceIdentity
from pipeline.errors import UsageError

Kind = Literal["device", "file", "folder", "network", "synthetic"]
Timing = Literal["capture", "container", "rebuilt", "nominal"]


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source, free of credentials.

    Attributes:
        kind: where frames come from.
        name: device node, file name or redacted URL.
        live: True where frames happen now, False where they were stored.
        trusted: True only for a physical capture device on a real bus.
        reason: one sentence: why it is trusted, or why it is not.
        identity: how the capture device is attached, or None where that can't be told.
        timing: origin of ``Frame.t``: ``capture`` is the monotonic clock when the frame was grabbed,
            ``container`` the file's own timestamps, ``rebuilt`` the file's frame rate where its timestamps
            were missing or ran backwards, ``nominal`` a rate from the options.
        address: of a stream; without it no list can name the stream.

    Raises:
        UsageError: `trusted` is set for anything but a device that `identity` calls physical.
    """

    kind: Kind
    name: str
    live: bool
    trusted: bool
    reason: str
    identity: DeviceIdentity | None = None
    timing: Timing = "capture"
    address: StreamAddress | None = None

    @property
    def id(self) -> str:
        """What a list names a device by: its identity, ``unknown:camera 0`` without one; else the name."""
        if self.identity is not None:
            return self.identity.id
        return f"unknown:{self.name}" if self.kind == "device" else self.name

    def __post_init__(self) -> None:
        if self.trusted and not (
            self.kind == "device" and self.identity is not None and self.identity.physical
        ):
            raise UsageError("only a capture device on a real bus can be a trusted source")


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How sources are opened and watched.

    Attributes:
        width, height: wished size of a device's frames in pixels; the driver may choose another.
        fps: wished rate of a device in frames per second.
        max_pixels: frames and pictures above this width x height are refused.
        open_deadline_s: seconds until the first frame of a live source.
        read_deadline_s: seconds without a new frame after which a live source counts as lost.
        reconnect_deadline_s: seconds from a loss until `SourceLostError`.
        backoff_start_s, backoff_max_s: first and longest pause between two tries to reconnect; it doubles.
        identical_frames_as_loss: so many byte-identical repeats of a frame in a row are a loss (a frozen
            driver); 0 lets repeats through and never counts them. A sensor's noise makes two equal frames
            practically impossible; a closed privacy shutter can make them.
        transport: ``tcp`` (tried first; FFmpeg falls back to UDP where a server refuses it) or ``udp``.
        folder_fps: nominal frames per second of a folder, and of a video whose rate is not known.

    Raises:
        UsageError: a value is not positive, or not finite.
    """

    width: int | None = None
    height: int | None = None
    fps: float | None = None
    max_pixels: int = MAX_PIXELS
    open_deadline_s: float = 10.0
    read_deadline_s: float = 3.0
    reconnect_deadline_s: float = 20.0
    backoff_start_s: float = 0.25
    backoff_max_s: float = 4.0
    identical_frames_as_loss: int = 30
    transport: Literal["tcp", "udp"] = "tcp"
    folder_fps: float = 30.0

    def __post_init__(self) -> None:
        for name in (
            "max_pixels",
            "open_deadline_s",
            "read_deadline_s",
            "reconnect_deadline_s",
            "folder_fps",
        ):
            _positive(name, getattr(self, name))
        for name in ("backoff_start_s", "backoff_max_s", "width", "height", "fps"):
            if getattr(self, name) is not None:
                _positive(name, getattr(self, name))
        if self.identical_frames_as_loss < 0:
            raise UsageError("identical_frames_as_loss must be 0 (off) or more")
        if self.transport not in ("tcp", "udp"):
            raise UsageError("transport must be tcp or udp")


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"{name} must be above 0")


@runtime_checkable
class Source(Protocol):
    """Frames, one after the other. Iterate once; use as a context manager."""

    @property
    def info(self) -> SourceInfo:
        """What is known of the source."""
        ...

    def __iter__(self) -> Iterator[Frame]: ...

    def __next__(self) -> Frame:
        """Next frame; of a live source, the newest.

        Raises:
            SourceLostError: a live source stopped and did not come back in time.
            FrameError: a frame is too large, too small or not a picture.
        """
        ...

    def close(self) -> None:
        """End it from any thread, any number of times; iteration then ends."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class SourceBase(ABC):
    """What sources share: iteration and closing at the end of a ``with`` block."""

    @property
    @abstractmethod
    def info(self) -> SourceInfo:
        """What is known of the source."""

    @abstractmethod
    def __next__(self) -> Frame: ...

    @abstractmethod
    def close(self) -> None:
        """End it from any thread, any number of times."""

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.info.kind}, {self.info.name!r})"


SYNTHETIC: Final = SourceInfo(
    kind="synthetic",
    name="synthetic",
    live=False,
    trusted=False,
    reason="frames that a program made are not a camera's",
    timing="nominal",
)


class SyntheticSource(SourceBase):
    """Frames that a program made, for tests, demos and simulation; untrusted unless `info` says otherwise.

    Args:
        frames: `Frame` objects, handed on as they are, or arrays that `normalise_image` takes. An error that
            the iterable raises reaches the consumer.
        info: what it claims to be.
        fps: rate that gives arrays their time; the n-th item has ``seq`` n and ``t`` n / fps.
    """

    def __init__(self, frames: Iterable[object], info: SourceInfo = SYNTHETIC, *, fps: float = 30.0) -> None:
        self._frames = iter(frames)
        self._info = info
        self._fps = fps
        self._seq = 0
        self._closed = threading.Event()

    @property
    def info(self) -> SourceInfo:
        """As given."""
        return self._info

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed.is_set()

    def __next__(self) -> Frame:
        if self._closed.is_set():
            raise StopIteration
        item = next(self._frames)
        seq, self._seq = self._seq, self._seq + 1
        if isinstance(item, Frame):
            return item
        return Frame(normalise_image(item), t=seq / self._fps, seq=seq)

    def close(self) -> None:
        """End it."""
        self._closed.set()
