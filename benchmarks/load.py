"""The load run: signed matches of 640x480 against `livegate serve` with several workers, and what limits it.

Closed loop: so many connections (kept alive), each with one request in flight at a time. Requests are signed
before they are counted, the clients share the machine with the server, and what each of both took of the
processor is reported beside the throughput.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2

from benchmarks.load_clients import press
from benchmarks.load_match import KEY, enrolled, service_parameters, signed
from benchmarks.load_profile import profile
from benchmarks.load_server import StubEmbedder
from benchmarks.options import Options, say
from benchmarks.postgresql import VARIABLE, postgresql
from benchmarks.report import Book
from pipeline.gateway import Embedder, NetEmbedder
from pipeline.nets import open_store


def measure(options: Options, book: Book) -> None:
    """Every store, embedder and number of workers in turn; then one request's parts, in process."""
    arguments = options.arguments
    body = service_parameters()
    embedders: dict[str, Embedder] = {"nets": NetEmbedder(open_store())}
    if arguments.stub_embedder:
        embedders["STUB embedder"] = StubEmbedder()
    book.add_number(
        "request body", len(signed(body)), "bytes", "640x480 JPEG, base64, percent-encoded, signed"
    )
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stores = {"SQLite": f"sqlite:///{folder / 'authority.db'}"}
        url = stack.enter_context(postgresql())
        if url is None:
            book.skip("load: PostgreSQL", f"no {VARIABLE}, and its programs are not installed")
        else:
            stores["PostgreSQL"] = url
        stack.enter_context(_variables(folder))
        for store, database in stores.items():
            for name, embedder in embedders.items():
                gateway = enrolled(database, embedder)
                if name == "nets":
                    profile(gateway, body, book, store)
                gateway.close()
                for workers in arguments.workers:
                    _run(book, f"{store}, {name}", database, workers, options, body, stub=name != "nets")
                _growth(book, f"{store}, {name}", arguments.workers)


def _run(
    book: Book, group: str, database: str, workers: int, options: Options, body: str, *, stub: bool
) -> None:
    name = f"load: {group}, {workers} workers"
    connections = options.arguments.connections
    say(f"  {name}")
    with serving(database, workers, stub=stub) as (url, pid):
        seen = press(url, pid, body, connections, options.arguments.seconds)
    if not seen.ms or seen.wrong:
        book.skip(name, f"{seen.wrong} of {len(seen.ms) + seen.wrong} answers were no match")
        return
    count = len(seen.ms)
    book.add_case(
        name,
        f"load: {group}",
        seen.ms,
        cpu_ms=round(1000 * seen.server_s / count, 3),
        found=1.0,
        note=f"{connections} connections, closed loop; cpu_ms is the server's",
    )
    book.add_number(f"{name}: throughput", count / seen.seconds, "requests/s")
    book.add_number(f"{name}: server's share of a core", seen.server_s / seen.seconds, "cores")
    book.add_number(f"{name}: clients' share of a core", seen.client_s / seen.seconds, "cores")
    book.add_number(
        f"{name}: share of other programs",
        seen.others_s / seen.seconds,
        "cores",
        "with the database's own processes; above 0.1 the machine was shared and the throughput is too low",
    )


def _growth(book: Book, group: str, workers: list[int]) -> None:
    rates = {number.name: number.value for number in book.numbers if number.name.endswith("throughput")}
    found = [(n, rates.get(f"load: {group}, {n} workers: throughput")) for n in workers]
    base = found[0][1]
    for count, rate in found[1:]:
        if base and rate:
            name = f"load: {group}: {count} workers over {found[0][0]}"
            book.add_number(name, rate / base, "times the throughput")


@contextlib.contextmanager
def serving(database: str, workers: int, *, stub: bool) -> Iterator[tuple[str, int]]:
    """A server process: the product's command, or the one with the stub."""
    command = [sys.executable, "-m", "pipeline", "serve", "--json", "--port", "0", "--admin-port", "0"]
    command += ["--database", database, "--workers", str(workers), "--log-form", "json"]
    if stub:
        command = [sys.executable, "-m", "benchmarks.load_server", database, str(workers)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise ValueError(f"the server did not start: {' '.join(command[1:4])}")
            yield json.loads(line)["url"], process.pid
            process.send_signal(signal.SIGTERM)
            if process.wait(90) != 0:
                raise ValueError("the server did not stop as it should")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _variables(folder: Path) -> Iterator[None]:
    """Key and access key for every process of the run; nothing of the user's own settings."""
    values = {
        "LIVEGATE_AUTHORITY_KEY": base64.b64encode(os.urandom(32)).decode("ascii"),
        "LIVEGATE_ACCESS_KEY_ID": KEY.key_id,
        "LIVEGATE_ACCESS_KEY_SECRET": KEY.secret,
        "LIVEGATE_OFFLINE": "true",
    }
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def add_options(parser: Any) -> None:
    """What `load` can be told."""
    parser.set_defaults(repeats=1)  # runs of so many seconds: a report of them calls itself a trial
    group = parser.add_argument_group("load")
    group.add_argument("--seconds", type=float, default=20.0, help="counted time of each run")
    group.add_argument("--connections", type=int, default=8, help="requests in flight at once")
    group.add_argument(
        "--workers", type=lambda text: [int(part) for part in text.split(",")], default=[1, 2, 4]
    )
    group.add_argument(
        "--stub-embedder", action="store_true", help="also with a stub for the nets: the protocol's own cost"
    )
