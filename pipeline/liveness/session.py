"""`Session`: one check, from frames and their views to steps and one verdict."""

from __future__ import annotations

import math
from typing import Protocol

from pipeline.camera.frame import Frame, Image
from pipeline.liveness.calibration import Calibration
from pipeline.liveness.continuity import FaceGuard
from pipeline.liveness.cues import CueSet, CueState, same_pixels
from pipeline.liveness.decision import SequentialDecision
from pipeline.liveness.evidence import Evidence, Step, Verdict
from pipeline.liveness.injection import grid_digest
from pipeline.liveness.livepass import seal
from pipeline.liveness.look import CALM, Looks
from pipeline.liveness.passive import PassiveScore
from pipeline.reasons import Reason
from pipeline.vision import Face, Quality, View
from pipeline.vision.quality import QualityLimits, first_problem
from pipeline.vision.types import F32


class Scorer(Protocol):
    """Gives a picture's passive score; `PassiveScorer` is one."""

    calibration: Calibration

    def score(self, image: Image, box: F32) -> PassiveScore:
        """Score one face."""
        ...


class See(Protocol):
    """Looks at a sealed frame: `Vision.see`, or whoever knows its view."""

    def __call__(self, frame: Frame, *, detect: bool | None = None) -> View:
        """The view; with ``detect`` the detector must run, whatever frames it ran on before."""
        ...


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
        looks: Looks,
        quality: QualityLimits,
    ) -> None:
        self.view = View()
        self._scorer = scorer
        self._decision = decision
        self._cues = cues
        self._guard = guard
        self._quality = quality
        self._looks = looks
        self._guidance: Reason | None = None
        self._before: Frame | None = None
        self._best = -math.inf
        self._judged: set[int] = set()

    def take(self, frame: Frame, see: See) -> Step:
        """Take the next frame, and look at it where that is worth vision's time.

        A frame is passed over where the next look can wait (`Looks`), unless it may be judged and is due, a
        confirming cue still waits for what the face does, or the face moves fast (`CALM`). The cues of the
        stream see every frame all the same, and what is passed over is neither judged nor uploaded. Where
        judged frames look live, but none of them may be in a pass, the detector is asked for.

        Args:
            frame: as the source gave it.
            see: looks at it.

        Raises:
            FrameError: the frame's time is not a number, or its picture is not one.
        """
        if self._decision.verdict is not None or self._rests(frame):
            return self._pass_over(frame)
        frame = seal(frame)  # one copy before anybody looks: what vision sees is what is judged
        wanting = self._decision.total > 0 and self._best == -math.inf
        return self.observe(frame, see(frame, detect=True if wanting else None))

    def observe(self, frame: Frame, view: View) -> Step:
        """Take the next frame with its view. After the verdict nothing changes it any more.

        A frame counts for the decision only where its face is a single one of good quality in light that no
        cue colours, and the frame is not an exact copy of the one before, nor of one that was judged; and the
        nets see only those of them that are due, see `SequentialDecision.due`.

        Args:
            frame: as the source gave it.
            view: what vision says of it.

        Raises:
            FrameError: the frame's time is not a number.
        """
        evidence: Evidence | None = None
        if self._decision.verdict is None:
            self.view = view
            self._looks.looked(frame, view)
            evidence, self._guidance = self._observe(frame, view)
        return self._step(evidence)

    def _rests(self, frame: Frame) -> bool:
        """True where the frame need not be looked at."""
        if not self._looks.can_wait(frame) or self._cues.every or self._guard.alike < CALM:
            return False
        if self._guidance is not None and not self._decision.judged:
            return True  # nothing has begun: the screen's advice can wait
        return not self._cues.pending and not self._decision.due(frame.t, pending=False, candidate=False)

    def _pass_over(self, frame: Frame) -> Step:
        if self._decision.verdict is None:
            cues = self._cues.pass_over(frame if frame.owned else seal(frame))
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
        ends = cues.veto or self._guard.watch(frame, view)
        if ends is not None:
            self._decision.veto(frame.t, ends, cues.values)
            return None, ends
        problem = first_problem(view, self._quality)
        if problem is not None:
            self._decision.guide(frame.t, problem, cues.values)
            return None, problem
        if view.face is None or view.quality is None or copy or cues.tinted:
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
