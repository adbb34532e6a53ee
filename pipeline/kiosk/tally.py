"""`Tally`: what the operator may know of past checks: codes, reasons and times. No person, no picture."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any, Final

from pipeline.result import Result

KEPT: Final = 50
"""Results that are remembered one by one; they live in memory only."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One past check.

    Attributes:
        at: Unix time of its end, seconds.
        code: client code.
        reason: stable word, or ``passed``.
        elapsed_s: wall time from its first frame to its result.
        test_source: True where only the test switch let it through.
    """

    at: float
    code: int
    reason: str
    elapsed_s: float
    test_source: bool

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form; the time is UTC to the second."""
        return {
            "time": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="seconds"),
            "code": self.code,
            "reason": self.reason,
            "elapsed_s": round(self.elapsed_s, 2),
            "test_source": self.test_source,
        }


class Tally:
    """Counts since the start and the last results, for any thread.

    Args:
        wall_clock: Unix time in seconds.
    """

    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._codes: Counter[int] = Counter()
        self._reasons: Counter[str] = Counter()
        self._last: deque[Entry] = deque(maxlen=KEPT)
        self._started = wall_clock()

    def add(self, result: Result, elapsed_s: float) -> None:
        """Count a check. Digests, scores and request ids of the result are left out."""
        reason = "passed" if result.passed else str(result.reason or "none")
        entry = Entry(self._wall_clock(), int(result.code), reason, elapsed_s, result.test_source)
        with self._lock:
            self._codes[entry.code] += 1
            self._reasons[entry.reason] += 1
            self._last.appendleft(entry)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form; the newest result first."""
        with self._lock:
            return {
                "started": datetime.fromtimestamp(self._started, UTC).isoformat(timespec="seconds"),
                "uptime_s": round(self._wall_clock() - self._started),
                "checks": sum(self._codes.values()),
                "by_code": {str(code): count for code, count in sorted(self._codes.items())},
                "by_reason": dict(sorted(self._reasons.items())),
                "last": [entry.to_json() for entry in self._last],
            }


class Times:
    """The newest durations of something that happens again and again, for any thread."""

    def __init__(self, kept: int = 120) -> None:
        self._lock = threading.Lock()
        self._values: deque[float] = deque(maxlen=kept)

    def add(self, seconds: float) -> None:
        """Take one more."""
        with self._lock:
            self._values.append(seconds)

    @property
    def median(self) -> float | None:
        """Seconds, or None before the first."""
        with self._lock:
            return median(self._values) if self._values else None

    def to_json(self) -> float | None:
        """The median in milliseconds."""
        middle = self.median
        return None if middle is None else round(1000 * middle, 2)
