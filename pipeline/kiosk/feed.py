"""`Feed`: the camera, kept open from check to check, its newest frame for whoever looks.

A check gets a `Tap`: a `Source` like any other, whose end ends nothing but the check. The frames are those of
the camera's own source, unchanged and uncopied; the preview sees the same ones. Nothing is ever queued.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from pipeline.camera import Frame, Source, SourceInfo
from pipeline.camera.source import SourceBase
from pipeline.errors import LivegateError, SourceLostError
from pipeline.kiosk.tally import Times

log = logging.getLogger("livegate.kiosk")

RETRY_S: Final = 2.0
"""Pause between two tries to open a camera that is not there."""
STALL_S: Final = 3.0
"""Seconds without a frame after which the page says that the camera is not available."""
GRACE_S: Final = 0.5
"""Longest time that an ending check waits for its last frame."""
LOOK_S: Final = 0.1
"""Longest time until somebody who waits for a frame looks whether they are still wanted."""
JOIN_S: Final = 3.0


class Feed:
    """Opens the source, reads it in a thread of its own, and opens it again when it is lost.

    A stored source (file, folder) is played at its own pace, again and again; each check begins at its start,
    and while a check looks none of its frames is passed over.

    Args:
        opener: opens the source; called again after each loss.
        on_frame: called from the reading thread after each frame and each change; must not wait.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        opener: Callable[[], Source],
        *,
        on_frame: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._opener = opener
        self._on_frame = on_frame
        self._clock = clock
        self.gate_times: Final = Times()
        self._changed = threading.Condition()
        # everything below is read and written under _changed
        self._stopping = False
        self._restart = False
        self._round = 0
        self._over = True
        self._error: LivegateError | None = None
        self._told = ""
        self._info: SourceInfo | None = None
        self._source: Source | None = None
        self._number = 0
        self._slot: tuple[int, Frame] | None = None
        self._slot_at = clock()
        self._looking: Tap | None = None
        self._arrivals: deque[float] = deque(maxlen=60)
        self._thread = threading.Thread(target=self._run, name="kiosk camera", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """Give the camera back; a check that looks gets no further frame. Idempotent."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            source = self._source
        if source is not None:
            source.close()  # the thread may be waiting in it
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    @property
    def info(self) -> SourceInfo | None:
        """What is known of the source; None before it was opened for the first time."""
        with self._changed:
            return self._info

    @property
    def error(self) -> LivegateError | None:
        """Why there is no source now, or None."""
        with self._changed:
            return self._error

    @property
    def stalled(self) -> bool:
        """True where no frame has come for `STALL_S`, or none yet."""
        with self._changed:
            return self._slot is None or self._clock() - self._slot_at > STALL_S

    @property
    def rate(self) -> float:
        """Frames a second over the last sixty; 0 while nothing comes."""
        with self._changed:
            if len(self._arrivals) < 2 or self._clock() - self._arrivals[-1] > STALL_S:
                return 0.0
            span = self._arrivals[-1] - self._arrivals[0]
            return (len(self._arrivals) - 1) / span if span > 0 else 0.0

    def newest(self, after: int = 0) -> tuple[int, Frame] | None:
        """The newest frame with its number, if that is above `after`. Never waits."""
        with self._changed:
            return self._slot if self._slot is not None and self._slot[0] > after else None

    def tap(self, on_stall: Callable[[], None] = lambda: None) -> Tap:
        """A source for one check.

        Args:
            on_stall: called where the check waits for longer than `STALL_S`; must not wait.
        """
        with self._changed:
            stored = self._info is not None and not self._info.live
            if stored:
                self._restart = True
                self._changed.notify_all()
            wanted = self._round + 1 if stored or self._round == 0 else self._round
            info = self._info or _UNKNOWN
            self._looking = tap = Tap(self, info, wanted, on_stall)
            tap.first = self._number  # a check begins with a frame of now, not with one that lay there
            return tap

    # the check's side --------------------------------------------------------------------------------

    def _take(self, tap: Tap, after: int) -> tuple[int, Frame] | None:
        """The next frame for a tap, or None at its end; raises what ended the source."""
        waits_until = self._clock() + STALL_S
        with self._changed:
            while True:
                if tap.ended or self._stopping or self._round > tap.round or self._clock() > tap.ends_by:
                    return None
                if self._round == tap.round:
                    if self._slot is not None and self._slot[0] > max(after, tap.first):
                        if self._info != tap.info:  # what was judged by its source is not of this one
                            raise SourceLostError("another camera answers than when the check began")
                        self._changed.notify_all()
                        return self._slot
                    if self._over:
                        if self._error is not None:
                            raise type(self._error)(self._error.message, hint=self._error.hint)
                        return None
                if self._clock() > waits_until:
                    waits_until = float("inf")
                    tap.on_stall()
                self._changed.wait(LOOK_S)

    def _release(self, tap: Tap) -> None:
        with self._changed:
            if self._looking is tap:
                self._looking = None
            self._changed.notify_all()

    # the reading thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopping:
                    return
                self._round += 1
                self._restart, self._over, self._error = False, False, None
                if self._looking is not None:
                    self._looking.first = self._number  # a check's first frame is one of this round
            again_at_once = self._read_one()
            with self._changed:
                self._over = True
                self._changed.notify_all()
                if not again_at_once:
                    ends = self._clock() + RETRY_S
                    while not self._stopping and self._clock() < ends:
                        self._changed.wait(LOOK_S)
            self._on_frame()

    def _read_one(self) -> bool:
        """Open the source and read it to its end. True where it may be opened again at once."""
        try:
            with self._opener() as source:
                with self._changed:
                    self._info, self._source = source.info, source
                self._pump(source)
                stored = not source.info.live
                if stored:
                    return True
                with self._changed:
                    if self._stopping:
                        return True
                raise SourceLostError(f"{source.info.name} ended")
        except LivegateError as error:
            problem = error
        except Exception as error:  # a fault of a driver must not end the kiosk
            log.error("the camera's thread met %s", type(error).__name__)
            problem = SourceLostError("the camera's driver failed")
        if problem.message != self._told:  # once, not at every try
            log.warning("no camera: %s", problem.message)
        self._told = problem.message
        with self._changed:
            self._error, self._source = problem, None
        return False

    def _pump(self, source: Source) -> None:
        began: tuple[float, float] | None = None
        for frame in source:
            now = self._clock()
            began = began or (now, frame.t)
            due = began[0] + frame.t - began[1]
            with self._changed:
                while not source.info.live and not self._leave() and (now < due or self._untaken()):
                    self._changed.wait(min(LOOK_S, max(0.001, due - now)))
                    now = self._clock()
                if self._leave():
                    return
                self._told = ""
                self._number += 1
                self._slot = (self._number, frame)
                self._slot_at = now
                self._arrivals.append(now)
                self._changed.notify_all()
            self._on_frame()

    def _leave(self) -> bool:
        return self._stopping or self._restart

    def _untaken(self) -> bool:
        """A check looks at this round of a stored source and has not taken the frame in the slot."""
        tap = self._looking
        if tap is None or tap.round != self._round or tap.ended:
            return False
        return self._number > tap.first and tap.taken < self._number


_UNKNOWN: Final = SourceInfo(
    kind="device", name="camera", live=True, trusted=False, reason="the camera was never opened"
)


class Tap(SourceBase):
    """One check's view of the feed. `Feed.tap` makes it.

    Attributes:
        round: opening of the source whose frames it gives; the next one is a new source.
        first: number of the last frame that is older than the check's source.
        taken: number of the frame given last.
        size: its width and height in pixels.
        ended: True after `end` or `close`.
        ends_by: when it ends also without another frame, by the feed's clock.
        on_stall: told once when a frame is long in coming.
    """

    def __init__(self, feed: Feed, info: SourceInfo, wanted: int, on_stall: Callable[[], None]) -> None:
        self._feed = feed
        self._info = info
        self.round = wanted
        self.first = 0
        self.taken = 0
        self.size = (0, 0)
        self.ended = False
        self.ends_by = math.inf
        self.on_stall = on_stall
        self._grace: int | None = None
        self._given_at: float | None = None

    @property
    def info(self) -> SourceInfo:
        """The camera's own."""
        return self._info

    def __next__(self) -> Frame:
        if self._given_at is not None:
            self._feed.gate_times.add(time.perf_counter() - self._given_at)
            self._given_at = None
        if self._grace is not None:
            if self._grace == 0:
                raise StopIteration
            self._grace -= 1
        found = self._feed._take(self, self.taken)
        if found is None:
            raise StopIteration
        self.taken, frame = found
        self.size = (frame.width, frame.height)
        self._given_at = time.perf_counter()
        return frame

    def end(self, after: int = 0) -> None:
        """From any thread: give so many frames more, if they come soon, then none, and so the check ends."""
        if after:
            self._grace = after
            self.ends_by = min(self.ends_by, self._feed._clock() + GRACE_S)
        else:
            self.close()

    def close(self) -> None:
        """End the check's view; the camera stays open."""
        self.ended = True
        self._feed._release(self)
