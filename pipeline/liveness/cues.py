"""Cues: small measures with a physical reason that deny or confirm, and are never blended into a percentage.

A denying cue that speaks ends the check at once. A confirming cue must speak before anything passes; until
then the check stays undecided. A cue is made anew for each check, sees frames in order, and tells a
value with each; `CUES` is the table that settings choose from. What a cue needs of its surroundings comes in
by `CueContext`, and what it must see stands in its `CueNeed`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import numpy as np

from pipeline.camera.frame import Frame
from pipeline.errors import SettingsError
from pipeline.liveness.injection import EXACT, RepeatMeter
from pipeline.liveness.motion import BOUND as MOTION_BOUND
from pipeline.liveness.motion import face_grey, motion_ratio
from pipeline.reasons import Reason
from pipeline.vision import View
from pipeline.vision.types import F32


class CueRole(StrEnum):
    """What a cue may do."""

    DENY = "deny"
    CONFIRM = "confirm"


class CueNeed(StrEnum):
    """Which frames a cue must see, see `pipeline.liveness.judge.Session.take`.

    Attributes:
        STREAM: every frame, and no face in it.
        FACE: the face in those frames in which it is looked for.
        EVERY: the face in every frame: while such a cue is there, none is passed over.
    """

    STREAM = "stream"
    FACE = "face"
    EVERY = "every"


@dataclass(frozen=True, slots=True)
class CueContext:
    """What a cue may know of the check.

    Attributes:
        live: True for a camera or a stream, False for a file or a folder.
    """

    live: bool


@dataclass(frozen=True, slots=True)
class CueReading:
    """What a cue says after a frame.

    Attributes:
        value: its measure; NaN where it can't tell yet.
        veto: why it denies, or None. Never taken back: the check ends with it.
        confirmed: True where a confirming cue has what it wants. A denying cue proves nothing by saying so.
        tinted: True where the cue colours the light on the face in this frame. No calibration has seen such
            light: the frame is neither judged nor uploaded.
    """

    value: float
    veto: Reason | None = None
    confirmed: bool = False
    tinted: bool = False


class Cue(Protocol):
    """One cue during one check."""

    name: str
    role: CueRole
    need: CueNeed

    def update(self, frame: Frame, view: View) -> CueReading:
        """Take the next frame."""
        ...

    def forget(self) -> None:
        """From the next frame on the face is another one: what the one before confirmed counts no more."""
        ...


CueFactory = Callable[[CueContext], Cue]


class FrozenCue:
    """Denies a picture that stands still to the last bit.

    Two exposures of one sensor are never equal byte for byte: of 1,762 pairs of consecutive frames of 8
    compressed clips none is (exact 95 % interval: up to 0.21 %; ``python -m benchmarks.pad_clips
    continuity``). A live source is frozen where half of its last `WINDOW` pairs are equal. In a file, equal
    pairs also come from a changed frame rate, two of three when 10 fps are written as 30: there nine of ten
    are wanted.
    """

    name = "frozen"
    role = CueRole.DENY
    need = CueNeed.STREAM
    WINDOW: Final = 10
    SHARE_LIVE: Final = 0.5
    SHARE_FILE: Final = 0.9

    def __init__(self, context: CueContext) -> None:
        self._share = self.SHARE_LIVE if context.live else self.SHARE_FILE
        self._equal: deque[bool] = deque(maxlen=self.WINDOW)
        self._before: Frame | None = None

    def update(self, frame: Frame, view: View) -> CueReading:
        """Value: share of equal pairs in the window, in [0, 1]."""
        if self._before is not None:
            self._equal.append(same_pixels(self._before, frame))
        self._before = frame
        if len(self._equal) < self.WINDOW:
            return CueReading(math.nan if not self._equal else sum(self._equal) / len(self._equal))
        share = sum(self._equal) / self.WINDOW
        return CueReading(share, Reason.FROZEN_SOURCE if share >= self._share else None)

    def forget(self) -> None:
        """Nothing: it looks at the stream, whoever is in it."""


class MotionCue:
    """Confirms that the face moves at all; a picture on a stand before a camera does not.

    Value: the largest ratio so far of the change between a reference frame and this one to the change that
    the sensor's noise alone makes, see `pipeline.liveness.motion`. It says nothing about how the face moves:
    a print in a hand confirms it too.
    """

    name = "motion"
    role = CueRole.CONFIRM
    need = CueNeed.FACE

    def __init__(self, context: CueContext) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._reference: F32 | None = None
        self._box = np.zeros(4, np.float32)
        self._track = -1
        self._largest = math.nan

    def update(self, frame: Frame, view: View) -> CueReading:
        """Value: see the class; NaN before the second frame with the face."""
        if view.face is None or self._largest >= MOTION_BOUND:
            return CueReading(self._largest, confirmed=self._largest >= MOTION_BOUND)
        grey = None
        if view.face.track_id == self._track:
            grey = face_grey(frame.image, self._box)
        if grey is None or self._reference is None or grey.shape != self._reference.shape:
            self._box, self._track = view.face.box, view.face.track_id
            self._reference = face_grey(frame.image, self._box)
            return CueReading(self._largest)
        self._largest = max(
            motion_ratio(self._reference, grey), 0.0 if math.isnan(self._largest) else self._largest
        )
        return CueReading(self._largest, confirmed=self._largest >= MOTION_BOUND)


class RepeatCue:
    """Denies a stream that shows what it showed before: a looped clip, played forwards or to and fro.

    Value: the smallest ratio so far of the distance between two visits to that between neighbouring frames,
    see `pipeline.liveness.injection`; 0 for exact repeats, NaN before anything could be compared.
    """

    name = "repeat"
    role = CueRole.DENY
    need = CueNeed.STREAM

    def __init__(self, context: CueContext) -> None:
        self._meter = RepeatMeter()

    def update(self, frame: Frame, view: View) -> CueReading:
        """Value: see the class."""
        meter = self._meter
        meter.see(frame.image)
        value = 0.0 if meter.exact >= EXACT else meter.lowest
        return CueReading(value, Reason.INJECTED_SOURCE if meter.repeats else None)

    def forget(self) -> None:
        """Nothing: it looks at the stream, whoever is in it."""


CUES: Final[Mapping[str, CueFactory]] = {
    FrozenCue.name: FrozenCue,
    MotionCue.name: MotionCue,
    RepeatCue.name: RepeatCue,
}
"""Cues by the name that settings and results use."""
DEFAULT_CUES: Final = (FrozenCue.name, MotionCue.name, RepeatCue.name)


@dataclass(frozen=True, slots=True)
class CueState:
    """What all cues say after a frame.

    Attributes:
        values: readings by name, without those that can't tell yet.
        veto: the first veto, or None.
        pending: names of the confirming cues that have not confirmed.
        tinted: True where one of them colours the light on the face.
    """

    values: Mapping[str, float]
    veto: Reason | None
    pending: tuple[str, ...]
    tinted: bool


class CueSet:
    """The cues of one check.

    Args:
        names: keys of ``table``, each once.
        context: what they may know.
        table: factories by name.
        extra: cues of this one check besides, made by whoever has what they need (a screen for a flash).

    Raises:
        SettingsError: a name is unknown or given twice.
    """

    def __init__(
        self,
        names: Sequence[str],
        context: CueContext,
        table: Mapping[str, CueFactory] = CUES,
        *,
        extra: Sequence[Cue] = (),
    ) -> None:
        unknown = [name for name in names if name not in table]
        if unknown or len(set(names)) != len(names):
            raise SettingsError(f"cues must be among {', '.join(table)}, each once")
        self._cues = [*(table[name](context) for name in names), *extra]
        self._readings = [CueReading(math.nan) for _ in self._cues]
        self.every = any(cue.need is CueNeed.EVERY for cue in self._cues)
        """True where a cue must see the face in every frame."""

    @property
    def pending(self) -> tuple[str, ...]:
        """Names of the confirming cues that have not confirmed."""
        return tuple(
            cue.name
            for cue, reading in zip(self._cues, self._readings, strict=True)
            if cue.role is CueRole.CONFIRM and not reading.confirmed
        )

    def forget(self) -> None:
        """Another face is there: let every cue forget what the one before confirmed."""
        for cue in self._cues:
            cue.forget()

    def update(self, frame: Frame, view: View) -> CueState:
        """Show every cue the next frame."""
        self._readings = [cue.update(frame, view) for cue in self._cues]
        return self._state()

    def pass_over(self, frame: Frame) -> CueState:
        """Show the cues of the stream a frame that was passed over; the others stay as they were."""
        nobody = View()
        self._readings = [
            cue.update(frame, nobody) if cue.need is CueNeed.STREAM else reading
            for cue, reading in zip(self._cues, self._readings, strict=True)
        ]
        return self._state()

    def _state(self) -> CueState:
        readings = list(zip(self._cues, self._readings, strict=True))
        vetoes = [reading.veto for _, reading in readings if reading.veto is not None]
        return CueState(
            values={cue.name: r.value for cue, r in readings if math.isfinite(r.value)},
            veto=vetoes[0] if vetoes else None,
            pending=self.pending,
            tinted=any(reading.tinted for reading in self._readings),
        )


def same_pixels(a: Frame, b: Frame) -> bool:
    """True where two frames are equal byte for byte. The middle row goes first: it nearly always tells."""
    if a.image is b.image:
        return True
    if a.image.shape != b.image.shape:
        return False
    middle = a.height // 2
    return bool(np.array_equal(a.image[middle], b.image[middle]) and np.array_equal(a.image, b.image))
