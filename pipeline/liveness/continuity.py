"""The same-face guard: one and the same face from the first judged frame to the one in the pass.

Two measures, and a third where an embedding net is given:

* the number of vision's track;
* the normalised cross-correlation of the 32x32 aligned grey faces of consecutive frames, of those that are
  looked at (`pipeline.liveness.look`), which must stay above `ContinuityLimits.min_correlation` while the
  track holds and above the stricter `min_correlation_new_track` where the track broke and a face came back
  within `max_gap_s`;
* the cosine of the embeddings of the first judged frame and of every candidate for the pass. It also has the
  last word where the correlation is too low.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol

import cv2
import numpy as np

from pipeline.camera.frame import Frame, Image
from pipeline.errors import SettingsError
from pipeline.reasons import Reason
from pipeline.vision import Face, View
from pipeline.vision.align import align
from pipeline.vision.types import F32

PATCH: Final = 32
"""Side of the aligned grey face in pixels."""


class Embedder(Protocol):
    """Gives a unit vector for a face; `pipeline.vision.FaceEmbedder` is one."""

    def embed(self, image: Image, five: F32) -> F32:
        """uint8 (height, width, 3) BGR and five points (5, 2) in pixels to float32 (n,) of length 1."""
        ...


@dataclass(frozen=True, slots=True)
class ContinuityLimits:
    """When two faces are taken for the same one. Measured by ``python -m benchmarks.pad_clips continuity``.

    Attributes:
        min_correlation: of consecutive frames of one track. Of 1,340 such pairs in 8 clips at 10 to 30 fps
            one is below 0.5; of 15,417 pairs of two people's frames 98.5 % are.
        min_correlation_new_track: where the track number changed. No pair of two people reached 0.77.
        max_gap_s: longest time without the face, seconds.
        min_cosine: of embeddings of ``fr_feature``. Of 5,984 pairs of different people of LFW none reached
            0.40.

    Raises:
        SettingsError: a value is out of its range.
    """

    min_correlation: float = 0.5
    min_correlation_new_track: float = 0.8
    max_gap_s: float = 0.5
    min_cosine: float = 0.40

    def __post_init__(self) -> None:
        if not 0 < self.min_correlation <= self.min_correlation_new_track < 1:
            raise SettingsError("correlations must be in (0, 1), the one for a new track not the lower one")
        if not (0 < self.max_gap_s < math.inf and 0 < self.min_cosine < 1):
            raise SettingsError("max_gap_s must be above 0 and min_cosine in (0, 1)")


def face_patch(image: Image, five: F32) -> F32:
    """Aligned grey face: uint8 (height, width, 3) BGR and five points (5, 2) to float32 (32, 32), 0..255."""
    return np.asarray(cv2.cvtColor(align(image, five, PATCH), cv2.COLOR_BGR2GRAY), dtype=np.float32)


def correlation(a: F32, b: F32) -> float:
    """Normalised cross-correlation (Pearson) of two patches of one shape, in [-1, 1]; 0 for a flat one.

    >>> correlation(np.eye(4, dtype=np.float32), 3 * np.eye(4, dtype=np.float32) + 7)
    1.0
    """
    x, y = a.ravel() - a.mean(), b.ravel() - b.mean()
    power = float(x @ x) * float(y @ y)
    return round(float(x @ y) / math.sqrt(power), 6) if power > 0 and math.isfinite(power) else 0.0


class FaceGuard:
    """Watches one check. Before the first judged frame nothing is held against anybody.

    Args:
        limits: bounds.
        embedder: an embedding net, or None to go by track and correlation alone.
    """

    def __init__(self, limits: ContinuityLimits | None = None, *, embedder: Embedder | None = None) -> None:
        self._limits = limits or ContinuityLimits()
        self._embedder = embedder
        self._first: F32 | None = None
        self._started = False
        self._patch: F32 | None = None
        self._track = -1
        self._t = 0.0
        self.alike = 1.0
        """Correlation of the last two faces that were compared; 1 before there were two."""

    @property
    def started(self) -> bool:
        """True from the first judged frame on."""
        return self._started

    def start(self, frame: Frame, view: View) -> None:
        """Take the first judged frame as the face that it must stay."""
        if view.face is None or self.started:
            return
        if self._embedder is not None:
            self._first = self._embedder.embed(frame.image, view.face.five)
        self._started = True
        self._remember(frame, view.face, face_patch(frame.image, view.face.five))

    def is_another_face(self, frame: Frame, view: View) -> bool:
        """Before the first judged frame: whether the face is another than the one that was seen before it.

        Faces may come and go then; but what one of them has proved says nothing for the next.
        """
        if self._started or view.face is None:
            return False
        before = self._patch
        if not self._is_broken(frame, view):
            return False
        self._remember(frame, view.face, face_patch(frame.image, view.face.five))
        return before is not None

    def watch(self, frame: Frame, view: View) -> Reason | None:
        """Compare the next frame, judged or not, with the one before.

        Returns:
            `Reason.SEVERAL_FACES` or `Reason.FACE_CHANGED` where the check must end, else None.
        """
        if not self._started:
            return None
        if view.faces > 1:
            return Reason.SEVERAL_FACES
        return Reason.FACE_CHANGED if self._is_broken(frame, view) else None

    def _is_broken(self, frame: Frame, view: View) -> bool:
        """True where it can't be told to be the face of the frame before; else it is remembered."""
        if not frame.t - self._t <= self._limits.max_gap_s:
            return True
        if view.face is None:
            return False
        known = view.face.track_id == self._track
        wanted = self._limits.min_correlation if known else self._limits.min_correlation_new_track
        patch = face_patch(frame.image, view.face.five)
        self.alike = 1.0 if self._patch is None else correlation(self._patch, patch)
        alike = self._patch is not None and self.alike >= wanted
        if not alike and not (self._first is not None and self.is_first_face(frame, view)):
            return True
        self._remember(frame, view.face, patch)
        return False

    def is_first_face(self, frame: Frame, view: View) -> bool:
        """True where the embedding is the first judged face's; without an embedder always."""
        if self._embedder is None:
            return True
        if self._first is None or view.face is None:
            return False
        cosine = float(self._first @ self._embedder.embed(frame.image, view.face.five))
        return cosine >= self._limits.min_cosine

    def _remember(self, frame: Frame, face: Face, patch: F32) -> None:
        self._patch = patch
        self._track = face.track_id
        self._t = frame.t
