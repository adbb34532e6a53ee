"""What a check says: events on the way, one result at the end, and their JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import ClientCode
from pipeline.reasons import Reason
from pipeline.settings import Mode

PASSED_SENTENCES = ("验证通过。", "Passed.")


@dataclass(frozen=True, slots=True)
class LivenessResult:
    """The liveness half of a result.

    Attributes:
        passed: True only where the decision minted a pass.
        score: probability of a live person in [0, 1], higher is more live.
        frames: frames that were judged.
        elapsed_ms: video time from the first frame to the verdict, in milliseconds.
        cues: readings by the cue's name.
    """

    passed: bool
    score: float
    frames: int
    elapsed_ms: float
    cues: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form, as the contract has it."""
        return {
            "passed": self.passed,
            "score": round(self.score, 4),
            "frames": self.frames,
            "elapsed_ms": round(self.elapsed_ms),
            "cues": {name: round(float(value), 4) for name, value in self.cues.items()},
        }


@dataclass(frozen=True, slots=True)
class MatchOutcome:
    """The service's half of a result.

    Attributes:
        code: the service's integer ``Code``, a gateway's string ``Code``, or None where no answer came.
        score: 0..100, or None.
        request_id: the service's ``RequestId``, or None.
    """

    code: int | str | None
    score: float | None
    request_id: str | None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form, as the contract has it."""
        return {"code": self.code, "score": self.score, "request_id": self.request_id}


@dataclass(frozen=True, slots=True)
class Guidance:
    """What the person at the camera should do now.

    Attributes:
        reason: what is in the way, or None while the face is being judged.
        progress: share of the evidence wanted so far, in [0, 1].
        t: capture time of the frame in seconds.
        box: face box x1 y1 x2 y2 in pixels, or None without a face.
    """

    reason: Reason | None
    progress: float
    t: float
    box: tuple[float, float, float, float] | None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "event": "guidance",
            "reason": self.reason,
            "message": _message(self.reason, ("请保持注视屏幕。", "Keep looking at the screen.")),
            "progress": round(self.progress, 3),
            "t": round(self.t, 3),
        }


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one check.

    Attributes:
        code: client code: 1000 passed, 1001 system error, 1003 interrupted or undecided, 2002 network, 2006
            rejected.
        mode: ``liveness`` or ``verify``.
        reason: why it did not pass; None exactly when it passed.
        liveness: None where no frame could be had.
        match: None where nothing was sent.
        frame_sha256: digest of the judged frame's pixels, where liveness passed.
        uploaded_sha256: digest of the pixels that were encoded and given to the client; equal to
            `frame_sha256`. None where no upload was tried.
        test_source: True where the source was let through by the test switch alone.
        error: stable code of the error of `pipeline.errors` behind a system error, else None.
        hint: the way out of that error, for the operator.
    """

    code: ClientCode
    mode: Mode
    reason: Reason | None
    liveness: LivenessResult | None = None
    match: MatchOutcome | None = None
    frame_sha256: str | None = None
    uploaded_sha256: str | None = None
    test_source: bool = False
    error: str | None = None
    hint: str | None = None

    @property
    def passed(self) -> bool:
        """True exactly for code 1000."""
        return self.code is ClientCode.PASSED

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form, as the contract has it."""
        return {
            "event": "result",
            "code": int(self.code),
            "passed": self.passed,
            "mode": self.mode,
            "reason": self.reason,
            "message": _message(self.reason, PASSED_SENTENCES),
            "liveness": self.liveness and self.liveness.to_json(),
            "match": self.match and self.match.to_json(),
            "frame_sha256": self.frame_sha256,
            "uploaded_sha256": self.uploaded_sha256,
            "test_source": self.test_source,
            "error": self.error,
            "hint": self.hint,
        }


class UploadInterrupted(KeyboardInterrupt):
    """Ctrl-C while the service was asked: the picture may have been sent, and the service may have acted.

    Attributes:
        result: what is known of the check: 2002, ``outcome_unknown``.
    """

    def __init__(self, result: Result) -> None:
        super().__init__()
        self.result = result


def _message(reason: Reason | None, otherwise: tuple[str, str]) -> dict[str, str]:
    zh, en = (reason.zh, reason.en) if reason else otherwise
    return {"zh": zh, "en": en}
