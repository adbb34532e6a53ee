"""`FlashSession`: shows the colours, watches the face, says once whether it answered. A confirming cue.

It needs no clock of its own: with each frame the display is told the colour of that frame's capture time. The
screen's latency, the camera's and the gate's are one unknown delay, which the fit searches within bounds.
"""

from __future__ import annotations

import logging
import math
import threading
from typing import Final, Protocol

import numpy as np

from pipeline.camera.frame import Frame
from pipeline.liveness.cues import CueNeed, CueReading, CueRole
from pipeline.liveness.flash.challenge import BASE, FlashChallenge, Rgb, srgb
from pipeline.liveness.flash.regions import RegionMeter, RegionSample
from pipeline.liveness.flash.response import SETTLE_S, fit_response
from pipeline.liveness.flash.verdict import FlashVerdict, judge_response
from pipeline.reasons import Reason
from pipeline.vision import Face, View

log = logging.getLogger(__name__)

_LONGEST_GAP_S: Final = 0.3
"""Seconds without the face, or without a frame, after which a run proves nothing."""
_B, _G, _R = srgb(np.full(3, BASE)).tolist()
RESTING: Final[Rgb] = (_R, _G, _B)
"""The grey that stands before and after."""


class Display(Protocol):
    """Any screen that can fill its area, or most of it, with a colour: a window, a page, a ring of lamps."""

    def show(self, rgb: Rgb) -> bool:
        """Show an sRGB colour (0..255 each) from now on, without waiting.

        Returns:
            False where it is not shown: the person or the page declined, or the screen is gone. The flash is
            then not used any more.
        """
        ...


class FlashSession:
    """One run of one challenge. It is a `pipeline.liveness.Cue`: it confirms where the face answered.

    It begins with the first frame that shows a single face, takes 3.6 seconds, and ends at once when it is
    cancelled, the display declines or the face is lost. Frames from the second on until its end, when the
    screen has rested for as long as the slowest camera needs, are tinted. Whatever ends it without proof ends
    the check undecided (`Reason.NO_FLASH_PROOF`); an answer to other colours than those shown is a veto for
    `Reason.INJECTED_SOURCE`.

    Args:
        display: the screen.
        challenge: what to show; a fresh one if left out.
        rng: draws the decoys; seeded by the system if left out.
    """

    name = "flash"
    role = CueRole.CONFIRM
    need = CueNeed.EVERY

    def __init__(
        self,
        display: Display,
        challenge: FlashChallenge | None = None,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.challenge = challenge or FlashChallenge.new()
        self._display = display
        self._rng = rng or np.random.default_rng()
        self._cancelled = threading.Event()
        self._verdict: FlashVerdict | None = None
        self._meter: RegionMeter | None = None
        self._track = -1
        self._start = math.nan
        self._seen = math.nan
        self._samples: list[RegionSample] = []
        self._shown: list[float] = []

    @property
    def verdict(self) -> FlashVerdict | None:
        """None until the run has ended."""
        return self._verdict

    def cancel(self) -> None:
        """End it from any thread: the person wants no colours. A gate without ``flash`` is the other way."""
        self._cancelled.set()

    def close(self) -> None:
        """Give the screen its resting grey back; a run that is still open proves nothing. Idempotent."""
        if self._verdict is None:
            self._end(FlashVerdict.without("unproved", "the check ended first"))

    def forget(self) -> None:
        """Another face is there: a run that has begun proves nothing for it, and can't be repeated."""
        if self._meter is not None:
            self._end(FlashVerdict.without("unproved", "the face changed"))

    def update(self, frame: Frame, view: View) -> CueReading:
        """Take the next frame and set the display.

        Returns:
            Value: the response's p-value once the run has ended, NaN before and where nothing was fitted.
        """
        begun = self._meter is not None
        if self._verdict is None:
            self._step(frame, view)
        verdict = self._verdict
        if verdict is None:
            return CueReading(math.nan, tinted=begun)
        if verdict.state == "proved":
            return CueReading(verdict.p, confirmed=True)
        contradicted = verdict.state == "contradicted"
        return CueReading(verdict.p, Reason.INJECTED_SOURCE if contradicted else Reason.NO_FLASH_PROOF)

    def _step(self, frame: Frame, view: View) -> None:
        if self._cancelled.is_set():
            self._end(FlashVerdict.without("not_used", "cancelled"))
            return
        face = view.face if view.faces == 1 else None
        if self._meter is None:
            if face is not None:
                self._begin(frame, face)
            return
        elapsed = frame.t - self._start
        if elapsed - self._seen > _LONGEST_GAP_S:
            self._end(FlashVerdict.without("unproved", "the face was lost"))
            return
        if face is not None and face.track_id != self._track:
            self._end(FlashVerdict.without("unproved", "the face changed"))
            return
        if face is not None and elapsed > self._seen:
            self._samples.append(self._meter.measure(frame.image, face.landmarks, elapsed))
            self._seen = elapsed
        if elapsed >= self.challenge.duration_s + SETTLE_S:
            self._conclude()
        else:
            self._show(elapsed)

    def _begin(self, frame: Frame, face: Face) -> None:
        self._meter = RegionMeter(face.landmarks)
        self._track, self._start, self._seen = face.track_id, frame.t, 0.0
        self._samples.append(self._meter.measure(frame.image, face.landmarks, 0.0))
        self._show(0.0)

    def _show(self, elapsed: float) -> None:
        if self._display.show(self.challenge.colour_at(elapsed)):
            self._shown.append(elapsed)
        else:
            self._end(FlashVerdict.without("not_used", "the display declined"))

    def _conclude(self) -> None:
        response = fit_response(
            self._samples, self._shown, self.challenge.codes, self.challenge.strength, self._rng
        )
        self._end(judge_response(response))

    def _end(self, verdict: FlashVerdict) -> None:
        self._verdict = verdict
        self._samples.clear()
        self._display.show(RESTING)
        log.info("flash: %s (%s)", verdict.state, verdict.why)
