"""Generated videos, servers on loopback and scripted captures for the camera's tests."""

from __future__ import annotations

import http.server
import queue
import socketserver
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.camera import ManualClock, Shot

U8 = NDArray[np.uint8]


def picture(number: int, size: tuple[int, int] = (48, 64)) -> U8:
    """A picture that tells its number by its grey, and whose top left corner is white."""
    image = np.full((*size, 3), 10 + number % 20 * 10, np.uint8)
    image[: size[0] // 4, : size[1] // 4] = 255
    return image


def number_of(image: U8) -> int:
    """What `picture` drew, through lossy coding."""
    return round((float(image[-8:, -8:].mean()) - 10) / 10)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Let other threads work until `condition` holds; fails if it never does."""
    for _ in range(10_000):
        if condition():
            return
        time.sleep(0.001)
    pytest.fail(f"never happened: {what}")


class ScriptedCapture:
    """A capture that gives what the test pushes, and blocks while there is nothing.

    `push(array)` is a frame, `push(None)` the end, `push(exception)` is raised.
    """

    def __init__(self, clock: ManualClock, *items: Any, closable: bool = True) -> None:
        self._clock = clock
        self._items: queue.Queue[Any] = queue.Queue()
        self._closable = closable
        self.closed = threading.Event()
        for item in items:
            self.push(item)

    def push(self, item: Any) -> None:
        self._items.put(item)

    def read(self) -> Shot | None:
        item = self._items.get()
        if isinstance(item, Exception):
            raise item
        return None if item is None else Shot(item, self._clock.now())

    def close(self) -> None:
        self.closed.set()
        if self._closable:
            self._items.put(None)


class VideoWriter:
    """Writes small videos into the test's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(
        self,
        name: str = "clip.avi",
        *,
        fourcc: str = "MJPG",
        frames: int = 10,
        size: tuple[int, int] = (48, 64),
        fps: float = 25.0,
        colour: bool = True,
    ) -> Path:
        path = self._folder / name
        code = cv2.VideoWriter.fourcc(*fourcc)
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, fps, (size[1], size[0]), colour)
        assert writer.isOpened()
        for number in range(frames):
            image = picture(number, size)
            writer.write(image if colour else np.ascontiguousarray(image[..., 0]))
        writer.release()
        return path


def jpeg(number: int, quality: int = 80) -> bytes:
    ok, data = cv2.imencode(".jpg", picture(number), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    return data.tobytes()


class MjpegHandler(http.server.BaseHTTPRequestHandler):
    """Runs the server's script for each request."""

    server: MjpegServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.requests.append(dict(self.headers))
            number = len(self.server.requests)
        with suppress(OSError):
            self.server.script(self, number)

    def start(self, kind: str = "multipart/x-mixed-replace; boundary=frame", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def part(self, body: bytes, *, length: int | None = None) -> None:
        self.wfile.write(
            b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % (length or len(body))
        )
        self.wfile.write(body + b"\r\n")

    def frames(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            self.part(jpeg(number))

    def endless(self, first: int = 0) -> None:
        """Frames until the client leaves or the test ends."""
        while not self.server.ended.wait(0.005):
            self.part(jpeg(first))
            first += 1

    def stall(self) -> None:
        """Say nothing more until the test ends."""
        self.server.ended.wait(60)


class MjpegServer(http.server.ThreadingHTTPServer):
    """A real HTTP server on loopback; `script` is what it does."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MjpegHandler)
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.requests: list[dict[str, str]] = []
        self.script: Callable[[MjpegHandler, int], None] = lambda handler, number: None

    def url(self, credentials: str = "", path: str = "/video") -> str:
        return f"http://{credentials}127.0.0.1:{self.server_port}{path}"


class RtspHandler(socketserver.StreamRequestHandler):
    """As much of RTSP (RFC 2326) as a player needs, with JPEG over RTP (RFC 2435) inside the connection."""

    server: RtspServer

    def handle(self) -> None:
        with suppress(OSError):
            self._talk()

    def _talk(self) -> None:
        if self.server.mode == "silent":
            self.server.ended.wait(60)
            return
        while True:
            lines = []
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                lines.append(line.decode().strip())
            if not lines:
                return
            method = lines[0].split()[0]
            fields = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
            self.server.asked.append((method, fields))
            extra, body = "", ""
            if method == "DESCRIBE":
                body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\n"
                body += "a=control:track0\r\na=framerate:25\r\n"
                extra = "Content-Type: application/sdp\r\n"
            elif method == "SETUP":
                extra = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1;timeout=60\r\n"
            head = f"RTSP/1.0 200 OK\r\nCSeq: {fields['cseq']}\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
            self.wfile.write(f"{head}{body}".encode())
            if method == "PLAY":
                self._play()
                return

    def _play(self) -> None:
        sequence = 0
        for number in range(self.server.frames):
            scan = jpeg(number)
            scan = scan[scan.index(b"\xff\xda") :]
            scan = scan[2 + struct.unpack(">H", scan[2:4])[0] : -2]
            for at in range(0, len(scan), 1000):
                piece = scan[at : at + 1000]
                last = at + 1000 >= len(scan)
                rtp = struct.pack(">BBHII", 0x80, 26 | 0x80 * last, sequence & 0xFFFF, number * 3600, 7)
                head = struct.pack(">IBBBB", at, 1, 80, 64 // 8, 48 // 8)
                self.wfile.write(b"$\0" + struct.pack(">H", len(rtp + head + piece)) + rtp + head + piece)
                sequence += 1
            if self.server.ended.wait(0.005):
                return
        self.server.ended.wait(60)


class RtspServer(socketserver.ThreadingTCPServer):
    """A real RTSP server on loopback."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RtspHandler)
        self.ended = threading.Event()
        self.mode = "play"
        self.frames = 10_000
        self.asked: list[tuple[str, dict[str, str]]] = []

    def url(self, credentials: str = "") -> str:
        return f"rtsp://{credentials}127.0.0.1:{self.server_address[1]}/stream"
