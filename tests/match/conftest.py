"""A minted pass, a person, a client over a scripted transport, and a scripted server on loopback."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.camera.frame import Frame
from pipeline.liveness.livepass import LivePass, _mint, seal
from pipeline.match.client import MatchClient
from pipeline.match.encode import Upload, encode_upload
from pipeline.match.person import Person

NAME = "张三丰"
NUMBER = "11010519491231002X"
SECRET = "hunter2-access-key-secret"
CONSENT = "consent/2026 第1号"
REQUEST_ID = "4EF9AEE5-288F-4176-8110-00EDC91A614E"
OK_MATCH = {"Data": {"score": 96.1}, "Message": "OK", "Code": 200, "RequestId": REQUEST_ID}


def picture(height: int, width: int, noise: int = 12) -> NDArray[np.uint8]:
    """Smooth colours with some noise: compresses about as a photo does."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    grain = rng.integers(-noise, noise + 1, (height, width, 3), dtype=np.int16)
    return np.clip(smooth + grain, 0, 255).astype(np.uint8)


def pass_of(image: NDArray[np.uint8]) -> LivePass:
    return _mint(seal(Frame(image, t=1.0, seq=3)), session_id="s1", score=0.97, minted_at=1.0)


def fields_of(request: httpx.Request) -> dict[str, str]:
    pairs = parse_qsl(request.content.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def service_parameters(request: httpx.Request) -> dict[str, Any]:
    found = json.loads(fields_of(request)["ServiceParameters"])
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="session")
def upload() -> Upload:
    return encode_upload(pass_of(picture(480, 640)))


@pytest.fixture(scope="session")
def person() -> Person:
    return Person(NAME, NUMBER)


@dataclass
class Scripted:
    """A transport that gives the scripted outcomes in turn, the last one for ever."""

    outcomes: list[Any]
    requests: list[httpx.Request] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        outcome = self.outcomes[min(len(self.requests), len(self.outcomes)) - 1]
        if isinstance(outcome, type) and issubclass(outcome, Exception):
            raise outcome("scripted", request=request)  # type: ignore[call-arg]
        if isinstance(outcome, Exception):
            raise outcome
        if isinstance(outcome, dict):
            return httpx.Response(200, json=outcome)
        assert isinstance(outcome, httpx.Response)
        return httpx.Response(outcome.status_code, headers=outcome.headers, content=outcome.content)


Build = Callable[..., tuple[MatchClient, Scripted]]


@pytest.fixture
def scripted() -> Iterator[Build]:
    """Build a client whose tries end as scripted; its pauses are noted and not slept."""
    built: list[MatchClient] = []

    def build(*outcomes: Any, **options: Any) -> tuple[MatchClient, Scripted]:
        script = Scripted(list(outcomes))
        options.setdefault("sleep", script.pauses.append)
        client = MatchClient(
            "https://saf.example.test", "testid", SECRET, transport=httpx.MockTransport(script), **options
        )
        built.append(client)
        return client, script

    yield build
    for client in built:
        client.close()


Behave = Callable[[socket.socket], None]


def answering(status: int, body: bytes | str, *, extra: str = "", keep: bool = True) -> Behave:
    """Behaviour: answer so; the connection is kept open unless told otherwise."""
    data = body.encode() if isinstance(body, str) else body

    def behave(connection: socket.socket) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(data)}\r\n{extra}"
        head += "" if keep else "Connection: close\r\n"
        connection.sendall(head.encode() + b"\r\n" + data)

    return behave


class LoopbackServer:
    """HTTP/1.1 on 127.0.0.1: reads each request in full, notes its body, then behaves as scripted."""

    def __init__(self, *behaviours: Behave, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.bodies: list[bytes] = []
        self.heads: list[bytes] = []
        self.connections = 0
        self.release = threading.Event()
        self._behaviours = behaviours
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> LoopbackServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            stream = connection.makefile("rb")
            while head := _read_head(stream):
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                self.heads.append(head)
                self.bodies.append(stream.read(length))
                index = min(len(self.bodies), len(self._behaviours)) - 1
                self._behaviours[index](connection)
            stream.close()
        connection.close()

    def nonces(self) -> list[str]:
        return [dict(parse_qsl(body.decode()))["SignatureNonce"] for body in self.bodies]


def _read_head(stream: Any) -> bytes:
    lines = bytearray()
    while line := stream.readline():
        lines += line
        if line == b"\r\n":
            return bytes(lines)
    return b""
