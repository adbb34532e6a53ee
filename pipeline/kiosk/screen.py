"""`Screen`: what the person's page shows at a moment. Made from what `Gate` says, and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pipeline.errors import ClientCode
from pipeline.kiosk import words
from pipeline.kiosk.words import Words
from pipeline.reasons import Reason
from pipeline.result import Guidance, Result

Box = tuple[float, float, float, float]
"""x, y, width, height in shares of the frame, from its upper left corner; not mirrored."""

HOLD_S: Final = 0.7
"""Shortest time that a sentence of guidance stands: what changes with every frame can't be read, or heard."""


class Phase(StrEnum):
    """Where the kiosk stands."""

    IDLE = "idle"
    FORM = "form"
    WAITING = "waiting"
    CHECKING = "checking"
    VERIFYING = "verifying"
    RESULT = "result"
    CAMERA = "camera"
    STOPPED = "stopped"


OUTCOMES: Final[dict[ClientCode, str]] = {
    ClientCode.PASSED: "passed",
    ClientCode.REJECTED: "refused",
    ClientCode.INTERRUPTED: "again",
    ClientCode.NETWORK_ERROR: "unavailable",
    ClientCode.SYSTEM_ERROR: "unavailable",
}
"""How a result looks: one of four screens."""


@dataclass(frozen=True, slots=True)
class Screen:
    """One state of the page.

    Attributes:
        phase: where the kiosk stands.
        words: the large sentence.
        hint: the smaller one below it, or None.
        progress: share of the evidence wanted so far, in [0, 1].
        box: the face, or None.
        outcome: word of `OUTCOMES` on a result, else None.
        code: client code of a result, else None.
        reason: stable word of a result or of guidance, else None.
        can_stop: True where the person may end what runs.
        test_source: True on a result that only the test switch let through.
    """

    phase: Phase
    words: Words
    hint: Words | None = None
    progress: float = 0.0
    box: Box | None = None
    outcome: str | None = None
    code: int | None = None
    reason: Reason | None = None
    can_stop: bool = False
    test_source: bool = False

    def to_json(self) -> dict[str, Any]:
        """Message for the page."""
        return {
            "type": "screen",
            "phase": self.phase,
            "zh": self.words[0],
            "en": self.words[1],
            "hint_zh": self.hint[0] if self.hint else "",
            "hint_en": self.hint[1] if self.hint else "",
            "progress": round(self.progress, 3),
            "box": self.box and [round(value, 4) for value in self.box],
            "outcome": self.outcome,
            "code": self.code,
            "reason": self.reason,
            "can_stop": self.can_stop,
            "test_source": self.test_source,
        }


CAMERA: Final = Screen(Phase.CAMERA, words.CAMERA, words.CAMERA_HINT)
FORM: Final = Screen(Phase.FORM, words.FORM)
STOPPED: Final = Screen(Phase.STOPPED, words.STOPPED, words.STOPPED_HINT)
NEXT: Final = Screen(Phase.IDLE, words.NEXT, words.NEXT_HINT)
WAITING: Final = Screen(Phase.WAITING, words.WAITING, words.WAITING_HINT, can_stop=True)
VERIFYING: Final = Screen(Phase.VERIFYING, words.VERIFYING, words.VERIFYING_HINT, progress=1.0)


def idle_screen(*, flash: bool) -> Screen:
    """Nobody is being checked; colours are announced before they come."""
    return Screen(Phase.IDLE, words.IDLE, words.FLASH_HINT if flash else words.IDLE_HINT)


def result_screen(result: Result) -> Screen:
    """The verdict with its reason, and what the person does now."""
    message = result.to_json()["message"]
    return Screen(
        Phase.RESULT,
        (message["zh"], message["en"]),
        words.next_step(result.code),
        progress=1.0 if result.passed else 0.0,
        outcome=OUTCOMES[result.code],
        code=int(result.code),
        reason=result.reason,
        test_source=result.test_source,
    )


class CheckScreens:
    """Turns one check's guidance into screens whose sentences stand long enough to be read.

    Args:
        can_stop: the person may end the check.
    """

    def __init__(self, *, can_stop: bool) -> None:
        self._can_stop = can_stop
        self._shown: Reason | None = None
        self._words: Words | None = None
        self._since = 0.0

    def take(self, event: Guidance, size: tuple[int, int], now: float) -> Screen:
        """The next screen.

        Args:
            event: what `Gate` says of the newest frame.
            size: width and height of that frame in pixels.
            now: monotonic seconds.
        """
        if self._words is None or (event.reason != self._shown and now - self._since >= HOLD_S):
            message = event.to_json()["message"]
            self._shown, self._words, self._since = event.reason, (message["zh"], message["en"]), now
        return Screen(
            Phase.CHECKING,
            self._words,
            words.CHECKING_HINT,
            progress=event.progress,
            box=share_of(event.box, size),
            reason=self._shown,
            can_stop=self._can_stop,
        )


def share_of(box: tuple[float, float, float, float] | None, size: tuple[int, int]) -> Box | None:
    """A box x1 y1 x2 y2 in pixels as shares of a frame of width and height, cut at its edges."""
    if box is None or min(size) < 1:
        return None
    x1, x2 = (min(max(x / size[0], 0.0), 1.0) for x in (box[0], box[2]))
    y1, y2 = (min(max(y / size[1], 0.0), 1.0) for y in (box[1], box[3]))
    return x1, y1, max(0.0, x2 - x1), max(0.0, y2 - y1)
