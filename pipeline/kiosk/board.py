"""`Board`: where the worker's thread and the page's event loop meet. It holds the newest of everything."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.kiosk.display import Colour
from pipeline.kiosk.screen import Phase, Screen

if TYPE_CHECKING:
    from pipeline.match.person import Person


@dataclass(frozen=True, slots=True)
class Job:
    """Whom to check, as the page gave it. Nothing of it is shown by ``repr``.

    Attributes:
        person: whose face it should be; None in liveness mode.
        consent: reference under which the person agreed; None in liveness mode.
    """

    person: Person | None = field(default=None, repr=False)
    consent: str | None = field(default=None, repr=False)


class Seat:
    """The one page that drives the kiosk, for as long as it is connected."""


class Board:
    """State for any thread. Only the newest screen and colour are kept, so a slow page delays nobody.

    Args:
        first: screen at the start.
    """

    def __init__(self, first: Screen) -> None:
        self._changed = threading.Condition()
        # everything below is read and written under _changed
        self._screen = first
        self._colour: Colour | None = None
        self._seat: Seat | None = None
        self._job: Job | None = None
        self._check: Check | None = None
        self._closed = False
        self._listeners: list[Callable[[], None]] = []

    # what the page reads -----------------------------------------------------------------------------

    @property
    def screen(self) -> Screen:
        """The newest screen."""
        with self._changed:
            return self._screen

    @property
    def colour(self) -> Colour | None:
        """The newest colour of the flash, or None where none is to be seen."""
        with self._changed:
            return self._colour

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have a function called after each change, from any thread; it must not wait.

        Returns:
            Call it to end the subscription.
        """
        with self._changed:
            self._listeners.append(listener)

        def end() -> None:
            with self._changed:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return end

    def announce(self) -> None:
        """Tell the listeners that something is new, a frame for instance. Wakes nobody who waits."""
        with self._changed:
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()
        self.announce()

    # what the page does ------------------------------------------------------------------------------

    def sit(self) -> Seat | None:
        """Take the one seat; None where another page has it or the kiosk is stopping."""
        with self._changed:
            if self._seat is not None or self._closed:
                return None
            self._seat = seat = Seat()
        self._tell()
        return seat

    def leave(self, seat: Seat) -> None:
        """Give the seat back: a check that runs ends undecided, and what was typed is forgotten."""
        with self._changed:
            if self._seat is not seat:
                return
            self._seat = self._job = self._colour = None
            check = self._check
        if check is not None:
            check.stop(lost=True)
        self._tell()

    def submit(self, job: Job) -> bool:
        """Hand in a form; False where none is asked for now."""
        with self._changed:
            if self._seat is None or self._screen.phase is not Phase.FORM or self._job is not None:
                return False
            self._job = job
        self._tell()
        return True

    def ask_stop(self) -> None:
        """The person wants no check, and no colours from now on."""
        with self._changed:
            check = self._check
            if self._screen.phase is Phase.WAITING:
                self._job = None
        if check is not None:
            check.stop()
        with self._changed:
            self._colour = None
        self._tell()

    def acknowledge(self, number: int) -> None:
        """The page has painted a colour."""
        with self._changed:
            check = self._check
        if check is not None:
            check.acknowledge(number)

    # what the worker does ----------------------------------------------------------------------------

    @property
    def occupied(self) -> bool:
        """Whether a page is connected."""
        with self._changed:
            return self._seat is not None

    @property
    def closed(self) -> bool:
        """Whether the kiosk is stopping."""
        with self._changed:
            return self._closed

    def show(self, screen: Screen) -> None:
        """Put up a screen; the same one again is no change."""
        with self._changed:
            if screen == self._screen or (self._closed and screen.phase is not Phase.STOPPED):
                return
            self._screen = screen
        self._tell()

    def push(self, colour: Colour) -> bool:
        """Put up a colour; False without a page."""
        with self._changed:
            if self._seat is None or self._closed:
                return False
            self._colour = colour
        self._tell()
        return True

    def waiting_job(self) -> Job | None:
        """The form that was handed in, left where it is: a person who stops takes it away."""
        with self._changed:
            return self._job

    def drop_job(self) -> None:
        """Forget the form."""
        with self._changed:
            self._job = None

    @contextlib.contextmanager
    def checking(self, check: Check, job: Job | None = None) -> Iterator[None]:
        """A check runs for as long as the block lasts: stops and acknowledgements go to it.

        Args:
            check: how it is reached. It is stopped at once where no page is there, the kiosk is stopping, or
                the form was taken back in the meantime.
            job: the form that it is for; None where none was asked for.
        """
        with self._changed:
            gone = self._seat is None or self._closed or (job is not None and self._job is not job)
            self._check = check
        if gone:
            check.stop(lost=True)
        try:
            yield
        finally:
            with self._changed:
                self._check = self._colour = self._job = None
            self._tell()

    def wait(self, seconds: float) -> None:
        """Wait until something changes, at most so long."""
        with self._changed:
            if not self._closed:
                self._changed.wait(seconds)

    def close(self, last: Screen) -> None:
        """The kiosk stops: nobody sits down any more, what runs ends."""
        with self._changed:
            self._closed = True
            self._screen = last
            check = self._check
        if check is not None:
            check.stop(lost=True)
        self._tell()


class Check:
    """How a running check is reached from outside; `pipeline.kiosk.worker` fills it in."""

    def stop(self, *, lost: bool = False) -> None:
        """The person stopped it, or (``lost``) the page is gone. Idempotent."""
        raise NotImplementedError

    def acknowledge(self, number: int) -> None:
        """A colour was painted."""
        raise NotImplementedError
