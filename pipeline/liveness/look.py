"""When a face need not be looked for: shortly after the last look, and where nobody was and nothing moves."""

from __future__ import annotations

from typing import Final

import numpy as np

from pipeline.camera.frame import Frame
from pipeline.errors import SettingsError
from pipeline.liveness.injection import F32, signature
from pipeline.vision import View

CEILING_S: Final = 0.1
"""No configuration may let more time pass between two looks at a face. The same-face guard compares the faces
of two looks, which grow unlike as heads move: in 8 labelled clips the correlation of one face with itself is
below its bound in 1 of 1,135 pairs 0.06 to 0.085 s apart, in 3 of 338 at 0.1 s and in 15 of 1,122 at 0.12 to
0.14 s (``python -m benchmarks.look_gap``)."""
CALM: Final = 0.9
"""Correlation of the faces of two looks below which the face moves too fast for the next look to wait. With
it, looks up to 0.1 s apart break off as many checks as looks at every frame do, over the labelled clips from
eight beginnings each: 0 of live people and 8 of attacks; with 0.8 or without it, 8 and 16 of live people (the
same command)."""
EMPTY_S: Final = 0.5
"""Nor may a picture without a face go unlooked at for longer, however still it stands."""
_SLACK_S: Final = 1e-3
_FADING: Final = 0.95
"""Of the longest time between frames, from one frame to the next: at 30 frames a second one that came 0.1 s
late is forgotten after 13."""
STILL: Final = 3.0
"""Grey levels. No cell of a made-up scene that stands still changes by more under noise of 6 levels (2.4 at
most), nor of 4 and JPEG of quality 60 (2.8). In the labelled clips of people one does within 0.1 s: in all
frames of five clips, in 98, 88 and 64 % of the others' (``python -m benchmarks.still_scene``). A scene with
more noise is looked at as if something moved in it."""


class Looks:
    """Keeps the time and, where nobody was in it, a sketch of the last frame that was looked at.

    Args:
        look_s: longest time from one look to the next in seconds, in [0, `CEILING_S`]; 0 looks at every
            frame. A camera whose frames are further apart has each of them looked at.

    Raises:
        SettingsError: ``look_s`` is out of its range.
    """

    def __init__(self, look_s: float) -> None:
        if not 0 <= look_s <= CEILING_S:
            raise SettingsError(f"look_s must be in [0, {CEILING_S:g}]")
        self._look_s = look_s
        self._looked: float | None = None
        self._shown: float | None = None
        self._step = 0.0
        self._empty: F32 | None = None

    def looked(self, frame: Frame, view: View) -> None:
        """Take a frame that was looked at, and what was seen."""
        self._looked = self._shown = frame.t
        nobody = self._look_s > 0 and view.face is None and view.faces == 0
        self._empty = signature(frame.image)[0] if nobody else None

    def can_wait(self, frame: Frame) -> bool:
        """Whether the look can wait for the next frame, as far as time and stillness go.

        The next frame is taken to come as late as any of the last ones did, a late one being forgotten by and
        by (`_FADING`). Time that runs backwards, or is no number, can't wait. To be asked about every frame.
        """
        before, self._shown = self._shown, frame.t
        if self._looked is None or before is None or not self._looked <= before < frame.t:
            return False
        self._step = max(frame.t - before, _FADING * self._step)
        until = frame.t + self._step - self._looked - _SLACK_S
        if until <= self._look_s:
            return self._look_s > 0
        if self._empty is None or not until <= EMPTY_S:
            return False
        return bool(np.abs(signature(frame.image)[0] - self._empty).max() <= STILL)
