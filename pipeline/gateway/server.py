"""`serve` and `start`: the gateway on a socket, through uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.errors import AuthorityError
from pipeline.gateway.app import make_app
from pipeline.gateway.core import Gateway

log = logging.getLogger("livegate.gateway")

HEAD_BYTES: Final = 16 * 1024 * 1024
"""Longest request line and headers that are read at all. One public SDK puts a 4 MB picture into the URL, and
that makes 9 MB: it gets the gateway's 414, and no cut connection."""

HEAD_S: Final = 30.0
"""How long a request line and its headers may take to come in."""

KEEP_ALIVE_S: Final = 15
STOP_S: Final = 30
"""How long a stop waits for requests that run."""

_ERROR: Final = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><RequestId></RequestId><HostId>livegate</HostId>'
    "<Code>{}</Code><Message>{}</Message></Error>"
)
_BAD_REQUEST: Final = _ERROR.format(
    "InvalidRequest", "The request is not well-formed HTTP, or its head is too large."
).encode("ascii")
_LATE: Final = _ERROR.format("RequestTimeout", "The request's head did not come in time.").encode("ascii")


class _Protocol(H11Protocol):
    """uvicorn's, with a time limit on heads and the service's error form for what is no HTTP at all."""

    _head_timer: asyncio.TimerHandle | None = None
    _head_begun = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_begun = True
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:  # part of a head: uvicorn's keep-alive timer is off now
            self._start_head_timer()
        else:
            self._stop_head_timer()

    def send_400_response(self, msg: str) -> None:
        self._send_and_close(400, b"Bad Request", _BAD_REQUEST)

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self._head_is_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing() or self.conn.their_state is not h11.IDLE:
            return
        if self._head_begun:
            self._send_and_close(408, b"Request Timeout", _LATE)
        else:
            self.transport.close()

    def _send_and_close(self, status: int, reason: bytes, body: bytes) -> None:
        headers = [
            (b"content-type", b"text/xml;charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        for event in (
            h11.Response(status_code=status, headers=headers, reason=reason),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, without raising the signal again: `serve` has the database to close."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def serve(
    gateway: Gateway,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    workers: int | None = None,
    ready_callback: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. Requests that run are finished; the gateway is closed at the end.

    Args:
        gateway: answers the requests; its nets are loaded before the port opens.
        host: address to listen at. Requests travel in clear: all but the loopback need a TLS proxy in front.
        port: TCP port, 0 for a free one.
        workers: threads that answer; one more than the machine's cores if left out.
        ready_callback: called with the base URL once requests are accepted.

    Raises:
        AuthorityError: the address can't be listened at.
        ModelError: a model file is missing.
    """
    try:
        _ = gateway.embedder
        with _listening(host, port) as listener:
            url = _url(host, listener)

            def ready() -> None:
                if ready_callback is not None:
                    ready_callback(url)

            _Server(_config(gateway, workers), ready).run(sockets=[listener])
    finally:
        gateway.close()


@contextlib.contextmanager
def running(gateway: Gateway, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve from a thread for as long as the block lasts. The gateway is left open.

    Args:
        gateway: answers the requests.
        host: address to listen at.
        port: TCP port, 0 for a free one.

    Yields:
        The base URL; requests are accepted.

    Raises:
        AuthorityError: the address can't be listened at.
    """
    started = threading.Event()
    with _listening(host, port) as listener:
        server = _Server(_config(gateway, None), started.set)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="livegate-gateway", daemon=True
        )
        thread.start()
        try:
            if not started.wait(timeout=30):
                raise AuthorityError("the gateway did not start")
            yield _url(host, listener)
        finally:
            server.should_exit = True
            thread.join(timeout=STOP_S + 5)


def is_loopback(host: str) -> bool:
    """True where no other machine can reach an address that is listened at."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    if not is_loopback(host):
        log.warning(
            "listening beyond this machine, without TLS: put a TLS proxy in front, or names, ID numbers and "
            "pictures travel in clear"
        )
    with contextlib.ExitStack() as stack:
        try:
            flags = socket.AI_PASSIVE
            family, kind, proto, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=flags
            )[0]
            # Made by hand: with the proto of socket.create_server, 0, asyncio leaves Nagle's delay on.
            listener = stack.enter_context(socket.socket(family, kind, proto))
            if os.name == "posix":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
        except (OSError, OverflowError) as error:
            raise AuthorityError(
                f"the address can't be listened at: {type(error).__name__}",
                hint="Another program may hold the port; choose one with --port.",
            ) from None
        yield listener


def _config(gateway: Gateway, workers: int | None) -> uvicorn.Config:
    return uvicorn.Config(
        make_app(gateway, workers=workers),
        http=_Protocol,
        ws="none",
        lifespan="off",
        # An access log would hold the query, and with it names and pictures.
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
    )


def _url(host: str, listener: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"
