"""`Worker`: the thread that waits for somebody, runs the check through `Gate`, and shows what it said."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pipeline.camera.frame import Image
from pipeline.errors import ClientCode, LivegateError, MatchError
from pipeline.gate import Gate, Service
from pipeline.kiosk import screen as screens
from pipeline.kiosk.board import Board, Check, Job
from pipeline.kiosk.display import PageDisplay
from pipeline.kiosk.feed import Feed, Tap
from pipeline.kiosk.screen import CheckScreens, Screen
from pipeline.kiosk.tally import Tally
from pipeline.loaded import LoadedNets
from pipeline.reasons import Reason
from pipeline.result import Result

if TYPE_CHECKING:
    from pipeline.match.client import MatchResult
    from pipeline.match.encode import Upload
    from pipeline.match.person import Person

log = logging.getLogger("livegate.kiosk")

LOOK_S: Final = 0.15
"""Pause between two looks for a face while nobody is checked."""
LOOKS: Final = 2
"""Looks in a row that must find a face before a check begins, and none before somebody counts as gone."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long screens stand, in seconds.

    Attributes:
        result_s: a result.
        face_s: after a form was sent, for a face to come; then the form is forgotten.
        leave_s: after a pass, at most for the person to step aside before the next check begins.
    """

    result_s: float = 6.0
    face_s: float = 30.0
    leave_s: float = 20.0


class Faces:
    """Says whether a face is in a picture, by the gate's own detector: it begins a check and judges none.

    Args:
        nets: of the gate; used in its turn.
    """

    def __init__(self, nets: LoadedNets) -> None:
        self._nets = nets

    def __call__(self, image: Image) -> bool:
        """True where the detector finds one."""
        with self._nets.turn:
            return bool(self._nets.detector.detect(image))


class Announced:
    """The service, with a screen that tells the person it is being asked. Nothing is sent after a stop.

    Args:
        service: whom `Gate` asks.
        board: shows it.
    """

    def __init__(self, service: Service, board: Board) -> None:
        self._service = service
        self._board = board
        self._lock = threading.Lock()
        self._stopped = self._sent = False

    def begin(self) -> None:
        """A check begins."""
        with self._lock:
            self._stopped = self._sent = False

    def stop(self) -> None:
        """Send nothing from now on."""
        with self._lock:
            self._stopped = True

    @property
    def refused(self) -> bool:
        """True where the check was stopped before anything was sent."""
        with self._lock:
            return self._stopped and not self._sent

    def match(self, person: Person, upload: Upload, consent: str) -> MatchResult:
        """As the service's; raises `MatchError` after a stop."""
        with self._lock:
            if self._stopped:
                raise MatchError("the check was stopped, so nothing is sent")
            self._sent = True
        self._board.show(screens.VERIFYING)
        return self._service.match(person, upload, consent)

    def close(self) -> None:
        """Close the service."""
        self._service.close()


class _Running(Check):
    """A check as others reach it."""

    def __init__(self, tap: Tap, display: PageDisplay | None, service: Announced | None) -> None:
        self._tap = tap
        self._display = display
        self._service = service
        self.stopped = False
        self.declined = False
        """True where the person stopped it, and not the page's going."""

    def stop(self, *, lost: bool = False) -> None:
        self.stopped = True
        self.declined = self.declined or not lost
        if self._service is not None:
            self._service.stop()
        if self._display is not None:
            self._display.cancel()
            self._tap.end(after=0 if lost else 1)  # one frame more lets the flash say why it ends
        else:
            self._tap.end()

    def acknowledge(self, number: int) -> None:
        if self._display is not None:
            self._display.acknowledge(number)


class Worker:
    """Drives one kiosk, from `start` to `stop`.

    Args:
        gate: decides.
        feed: the camera.
        board: what is shown and asked for.
        tally: remembers results.
        faces: says whether somebody is there.
        service: the gate's service, in verify mode.
        pace: how long screens stand.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        gate: Gate,
        feed: Feed,
        board: Board,
        tally: Tally,
        faces: Callable[[Image], bool],
        *,
        service: Announced | None = None,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gate = gate
        self._feed = feed
        self._board = board
        self._tally = tally
        self._faces = faces
        self._service = service
        self._pace = pace or Pace()
        self._clock = clock
        self._verify = gate.settings.mode == "verify"
        self._flash = gate.settings.flash
        self._idle = screens.idle_screen(flash=self._flash)
        self._leave_by: float | None = None
        self._seen = 0
        self._number = 0
        self._thread = threading.Thread(target=self._run, name="kiosk worker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Wait for the end after `Board.close`. False where the service has not answered in time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._board.closed:
            try:
                self._once()
            except Exception as error:  # a fault of ours denies one check and ends no kiosk
                place = traceback.extract_tb(error.__traceback__)[-1]
                log.error("internal fault: %s at %s:%s", type(error).__name__, place.filename, place.lineno)
                self._board.drop_job()
                self._tell(self._failed(Reason.SYSTEM_ERROR, ClientCode.SYSTEM_ERROR), 0.0)

    def _once(self) -> None:
        """One look: at the camera, for a page, for a form, for a face."""
        if self._feed.stalled:
            self._board.show(screens.CAMERA)
            self._board.drop_job()
            self._board.wait(LOOK_S)
            return
        if not self._board.occupied:
            self._leave_by = None
            self._board.show(screens.FORM if self._verify else self._idle)
            self._board.wait(LOOK_S)
            return
        if self._verify:
            self._board.show(screens.FORM)
            job = self._board.waiting_job()
            if job is None:
                self._board.wait(LOOK_S)
            elif self._face_comes(job):
                self._check(job)
        else:
            self._next_person()

    def _next_person(self) -> None:
        """Liveness mode: begin when a face comes; after a pass, when another one does."""
        there = self._look()
        if self._leave_by is not None:
            gone = not there and self._seen <= -LOOKS
            if not gone and self._clock() < self._leave_by:
                self._board.show(screens.NEXT)
                return
            self._leave_by = None
            self._seen = 0
        self._board.show(self._idle)
        if self._seen >= LOOKS:
            self._check(Job())

    def _face_comes(self, job: Job) -> bool:
        """Wait for a face after a form. False where the person stopped, left or did not come."""
        hint = self._idle.hint if self._flash else screens.WAITING.hint
        self._board.show(replace(screens.WAITING, hint=hint))
        ends = self._clock() + self._pace.face_s
        self._seen = 0
        while self._clock() < ends and self._board.waiting_job() is job and not self._feed.stalled:
            self._look()
            if self._seen >= LOOKS and self._board.waiting_job() is job:  # or it was stopped during the look
                return True
        self._board.drop_job()
        return False

    def _look(self) -> bool:
        """Is somebody there now? Counts looks in a row, upwards with a face and downwards without."""
        self._board.wait(LOOK_S)
        found = self._feed.newest(self._number)
        if found is None:
            return self._seen > 0
        self._number, frame = found
        there = self._faces(frame.image)
        self._seen = max(self._seen, 0) + 1 if there else min(self._seen, 0) - 1
        return there

    def _check(self, job: Job) -> None:
        """Run one check and show its end."""
        began = self._clock()
        self._seen = 0
        if self._service is not None:
            self._service.begin()
        can_stop = self._verify or self._flash
        stalled = replace(screens.CAMERA, can_stop=can_stop)
        tap = self._feed.tap(on_stall=lambda: self._board.show(stalled))
        display = PageDisplay(self._board.push) if self._flash else None
        running = _Running(tap, display, self._service)
        with self._board.checking(running, job if self._verify else None):
            result = self._follow(job, tap, display, running, can_stop)
        if display is not None:
            log.info(
                "flash: %d colours painted, longest round trip %.0f ms%s",
                display.painted,
                1000 * display.longest_s,
                f", {display.declined}" if display.declined else "",
            )
        if result.passed or running.declined:
            self._leave_by = self._clock() + self._pace.result_s + self._pace.leave_s
        self._tell(result, self._clock() - began)

    def _follow(
        self, job: Job, tap: Tap, display: PageDisplay | None, running: _Running, can_stop: bool
    ) -> Result:
        view = CheckScreens(can_stop=can_stop)
        result: Result | None = None
        try:
            for event in self._gate.events(tap, person=job.person, consent=job.consent, display=display):
                if isinstance(event, Result):
                    result = event
                else:
                    self._board.show(view.take(event, tap.size, self._clock()))
        except LivegateError as error:  # the call contradicts the mode: a fault of the kiosk's
            log.error("the check could not begin: %s", error.code)
        if result is None:
            return self._failed(Reason.SYSTEM_ERROR, ClientCode.SYSTEM_ERROR)
        return self._as_stopped(result) if running.stopped else result

    def _as_stopped(self, result: Result) -> Result:
        """A stop is told as one; a verdict that stood before it is not changed."""
        unsent = self._service is not None and self._service.refused and result.uploaded_sha256 is not None
        if unsent:
            result = replace(result, match=None, uploaded_sha256=None, error=None, hint=None)
        elif result.code is not ClientCode.INTERRUPTED or result.reason is Reason.NO_FLASH_PROOF:
            return result
        return replace(result, code=ClientCode.INTERRUPTED, reason=Reason.INTERRUPTED)

    def _tell(self, result: Result, elapsed_s: float) -> None:
        """Count a result and let it stand."""
        self._tally.add(result, elapsed_s)
        log.info("check ended: %d %s", int(result.code), result.reason or "passed")
        shown: Screen = screens.result_screen(result)
        self._board.show(shown)
        ends = self._clock() + self._pace.result_s
        while (left := ends - self._clock()) > 0 and self._board.occupied and not self._board.closed:
            self._board.wait(left)

    def _failed(self, reason: Reason, code: ClientCode) -> Result:
        return Result(code, self._gate.settings.mode, reason)
