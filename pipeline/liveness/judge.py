"""`Judge` and what it goes by: nets are loaded once, and each check is a `Session` of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, Self

from pipeline.liveness.calibration import Calibration
from pipeline.liveness.continuity import ContinuityLimits, Embedder, FaceGuard
from pipeline.liveness.cues import DEFAULT_CUES, Cue, CueContext, CueSet
from pipeline.liveness.decision import FRAMES_FLOOR, TIME_FLOOR_S, DecisionLimits, SequentialDecision
from pipeline.liveness.look import Looks
from pipeline.liveness.passive import PassiveScorer
from pipeline.liveness.session import Scorer, Session
from pipeline.vision.quality import QualityLimits
from pipeline.vision.vision import ModelPaths

FLASH_S: Final = 3.6
"""Seconds of video that a flash takes and that a check with one is given more."""


class Wanted(Protocol):
    """The part of `pipeline.settings.Settings` that judging needs."""

    @property
    def nets(self) -> tuple[str, ...]:
        """Names of liveness nets."""
        ...

    @property
    def target_apcer(self) -> float:
        """Wanted share of attacks accepted."""
        ...

    @property
    def target_bpcer(self) -> float:
        """Wanted share of live people refused."""
        ...

    @property
    def deadline_s(self) -> float:
        """Seconds of video."""
        ...

    @property
    def flash(self) -> bool:
        """Whether a face must answer to a screen's colours."""
        ...

    @property
    def calibration(self) -> Path | None:
        """A site's own calibration."""
        ...

    @property
    def provider(self) -> str:
        """Execution provider of the nets."""
        ...


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """What is judged and how strictly.

    Attributes:
        nets: keys of `pipeline.liveness.passive.NETS`, see `pipeline.liveness.passive.fuse`.
        cues: keys of `pipeline.liveness.cues.CUES`.
        target_apcer, target_bpcer, min_frames, min_time_s, deadline_s: see `DecisionLimits`, which also holds
            the floors.
        max_loss: see `DecisionLimits`.
        look_s: see `Looks`.
        threads: onnxruntime threads for each net.
        provider: execution provider of each net, see `pipeline.nets.make_session`.
        calibration: file of `livegate calibrate` to use on top of the shipped calibration.
        quality: what a frame must be to be judged.
        continuity: when two faces are the same.
    """

    nets: tuple[str, ...] = ("fr_liveness", "livegate_pad")
    cues: tuple[str, ...] = DEFAULT_CUES
    target_apcer: float = 0.01
    target_bpcer: float = 0.10
    min_frames: int = FRAMES_FLOOR
    min_time_s: float = TIME_FLOOR_S
    deadline_s: float = 4.0
    max_loss: float = 0.03
    look_s: float = 0.1
    threads: int = 1
    provider: str = "cpu"
    calibration: Path | None = None
    quality: QualityLimits = field(default_factory=QualityLimits)
    continuity: ContinuityLimits = field(default_factory=ContinuityLimits)

    @classmethod
    def of(cls, settings: Wanted) -> Self:
        """From the settings of the whole gate."""
        return cls(
            nets=settings.nets,
            target_apcer=settings.target_apcer,
            target_bpcer=settings.target_bpcer,
            deadline_s=settings.deadline_s + (FLASH_S if settings.flash else 0.0),
            calibration=settings.calibration,
            provider=settings.provider,
        )

    def limits(self, calibration: Calibration) -> DecisionLimits:
        """The decision's limits with the correlation that was measured for these nets.

        Raises:
            SettingsError: a limit is out of range.
        """
        apcer, bpcer = calibration.targets(self.target_apcer, self.target_bpcer)
        return DecisionLimits(
            target_apcer=apcer,
            target_bpcer=bpcer,
            min_frames=self.min_frames,
            min_time_s=self.min_time_s,
            deadline_s=self.deadline_s,
            rho=calibration.rho,
            tau_s=calibration.tau_s,
            bound=calibration.largest,
            max_loss=self.max_loss,
        )


class Judge:
    """Holds the nets; one judge for one camera.

    Args:
        store: gives model files by name.
        settings: what is judged and how strictly.
        embedder: lets the same-face guard compare embeddings too.
        scorer: a scorer of your own in place of the settings' nets.
        wall_clock: Unix time in seconds for a pass's ``minted_at``; decides nothing.

    Raises:
        SettingsError: a setting is out of range, or a net has no calibration.
        ModelError: a model file is missing or wrong.
    """

    def __init__(
        self,
        store: ModelPaths,
        settings: JudgeSettings | None = None,
        *,
        embedder: Embedder | None = None,
        scorer: Scorer | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings or JudgeSettings()
        self._scorer: Scorer = scorer or PassiveScorer.load(
            store,
            self.settings.nets,
            threads=self.settings.threads,
            provider=self.settings.provider,
            site=self.settings.calibration,
        )
        self._limits = self.settings.limits(self._scorer.calibration)
        CueSet(self.settings.cues, CueContext(live=True))  # an unknown cue refuses to start
        Looks(self.settings.look_s)
        self._embedder = embedder
        self._wall_clock = wall_clock

    def begin(self, session_id: str, live: bool, *, extra: Sequence[Cue] = ()) -> Session:
        """Start a check.

        Args:
            session_id: goes into the pass.
            live: True for a camera or a stream, False for a file or a folder.
            extra: cues of this one check besides the settings' ones, a `FlashSession` for instance.
        """
        return Session(
            self._scorer,
            SequentialDecision(self._limits, session_id=session_id, wall_clock=self._wall_clock),
            CueSet(self.settings.cues, CueContext(live=live), extra=extra),
            FaceGuard(self.settings.continuity, embedder=self._embedder),
            Looks(self.settings.look_s),
            self.settings.quality,
        )
