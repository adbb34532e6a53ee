"""The sequential decision: evidence in, one verdict out, and the only place where a pass is minted.

Wald's sequential probability ratio test (A. Wald, Sequential Analysis, 1947): the log-likelihood ratio S of
all frames so far runs between ``log(beta / (1 - alpha))`` and ``log((1 - beta) / alpha)``; alpha is the
wanted APCER, beta the wanted BPCER. Frames of one check are not independent, so S is not their plain sum.
With llr_i the frames' own ratios, the model "one value for each check, plus noise that fades with time"
gives

    w_i = tanh((t_i - t_(i-1)) / (2 tau)),  W = 1 + sum(w_i)
    S = ((llr_1 + llr_n) / 2 + sum(w_i (llr_(i-1) + llr_i) / 2)) / (1 + (W - 1) rho)

The numerator is W times the best linear estimate of the mean of an AR(1) process with correlation time tau,
phi_i = exp(-(t_i - t_(i-1)) / tau), by generalised least squares: the inverse of its covariance, summed over
rows, gives the first and the last sample 1 / (1 + phi), i.e. (1 + w) / 2, and one between two intervals half
of both their w; W is what they sum to, the size of an independent sample that is worth as much. The
denominator makes it the effective size W / (1 + (W - 1) rho) of samples with intraclass correlation rho, the
share of the variance that lies between checks (L. Kish, Survey Sampling, 1965). So S never leaves
[min llr, max llr] / rho however long one looks: an attack that looks a little live for four seconds does not
pass by adding up. And the first frame is worth no more than the last.

For the same reason not every frame is worth the nets' time: `SequentialDecision.due` says which one is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.camera.frame import Frame
from pipeline.errors import FrameError, SettingsError
from pipeline.liveness.evidence import NOTHING, REJECTING, Evidence, Verdict, VerdictState, sigmoid
from pipeline.liveness.livepass import _mint
from pipeline.liveness.pace import gap_s, soonest_s
from pipeline.reasons import Reason

APCER_CEILING: Final = 0.05
"""No configuration may ask for more accepted attacks than this."""
FRAMES_FLOOR: Final = 3
"""No configuration may pass on fewer judged frames than this."""
TIME_FLOOR_S: Final = 0.1
"""Nor on a shorter stretch of video, seconds: at 30 fps this is the fourth frame."""
STANDSTILL: Final = 120
"""Frames in a row whose time does not grow that end a check as the deadline does, which such a time would
never reach: as many as the default deadline has at 30 fps. No two frames of our own sources have one time."""
_EPSILON_S: Final = 1e-6
"""Slack for times that are binary fractions."""


@dataclass(frozen=True, slots=True)
class DecisionLimits:
    """What the decision wants. Checked at once: a bad limit refuses to start.

    Attributes:
        target_apcer: wanted share of attacks accepted, in (0, `APCER_CEILING`].
        target_bpcer: wanted share of live people refused, in (0, 0.5).
        min_frames: judged frames before a bound is looked at, `FRAMES_FLOOR` or more.
        min_time_s: seconds from the first judged frame to that moment, `TIME_FLOOR_S` or more.
        deadline_s: seconds from the first frame seen; after it the check is undecided, as it is after
            `STANDSTILL` frames whose time does not grow.
        rho: share of the evidence's variance that lies between checks, in (0, 1]; see `Calibration`.
        tau_s: correlation time of the noise within a check in seconds, above 0; measured.
        bound: largest ratio that one frame can give, above 0; infinity where it is not known.
        max_loss: share of the information that may be lost by not judging every frame, in [0, 0.1]; 0 judges
            every frame.

    Raises:
        SettingsError: a value is out of its range; the message names it.
    """

    target_apcer: float = 0.01
    target_bpcer: float = 0.10
    min_frames: int = FRAMES_FLOOR
    min_time_s: float = TIME_FLOOR_S
    deadline_s: float = 4.0
    rho: float = 1.0
    tau_s: float = 1.0
    bound: float = math.inf
    max_loss: float = 0.0

    def __post_init__(self) -> None:
        ranges: tuple[tuple[str, bool, str], ...] = (
            ("target_apcer", 0 < self.target_apcer <= APCER_CEILING, f"in (0, {APCER_CEILING}]"),
            ("target_bpcer", 0 < self.target_bpcer < 0.5, "in (0, 0.5)"),
            ("min_frames", self.min_frames >= FRAMES_FLOOR, f"{FRAMES_FLOOR} or more"),
            ("min_time_s", TIME_FLOOR_S <= self.min_time_s < math.inf, f"{TIME_FLOOR_S} or more"),
            ("deadline_s", self.min_time_s < self.deadline_s < math.inf, "above min_time_s"),
            ("rho", 0 < self.rho <= 1, "in (0, 1]"),
            ("tau_s", 0 < self.tau_s < math.inf, "above 0"),
            ("bound", self.bound > 0, "above 0"),
            ("max_loss", 0 <= self.max_loss <= 0.1, "in [0, 0.1]"),
        )
        for name, holds, wanted in ranges:
            if not holds:
                raise SettingsError(f"{name} must be {wanted}")

    @property
    def upper(self) -> float:
        """S at or above it is live."""
        return math.log((1 - self.target_bpcer) / self.target_apcer)

    @property
    def lower(self) -> float:
        """S at or below it is spoof."""
        return math.log(self.target_bpcer / (1 - self.target_apcer))


class SequentialDecision:
    """One check. Time is the frames' own, so a file gives the same verdict on every machine.

    Args:
        limits: bounds, floors and the measured correlation.
        session_id: goes into the pass.
        wall_clock: Unix time in seconds for the pass's ``minted_at``; decides nothing.
    """

    def __init__(self, limits: DecisionLimits, *, session_id: str, wall_clock: Callable[[], float]) -> None:
        self.limits = limits
        self._session_id = session_id
        self._wall_clock = wall_clock
        self._verdict: Verdict | None = None
        self._start: float | None = None
        self._now = 0.0
        self._still = 0
        self._first_judged: float | None = None
        self._last_judged = 0.0
        self._first = 0.0
        self._last = 0.0
        self._between = 0.0
        self._weight = 0.0
        self._judged = 0
        self._votes: Counter[Reason] = Counter()
        self._best: tuple[float, Frame] | None = None
        self._cues: Mapping[str, float] = NOTHING

    @property
    def verdict(self) -> Verdict | None:
        """The verdict once there is one."""
        return self._verdict

    @property
    def judged(self) -> int:
        """Frames judged with a number."""
        return self._judged

    @property
    def total(self) -> float:
        """S, natural log; 0 before the first judged frame."""
        if not self._judged:
            return 0.0
        summed = (self._first + self._last) / 2 + self._between
        return summed / (1 + (self._weight - 1) * self.limits.rho)

    @property
    def progress(self) -> float:
        """Share of the evidence, frames and time wanted for a pass, in [0, 1]."""
        if self._first_judged is None:
            return 0.0
        limits = self.limits
        shares = (
            self.total / limits.upper,
            self._judged / limits.min_frames,
            (self._last_judged - self._first_judged) / limits.min_time_s,
        )
        return min(1.0, max(0.0, min(shares)))

    def due(self, t: float, *, pending: bool, candidate: bool) -> bool:
        """True where a frame is worth judging; one that is not goes to `skip`.

        It is where the floors want one, where so much time has passed that ``max_loss`` would be exceeded,
        where it could take the sum to a bound, and where it would be the best one for the pass.

        Args:
            t: the frame's time in seconds.
            pending: a confirming cue has not confirmed, so that nothing passes on this frame.
            candidate: the frame is a better one for the pass than any before.
        """
        limits, first = self.limits, self._first_judged
        if first is None or limits.max_loss == 0 or candidate:
            return True
        now = max(self._now, t) + _EPSILON_S
        if not self._enough():
            steps = limits.min_frames - 1
            return now - first >= limits.min_time_s * min(self._judged, steps) / steps
        since = now - self._last_judged
        if since >= gap_s(limits.tau_s, limits.max_loss):
            return True
        passing = not pending and self._best is not None
        return (passing and since >= self._soonest(1, limits.upper)) or (
            since >= self._soonest(-1, -limits.lower)
        )

    def judge(self, evidence: Evidence, frame: Frame | None) -> Verdict | None:
        """Take one judged frame.

        Args:
            evidence: what it says.
            frame: the judged pixels, sealed, where this frame may be the one in the pass; else None.

        Returns:
            The verdict, or None while it is open.

        Raises:
            FrameError: the frame's time is not a number.
        """
        if self._verdict is not None:
            return self._verdict
        self._tick(evidence.t)
        self._cues = evidence.cues or self._cues
        if evidence.veto is not None:
            return self._end_by(evidence.veto)
        if evidence.missing:
            self._votes[Reason.UNDECIDED] += 1
            return self._at_deadline()
        self._add(evidence)
        if (
            frame is not None
            and evidence.llr > 0
            and (self._best is None or evidence.quality > self._best[0])
        ):
            self._best = (evidence.quality, frame)
        enough = self._enough()
        if enough and self.total <= self.limits.lower:
            return self._end("spoof", Reason.SPOOF)
        # The deadline goes before the pass: what is not clear by then stays undecided.
        verdict = self._at_deadline()
        if verdict is None and enough and self._clear(evidence):
            verdict = self._end("live", None)
        return verdict

    def guide(self, t: float, reason: Reason, cues: Mapping[str, float] = NOTHING) -> Verdict | None:
        """Take a frame that could not be judged, and why.

        Raises:
            FrameError: the frame's time is not a number.
        """
        if self._verdict is None:
            self._tick(t)
            self._cues = cues or self._cues
            self._votes[reason] += 1
            self._at_deadline()
        return self._verdict

    def skip(self, t: float, cues: Mapping[str, float] = NOTHING) -> Verdict | None:
        """Take a frame that could be judged and is not `due`.

        Raises:
            FrameError: the frame's time is not a number.
        """
        return self.guide(t, Reason.UNDECIDED, cues)

    def wait(self, t: float) -> Verdict | None:
        """Take a frame that says nothing new, an exact copy of the one before for instance."""
        if self._verdict is None:
            self._tick(t)
            self._at_deadline()
        return self._verdict

    def veto(self, t: float, reason: Reason, cues: Mapping[str, float] = NOTHING) -> Verdict:
        """End the check for a reason that no evidence outvotes.

        Raises:
            FrameError: the frame's time is not a number.
        """
        if self._verdict is not None:
            return self._verdict
        self._tick(t)
        self._cues = cues or self._cues
        return self._end_by(reason)

    def finish(self) -> Verdict:
        """The source has ended: what is not decided by now is undecided."""
        return self._verdict or self._end("undecided", self._most_voted())

    def _tick(self, t: float) -> None:
        if not math.isfinite(t):
            raise FrameError("A frame's time must be a number of seconds.")
        if self._start is None:
            self._start = self._now = t
        self._still = 0 if t > self._now else self._still + 1
        self._now = max(self._now, t)

    def _add(self, evidence: Evidence) -> None:
        if self._first_judged is None:
            self._first_judged = self._now
            self._first = evidence.llr
            self._weight = 1.0
        else:
            weight = math.tanh((self._now - self._last_judged) / (2 * self.limits.tau_s))
            self._between += weight * (self._last + evidence.llr) / 2
            self._weight += weight
        self._last_judged, self._last = self._now, evidence.llr
        self._judged += 1
        self._votes[Reason.UNDECIDED] += 1

    def _enough(self) -> bool:
        """True where frames and time reach the floors, below which neither bound ends the check."""
        limits = self.limits
        first = self._first_judged
        return (
            first is not None
            and self._judged >= limits.min_frames
            and self._last_judged - first >= limits.min_time_s - _EPSILON_S
        )

    def _soonest(self, sign: int, goal: float) -> float:
        limits = self.limits
        return soonest_s(
            sign * (self._first / 2 + self._between) + limits.bound / 2,
            self._weight,
            goal,
            rho=limits.rho,
            tau_s=limits.tau_s,
            bound=limits.bound,
        )

    def _clear(self, evidence: Evidence) -> bool:
        return self._best is not None and not evidence.pending and self.total >= self.limits.upper

    def _at_deadline(self) -> Verdict | None:
        late = self._start is not None and self._now - self._start >= self.limits.deadline_s - _EPSILON_S
        if late or self._still >= STANDSTILL:
            return self._end("undecided", self._most_voted())
        return None

    def _most_voted(self) -> Reason:
        """The most frequent guidance; judged frames vote for `Reason.UNDECIDED`."""
        return max(self._votes, key=lambda r: self._votes[r], default=Reason.UNDECIDED)

    def _end_by(self, veto: Reason) -> Verdict:
        self._best = None
        rejects = veto in REJECTING
        score = 0.0 if rejects else min(0.5, sigmoid(self.total))
        return self._end("spoof" if rejects else "undecided", veto, score=score)

    def _end(self, state: VerdictState, reason: Reason | None, *, score: float | None = None) -> Verdict:
        score = sigmoid(self.total) if score is None else score
        live_pass = None
        if state == "live" and self._best is not None:
            live_pass = _mint(
                self._best[1], session_id=self._session_id, score=score, minted_at=self._wall_clock()
            )
        elapsed = 0.0 if self._start is None else (self._now - self._start) * 1e3
        self._verdict = Verdict(state, reason, score, self._judged, elapsed, dict(self._cues), live_pass)
        return self._verdict
