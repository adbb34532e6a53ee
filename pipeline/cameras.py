"""`Cameras`: checks at several cameras in one process, with one set of nets and a fair share for each."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from pipeline.camera import Frame, Source, SourceInfo
from pipeline.errors import ClientCode, MatchError, OutcomeUnknownError, UsageError
from pipeline.gate import Gate, Service
from pipeline.loaded import LoadedNets
from pipeline.reasons import Reason
from pipeline.result import Guidance, Result
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.liveness.flash.session import Display
    from pipeline.match.client import MatchResult
    from pipeline.match.encode import Upload
    from pipeline.match.person import Person

log = logging.getLogger("livegate.cameras")

GRACE_S: Final = 1.0
"""After a camera's deadline its source is closed; a check that has not ended so much later is given up."""


class Cameras:
    """Several cameras, each with a `Gate` and a thread of its own, on one set of nets.

    A thread waits for its camera and its service alone; only for a frame's arithmetic it waits for its turn,
    and turns go round (`pipeline.loaded.Turn`). So N busy cameras get a Nth of the core each, and a slow,
    silent or broken one costs the others nothing. Live sources keep the newest frame only: what a busy core
    can't see is dropped at the camera and never queued.

    Args:
        settings: of all cameras; see `Settings`.
        service: answers ``match`` in verify mode instead of the settings' endpoint, for all cameras, from
            several threads; closed with this.
        deadline_s: wall time after which a check's source is closed, so that the check ends undecided, while
            somebody reads `events`. The settings' ``deadline_s`` counts video time, which stands still where
            no frame comes. None takes thrice that, and the time that a source may take to come back.

    Raises:
        SettingsError, ModelError: as `Gate`.
        UsageError: the deadline is not above 0.

    Example:
        ```python
        with Cameras(Settings(mode="liveness")) as cameras:
            for index in range(4):
                cameras.start(f"lane {index}", open_source(index))
            for name, event in cameras.events():
                ...
        ```
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        service: Service | None = None,
        deadline_s: float | None = None,
    ) -> None:
        self.settings = settings or Settings()
        if deadline_s is None:
            deadline_s = 3 * self.settings.deadline_s + self.settings.reconnect_deadline_s
        if not deadline_s > 0:
            raise UsageError("deadline_s must be above 0")
        self._deadline_s = deadline_s
        self._nets = LoadedNets(self.settings)
        if self.settings.mode == "verify" and service is None:
            from pipeline.service import connect  # the HTTP client is built in this mode only

            service = connect(self.settings)
        self._service = service
        self._gates: dict[str, tuple[Gate, _Line | None]] = {}
        self._checks: dict[str, _Check] = {}
        self._news = threading.Condition()
        self._guidance: dict[str, Guidance] = {}
        self._results: deque[tuple[str, Result]] = deque()

    @property
    def running(self) -> tuple[str, ...]:
        """Cameras whose check has not ended."""
        with self._news:
            return tuple(self._checks)

    def start(
        self,
        name: str,
        source: Source,
        *,
        person: Person | None = None,
        consent: str | None = None,
        display: Display | None = None,
    ) -> None:
        """Begin a check at a camera; it runs on by itself, and `events` tells of it.

        Args:
            name: of the camera; after its check has ended another one may be started.
            source: an open source; it is closed at the end.
            person: as in `Gate.check`.
            consent: as in `Gate.check`.
            display: as in `Gate.check`.

        Raises:
            UsageError, ConsentError: as `Gate.check`, or a check of that name is running.
        """
        watched = _Watched(source)
        with self._news:
            if name in self._checks:
                raise UsageError(f"a check at {name} is running already")
            if name not in self._gates:
                line = None if self._service is None else _Line(self._service)
                self._gates[name] = (Gate(self.settings, service=line, nets=self._nets), line)
            events = self._gates[name][0].events(watched, person=person, consent=consent, display=display)
            check = _Check(watched, time.monotonic() + self._deadline_s)
            check.thread = threading.Thread(
                target=self._run, args=(name, check, events), name=f"camera {name}", daemon=True
            )
            self._checks[name] = check
            check.thread.start()

    def events(self) -> Iterator[tuple[str, Guidance | Result]]:
        """What happens at the cameras until no check runs: (camera, event).

        Of guidance only a camera's newest is kept, so a slow reader misses some and delays nobody. Every
        check's result is told once, and nothing of the check after it.
        """
        while (batch := self._wait()) is not None:
            yield from batch

    def close(self) -> None:
        """End all checks; what has not passed by then never will. Idempotent."""
        with self._news:
            checks = list(self._checks.items())
        for _, check in checks:
            check.source.end()
        for name, check in checks:
            if check.thread is not None and check.thread is not threading.current_thread():
                check.thread.join(GRACE_S)
            self._give_up(name, check)
        if self._service is not None:
            self._service.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, name: str, check: _Check, events: Iterator[Guidance | Result]) -> None:
        result = Result(ClientCode.SYSTEM_ERROR, self.settings.mode, Reason.SYSTEM_ERROR)
        try:
            for event in events:
                if isinstance(event, Result):
                    result = event
                    continue
                with self._news:
                    if self._checks.get(name) is check:
                        self._guidance[name] = event
                        self._news.notify_all()
        finally:  # only now the gate is free for the next check
            self._tell(name, check, result)

    def _tell(self, name: str, check: _Check, result: Result) -> None:
        with self._news:
            if self._checks.get(name) is check:  # else it was given up: nobody hears of it any more
                del self._checks[name]
                self._guidance.pop(name, None)
                self._results.append((name, result))
                self._news.notify_all()

    def _wait(self) -> list[tuple[str, Guidance | Result]] | None:
        with self._news:
            while True:
                told: list[tuple[str, Guidance | Result]] = [*self._guidance.items(), *self._results]
                self._guidance.clear()
                self._results.clear()
                if told:
                    return told
                if not self._checks:
                    return None
                now = time.monotonic()
                late = [(n, c) for n, c in self._checks.items() if now >= c.deadline]
                if not late:
                    self._news.wait(min(c.deadline for c in self._checks.values()) - now)
                for name, check in late:
                    self._too_late(name, check, now)

    def _too_late(self, name: str, check: _Check, now: float) -> None:
        if check.ending:
            self._give_up(name, check)
            return
        log.warning("a check passed its deadline: its source is closed")
        check.ending = True
        check.deadline = now + GRACE_S
        check.source.end()

    def _give_up(self, name: str, check: _Check) -> None:
        """Tell a result in place of a thread that may never come back; it sees and sends nothing any more."""
        check.source.end()
        with self._news:
            if self._checks.get(name) is not check:
                return
            line = self._gates.pop(name)[1]  # its thread may still be in there
            result = Result(ClientCode.INTERRUPTED, self.settings.mode, Reason.INTERRUPTED)
            if line is not None and line.cut():
                code, error = OutcomeUnknownError.client_code, OutcomeUnknownError.code
                result = Result(code, self.settings.mode, Reason.OUTCOME_UNKNOWN, error=error)
            self._tell(name, check, result)


@dataclass(slots=True, eq=False)
class _Check:
    source: _Watched
    deadline: float
    ending: bool = field(default=False)
    thread: threading.Thread | None = field(default=None)


class _Line:
    """A camera's way to the service. Once it is cut nothing is sent: nobody would hear of the outcome."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._state = threading.Lock()
        self._sending = self._cut = False

    def match(self, person: Person, upload: Upload, consent: str) -> MatchResult:
        """As the service's; raises `MatchError` once the line is cut."""
        with self._state:
            if self._cut:
                raise MatchError("the check was given up, so nothing is sent")
            self._sending = True
        try:
            return self._service.match(person, upload, consent)
        finally:
            self._sending = False

    def cut(self) -> bool:
        """Let nothing through from now on. True where an upload is under way: its outcome is not known."""
        with self._state:
            self._cut = True
            return self._sending

    def close(self) -> None:
        """Nothing: the service is all cameras' own."""


class _Watched:
    """A source that gives no frame after it was ended, even one that was on its way."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ended = threading.Event()

    @property
    def info(self) -> SourceInfo:
        return self._source.info

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        frame = next(self._source)
        if self._ended.is_set():
            raise StopIteration
        return frame

    def end(self) -> None:
        """From any thread: the check gets no further frame, and so ends undecided."""
        self._ended.set()
        self._source.close()

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
