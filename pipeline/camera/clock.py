"""`Clock`: the time of live sources behind two methods, so that tests turn it by hand."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic time and a bounded wait. Whoever waits looks at `now` again afterwards."""

    def now(self) -> float:
        """Seconds on a monotonic clock."""
        ...

    def wait(self, condition: threading.Condition, timeout: float) -> None:
        """Wait, holding `condition`, until it is notified or `timeout` seconds passed; may end early."""
        ...


class SystemClock:
    """`time.monotonic` and the condition's own wait."""

    def now(self) -> float:
        """Seconds since an unnamed start; the same clock as V4L2's buffer times on Linux."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, timeout: float) -> None:
        """Wait in real time."""
        condition.wait(max(0.0, timeout))


class ManualClock:
    """A clock that stands still until it is told to move; for tests.

    Args:
        start: its first time in seconds.
    """

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds, as last set."""
        with self._lock:
            return self._now

    def advance(self, seconds: float) -> None:
        """Move forward; those who wait see it within 2 ms."""
        with self._lock:
            self._now += seconds

    def wait(self, condition: threading.Condition, timeout: float) -> None:
        """Give other threads a moment of real time, whatever `timeout` is; none if it is not positive."""
        if timeout > 0:
            condition.wait(0.002)
