"""`Judge`: frames and their views in, steps and one verdict out. Nets are loaded once, sessions are cheap."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, Self

from pipeline.camera.frame import Frame, Image
from pipeline.errors import SettingsError
from pipeline.liveness.calibration import Calibration
from pipeline.liveness.continuity import ContinuityLimits, Embedder, FaceGuard
from pipeline.liveness.cues import DEFAULT_CUES, Cue, CueContext, CueSet, CueState, same_pixels
from pipeline.liveness.decision import FRAMES_FLOOR, TIME_FLOOR_S, DecisionLimits, SequentialDecision
from pipeline.liveness.evidence import Evidence, Step, Verdict
from pipeline.liveness.injection import grid_digest
from pipeline.liveness.livepass import seal
from pipeline.liveness.passive import PassiveScore, PassiveScorer
from pipeline.reasons import Reason
from pipeline.vision import Face, Quality, View
from pipeline.vision.quality import QualityLimits, first_problem
from pipeline.vision.types import F32
from pipeline.vision.vision import ModelPaths

FLASH_S: Final = 3.6
"""Seconds of video that a flash takes and that a check with one is given more."""
LOOK_CEILING_S: Final = 0.1
"""No configuration may look at a face less often: the same-face guard was measured from 10 frames a second
on, see `ContinuityLimits`."""


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
        look_s: seconds after a look at a face within which frames that are not due are passed over, in
            [0, `LOOK_CEILING_S`]; 0 looks at every frame.
        threads: onnxruntime threads for each net.
        provider: execution provider of each net, see `pipeline.nets.make_session`.
        calibration: file of `livegate calibrate` to use on top of the shipped calibration.
        quality: what a frame must be to be judged.
        continuity: when two faces are the same.

    Raises:
        SettingsError: ``look_s`` is out of its range; `Judge` checks the decision's limits.
    """

    nets: tuple[str, ...] = ("fr_liveness", "livegate_pad")
    cues: tuple[str, ...] = DEFAULT_CUES
    target_apcer: float = 0.01
    target_bpcer: float = 0.10
    min_frames: int = FRAMES_FLOOR
    min_time_s: float = TIME_FLOOR_S
    deadline_s: float = 4.0
    max_loss: float = 0.02
    look_s: float = 0.08
    threads: int = 1
    provider: str = "cpu"
    calibration: Path | None = None
    quality: QualityLimits = field(default_factory=QualityLimits)
    continuity: ContinuityLimits = field(default_factory=ContinuityLimits)

    def __post_init__(self) -> None:
        if not 0 <= self.look_s <= LOOK_CEILING_S:
            raise SettingsError(f"look_s must be in [0, {LOOK_CEILING_S:g}]")

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


class Scorer(Protocol):
    """Gives a picture's passive score; `PassiveScorer` is one."""

    calibration: Calibration

    def score(self, image: Image, box: F32) -> PassiveScore:
        """Score one face."""
        ...


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
            self.settings,
        )


class Session:
    """One check. `Judge.begin` makes it.

    Attributes:
        view: what vision said last; nothing before the first frame.
    """

    def __init__(
        self,
        scorer: Scorer,
        decision: SequentialDecision,
        cues: CueSet,
        guard: FaceGuard,
        settings: JudgeSettings,
    ) -> None:
        self.view = View(face=None, faces=0, quality=None)
        self._scorer = scorer
        self._decision = decision
        self._cues = cues
        self._guard = guard
        self._quality = settings.quality
        self._look_s = settings.look_s
        self._looked: float | None = None
        self._guidance: Reason | None = None
        self._pending = False
        self._before: Frame | None = None
        self._best = -math.inf
        self._judged: set[int] = set()

    def take(self, frame: Frame, see: Callable[[Frame], View]) -> Step:
        """Take the next frame, and look at it where that is worth vision's time.

        A frame is passed over where the last look is not `JudgeSettings.look_s` ago, unless it could be
        judged and is due, or a confirming cue still waits for what the face does. The cues of the stream see
        every frame all the same, and what is passed over is neither judged nor uploaded.

        Args:
            frame: as the source gave it.
            see: `Vision.see`, or whoever knows the view of a sealed frame.

        Raises:
            FrameError: the frame's time is not a number, or its picture is not one.
        """
        if self._decision.verdict is not None or self._rests(frame.t):
            return self._pass_over(frame)
        frame = seal(frame)  # one copy before anybody looks: what vision sees is what is judged
        return self.observe(frame, see(frame))

    def observe(self, frame: Frame, view: View) -> Step:
        """Take the next frame with its view. After the verdict nothing changes it any more.

        A frame counts for the decision only where its face is a single one of good quality and the frame is
        not an exact copy of the one before, nor of one that was judged; and the nets see only those of them
        that are due, see `SequentialDecision.due`.

        Args:
            frame: as the source gave it.
            view: what vision says of it.

        Raises:
            FrameError: the frame's time is not a number.
        """
        evidence: Evidence | None = None
        if self._decision.verdict is None:
            self._looked, self.view = frame.t, view
            evidence, self._guidance = self._observe(frame, view)
        return self._step(evidence)

    def _rests(self, t: float) -> bool:
        """True where the frame of a time need not be looked at."""
        if self._looked is None or self._cues.every or not 0 <= t - self._looked < self._look_s:
            return False
        if self._guidance is not None:  # nothing can be judged: the screen's advice can wait
            return True
        return not self._pending and not self._decision.due(t, pending=False, candidate=False)

    def _pass_over(self, frame: Frame) -> Step:
        if self._decision.verdict is None:
            self._before = frame
            cues = self._cues.pass_over(frame)
            if cues.veto is not None:
                self._decision.veto(frame.t, cues.veto, cues.values)
                self._guidance = cues.veto
            else:
                self._decision.wait(frame.t)
        return self._step(None)

    def _step(self, evidence: Evidence | None) -> Step:
        return Step(evidence, self._guidance, self._decision.verdict, self._decision.progress)

    def finish(self) -> Verdict:
        """The source has ended: the verdict, undecided unless there was one."""
        return self._decision.finish()

    def _observe(self, frame: Frame, view: View) -> tuple[Evidence | None, Reason | None]:
        frame = seal(frame)  # from here on the source can't alter what is looked at
        copy = self._before is not None and same_pixels(self._before, frame)
        self._before = frame
        if self._guard.is_another_face(frame, view):
            self._cues.forget()
        cues = self._cues.update(frame, view)
        self._pending = bool(cues.pending)
        ends = cues.veto or self._guard.watch(frame, view)
        if ends is not None:
            self._decision.veto(frame.t, ends, cues.values)
            return None, ends
        problem = first_problem(view, self._quality)
        if problem is not None:
            self._decision.guide(frame.t, problem, cues.values)
            return None, problem
        if view.face is None or view.quality is None or copy:
            self._decision.wait(frame.t)
            return None, None
        candidate = view.face.detected and view.faces == 1 and rank(view.quality) > self._best
        if not self._decision.due(frame.t, pending=bool(cues.pending), candidate=candidate):
            self._decision.skip(frame.t, cues.values)
            return None, None
        digest = grid_digest(frame.image)
        if digest in self._judged:
            self._decision.wait(frame.t)
            return None, None
        self._judged.add(digest)
        return self._judge(frame, view, view.face, view.quality, cues), None

    def _judge(self, frame: Frame, view: View, face: Face, quality: Quality, cues: CueState) -> Evidence:
        """Score the sealed pixels, which are the ones that a pass would hold."""
        score = self._scorer.score(frame.image, face.box)
        evidence = Evidence(
            seq=frame.seq,
            t=frame.t,
            llr=score.llr,
            probability=score.probability,
            nets=score.nets,
            cues=cues.values,
            pending=cues.pending,
            quality=rank(quality),
        )
        candidate: Frame | None = None
        if not evidence.missing:
            self._guard.start(frame, view)
            if face.detected and view.faces == 1 and evidence.quality > self._best:
                if not self._guard.is_first_face(frame, view):
                    self._decision.veto(frame.t, Reason.FACE_CHANGED, cues.values)
                    return evidence
                candidate = frame
                self._best = evidence.quality if evidence.llr > 0 else self._best
        self._decision.judge(evidence, candidate)
        return evidence


def rank(quality: Quality) -> float:
    """How good a frame is as the picture of a person, to choose among frames that are all good enough.

    The product of four shares in [0, 1], each near 1 for a picture that the service's notes ask for: size
    (200 pixels or more), frontal pose (Gauss of 15 degrees), sharpness (half at 100 squared grey levels)
    and open eyes (eye aspect ratio 0.25 or more). It orders frames and is no threshold.

    Returns:
        In [0, 1]; 0 where a measure is not a number.
    """
    size = min(1.0, quality.face_size / 200)
    frontal = math.exp(-(quality.yaw**2 + quality.pitch**2) / (2 * 15**2))
    sharp = quality.sharpness / (quality.sharpness + 100)
    eyes = min(1.0, quality.eyes_open / 0.25)
    value = size * frontal * sharp * eyes
    return min(1.0, max(0.0, value)) if math.isfinite(value) else 0.0
