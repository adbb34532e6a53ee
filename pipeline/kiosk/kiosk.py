"""`Kiosk`: gate, camera, worker and pages put together, started and stopped as one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from starlette.applications import Starlette

from pipeline.camera import Source
from pipeline.gate import Gate, Service
from pipeline.kiosk import screen as screens
from pipeline.kiosk import words
from pipeline.kiosk.app import make_app, person_page
from pipeline.kiosk.board import Board
from pipeline.kiosk.feed import Feed
from pipeline.kiosk.operator import Overview
from pipeline.kiosk.page import PageDoor
from pipeline.kiosk.security import Access
from pipeline.kiosk.tally import Tally
from pipeline.kiosk.worker import Announced, Faces, Pace, Worker
from pipeline.loaded import LoadedNets
from pipeline.protocol.cert_number import CertCheck
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.match.person import Person

STOP_S: Final = 25.0
"""How long a stop waits for a service that is being asked: longer than the client's own 20 s."""


@dataclass(frozen=True, slots=True)
class KioskOptions:
    """How a kiosk looks and behaves.

    Attributes:
        access: who may talk to its server.
        pace: how long screens stand.
        consent: what the person agrees to in verify mode, Chinese and English.
        consent_form: name of that text; each consent reference is this, the time and a random part.
    """

    access: Access = field(default_factory=lambda: Access("127.0.0.1"))
    pace: Pace = field(default_factory=Pace)
    consent: tuple[str, str] = words.CONSENT
    consent_form: str = "kiosk"


class Kiosk:
    """One camera, one screen.

    Args:
        settings: of the gate.
        opener: opens the camera; called again after each loss.
        options: see `KioskOptions`.
        service: answers ``match`` in verify mode instead of the settings' endpoint; closed with the kiosk.
        nets: loaded before, of the same settings.

    Attributes:
        app: the ASGI application.
        tally: past checks.

    Raises:
        SettingsError, ModelError: as `Gate`.
    """

    def __init__(
        self,
        settings: Settings,
        opener: Callable[[], Source],
        options: KioskOptions | None = None,
        *,
        service: Service | None = None,
        nets: LoadedNets | None = None,
    ) -> None:
        options = options or KioskOptions()
        self._settings = settings
        self._board = Board(screens.CAMERA)
        nets = nets or LoadedNets(settings)
        announced: Announced | None = None
        if settings.mode == "verify":
            if service is None:
                from pipeline.service import connect  # the HTTP client is built in this mode only

                service = connect(settings)
            announced = Announced(service, self._board)
        self._gate = Gate(settings, service=announced, nets=nets)
        self._feed = Feed(opener, on_frame=self._board.announce)
        self.tally: Final = Tally()
        self._worker = Worker(
            self._gate,
            self._feed,
            self._board,
            self.tally,
            Faces(nets),
            service=announced,
            pace=options.pace,
        )
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="kiosk preview")
        door = PageDoor(self._board, self._feed, self._encoder, self._person, options.consent_form)
        overview = Overview(settings, nets, self._board, self._feed, self.tally, door.preview_times)
        page = person_page(options.consent)
        self.app: Final[Starlette] = make_app(door, overview, options.access, page)

    def start(self) -> None:
        """Open the camera and wait for somebody."""
        self._feed.start()
        self._worker.start()

    def announce_stop(self) -> None:
        """The page says that the kiosk is out of service; a check that runs ends. From any thread."""
        self._board.close(screens.STOPPED)

    def close(self) -> bool:
        """Stop, and wait for what was sent to be answered.

        Returns:
            False where the service had not answered after `STOP_S`: what came of it is not known.
        """
        self.announce_stop()
        ended = self._worker.stop(STOP_S)
        self._feed.close()
        self._encoder.shutdown(wait=False, cancel_futures=True)
        self._gate.close()
        return ended

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _person(self, name: str, number: str) -> Person:
        from pipeline.match.person import Person

        person = Person(name, number)
        person.check_cert_number(CertCheck(self._settings.cert_check))
        return person
