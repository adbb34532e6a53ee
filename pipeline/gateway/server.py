"""`serve` and `running`: the gateway on a socket, through uvicorn. `workers.py` starts several processes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

import uvicorn
from starlette.applications import Starlette

from pipeline.addresses import url_of
from pipeline.errors import AuthorityError
from pipeline.gateway.app import make_admin_app, make_app
from pipeline.gateway.budget import AddressBudget
from pipeline.gateway.connection import Connection, State
from pipeline.gateway.core import Gateway
from pipeline.gateway.intake import IntakeLimits
from pipeline.gateway.listening import listening, take_no_more
from pipeline.gateway.operation.metrics import Metrics, metrics_of_worker
from pipeline.gateway.operation.ready import Readiness
from pipeline.signals import STOPS, signals_to

HEAD_BYTES: Final = 16 * 1024 * 1024
"""Longest request line and headers that are read at all. One public SDK puts a 4 MB picture into the URL, and
that makes 9 MB: it gets the gateway's 414, and no cut connection."""

KEEP_ALIVE_S: Final = 15
STOP_S: Final = 30
"""How long a stop waits for requests that run."""

SETTLE_S: Final = 0.3
"""How long connections that had begun when the stop did may take to come through: a round trip or two."""

Listening = Callable[[str, str | None], None]
"""Told the base URL, and the admin port's where there is one, once requests are accepted."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How the gateway is served.

    Attributes:
        threads: threads that answer; one more than the machine's cores if left out.
        waiting: most requests that run or wait for a thread.
        admin_host: address of the admin port. Whoever reaches it reads the metrics.
        admin_port: port for health, readiness, metrics and description; 0 for a free one, None for no port.
        metrics_page: ``/metrics`` on the main port too.
        trusted_proxies: addresses and networks whose ``X-Forwarded-For`` counts, beside the loopback's.
        drain_s: after a stop was asked for, seconds in which ``/readyz`` says 503 and requests are still
            taken, so that a load balancer can look away first.
        stop_s: seconds that requests then have to be finished.
        intake: what bodies may take while they come in.
    """

    threads: int | None = None
    waiting: int = 64
    admin_host: str = "127.0.0.1"
    admin_port: int | None = None
    metrics_page: bool = False
    trusted_proxies: tuple[str, ...] = ()
    drain_s: float = 0.0
    stop_s: int = STOP_S
    intake: IntakeLimits = field(default_factory=IntakeLimits)


class Server(uvicorn.Server):
    """uvicorn's, with a drain before the stop, and an admin port that stays open until all is answered.

    Args:
        gateway: answers the requests.
        options: how.
        admin: listening socket of the admin port, or None.
        ready: called once requests are accepted.
        lead: True where a signal to the process means this server; False for a worker, whose parent tells it.
    """

    def __init__(
        self,
        gateway: Gateway,
        options: ServeOptions,
        *,
        admin: socket.socket | None = None,
        ready: Callable[[], None],
        lead: bool = True,
    ) -> None:
        metrics = metrics_of_worker()
        gateway.add_watch(metrics.seen)
        gateway.authority.store.on_error(metrics.store_error)
        self._readiness = Readiness(gateway)
        super().__init__(_config(_app(gateway, options, metrics, self._readiness), options))
        self.server_state = State()
        self._options = options
        self._admin_socket = admin
        self._admin = _Admin(_config(make_admin_app(gateway, metrics, self._readiness), options))
        self._admin_task: asyncio.Task[None] | None = None
        self._ready = ready
        self._lead = lead
        self._stop_at: float | None = None

    def stop(self, *, now: bool = False) -> None:
        """Not ready from now on; the stop begins after the drain, or at once. May be called from a signal."""
        self._readiness.stop()
        if self._stop_at is None or now:
            self._stop_at = time.monotonic() + (0.0 if now else self._options.drain_s)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: the first one drains and stops, a second one cuts the drain, a third one what runs."""
        if not self._lead or self._stop_at is None:
            self.stop()
        elif not self.should_exit and self._stop_at > time.monotonic():
            self.stop(now=True)
        else:
            self.force_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, without raising the signal again: `serve` has the database to close."""
        # Ctrl-C reaches every process of a terminal: a worker ignores it, and its parent tells it
        with signals_to(self.handle_exit, STOPS if self._lead else [signal.SIGTERM]):
            yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the admin port, then the main one."""
        if self._admin_socket is not None:
            self._admin_task = asyncio.create_task(self._admin.serve([self._admin_socket]))
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: has the drain ended?"""
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take what is connected already, close the port, finish what runs; the admin port goes last."""
        self._readiness.stop()
        # Meanwhile the loop takes every connection that waits at the socket: closing would reset them.
        for listener in sockets or ():
            take_no_more(listener)
        await asyncio.sleep(SETTLE_S)
        assert isinstance(self.server_state, State)
        self.server_state.stopping = True
        await super().shutdown(sockets)
        if self._admin_task is not None:
            self._admin.should_exit = True
            await self._admin_task


class _Admin(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: the main server ends this one."""
        yield


def serve(
    gateway: Gateway,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    options: ServeOptions | None = None,
    ready_callback: Listening | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. What was accepted is answered; the gateway is closed at the end.

    Args:
        gateway: answers the requests; its nets are loaded before the port opens.
        host: address to listen at. Requests travel in clear: all but the loopback need a TLS proxy in front.
        port: TCP port, 0 for a free one.
        options: how to serve.
        ready_callback: called once requests are accepted.

    Raises:
        AuthorityError: an address can't be listened at.
        ModelError: a model file is missing.
    """
    options = options or ServeOptions()
    try:
        _ = gateway.embedder
        with listening(host, port) as listener, admin_listening(options) as admin:

            def ready() -> None:
                if ready_callback is not None:
                    ready_callback(
                        url_of(host, listener), None if admin is None else url_of(options.admin_host, admin)
                    )

            Server(gateway, options, admin=admin, ready=ready).run(sockets=[listener])
    finally:
        gateway.close()


@contextlib.contextmanager
def running(
    gateway: Gateway, host: str = "127.0.0.1", port: int = 0, *, options: ServeOptions | None = None
) -> Iterator[str]:
    """Serve from a thread for as long as the block lasts. The gateway is left open.

    Args:
        gateway: answers the requests.
        host: address to listen at.
        port: TCP port, 0 for a free one.
        options: how to serve; there is no admin port here.

    Yields:
        The base URL; requests are accepted.

    Raises:
        AuthorityError: the address can't be listened at.
    """
    started = threading.Event()
    with listening(host, port) as listener:
        server = Server(gateway, options or ServeOptions(), ready=started.set)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="livegate-gateway", daemon=True
        )
        thread.start()
        try:
            if not started.wait(timeout=30):
                raise AuthorityError("the gateway did not start")
            yield url_of(host, listener)
        finally:
            server.stop(now=True)
            thread.join(timeout=STOP_S + 5)


@contextlib.contextmanager
def admin_listening(options: ServeOptions) -> Iterator[socket.socket | None]:
    """The admin port's socket, or None where there is to be none."""
    if options.admin_port is None:
        yield None
        return
    with listening(options.admin_host, options.admin_port) as listener:
        yield listener


def _app(gateway: Gateway, options: ServeOptions, metrics: Metrics, readiness: Readiness) -> Starlette:
    return make_app(
        gateway,
        workers=options.threads,
        waiting=options.waiting,
        budget=AddressBudget(trusted_proxies=options.trusted_proxies),
        limits=options.intake,
        metrics=metrics,
        readiness=readiness,
        metrics_page=options.metrics_page,
    )


def _config(app: Starlette, options: ServeOptions) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
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
        timeout_graceful_shutdown=options.stop_s,
    )
