"""Fixtures of the camera's tests: clocks, servers on loopback, a writer of videos."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.camera import ManualClock

from .support import MjpegServer, RtspServer, VideoWriter, wait_until


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    wait_until(
        lambda: all(thread.name != "livegate-camera" for thread in threading.enumerate()),
        "the end of all reader threads",
    )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ticking(clock: ManualClock) -> Iterator[ManualClock]:
    """The manual clock, moved on by a thread."""
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(0.001):
            clock.advance(0.05)

    thread = threading.Thread(target=tick)
    thread.start()
    yield clock
    stop.set()
    thread.join()


@pytest.fixture
def write_video(tmp_path: Path) -> VideoWriter:
    return VideoWriter(tmp_path)


@pytest.fixture
def mjpeg_server() -> Iterator[MjpegServer]:
    server = MjpegServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.ended.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def rtsp_server() -> Iterator[RtspServer]:
    server = RtspServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.ended.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def no_connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Addresses that Python code tried to connect to; the tries fail."""
    tried: list[object] = []

    def refuse(self: socket.socket, address: object) -> None:
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried
