"""`PageDisplay`: the person's page as the screen of the flash.

The session asks for a colour with each frame and must not wait (`pipeline.liveness.flash.Display`). So a
colour is handed to the page at once, and counts as shown only once the page has acknowledged that it was
painted. No clock of the page is believed: both times of a round trip are read here, and a colour came onto
the screen somewhere between them. The round trip is thus an upper bound of what line and page add to the
delay that the fit searches; where it grows beyond `ROUND_TRIP_S`, or no acknowledgement comes, the display
declines, the flash proves nothing, and the check ends undecided.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pipeline.liveness.flash import Rgb

ROUND_TRIP_S: Final = 0.25
"""Longest time from handing over a colour to its acknowledgement. The fit looks for delays up to 0.45 s; the
other 0.2 s are for the camera's and the gate's own."""


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour for the page.

    Attributes:
        number: counts from 1 within a check; the page names it when it has painted it.
        rgb: sRGB, 0..255 each.
    """

    number: int
    rgb: Rgb


class PageDisplay:
    """One check's display.

    Args:
        push: hands a colour to the page, without waiting; False where there is no page.
        clock: monotonic seconds.
    """

    def __init__(self, push: Callable[[Colour], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._push = push
        self._clock = clock
        self._lock = threading.Lock()
        self._open: deque[tuple[int, float]] = deque()
        self._number = 0
        self._declined: str | None = None
        self._painted = 0
        self._longest = 0.0

    @property
    def declined(self) -> str | None:
        """Why nothing is shown any more: ``cancelled``, ``late`` or ``no page``; None while it is."""
        with self._lock:
            return self._declined

    @property
    def painted(self) -> int:
        """Acknowledgements that came in time."""
        with self._lock:
            return self._painted

    @property
    def longest_s(self) -> float:
        """Longest round trip so far, seconds."""
        with self._lock:
            return self._longest

    def show(self, rgb: Rgb) -> bool:
        """Hand a colour to the page.

        Returns:
            False once the person stopped it, the page is gone, or an acknowledgement is overdue.
        """
        with self._lock:
            now = self._clock()
            if self._open and now - self._open[0][1] > ROUND_TRIP_S:
                self._decline("late")
            if self._declined:
                return False
            self._number += 1
            self._open.append((self._number, now))
            colour = Colour(self._number, rgb)
        if self._push(colour):
            return True
        with self._lock:
            self._decline("no page")
        return False

    def acknowledge(self, number: int) -> None:
        """The page has painted a colour, and skipped those before it that it has not named.

        A number that was never shown, or was acknowledged before, says nothing.
        """
        with self._lock:
            if not self._open or not self._open[0][0] <= number <= self._number:
                return
            now = self._clock()
            while self._open and self._open[0][0] <= number:
                _, since = self._open.popleft()
                self._longest = max(self._longest, now - since)
                if now - since > ROUND_TRIP_S:
                    self._decline("late")
            self._painted += 1

    def cancel(self) -> None:
        """The person wants no colours."""
        with self._lock:
            self._decline("cancelled")

    def _decline(self, why: str) -> None:
        self._declined = self._declined or why
