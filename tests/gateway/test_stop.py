"""A stop loses no request: real processes, real signals, clients that are in the middle of it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's"),
    pytest.mark.storages("sqlite"),
]

SERVER = '''
"""A gateway whose embedder takes its time. Importable: workers are started anew from it."""
import json
import sys
import time
from functools import partial

import cv2
import numpy as np

from pipeline.gateway import Gateway, GatewayOptions, ServeOptions, open_authority, serve
from pipeline.gateway.authority import EmbeddingModel
from pipeline.gateway.faces import FaceReading
from pipeline.gateway.risk import NO_LOCKS
from pipeline.gateway.workers import serve_workers


class Slow:
    model = EmbeddingModel("fake", "0" * 64)

    def __init__(self, seconds):
        self.seconds = seconds

    def read(self, image):
        time.sleep(self.seconds)
        small = cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA).astype(np.float32)
        small = small.mean(axis=2).ravel()
        small -= small.mean()
        return FaceReading(small / np.linalg.norm(small), 100.0, 1, 0.0)


def opening(url, now, seconds):
    options = GatewayOptions(risk=NO_LOCKS, audit=False)
    return Gateway(open_authority(url), lambda: Slow(seconds), options=options, clock=lambda: now)


def ready(url, admin):
    print(json.dumps([url, admin]), flush=True)


if __name__ == "__main__":
    url, now, workers, seconds, drain = sys.argv[1], *map(float, sys.argv[2:])
    options = ServeOptions(admin_port=0, drain_s=drain, stop_s=20)
    open_gateway = partial(opening, url, now, seconds)
    if workers == 1:
        serve(open_gateway(), port=0, options=options, ready_callback=ready)
    else:
        serve_workers(open_gateway, port=0, workers=int(workers), options=options, ready_callback=ready)
    print("closed", flush=True)
'''


class Running:
    """A server process with its two URLs."""

    def __init__(self, process: subprocess.Popen[str], url: str, admin: str) -> None:
        self.process = process
        self.place = urlsplit(url).netloc
        self.admin = admin

    def in_flight(self) -> int:
        text = httpx.get(self.admin + "/metrics", trust_env=False, timeout=30).text
        lines = [line for line in text.splitlines() if line.startswith("livegate_in_flight{")]
        return round(sum(float(line.split()[-1]) for line in lines))

    def readiness(self) -> tuple[int, dict[str, Any]]:
        answer = httpx.get(self.admin + "/readyz", trust_env=False, timeout=30)
        return answer.status_code, answer.json()

    def refuses(self) -> bool:
        try:
            with closing(http.client.HTTPConnection(self.place, timeout=5)) as connection:
                connection.connect()
        except ConnectionRefusedError:
            return True
        return False

    def ask(self, connection: http.client.HTTPConnection, body: bytes) -> tuple[Any, bool]:
        """``Code`` of the answer, and whether the connection may be used again."""
        connection.request("POST", "/", body, {"content-type": "application/x-www-form-urlencoded"})
        answer = connection.getresponse()
        code = json.loads(answer.read())["Code"]
        return code, answer.getheader("connection") != "close"


@pytest.fixture
def start(tmp_path: Path, database: str, caller: Any) -> Any:
    """Start a server over the caller's database."""
    script = tmp_path / "slow_server.py"
    script.write_text(SERVER, encoding="utf-8")

    @contextmanager
    def started(workers: int, seconds: float, drain: float = 0.0) -> Iterator[Running]:
        command = [sys.executable, str(script), database, str(caller.now)]
        command += [str(value) for value in (workers, seconds, drain)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            try:
                assert process.stdout is not None
                yield Running(process, *json.loads(process.stdout.readline() or '["", ""]'))
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    return started


def wait_for(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def matches(caller: Any, kit: Any) -> Iterator[bytes]:
    """Bodies of signed matches without end, each with a nonce of its own."""
    service = {"method": "match", "name": kit.name, "certNumber": kit.number}
    service["imgbase64"] = kit.base64(kit.picture(1))
    while True:
        yield caller.request(caller.signed(caller.params(service))).body


@pytest.mark.parametrize("workers", [1, 2])
def test_every_match_in_flight_is_answered(start: Any, caller: Any, kit: Any, workers: int) -> None:
    with start(workers, seconds=0.4) as server:
        codes: list[Any] = []

        def send(body: bytes) -> None:
            with closing(http.client.HTTPConnection(server.place, timeout=60)) as connection:
                codes.append(server.ask(connection, body))

        threads = [threading.Thread(target=send, args=(body,)) for body in islice(matches(caller, kit), 8)]
        for thread in threads:
            thread.start()
        wait_for(lambda: server.in_flight() == 8)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: server.readiness()[0] == 503)
        assert server.readiness()[1]["checks"]["accepting"] == "failed"
        for thread in threads:
            thread.join(60)
        assert codes == [(200, False)] * 8
        assert server.process.wait(60) == 0
        assert server.refuses()
        assert server.process.stdout is not None
        assert server.process.stderr is not None
        assert server.process.stdout.read() == "closed\n"
        assert server.process.stderr.read() == ""


@pytest.mark.parametrize("workers", [1, 2])
def test_clients_that_keep_asking_lose_nothing_until_they_are_refused(
    start: Any, caller: Any, kit: Any, workers: int
) -> None:
    bodies = matches(caller, kit)
    lock = threading.Lock()
    codes: list[Any] = []
    lost: list[BaseException] = []
    with start(workers, seconds=0.0, drain=0.7) as server:

        def keep_asking() -> None:
            connection = http.client.HTTPConnection(server.place, timeout=60)
            try:
                while True:
                    if connection.sock is None:
                        try:
                            connection.connect()
                        except ConnectionRefusedError:
                            return
                    with lock:
                        body = next(bodies)
                    code, again = server.ask(connection, body)
                    codes.append(code)
                    if not again:
                        connection.close()
            except BaseException as error:
                lost.append(error)

        threads = [threading.Thread(target=keep_asking) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(codes) > 20)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: server.readiness()[0] == 503)
        before = len(codes)
        wait_for(lambda: len(codes) > before)  # not ready, and still answering
        for thread in threads:
            thread.join(60)
        assert server.process.wait(60) == 0
    assert lost == []
    assert set(codes) == {200}


def test_a_worker_that_dies_is_replaced_and_its_numbers_stay(start: Any, caller: Any, kit: Any) -> None:
    with start(2, seconds=0.0) as server:
        for body in islice(matches(caller, kit), 4):
            with closing(http.client.HTTPConnection(server.place, timeout=60)) as connection:
                assert server.ask(connection, body) == (200, True)
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        if not children.is_file():
            pytest.skip("this system does not list a process's children")
        before = workers_of(children)
        assert len(before) == 2
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda: len(set(workers_of(children)) - set(before)) == 1)
        metrics = httpx.get(server.admin + "/metrics", trust_env=False, timeout=60).text
        assert 'livegate_requests_total{code="200",method="match"} 4.0' in metrics
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0


def workers_of(children: Path) -> list[int]:
    """Process ids of the workers alone: multiprocessing's resource tracker is a child too."""
    return [
        int(pid)
        for pid in children.read_text().split()
        if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
    ]


def test_workers_end_with_their_parent(start: Any) -> None:
    with start(2, seconds=0.0) as server:
        server.process.kill()
        server.process.wait(30)

        wait_for(server.refuses)


def test_a_worker_that_can_not_start_ends_the_parent(start: Any, database: str, tmp_path: Path) -> None:
    script = tmp_path / "broken_server.py"
    script.write_text(
        "from pipeline.gateway.workers import serve_workers\n"
        "def opening():\n    raise SystemExit(9)\n"
        "if __name__ == '__main__':\n    serve_workers(opening, port=0, workers=2)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "a worker could not start (status 9)" in done.stderr
