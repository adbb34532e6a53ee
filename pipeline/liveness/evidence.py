"""What liveness says of one frame (`Evidence`), of each step (`Step`) and in the end (`Verdict`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from pipeline.liveness.livepass import LivePass
from pipeline.reasons import Reason

VerdictState = Literal["live", "spoof", "undecided"]

NOTHING: Final[Mapping[str, float]] = MappingProxyType({})

REJECTING: Final = frozenset({Reason.SPOOF, Reason.SPOOF_SCREEN, Reason.SPOOF_PRINT, Reason.INJECTED_SOURCE})
"""Vetoes that say spoof (client code 2006); any other veto ends the check undecided (1003)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one judged frame adds.

    Attributes:
        seq: the frame's sequence number.
        t: its capture time in seconds.
        llr: calibrated log-likelihood ratio of live over spoof, natural log, within the calibration's bound.
            NaN where a net gave no number: such a frame counts for nothing.
        probability: posterior of live at equal priors before clipping, in [0, 1]; NaN where it is missing.
        nets: probability of live by each net alone, in [0, 1].
        cues: readings by the cue's name.
        veto: why the frame denies, or None. One veto ends the check.
        pending: names of confirming cues that have not confirmed yet; while there is one, nothing passes.
        quality: rank of the frame among the judged ones, higher is better, in [0, 1].
    """

    seq: int
    t: float
    llr: float
    probability: float = math.nan
    nets: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    cues: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    veto: Reason | None = None
    pending: tuple[str, ...] = ()
    quality: float = 0.0

    @property
    def missing(self) -> bool:
        """True where there is no usable number."""
        return not math.isfinite(self.llr)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a check ended. It never changes.

    Attributes:
        state: ``live`` only with a pass; ``spoof`` is client code 2006, ``undecided`` 1003.
        reason: None for live, else why.
        score: posterior of live at equal priors from all evidence, in [0, 1]. A veto that rejects makes it 0,
            any other holds it at 0.5 or below.
        frames: frames judged with a number.
        elapsed_ms: video time from the first frame seen to the verdict, milliseconds.
        cues: last readings by the cue's name.
        live_pass: the pass, for live alone.
    """

    state: VerdictState
    reason: Reason | None
    score: float
    frames: int
    elapsed_ms: float
    cues: Mapping[str, float]
    live_pass: LivePass | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What one observed frame led to.

    Attributes:
        evidence: of this frame, or None where it was not judged.
        guidance: what is in the way of judging it, or None.
        verdict: set from the frame on that decided; the same object afterwards.
        progress: share of the evidence wanted for a pass, in [0, 1].
    """

    evidence: Evidence | None
    guidance: Reason | None
    verdict: Verdict | None
    progress: float


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)) without overflow; NaN stays NaN."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)
