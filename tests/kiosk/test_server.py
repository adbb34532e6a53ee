"""`livegate kiosk` as a process: start, stop, what it refuses to start with, and its socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from pipeline.camera.frame import Image
from pipeline.kiosk import screen as screens
from pipeline.kiosk.app import FILES, read_static
from pipeline.kiosk.board import Board
from pipeline.kiosk.feed import Feed
from pipeline.kiosk.messages import MOST_BYTES
from pipeline.kiosk.page import PageDoor
from pipeline.match.person import Person

from .support import Camera, make_kiosk, page_of, running

TOKEN = "correct horse battery"


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIVEGATE_")}
    for name in ("LIVEGATE_MODELS_DIR", "LIVEGATE_OFFLINE"):
        if name in os.environ:
            kept[name] = os.environ[name]
    return kept | more


@contextlib.contextmanager
def livegate(*arguments: str | Path, **more: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    command = [sys.executable, "-m", "pipeline", "-v", "kiosk", "--port", "0", "--json", *map(str, arguments)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**more)
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate(timeout=30)
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_while_a_page_is_connected(
    number: signal.Signals, clips: dict[str, Path]
) -> None:
    with livegate("--source", clips["person"]) as (process, told):
        assert told["event"] == "listening"
        with httpx.Client(base_url=told["url"], timeout=30) as client, page_of(client) as page:
            page.until("result")
            process.send_signal(number)
            page.until("stopped")
            assert page.hear() == {"type": "closed", "code": 1001}
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err
    assert "check ended: 1000 passed" in err
    assert err.endswith("\nstopped\n")


HELD = """
import sys, threading
from unittest import mock
from pipeline.cli import main

def held(*_):
    print("held", flush=True)
    try:
        threading.Event().wait(60)
    except BaseException:
        if {lets_through}:
            raise

with mock.patch({place!r}, held):
    sys.argv[1:] = ["kiosk", "--port", "0", "--json", "--source", {source!r}]
    main()
"""


@contextlib.contextmanager
def held_at(place: str, source: Path, *, lets_through: bool) -> Iterator[subprocess.Popen[str]]:
    """The command, which says "held" and waits where `place` is called, and may lose what is raised there."""
    script = HELD.format(place=place, source=str(source), lets_through=lets_through)
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "place",
    [
        "pipeline.settings.Settings.__init__",
        "pipeline.loaded.LoadedNets.__init__",
        "pipeline.kiosk.Kiosk.start",
    ],
)
@pytest.mark.parametrize("lets_through", [True, False], ids=["heard", "lost"])
def test_a_signal_before_pages_are_answered_ends_it_cleanly_too(
    number: signal.Signals, place: str, lets_through: bool, tmp_path: Path
) -> None:
    with held_at(place, tmp_path, lets_through=lets_through) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "stopped\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_while_the_service_is_waited_for_is_no_clean_end(
    number: signal.Signals, clips: dict[str, Path]
) -> None:
    with held_at("pipeline.kiosk.Kiosk.close", clips["replay"], lets_through=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "listening"
        process.send_signal(number)
        assert process.stdout.readline() == "held\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith("interrupted\n")
    assert "Traceback" not in err


def test_in_liveness_mode_no_client_of_a_service_is_loaded(clips: dict[str, Path]) -> None:
    script = (
        "import sys, threading\n"
        "from pipeline.settings import Settings\n"
        "from pipeline.camera import open_source\n"
        "from pipeline.kiosk import Kiosk, running\n"
        f"kiosk = Kiosk(Settings(), lambda: open_source({str(clips['person'])!r}))\n"
        "with running(kiosk) as url:\n"
        "    print(url, [n for n in ('httpx', 'sqlalchemy', 'pipeline.match.client') if n in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(" ", 1)[1].strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "variables", "word"),
    [
        (("--host", "0.0.0.0"), {}, "need a token"),
        (("--host", "::"), {}, "need a token"),
        (("--host", "0.0.0.0"), {"LIVEGATE_KIOSK__OPERATOR_TOKEN": "short"}, "fewer than 16"),
        ((), {"LIVEGATE_KIOSK__OPERATOR_TOKEN": "short"}, "fewer than 16"),
        (("--host", "0.0.0.0"), {"LIVEGATE_KIOSK__OPERATOR_TOKEN_FILE": "absent"}, "can't be read"),
        (("--host", "203.0.113.9"), {"LIVEGATE_KIOSK__OPERATOR_TOKEN": TOKEN}, "can't listen"),
        ((), {"LIVEGATE_KIOSK__CONSENT_EN": "I agree"}, "both languages"),
        (("--operator-token", TOKEN), {}, "No such option"),
    ],
)
def test_what_it_does_not_start_with(
    arguments: tuple[str, ...], variables: dict[str, str], word: str
) -> None:
    command = [sys.executable, "-m", "pipeline", "kiosk", "--port", "0", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(**variables))
    assert (done.returncode, done.stdout) == (2, "")
    assert word in " ".join(done.stderr.split())
    if not arguments or "--operator-token" not in arguments:
        assert TOKEN not in done.stderr


def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "pipeline", "kiosk", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert done.returncode == 2
    assert f"port {port}" in done.stderr
    assert "free port" in done.stderr


def test_beyond_this_machine_the_token_of_a_file_opens_the_operator_s_pages(
    clips: dict[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    variables = {"LIVEGATE_KIOSK__OPERATOR_TOKEN_FILE": str(file)}
    with livegate("--host", "0.0.0.0", "--source", clips["person"], **variables) as (process, told):
        assert told["url"].startswith("http://127.0.0.1:")
        with httpx.Client(base_url=told["url"], timeout=30) as client:
            assert client.get("/operator.json").status_code == 401
            assert client.get("/operator.json", auth=("operator", TOKEN)).status_code == 200
            assert client.get("/healthz").status_code in (200, 503)
            assert client.get("/").status_code == 200
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "without TLS" in err
    assert TOKEN not in err


def test_the_socket_takes_no_page_of_elsewhere_and_no_long_message(person: list[Image]) -> None:
    with running(make_kiosk(Camera(person))) as client:
        url = str(client.base_url).rstrip("/")
        socket_url = f"ws{url[4:]}/socket"
        for origin in (None, "http://evil.example", "null"):
            with pytest.raises(InvalidStatus) as refused:
                connect(socket_url, origin=origin and Origin(origin), proxy=None)
            assert refused.value.response.status_code == 403
        with page_of(client) as page:
            page.send("x" * (MOST_BYTES + 1))
            while (told := page.hear())["type"] != "closed":
                pass
            assert told["code"] in (1008, 1009)
        with page_of(client) as page:  # the seat is free again
            assert page.hear()["type"] in ("screen", "preview")
            page.send(b"\x00\x01")
            while (told := page.hear())["type"] != "closed":
                pass
            assert told["code"] == 1008


def test_pages_are_whole_hold_no_foreign_address_and_nothing_inline(person: list[Image]) -> None:
    with running(make_kiosk(Camera(person))) as client:
        for path in ("/", *FILES):
            answer = client.get(path)
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "no-store"
            assert "://" not in answer.text.replace("http://www.w3.org/2000/svg", "").replace(
                "${scheme}//", ""
            )
            assert "<script>" not in answer.text
            assert " style=" not in answer.text
            assert "innerHTML" not in answer.text
            assert " on" + "click=" not in answer.text
        for path in ("/../server.py", "/static/index.html", "/index.html", "/%2e%2e/x", "/socket"):
            assert client.get(path).status_code in (403, 404)
        assert client.post("/").status_code == 405
        assert client.head("/").status_code == 200
        assert client.get("/", headers={"host": "evil.example"}).status_code == 421


def test_the_consent_s_text_is_the_operator_s_and_is_escaped(person: list[Image]) -> None:
    from pipeline.kiosk.app import person_page

    page = person_page(("同意 <script>", 'agree "&'))
    assert "同意 &lt;script&gt;" in page
    assert "agree &quot;&amp;" in page
    assert "<script>" not in page
    assert "{" not in page


def test_static_files_are_part_of_the_package() -> None:
    folder = resources.files("pipeline.kiosk") / "static"
    assert {"index.html", *FILES.values()} == {file.name for file in folder.iterdir()}
    assert all(read_static(name) for name in FILES.values())


def test_a_page_that_takes_no_preview_in_gives_its_seat_up(
    person: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.kiosk.page.PATIENCE_S", 0.3)
    with running(make_kiosk(Camera(person))) as client:
        origin = str(client.base_url).rstrip("/")
        with connect(f"ws{origin[4:]}/socket", origin=Origin(origin), proxy=None) as hung:
            previews = 0
            with contextlib.suppress(ConnectionClosed):
                while True:
                    previews += isinstance(hung.recv(timeout=30), bytes)
        assert previews == 1
        with page_of(client) as page:
            page.until("result")


def test_a_page_whose_line_is_full_gives_its_seat_up_whatever_it_says(
    nobody: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.kiosk.page.PATIENCE_S", 0.2)

    class Full:
        """A line on which everything comes and no picture goes."""

        async def accept(self) -> None:
            pass

        async def receive(self) -> dict[str, str]:
            await asyncio.sleep(0.02)
            return {"type": "websocket.receive", "text": '{"type":"seen"}'}

        async def send_json(self, _: object) -> None:
            pass

        async def send_bytes(self, _: bytes) -> None:
            await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as encoder:
        board, feed = Board(screens.FORM), Feed(Camera(nobody))
        door = PageDoor(board, feed, encoder, Person, "kiosk")
        feed.start()
        try:
            asyncio.run(asyncio.wait_for(door.serve(Full()), 30))  # type: ignore[arg-type]
        finally:
            feed.close()
    assert not board.occupied
