"""A match through the embedded gateway: in this process without a socket, and over loopback."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import cv2

from benchmarks.harness import Call, Runner, alternate
from benchmarks.machine import pin
from benchmarks.options import Options, say
from benchmarks.report import Book
from benchmarks.sequence import portrait as enrolled_portrait
from benchmarks.upload import passed, portrait
from pipeline.errors import LivegateError
from pipeline.gateway import Embedded, embedded, enroll, running
from pipeline.match.client import MatchClient
from pipeline.match.encode import Upload, encode_upload
from pipeline.match.person import Person
from pipeline.settings import Settings

GROUP: Final = "match 640x480"
PERSON: Final = Person("样例", "11010519491231002X")
CONSENT: Final = "benchmark"


def measure(options: Options, book: Book) -> None:
    """Both ways in turn, each to a gateway of its own. Client and server share one process and one core."""
    pin(options.one)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        upload = encode_upload(passed(portrait()))
        inside, outside = (_enrolled(Path(folder) / name) for name in ("inside", "outside"))
        stack.callback(inside.transport.close)
        stack.callback(outside.transport.close)
        here = stack.enter_context(
            MatchClient(
                inside.url,
                inside.key_id,
                inside.key_secret,
                transport=inside.transport,
                allow_plain_http=True,
            )
        )
        url = stack.enter_context(running(outside.gateway))
        there = stack.enter_context(MatchClient(url, outside.key_id, outside.key_secret))
        runners: dict[str, Runner] = {
            "in process": Call(_ask(here, upload)),
            "over loopback": Call(_ask(there, upload)),
        }
        say(f"  {GROUP}: {len(runners)} cases in turn")
        try:
            times = alternate(runners, options.repeats, seed=options.seed)
        except LivegateError as error:
            book.skip(GROUP, f"not run: {error.code}: {error.message}")
            return
        finally:
            pin(options.outer)
    for name, taken in times.items():
        book.add_times(
            f"{GROUP}: {name}",
            GROUP,
            taken,
            cores=options.one,
            note="signed request, checks, JPEG decoding, detector, mesh, embedding, score, answer",
        )


def _enrolled(folder: Path) -> Embedded:
    """An embedded gateway over a new database with one person in it."""
    people = folder / "people"
    people.mkdir(parents=True)
    picture = cv2.imencode(".jpg", enrolled_portrait())[1].tobytes()
    (people / f"{PERSON.name}_{PERSON.cert_number}.jpg").write_bytes(picture)
    gateway = embedded(Settings(database=f"sqlite:///{folder / 'authority.db'}"))
    enroll(people, gateway.gateway.authority, gateway.gateway.embedder)
    return gateway


def _ask(client: MatchClient, upload: Upload) -> Callable[[int], bool]:
    return lambda number: client.match(PERSON, upload, CONSENT).score > 80
