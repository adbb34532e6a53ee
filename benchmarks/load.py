"""The load run: signed matches of 640x480 against `livegate serve` with several workers, and what limits it.

Closed loop: so many connections (kept alive), each with one request in flight at a time. Requests are signed
before they are counted, the clients share the machine with the server, and what each of both took of the
processor is reported beside the throughput.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import cv2
import numpy as np

from benchmarks.load_server import StubEmbedder
from benchmarks.options import Options, say
from benchmarks.postgresql import VARIABLE, postgresql
from benchmarks.report import Book
from benchmarks.sequence import portrait as enrolled_portrait
from benchmarks.upload import passed, portrait
from pipeline.errors import LivegateError
from pipeline.gateway import Embedder, Gateway, Identity, NetEmbedder, RawRequest, open_gateway
from pipeline.match.encode import encode_upload
from pipeline.nets import open_store
from pipeline.protocol.signing import AccessKey, form_encode, sign, string_to_sign
from pipeline.service import gateway_options
from pipeline.settings import Settings

NAME, NUMBER = "样例", "11010519491231002X"
KEY: Final = AccessKey("LGbenchmark", "benchmark-secret")
FORM: Final = "application/x-www-form-urlencoded"
WARM_UP_S: Final = 2.0
PROFILED: Final = 60
"""Matches of the profile, after as many that are not counted."""


@dataclass(slots=True)
class Outcome:
    """What the clients of one run saw.

    Attributes:
        ms: duration of each counted match.
        seconds: from the first counted one to the last.
        server_s: processor time of the server's processes meanwhile.
        client_s: processor time of the clients' process meanwhile.
        others_s: processor time that other programs of the machine took meanwhile.
        wrong: answers that were no match.
    """

    ms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    server_s: float = 0.0
    client_s: float = 0.0
    others_s: float = 0.0
    wrong: int = 0


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


def press(url: str, pid: int, body: str, connections: int, seconds: float) -> Outcome:
    """Send matches over so many connections for so long."""
    outcome, lock = Outcome(), threading.Lock()
    counting, over = threading.Event(), threading.Event()

    def client() -> None:
        link = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        with contextlib.closing(link):
            while not over.is_set():
                content = signed(body)
                counted = counting.is_set()
                began = time.perf_counter()
                link.request("POST", "/", content, {"Content-Type": FORM})
                answer = json.loads(link.getresponse().read())
                taken = (time.perf_counter() - began) * 1000
                right = answer["Code"] == 200 and answer["Data"]["score"] > 80
                with lock:
                    if counted and right:
                        outcome.ms.append(taken)
                    outcome.wrong += not right

    threads = [threading.Thread(target=client) for _ in range(connections)]
    for thread in threads:
        thread.start()
    time.sleep(WARM_UP_S)
    began, server, own, all_of_it = time.perf_counter(), processor_s(pid), time.process_time(), busy_s()
    counting.set()
    time.sleep(seconds)
    outcome.seconds = time.perf_counter() - began
    outcome.server_s = processor_s(pid) - server
    outcome.client_s = time.process_time() - own
    outcome.others_s = max(0.0, busy_s() - all_of_it - outcome.server_s - outcome.client_s)
    over.set()
    for thread in threads:
        thread.join()
    return outcome


def processor_s(pid: int) -> float:
    """Processor time of a process and of all that it started, seconds; 0 where the system can't tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK") + sum(processor_s(int(child)) for child in children)


def busy_s() -> float:
    """Processor time of everything on the machine so far, seconds; 0 where the system can't tell."""
    try:
        fields = [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return 0.0
    idle = fields[3] + fields[4]
    return float(sum(fields) - idle) / os.sysconf("SC_CLK_TCK")


def profile(gateway: Gateway, body: str, book: Book, store: str) -> None:
    """Where the time of one match goes, by wrapping the parts of a gateway in this process."""
    from pipeline.gateway import admission, core
    from pipeline.gateway.store import Store

    spent: dict[str, float] = {}

    def timed(part: str, call: Any) -> Any:
        def inner(*args: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*args, **named)
            finally:
                spent[part] = spent.get(part, 0.0) + time.perf_counter() - began

        return inner

    def timed_session(call: Any) -> Any:
        @contextlib.contextmanager
        def inner(*args: Any, **named: Any) -> Iterator[Any]:
            began = time.perf_counter()
            with call(*args, **named) as session:
                yield session
            spent["database"] = spent.get("database", 0.0) + time.perf_counter() - began

        return inner

    requests = [RawRequest("POST", "/", (("content-type", FORM),), signed(body)) for _ in range(2 * PROFILED)]
    with contextlib.ExitStack() as stack:
        for owner, name, part in (
            (core, "read_parameters", "parameters"),
            (admission, "string_to_sign", "signature"),
            (admission, "verify", "signature"),
        ):
            real = getattr(owner, name)
            setattr(owner, name, timed(part, real))
            stack.callback(setattr, owner, name, real)
        for name in ("read", "write"):
            real = getattr(Store, name)
            setattr(Store, name, timed_session(real))
            stack.callback(setattr, Store, name, real)
        seen: list[Any] = []
        gateway.add_watch(seen.append)
        whole: list[float] = []
        for number, request in enumerate(requests):
            if number == PROFILED:
                spent.clear()
                seen.clear()
            began = time.perf_counter()
            answer = gateway.handle(request)
            if number >= PROFILED:
                whole.append((time.perf_counter() - began) * 1000)
            if b'"score"' not in answer.body:
                raise ValueError("the profile's match did not succeed")
    for part in ("decode", "embed"):
        spent[part] = sum(one.spent[part] for one in seen)
    group = f"profile: {store}"
    book.add_case(f"{group}: one match in process", group, whole, note="no socket, one thread")
    for part, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        book.add_number(f"{group}: {part}", 100 * seconds * 1000 / sum(whole), "% of a match")
    rest = 100 * (1 - sum(spent.values()) * 1000 / sum(whole))
    book.add_number(f"{group}: everything else", rest, "% of a match", "JSON, base64, audit, codes, logs")


def service_parameters() -> str:
    """``ServiceParameters`` of a match as the client of this project sends it."""
    picture = base64.b64encode(encode_upload(passed(portrait())).jpeg).decode("ascii")
    fields = {"method": "match", "name": NAME, "certNumber": NUMBER, "imgbase64": picture}
    return json.dumps(fields, ensure_ascii=False)


def signed(service: str) -> bytes:
    """A form body with a nonce and a time of its own."""
    params = {
        "Format": "JSON",
        "Version": "2017-03-31",
        "AccessKeyId": KEY.key_id,
        "SignatureMethod": "HMAC-SHA1",
        "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "SignatureVersion": "1.0",
        "SignatureNonce": str(uuid.uuid4()),
        "Action": "ExecuteRequest",
        "Service": "face_verify",
        "ServiceParameters": service,
    }
    params["Signature"] = sign(KEY.secret, string_to_sign("POST", params))
    return form_encode(params)


def enrolled(database: str, embedder: Embedder) -> Gateway:
    """A gateway with the person of the run in it, as this embedder sees them.

    Raises:
        LivegateError: the database can't be used, or the portrait has no face.
    """
    gateway = open_gateway(database, embedder=embedder, options=gateway_options(Settings(database=database)))
    gateway.access_keys.put(KEY, now=time.time())
    reading = embedder.read(np.ascontiguousarray(enrolled_portrait()))
    if reading is None:
        raise LivegateError("the portrait has no face")
    identity = Identity.of(NAME, NUMBER)
    gateway.authority.enroll(identity, reading.embedding, embedder.model, now=time.time())
    return gateway


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
