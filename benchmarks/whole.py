"""`Whole`: our whole frame as a step to time, at the paces at which checks are run."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import Final

from benchmarks.options import PAIR
from benchmarks.sequence import FPS, Sequence, empty_sequence, rendered_sequence
from pipeline.liveness.judge import Judge, JudgeSettings
from pipeline.liveness.session import Session
from pipeline.nets import ModelStore, open_store
from pipeline.reasons import Reason
from pipeline.settings import Settings
from pipeline.vision import BlazeFaceDetector, FaceMesh, Vision

NEVER: Final = 1e9
"""Frames or seconds that no run reaches: with it a check stays open, and each of its frames is judged."""
NOBODY: Final = 1e-9
"""Wanted error rate whose bounds no evidence reaches."""
CHECK: Final = int(Settings().deadline_s * FPS) + 2
"""Frames of a check that goes on to its deadline, and one more."""


def label(nets: tuple[str, ...]) -> str:
    """Short name of a set of nets."""
    return "MiniFASNet pair" if nets == PAIR else "+".join(nets)


def make_vision(store: ModelStore, threads: int) -> Vision:
    """`Vision` as the gate makes it from the settings, with so many threads."""
    settings = Settings()
    mesh = "face_mesh_478" if settings.mesh == "accurate" else "face_mesh"
    if threads == 1:
        return Vision(store, mesh=mesh, detect_every=settings.detect_every)
    return Vision(
        store,
        detect_every=settings.detect_every,
        detector=BlazeFaceDetector(store.path("face_detector"), threads=threads),
        mesh_source=FaceMesh(store.path(mesh), threads=threads),
    )


class Pace(Enum):
    """How checks follow one another, and which frames the nets see."""

    EVERY = "every frame judged"
    """One check that never ends; the nets see every frame."""
    OPEN = "a check that stays open"
    """Checks of new frames that are never clear and go on to their deadline; faces are looked for, and nets
    asked, where that is due."""
    IDLE = "nobody there"
    """The same of a scene that stands still, with the noise of a sensor and no face."""
    GATE = "checks one after the other"
    """As the gate does it, each check with its beginning and the digest of its pass."""


def shown_at(pace: Pace, sequence: Sequence, seed: int) -> Sequence:
    """What a pace is timed on: the sequence, or one of its size that has new frames for a whole check."""
    size = sequence.width, sequence.height
    if pace is Pace.OPEN:
        return rendered_sequence(size, seed=seed, count=CHECK)
    return empty_sequence(size, seed=seed, count=CHECK) if pace is Pace.IDLE else sequence


class Whole:
    """Our whole frame as a step: look, judge.

    Args:
        sequence: frames; their time goes on from call to call as a camera's would at 30 frames a second.
        nets: liveness nets.
        threads: onnxruntime threads of each net.
        pace: see `Pace`.

    Attributes:
        judged: calls whose frame the nets saw.
    """

    def __init__(
        self, sequence: Sequence, nets: tuple[str, ...], threads: int, *, pace: Pace = Pace.EVERY
    ) -> None:
        store = open_store()
        settings = replace(JudgeSettings.of(Settings()), nets=nets, threads=threads)
        if pace is not Pace.GATE:
            settings = replace(settings, target_apcer=NOBODY, target_bpcer=NOBODY)
        if pace is Pace.EVERY:
            settings = replace(settings, deadline_s=NEVER, max_loss=0.0, look_s=0.0)
        self._sequence = sequence
        self._vision = make_vision(store, threads)
        self._judge = Judge(store, settings)
        self._session = self._begin()
        self._pace = pace
        self._clock = 0
        self.judged = 0

    def __call__(self, number: int) -> bool:
        """One frame; True where it was judged, or need not be and nothing was in its way."""
        frame = self._sequence.frame(self._clock)
        self._clock += 1
        step = self._session.take(frame, self._vision.see)
        if step.verdict is not None:
            self._session = self._begin()
            if self._pace in (Pace.OPEN, Pace.IDLE):  # a frame that comes back would end a check as a loop
                self._clock = 0
                self._vision.reset()
        self.judged += step.evidence is not None
        if self._pace is Pace.IDLE:
            return step.guidance is Reason.NO_FACE
        return step.evidence is not None if self._pace is Pace.EVERY else step.guidance is None

    def _begin(self) -> Session:
        return self._judge.begin("benchmark", live=True)
