"""`serve_workers`: several processes behind one port. The parent starts, watches and stops them.

Each worker opens the gateway for itself: database connections and nets are not shared. They share the
listening sockets, so the kernel hands each connection to one of them, and a folder of numbers for
``/metrics``, which any of them answers for all. A worker that dies is started anew; one that dies before it
ever served ends the parent.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Final

from structlog.contextvars import bind_contextvars

from pipeline.addresses import url_of
from pipeline.errors import AuthorityError
from pipeline.gateway.core import Gateway
from pipeline.gateway.listening import listening
from pipeline.gateway.operation.metrics import FOLDER_VARIABLE, forget_worker
from pipeline.gateway.server import Listening, ServeOptions, Server, admin_listening
from pipeline.signals import signals_to

log = logging.getLogger("livegate.gateway")

START_S: Final = 120.0
"""How long a worker may take from its start to its first request: imports, migrations, nets."""

AGAIN_S: Final = 1.0
"""Least time between two starts of a worker that dies."""

_READY: Final = "ready"
_STOP: Final = "stop"
_NOW: Final = "now"

Opening = Callable[[], Gateway]
"""Opens a worker's gateway, in the worker. Pickled: a module's function, or `functools.partial` of one."""


@dataclass(slots=True)
class _Worker:
    """A process and the pipe to it.

    Attributes:
        number: its place, from 0 on.
        process: the process.
        pipe: the parent's end; closing it stops the worker too.
        started_at: seconds, monotonic.
        ready: True once it serves.
    """

    number: int
    process: SpawnProcess
    pipe: Connection
    started_at: float
    ready: bool = False

    def tell(self, word: str) -> None:
        with contextlib.suppress(OSError):  # it is dead already
            self.pipe.send(word)


def serve_workers(
    opening: Opening,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    workers: int,
    options: ServeOptions | None = None,
    ready_callback: Listening | None = None,
) -> None:
    """Serve from several processes until SIGINT or SIGTERM. Requests that were accepted are answered.

    Args:
        opening: opens the gateway, in each worker; sets up its logs too.
        host: address to listen at.
        port: TCP port, 0 for a free one.
        workers: processes.
        options: how each of them serves; threads are shared out where their number is left out.
        ready_callback: called once all of them accept requests.

    Raises:
        AuthorityError: an address can't be listened at, a worker can't start, or one had to be killed.
    """
    options = options or ServeOptions()
    if options.threads is None:
        options = replace(options, threads=-(-(os.cpu_count() or 1) // workers) + 1)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(listening(host, port))
        admin = stack.enter_context(admin_listening(options))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="livegate-metrics-")))
        stack.enter_context(_variable(FOLDER_VARIABLE, str(folder)))
        urls = url_of(host, listener), None if admin is None else url_of(options.admin_host, admin)

        def ready() -> None:
            if ready_callback is not None:
                ready_callback(*urls)

        _Parent(opening, options, listener, admin, folder, workers, ready).run()


class _Parent:
    """Starts workers, and looks after them until a signal."""

    def __init__(
        self,
        opening: Opening,
        options: ServeOptions,
        listener: socket.socket,
        admin: socket.socket | None,
        folder: Path,
        count: int,
        ready: Callable[[], None],
    ) -> None:
        self._context: SpawnContext = multiprocessing.get_context("spawn")
        self._opening = opening
        self._options = options
        self._listener = listener
        self._admin = admin
        self._folder = folder
        self._count = count
        self._ready = ready
        self._signals = 0
        self._workers: list[_Worker] = []

    def run(self) -> None:
        with self._told_by_signals():
            try:
                self._workers = [self._start(number) for number in range(self._count)]
                self._watch()
            finally:
                killed = self._stop()
        if killed:
            raise AuthorityError(f"{killed} workers did not stop in time and were killed")

    def _watch(self) -> None:
        told = False
        while not self._signals:
            wait([*(w.pipe for w in self._workers), *(w.process.sentinel for w in self._workers)], 0.2)
            for worker in self._workers:
                self._listen(worker)
                if worker.process.exitcode is not None:
                    self._replace(worker)
                elif not worker.ready and time.monotonic() - worker.started_at > START_S:
                    raise AuthorityError("a worker did not start in time")
            if not told and all(worker.ready for worker in self._workers):
                told = True
                self._ready()

    def _listen(self, worker: _Worker) -> None:
        with contextlib.suppress(EOFError, OSError):
            while worker.pipe.poll():
                worker.ready = worker.pipe.recv() == _READY or worker.ready

    def _replace(self, worker: _Worker) -> None:
        status = worker.process.exitcode
        if not worker.ready:
            raise AuthorityError(
                f"a worker could not start (status {status})", hint="The log above says why."
            )
        log.error("a worker died with status %s and is started anew", status)
        self._forget(worker)
        time.sleep(max(0.0, AGAIN_S - (time.monotonic() - worker.started_at)))
        self._workers[self._workers.index(worker)] = self._start(worker.number)

    def _start(self, number: int) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_work,
            args=(self._opening, self._options, self._listener, self._admin, theirs, number),
            name=f"livegate-worker-{number}",
        )
        process.start()
        theirs.close()
        return _Worker(number, process, ours, time.monotonic())

    def _stop(self) -> int:
        """Stop all workers; the number of those that had to be killed."""
        # Ours first: the socket is closed for good by the worker that closes it last, and each one takes what
        # waits there before it does.
        self._listener.close()
        for worker in self._workers:
            worker.tell(_STOP)
        seen = self._signals
        end = time.monotonic() + self._options.drain_s + self._options.stop_s + 10.0
        while any(w.process.exitcode is None for w in self._workers) and time.monotonic() < end:
            wait([w.process.sentinel for w in self._workers if w.process.exitcode is None], 0.1)
            if self._signals > seen:
                seen = self._signals
                for worker in self._workers:
                    worker.tell(_NOW)
        killed = 0
        for worker in self._workers:
            if worker.process.exitcode is None:
                worker.process.kill()
                killed += 1
            self._forget(worker)
        return killed

    def _forget(self, worker: _Worker) -> None:
        worker.process.join()
        worker.pipe.close()
        if worker.process.pid is not None:
            forget_worker(self._folder, worker.process.pid)

    @contextlib.contextmanager
    def _told_by_signals(self) -> Iterator[None]:
        def count(_number: int, _frame: FrameType | None) -> None:
            self._signals += 1

        with signals_to(count):
            yield


def _work(
    opening: Opening,
    options: ServeOptions,
    listener: socket.socket,
    admin: socket.socket | None,
    pipe: Connection,
    number: int,
) -> None:
    """What a worker does: open, serve, close. It stops when its parent says so, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gateway = opening()
    try:
        bind_contextvars(worker=number)
        _ = gateway.embedder
        server = Server(gateway, options, admin=admin, ready=lambda: pipe.send(_READY), lead=False)
        threading.Thread(target=_obey, args=(pipe, server), name="livegate-parent", daemon=True).start()
        server.run(sockets=[listener])
    finally:
        gateway.close()


def _obey(pipe: Connection, server: Server) -> None:
    """Do what the parent says, once for each word, until its end of the pipe is closed."""
    try:
        while True:
            server.stop(now=pipe.recv() == _NOW)
    except (EOFError, OSError):
        server.stop()


@contextlib.contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """An environment variable for as long as the block lasts: what is started inside inherits it."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
