"""When a face need not be looked for: shortly after the last look, and where nobody was and nothing moves."""

from __future__ import annotations

from typing import Final

import numpy as np

from pipeline.camera.frame import Frame
from pipeline.errors import SettingsError
from pipeline.liveness.injection import F32, signature
from pipeline.vision import View

CEILING_S: Final = 0.1
"""No configuration may look at a face less often: the same-face guard was measured from 10 frames a second
on, see `ContinuityLimits`."""
EMPTY_S: Final = 0.5
"""Nor may a picture without a face go unlooked at for longer, however still it stands."""
STILL: Final = 3.0
"""Grey levels. No cell of a made-up scene that stands still changes by more under noise of 6 levels (2.4 at
most), nor of 4 and JPEG of quality 60 (2.8). In the labelled clips of people one does within 0.1 s: in all
frames of five clips, in 98, 88 and 64 % of the others' (``python -m benchmarks.still_scene``). A scene with
more noise is looked at as if something moved in it."""


class Looks:
    """Keeps the time and, where nobody was in it, a sketch of the last frame that was looked at.

    Args:
        look_s: seconds after a look within which the next one can wait, in [0, `CEILING_S`].

    Raises:
        SettingsError: ``look_s`` is out of its range.
    """

    def __init__(self, look_s: float) -> None:
        if not 0 <= look_s <= CEILING_S:
            raise SettingsError(f"look_s must be in [0, {CEILING_S:g}]")
        self._look_s = look_s
        self._t: float | None = None
        self._empty: F32 | None = None

    def looked(self, frame: Frame, view: View) -> None:
        """Take a frame that was looked at, and what was seen."""
        self._t = frame.t
        nobody = self._look_s > 0 and view.face is None and view.faces == 0
        self._empty = signature(frame.image)[0] if nobody else None

    def can_wait(self, frame: Frame) -> bool:
        """True where the next look can wait, as far as time and stillness go.

        Time that runs backwards, or is no number, can't.
        """
        since = -1.0 if self._t is None else frame.t - self._t
        if 0 <= since < self._look_s:
            return True
        if self._empty is None or not 0 <= since < EMPTY_S:
            return False
        return bool(np.abs(signature(frame.image)[0] - self._empty).max() <= STILL)
