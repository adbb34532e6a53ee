"""A camera that the test holds in its hand, a service that remembers, and a page that follows a script."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import httpx
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from pipeline.camera import Frame, SourceInfo
from pipeline.camera.frame import Image
from pipeline.camera.source import SourceBase
from pipeline.errors import SourceOpenError
from pipeline.kiosk import Access, Kiosk, KioskOptions, Pace
from pipeline.kiosk import running as serving
from pipeline.loaded import LoadedNets
from pipeline.match.client import MatchResult
from pipeline.match.encode import Upload
from pipeline.match.person import Person
from pipeline.settings import Mode, Settings

NAME, NUMBER = "欧阳样例", "11010519491231002X"
QUIET = logging.getLogger("the test's own page")  # it would tell all that it sends
QUIET.setLevel(logging.CRITICAL)
QUICK = Pace(result_s=0.5, face_s=5.0, leave_s=5.0)
LIVE = SourceInfo(kind="device", name="test camera", live=True, trusted=False, reason="a test's")


class Camera:
    """What a kiosk's opener opens: frames at 30 a second of whatever the test puts before it.

    Args:
        scene: frames to show, again and again.
        info: what it claims to be.
    """

    def __init__(self, scene: Sequence[Image], info: SourceInfo = LIVE) -> None:
        self.scene = scene
        self.info = info
        self.absent = False
        self.opened = 0
        self.closed = 0

    def __call__(self) -> CameraSource:
        if self.absent:
            raise SourceOpenError("the test's camera is not there")
        self.opened += 1
        return CameraSource(self)


class Held(list[Image]):
    """A scene whose frames don't come until they are released."""

    def __init__(self, scene: Sequence[Image]) -> None:
        super().__init__(scene)
        self.release = threading.Event()

    def __getitem__(self, index: Any) -> Any:
        self.release.wait(60)
        return super().__getitem__(index)


class CameraSource(SourceBase):
    """One opening of a `Camera`."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._seq = 0
        self._closed = threading.Event()
        self._rng = np.random.default_rng(7)

    @property
    def info(self) -> SourceInfo:
        return self._camera.info

    def __next__(self) -> Frame:
        if self._closed.wait(1 / 30) or self._camera.absent:
            raise StopIteration
        scene = self._camera.scene
        still = scene[self._seq % len(scene)]
        self._seq += 1
        image = cv2.add(still, self._rng.integers(0, 3, still.shape, np.uint8))  # no two frames are the same
        return Frame(np.asarray(image, np.uint8), t=time.monotonic(), seq=self._seq)

    def close(self) -> None:
        if not self._closed.is_set():
            self._camera.closed += 1
        self._closed.set()


class FakeService:
    """Answers ``match`` with a score and keeps what it was sent; waits for `release` where it is told to."""

    def __init__(self, score: float = 99.0, *, waits: bool = False) -> None:
        self.score = score
        self.sent: list[tuple[Person, Upload, str]] = []
        self.asked = threading.Event()
        self.release = threading.Event()
        self.closed = False
        if not waits:
            self.release.set()

    def match(self, person: Person, upload: Upload, consent: str) -> MatchResult:
        self.sent.append((person, upload, consent))
        self.asked.set()
        self.release.wait(60)
        return MatchResult(200, self.score, "4EF9AEE5-288F-4176-8110-00EDC91A614E")

    def close(self) -> None:
        self.closed = True


class ScriptedPage:
    """The person's page without a browser: takes previews in, paints colours as the script says.

    Args:
        socket: of the test client.
        paint: called with each colour; True where it is to be acknowledged.
    """

    def __init__(
        self, socket: ClientConnection, paint: Callable[[dict[str, Any]], bool] = lambda colour: True
    ) -> None:
        self._socket = socket
        self._paint = paint
        self.screens: list[dict[str, Any]] = []
        self.previews: list[bytes] = []
        self.colours: list[dict[str, Any]] = []
        self.others: list[dict[str, Any]] = []
        self.dark = True
        """Whether no colour is on."""

    def say(self, **message: Any) -> None:
        self.send(json.dumps(message))

    def send(self, text: str | bytes) -> None:
        with contextlib.suppress(ConnectionClosed):  # `hear` tells of it
            self._socket.send(text)

    def hear(self) -> dict[str, Any]:
        """The next message that is no colour."""
        while True:
            try:
                told = self._socket.recv(timeout=60)
            except ConnectionClosed as closed:
                return {"type": "closed", "code": closed.rcvd and closed.rcvd.code}
            if isinstance(told, bytes):
                self.previews.append(told)
                self.say(type="seen")
                return {"type": "preview"}
            message: dict[str, Any] = json.loads(told)
            if message["type"] == "screen":
                self.screens.append(message)
            elif message["type"] == "colour":
                self.dark = message["colour"] is None
                if message["colour"] is not None:
                    self.colours.append(message["colour"])
                    if self._paint(message["colour"]):
                        self.say(type="painted", number=message["colour"]["number"])
                continue
            else:
                self.others.append(message)
            return message

    def until(self, phase: str) -> dict[str, Any]:
        """Hear on until a screen of a phase."""
        while True:
            message = self.hear()
            assert message["type"] != "closed", self.screens
            if message["type"] == "screen" and message["phase"] == phase:
                return message

    def fill_in(self, name: str = NAME, number: str = NUMBER, *, consent: bool = True) -> None:
        self.say(type="person", name=name, number=number, consent=consent)


@contextlib.contextmanager
def running(kiosk: Kiosk) -> Iterator[httpx.Client]:
    """A kiosk that serves, and a client of it."""
    with serving(kiosk) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


@contextlib.contextmanager
def page_of(client: httpx.Client, **script: Any) -> Iterator[ScriptedPage]:
    """A connected page."""
    origin = str(client.base_url).rstrip("/")
    url = f"ws{origin[4:]}/socket"
    with connect(url, origin=Origin(origin), close_timeout=1, proxy=None, logger=QUIET) as socket:
        yield ScriptedPage(socket, **script)


def make_kiosk(
    opener: Camera | Callable[[], Any],
    service: FakeService | None = None,
    options: KioskOptions | None = None,
    **settings: Any,
) -> Kiosk:
    mode: Mode = "liveness" if service is None else "verify"
    return Kiosk(
        Settings(mode=mode, **settings),
        opener,
        options or KioskOptions(Access("127.0.0.1"), QUICK),
        service=service,
        nets=nets_of(mode),
    )


@functools.cache
def nets_of(mode: Mode) -> LoadedNets:
    """The nets of all tests' kiosks: loading them takes longer than a check."""
    return LoadedNets(Settings(mode=mode))
