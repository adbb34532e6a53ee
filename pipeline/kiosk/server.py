"""`serve_kiosk`: the kiosk on a socket, through uvicorn, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

import uvicorn

from pipeline.addresses import is_loopback, listen_at, url_of
from pipeline.errors import UsageError
from pipeline.kiosk.kiosk import Kiosk
from pipeline.kiosk.messages import MOST_BYTES
from pipeline.signals import signals_to

log = logging.getLogger("livegate.kiosk")

GOODBYE_S: Final = 0.3
"""For the page to be told that the kiosk stops, before its connection is closed."""


class _Server(uvicorn.Server):
    """uvicorn's, which tells the page before it stops and does not raise the signal again."""

    def __init__(self, kiosk: Kiosk, ready: Callable[[], None]) -> None:
        config = uvicorn.Config(
            kiosk.app,
            http="h11",
            ws="websockets-sansio",
            ws_max_size=MOST_BYTES,
            ws_ping_interval=5,
            ws_ping_timeout=10,
            ws_per_message_deflate=False,
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=2,
            h11_max_incomplete_event_size=16 * 1024,
            limit_concurrency=64,
        )
        super().__init__(config)
        self._kiosk = kiosk
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        with signals_to(self.handle_exit):
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.to_thread(self._kiosk.announce_stop)
        if not self.force_exit:
            await asyncio.sleep(GOODBYE_S)
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket.

    Raises:
        UsageError: the address is not this machine's, or the port is taken.
    """
    try:
        return listen_at(host, port)
    except OSError as error:
        raise UsageError(
            f"the kiosk can't listen at port {port}: {error.strerror}",
            hint="Give --host an address of this machine and --port a free port.",
        ) from None


def serve_kiosk(
    kiosk: Kiosk, listener: socket.socket, host: str, ready: Callable[[str], None] = lambda url: None
) -> bool:
    """Serve until SIGINT or SIGTERM, then stop the kiosk.

    Args:
        kiosk: not started yet.
        listener: of `listen`; closed at the end.
        host: as it was given to `listen`.
        ready: called with the base URL once pages are answered.

    Returns:
        False where the service had not answered when the kiosk stopped, see `Kiosk.close`.
    """
    if not is_loopback(host):
        log.warning(
            "listening beyond this machine, without TLS: put a TLS proxy in front, or the operator's token, "
            "and with a screen elsewhere names, ID numbers and pictures, travel in clear"
        )
    with listener:
        kiosk.start()
        try:
            _Server(kiosk, lambda: ready(url_of(host, listener))).run(sockets=[listener])
        finally:
            ended = kiosk.close()
    return ended


@contextlib.contextmanager
def running(kiosk: Kiosk, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve from a thread for as long as the block lasts; the kiosk is closed at its end.

    Args:
        kiosk: not started yet.
        host: address to listen at.
        port: TCP port, 0 for a free one.

    Yields:
        The base URL; pages are answered.

    Raises:
        UsageError: as `listen`.
    """
    started = threading.Event()
    with listen(host, port) as listener, kiosk:
        server = _Server(kiosk, started.set)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="kiosk server", daemon=True
        )
        thread.start()
        try:
            if not started.wait(timeout=30):
                raise UsageError("the kiosk's server did not start")
            yield url_of(host, listener)
        finally:
            server.should_exit = True
            thread.join(timeout=10)
