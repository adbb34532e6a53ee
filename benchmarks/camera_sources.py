"""What sources of frames cost, and how two readers of MJPEG over HTTP behave when a camera misbehaves.

    python -m benchmarks.camera_sources cost
    python -m benchmarks.camera_sources mjpeg

``cost`` prints median and 95th percentile in milliseconds of the watchdog's comparison and of
`normalise_image`. ``mjpeg`` lets this project's reader and OpenCV's FFmpeg read the same streams of a server
on loopback, each in a process of its own, with deadlines of 3 s to open and 2 s to read, for at most 6 s.
One JSON object per line.
"""

from __future__ import annotations

import http.server
import json
import multiprocessing
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import cycle

import cv2
import numpy as np

from pipeline.camera import SourceOptions, SystemClock, normalise_image
from pipeline.camera.watchdog import RepeatMeter
from pipeline.errors import SourceError

BEHAVIOURS = ("steady", "stall", "drop", "garbage", "html", "silent", "trickle", "huge")
SECONDS = 6.0


def timed(call: Callable[[], object], count: int = 300, warm_up: int = 30) -> dict[str, float]:
    """Median and 95th percentile of `count` calls in milliseconds."""
    times = []
    for _ in range(warm_up + count):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    kept = sorted(times[warm_up:])
    return {"median_ms": round(statistics.median(kept), 4), "p95_ms": round(kept[int(0.95 * count)], 4)}


def cost() -> Iterator[dict[str, object]]:
    """One line per size and operation."""
    random = np.random.default_rng(0)
    for height, width in ((480, 640), (720, 1280), (1080, 1920)):
        one, other = random.integers(0, 255, (2, height, width, 3), dtype=np.uint8)
        one, other, grey = one.copy(), other.copy(), one[..., 0].copy()
        bgra = np.dstack([one, grey])
        new, repeated = RepeatMeter(), RepeatMeter()
        different, same = cycle([one, other]), cycle([one, one.copy()])
        operations: dict[str, Callable[[], object]] = {
            "repeat_meter, new frame": lambda new=new, different=different: new.see(next(different)),
            "repeat_meter, repeated frame": lambda repeated=repeated, same=same: repeated.see(next(same)),
            "normalise_image, bgr": lambda one=one: normalise_image(one),
            "normalise_image, view of bgr": lambda one=one: normalise_image(one[:]),
            "normalise_image, grey": lambda grey=grey: normalise_image(grey),
            "normalise_image, bgra": lambda bgra=bgra: normalise_image(bgra),
        }
        for name, call in operations.items():
            yield {"size": f"{width}x{height}", "operation": name, **timed(call)}


class Handler(http.server.BaseHTTPRequestHandler):
    """Sends 640x480 frames at about 30 per second, and misbehaves from the 20th on as its path says."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Stream until the client leaves."""
        with suppress(OSError):
            self.stream(self.path.strip("/"))

    def stream(self, behaviour: str) -> None:
        """Send what that behaviour is."""
        if behaviour == "silent":
            time.sleep(SECONDS * 2)
            return
        self.send_response(200)
        kind = "text/html" if behaviour == "html" else "multipart/x-mixed-replace; boundary=b"
        self.send_header("Content-Type", kind)
        self.end_headers()
        for number in range(10_000):
            image = np.full((480, 640, 3), number % 250, np.uint8)
            body = cv2.imencode(".jpg", image)[1].tobytes()
            length = len(body)
            if behaviour == "garbage" and number % 3 == 1:
                body = bytes(length)
            if number == 20 and behaviour == "drop":
                return
            if number == 20 and behaviour == "stall":
                time.sleep(SECONDS * 2)
            if number == 20 and behaviour in ("huge", "trickle"):
                self.wfile.write(b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: 2000000000\r\n\r\n")
                while True:
                    self.wfile.write(b"x" * (65536 if behaviour == "huge" else 1))
                    time.sleep(0 if behaviour == "huge" else 0.1)
            self.wfile.write(b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % length)
            self.wfile.write(body + b"\r\n")
            time.sleep(0.03)


def read(reader: str, url: str, answer: multiprocessing.Queue[dict[str, object]]) -> None:
    """Read one stream in this process and tell what happened."""
    from pipeline.camera.mjpeg import MjpegCapture

    options = SourceOptions(open_deadline_s=3.0, read_deadline_s=2.0)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    frames, longest = 0, 0.0
    call: Callable[[], object] | None = None
    bounds = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 3000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 2000]
    try:
        if reader == "opencv":
            video = cv2.VideoCapture(url, cv2.CAP_FFMPEG, bounds)
            call = (lambda: video.read()[1]) if video.isOpened() else None
        else:
            call = MjpegCapture(url, options, SystemClock()).read
    except SourceError:
        pass
    opening = time.monotonic() - start
    while call is not None and time.monotonic() - start < SECONDS:
        before = time.monotonic()
        if call() is None:
            longest = max(longest, time.monotonic() - before)
            break
        longest = max(longest, time.monotonic() - before)
        frames += 1
    answer.put(
        {
            "opened": call is not None,
            "open_s": round(opening, 2),
            "frames": frames,
            "longest_read_s": round(longest, 2),
            "ended_after_s": round(time.monotonic() - start, 2),
            "grown_mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) // 1024,
        }
    )


def mjpeg() -> Iterator[dict[str, object]]:
    """One line per behaviour and reader."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    processes = multiprocessing.get_context("spawn")
    for behaviour in BEHAVIOURS:
        for reader in ("own", "opencv"):
            answer: multiprocessing.Queue[dict[str, object]] = processes.Queue()
            url = f"http://127.0.0.1:{server.server_port}/{behaviour}"
            child = processes.Process(target=read, args=(reader, url, answer))
            child.start()
            result = answer.get(timeout=60)
            child.join()
            yield {"behaviour": behaviour, "reader": reader, **result}
    server.shutdown()


if __name__ == "__main__":
    parts = {"cost": cost, "mjpeg": mjpeg}
    if len(sys.argv) != 2 or sys.argv[1] not in parts:
        sys.exit(__doc__)
    for line in parts[sys.argv[1]]():
        print(json.dumps({"opencv": cv2.__version__, **line}), flush=True)
