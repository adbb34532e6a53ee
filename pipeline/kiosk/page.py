"""The person's page at its WebSocket: screens, colours and preview out; acknowledgements and the form in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from pipeline.camera.frame import Image
from pipeline.errors import UsageError
from pipeline.kiosk import words
from pipeline.kiosk.board import Board, Job, Seat
from pipeline.kiosk.feed import Feed
from pipeline.kiosk.messages import Painted, PersonForm, Seen, Stop, parse
from pipeline.kiosk.preview import MOST_FPS, encode_preview
from pipeline.kiosk.screen import Phase
from pipeline.kiosk.tally import Times

if TYPE_CHECKING:
    from pipeline.match.person import Person

log = logging.getLogger("livegate.kiosk")

OTHER_PAGE: Final = 4409
"""Close code for a page that came second."""
NOT_UNDERSTOOD: Final = 1008
AWAY: Final = 1001
PATIENCE_S: Final = 10.0
"""Longest time for a preview to be sent, and to be taken in; a page that hangs longer gives its seat up."""


class PageDoor:
    """Lets one page drive the kiosk.

    Args:
        board: what is shown and asked for.
        feed: gives the preview.
        encoder: threads that encode it.
        make_person: name and number to a person; raises `UsageError`.
        consent_form: name of the text that the person agrees to, first part of each consent reference.
    """

    def __init__(
        self,
        board: Board,
        feed: Feed,
        encoder: Executor,
        make_person: Callable[[str, str], Person],
        consent_form: str,
    ) -> None:
        self.board = board
        self.feed = feed
        self.encoder = encoder
        self.preview_times: Final = Times()
        self._make_person = make_person
        self._consent_form = consent_form

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection to its end."""
        await socket.accept()
        seat = self.board.sit()
        if seat is None:
            first, second = words.OTHER_PAGE, words.OTHER_PAGE_HINT
            if self.board.closed:
                first, second = words.STOPPED, words.STOPPED_HINT
            told = {"zh": first[0], "en": first[1], "hint_zh": second[0], "hint_en": second[1]}
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await socket.send_json({"type": "busy", **told})
                await socket.close(OTHER_PAGE)
            return
        try:
            await _Session(self, socket, seat).run()
        finally:
            self.board.leave(seat)

    def job(self, form: PersonForm) -> Job:
        """What a form asks for, with a consent reference of its own.

        Raises:
            UsageError: name or number can't be right; the message holds neither.
        """
        person = self._make_person(form.name.strip(), form.number)
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        return Job(person, f"{self._consent_form}-{now}-{secrets.token_hex(4)}")


class _Session:
    """One connected page."""

    def __init__(self, door: PageDoor, socket: WebSocket, seat: Seat) -> None:
        self._door = door
        self._socket = socket
        self._seat = seat
        self._changed = asyncio.Event()
        self._ready = asyncio.Event()
        self._ready.set()
        self._sending = asyncio.Lock()

    async def run(self) -> None:
        """Until the page goes, hangs or is not understood, or the kiosk stops."""
        loop = asyncio.get_running_loop()

        def changed() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                loop.call_soon_threadsafe(self._changed.set)

        unsubscribe = self._door.board.subscribe(changed)
        parts = (self._listen(), self._tell(), self._preview())
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if error is not None and not isinstance(error, WebSocketDisconnect | RuntimeError | OSError):
                    log.error("the page's connection met %s", type(error).__name__)
        finally:
            unsubscribe()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _close(self, code: int) -> None:
        async with self._sending:
            await self._socket.close(code)

    async def _listen(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] != "websocket.receive":
                return
            try:
                await self._hear(message.get("text"))
            except UsageError as error:
                log.warning("%s", error.message)
                await self._close(NOT_UNDERSTOOD)
                return

    async def _hear(self, text: str | None) -> None:
        if text is None:
            raise UsageError("the page's message is not text")
        board = self._door.board
        match parse(text):
            case Seen():
                self._ready.set()
            case Painted(number=number):
                board.acknowledge(number)
            case Stop():
                board.ask_stop()
            case PersonForm() as form:
                await self._take(form)

    async def _take(self, form: PersonForm) -> None:
        problem = words.FORM_CLOSED
        try:
            if self._door.board.submit(self._door.job(form)):
                return
        except UsageError:
            problem = words.FORM_WRONG
        async with self._sending:
            await self._socket.send_json({"type": "form_error", "zh": problem[0], "en": problem[1]})

    async def _tell(self) -> None:
        """Send the newest screen and colour whenever they change."""
        board = self._door.board
        screen = colour = None
        while True:
            self._changed.clear()
            newest, painted = board.screen, board.colour
            async with self._sending:
                if newest != screen:
                    await self._socket.send_json(newest.to_json())
                if painted != colour:
                    shown = None if painted is None else {"number": painted.number, "rgb": painted.rgb}
                    await self._socket.send_json({"type": "colour", "colour": shown})
            screen, colour = newest, painted
            if screen.phase is Phase.STOPPED:
                await self._close(AWAY)
                return
            await self._changed.wait()

    async def _preview(self) -> None:
        """Send the newest frame when the page has taken in the one before, at most `MOST_FPS` a second."""
        loop = asyncio.get_running_loop()
        sent = 0
        while True:
            began = loop.time()
            async with asyncio.timeout(PATIENCE_S):
                await self._ready.wait()
            found = self._door.feed.newest(sent)
            if found is not None:
                sent, frame = found
                picture = await loop.run_in_executor(self._door.encoder, self._encode, frame.image)
                self._ready.clear()
                async with asyncio.timeout(PATIENCE_S), self._sending:
                    await self._socket.send_bytes(picture)
            await asyncio.sleep(max(0.005, 1 / MOST_FPS - (loop.time() - began)))

    def _encode(self, image: Image) -> bytes:
        began = time.perf_counter()
        picture = encode_preview(image)
        self._door.preview_times.add(time.perf_counter() - began)
        return picture
