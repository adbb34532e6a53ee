"""Live sources: a reader thread, one slot for the newest frame, and a watchdog that reconnects.

See docs/adr/0004. The reader does nothing but read, so a slow consumer never lets old frames pile up in the
driver; the consumer gets the newest frame or waits for one. The consumer watches the reader: a read that
does not return can't be interrupted from outside, so its thread is left to end by itself and another one
opens the device anew.
"""

from __future__ import annotations

import logging
import threading
from typing import Any, Final

from pipeline.camera.capture import Capture, CaptureFactory, Shot
from pipeline.camera.clock import Clock, SystemClock
from pipeline.camera.frame import Frame, normalise_image
from pipeline.camera.source import SourceBase, SourceInfo, SourceOptions
from pipeline.camera.watchdog import LiveStats, Loss, RepeatMeter, backoff
from pipeline.errors import SourceError, SourceFrozenError, SourceLostError, SourceOpenError

_log = logging.getLogger(__name__)

_JOIN_S: Final = 1.0
"""Real seconds that `close` grants a reader to end; one that is stuck in a driver ends when that returns."""

_LOOK_S: Final = 0.5
"""Longest wait of a consumer before it looks at the reader again."""


class _Reader:
    """One reader thread's place: what it holds and since when it is away in a call."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self.capture: Capture | None = None
        self.away_until: float | None = None
        """Time by which the call that it is in should have returned; None while it is in none."""


class LiveSource(SourceBase):
    """The newest frame of a device or stream. Frames that came in between show as gaps in ``seq``.

    Byte-identical repeats are not handed on. A frame is normalised when the consumer takes it; one copy is
    made there only if the device does not give uint8 BGR.

    Args:
        factory: opens the device; called again to reconnect.
        info: what the source is called.
        options: deadlines, back-off, repeats, `max_pixels`.
        clock: time and waiting.

    Raises:
        SourceOpenError: it can't be opened, or gives no frame within `open_deadline_s`.
        FrameError: its first frame is too small, too large or no picture.
    """

    def __init__(
        self, factory: CaptureFactory, info: SourceInfo, options: SourceOptions, clock: Clock | None = None
    ) -> None:
        self._factory = factory
        self._info = info
        self._options = options
        self._clock: Clock = clock or SystemClock()
        self._changed = threading.Condition()
        # everything below is read and written under _changed
        self._slot: tuple[Shot, int, float] | None = None
        self._stats: dict[str, Any] = {}
        self._meter = RepeatMeter()
        self._seq = -1
        self._repeats = 0
        self._new_at = self._clock.now()
        self._had_frame = False
        self._lost_since: float | None = None
        self._problem = ""
        self._error: SourceError | None = None
        self._closed = False
        self._pauses = backoff(options.backoff_start_s, options.backoff_max_s)
        self._readers: list[_Reader] = []
        with self._changed:
            self._reader = _Reader()
            self._start_reader(None)
        try:
            self._wait_for_first()
        except BaseException:
            self.close()
            raise

    @property
    def info(self) -> SourceInfo:
        """What is known of the source."""
        return self._info

    @property
    def stats(self) -> LiveStats:
        """What happened so far."""
        with self._changed:
            return LiveStats(**self._stats)

    # consumer ----------------------------------------------------------------------------------------

    def __next__(self) -> Frame:
        with self._changed:
            while True:
                if self._closed:
                    raise StopIteration
                now = self._clock.now()
                slot, self._slot = self._slot, None
                # a frame left from before a standstill is not the newest any more, it is old
                if slot is not None and now - slot[2] <= self._options.read_deadline_s:
                    break
                if self._error is not None:
                    raise type(self._error)(self._error.message, hint=self._error.hint)
                self._clock.wait(self._changed, self._watch(now))
        shot, seq, _ = slot
        return Frame(normalise_image(shot.image, max_pixels=self._options.max_pixels), t=shot.t, seq=seq)

    def _wait_for_first(self) -> None:
        with self._changed:
            end = self._clock.now() + self._options.open_deadline_s
            while self._slot is None:
                now = self._clock.now()
                if self._error is not None:
                    raise self._error
                if now >= end:
                    raise SourceOpenError(
                        f"{self._info.name} gave no frame within {self._options.open_deadline_s:g} s",
                        hint="Close the program that holds it, or check its cable or address.",
                    )
                self._clock.wait(self._changed, min(_LOOK_S, end - now))
            image = self._slot[0].image
        normalise_image(image, max_pixels=self._options.max_pixels)

    def _watch(self, now: float) -> float:
        """Look at the reader, replace it if it hangs. Returns seconds until the next look."""
        until = now + _LOOK_S
        if self._give_up(now):
            return 0.0
        reader = self._reader
        if reader.away_until is not None and now >= reader.away_until:
            self._lose(Loss.BLOCKED, now)
            self._start_reader(reader)
        elif reader.thread is not None and not reader.thread.is_alive():
            self._lose(Loss.ENDED, now)
            self._start_reader(reader)
        if self._reader.away_until is not None:
            until = min(until, self._reader.away_until)
        if self._lost_since is not None:
            until = min(until, self._lost_since + self._options.reconnect_deadline_s)
        return until - now

    # both sides, under the lock ----------------------------------------------------------------------

    def _count(self, name: str, by: int = 1) -> None:
        self._stats[name] = self._stats.get(name, 0) + by

    def _lose(self, loss: Loss, now: float) -> None:
        if not self._had_frame:
            return
        if self._lost_since is None:
            self._lost_since = now
            _log.warning("%s was lost (%s), trying to reconnect", self._info.name, loss)
        if loss is not Loss.OPEN:
            self._count("losses")
            self._stats["last_loss"] = loss
            self._problem = {
                Loss.ENDED: "it stopped giving frames",
                Loss.BLOCKED: "it did not answer",
                Loss.FROZEN: "it is frozen: the same frame came again and again",
            }[loss]
        self._changed.notify_all()

    def _give_up(self, now: float) -> bool:
        if self._error is not None:
            return True
        limit = self._options.reconnect_deadline_s
        if self._lost_since is None or now - self._lost_since < limit:
            return False
        kind = SourceFrozenError if self._stats.get("last_loss") is Loss.FROZEN else SourceLostError
        self._error = kind(f"{self._info.name} was lost for {limit:g} s: {self._problem}")
        self._changed.notify_all()
        return True

    # reader ------------------------------------------------------------------------------------------

    def _start_reader(self, replaced: _Reader | None) -> None:
        reader = _Reader()
        reader.away_until = self._clock.now() + self._options.open_deadline_s
        reader.thread = threading.Thread(
            target=self._run, args=(reader, replaced), name="livegate-camera", daemon=True
        )
        self._readers = [other for other in self._readers if other.thread and other.thread.is_alive()]
        self._readers.append(reader)
        self._reader = reader
        reader.thread.start()

    def _run(self, reader: _Reader, replaced: _Reader | None) -> None:
        if replaced is not None and replaced.capture is not None:
            replaced.capture.close()
            self._pause(reader)
        while self._open(reader):
            self._pump(reader)
            if reader.capture is not None:
                reader.capture.close()
            if not self._pause(reader):
                return

    def _mine(self, reader: _Reader) -> bool:
        return not self._closed and self._error is None and self._reader is reader

    def _open(self, reader: _Reader) -> bool:
        """Open the device, again and again after a loss. False when this reader is to end."""
        while True:
            with self._changed:
                if not self._mine(reader):
                    return False
                reader.away_until = self._clock.now() + self._options.open_deadline_s
            capture: Capture | None = None
            try:
                capture = self._factory()
            except SourceError as error:
                problem = error
            except Exception as error:
                _log.debug("opening a capture failed with %s", type(error).__name__)
                problem = SourceOpenError(f"{self._info.name} can't be opened")
            with self._changed:
                reader.away_until = None
                reader.capture = capture
                mine = self._mine(reader)
                if capture is None and mine:
                    if not self._had_frame:
                        self._error = problem
                        self._changed.notify_all()
                        return False
                    self._lose(Loss.OPEN, self._clock.now())
                elif mine and self._had_frame:
                    self._count("reconnects")
            if not mine:
                if capture is not None:
                    capture.close()
                return False
            if capture is not None:
                return True
            if not self._pause(reader):
                return False

    def _pause(self, reader: _Reader) -> bool:
        """Wait before the next try. False when this reader is to end."""
        with self._changed:
            reader.away_until = None
            if self._lost_since is None:
                return self._mine(reader)
            end = self._clock.now() + next(self._pauses)
            while self._mine(reader):
                now = self._clock.now()
                if self._give_up(now):
                    return False
                if now >= end:
                    return True
                self._clock.wait(
                    self._changed, min(end, self._lost_since + self._options.reconnect_deadline_s) - now
                )
            return False

    def _pump(self, reader: _Reader) -> None:
        """Read until the device is lost or this reader is to end."""
        capture = reader.capture
        with self._changed:
            self._repeats = 0
            self._new_at = self._clock.now()
        while capture is not None:
            with self._changed:
                if not self._mine(reader):
                    return
                reader.away_until = self._clock.now() + self._options.read_deadline_s
            try:
                shot = capture.read()
            except Exception as error:
                # a reader that died silently would leave the consumer waiting; a driver that throws is lost
                _log.debug("a capture's read failed with %s", type(error).__name__)
                shot = None
            with self._changed:
                reader.away_until = None
                if not self._mine(reader):
                    return
                now = self._clock.now()
                if shot is None:
                    self._end(now)
                    return
                if not self._take(shot, now):
                    self._lose(Loss.FROZEN, now)
                    return

    def _end(self, now: float) -> None:
        if self._had_frame:
            self._lose(Loss.ENDED, now)
            return
        self._error = SourceOpenError(
            f"{self._info.name} gives no frame",
            hint="Close the program that holds it, or check its cable or address.",
        )
        self._changed.notify_all()

    def _take(self, shot: Shot, now: float) -> bool:
        """Put a new frame into the slot. False if the source is frozen."""
        self._seq += 1 + shot.missed
        self._count("shots")
        self._count("dropped", shot.missed)
        limit = self._options.identical_frames_as_loss
        if limit and self._meter.see(shot.image):
            self._repeats += 1
            self._count("repeats")
            return self._repeats < limit and now - self._new_at < self._options.read_deadline_s
        if self._slot is not None:
            self._count("dropped")
        if self._lost_since is not None:
            _log.info("%s is back", self._info.name)
            self._pauses = backoff(self._options.backoff_start_s, self._options.backoff_max_s)
        self._repeats = 0
        self._new_at = now
        self._lost_since = None
        self._had_frame = True
        self._slot = (shot, self._seq, now)
        self._changed.notify_all()
        return True

    def close(self) -> None:
        """End it from any thread: a consumer that waits stops at once, the device is given back.

        Waits up to 1 s for the reader. One that is stuck in a driver is a daemon thread; it gives the device
        back when the driver returns.
        """
        with self._changed:
            self._closed = True
            self._slot = None
            self._changed.notify_all()
            readers = [reader for reader in self._readers if reader.thread is not threading.current_thread()]
        for reader in readers:
            if reader.capture is not None:
                reader.capture.close()
        for reader in readers:
            if reader.thread is not None:
                reader.thread.join(_JOIN_S / len(readers))
