"""What a frame that passed costs until it can be sent, beside the plain way to sign a request."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from contextlib import ExitStack
from typing import Final
from urllib.parse import quote

import cv2
import numpy as np

from benchmarks.harness import Call, Runner, alternate
from benchmarks.options import Options, say
from benchmarks.peers import SharedFrames, Worker, WorkerError, plan_signers
from benchmarks.report import Book
from pipeline.camera.frame import Frame, Image
from pipeline.liveness.livepass import LivePass, _mint, seal
from pipeline.match.client import match_parameters
from pipeline.match.encode import encode_upload
from pipeline.match.jpeg import encode_jpeg
from pipeline.match.person import Person
from pipeline.nets import open_store
from pipeline.protocol.signing import AccessKey, signed_form

GROUP: Final = "upload 640x480"
OVER_JPEG: Final = 1.46
"""0.6 ms over the 0.41 ms that a JPEG takes on a healthy core."""
PERSON: Final = Person("张三", "33010320180101010X")
KEY: Final = AccessKey("testid", "testsecret")
PUBLIC: Final = {
    "AccessKeyId": KEY.key_id,
    "Action": "ExecuteRequest",
    "Format": "JSON",
    "Service": "face_verify",
    "SignatureMethod": "HMAC-SHA1",
    "SignatureNonce": "180c9812-da14-4598-9d16-606a7a2b2036",
    "SignatureVersion": "1.0",
    "Timestamp": "2026-11-24T00:27:22Z",
    "Version": "2017-03-31",
}


def measure(options: Options, book: Book) -> None:
    """Digest, JPEG, base64, our request and the same bytes by ``urllib.parse.quote``, in turn."""
    live_pass = passed(portrait())
    jpeg = encode_upload(live_pass).jpeg
    if our_request(jpeg) != plain_request(jpeg):
        raise ValueError("both ways to sign differ: there is nothing to compare")
    runners: dict[str, Runner] = {
        "digest of the pass": Call(lambda n: live_pass.check(), options.one),
        "JPEG": Call(lambda n: encode_jpeg(live_pass.frame.image), options.one),
        "base64": Call(lambda n: base64.b64encode(jpeg), options.one),
        "request, signed": Call(lambda n: our_request(jpeg), options.one),
        "request, signed, urllib.parse.quote": Call(lambda n: plain_request(jpeg), options.one),
    }
    with ExitStack() as stack:
        notes = _add_signers(options, book, stack, jpeg, runners)
        say(f"  {GROUP}: {len(runners)} cases in turn")
        times = alternate(runners, options.repeats, seed=options.seed)
    for name, taken in times.items():
        ours = name not in notes and "urllib" not in name
        note = notes.get(name, "")
        book.add_times(f"{GROUP}: {name}", GROUP, taken, ours=ours, cores=options.one, note=note)
    own = [a + b for a, b in zip(times["digest of the pass"].ms, times["request, signed"].ms, strict=True)]
    case = book.add_case(
        f"{GROUP}: all but the JPEG",
        GROUP,
        own,
        cores=options.one,
        block=book.cases[f"{GROUP}: JPEG"].block,
        note="sum, call by call, of the digest and the signed request",
    )
    for name in ("request, signed, urllib.parse.quote", *notes):
        book.compare(f"{GROUP}: {name}", f"{GROUP}: request, signed")
    book.target("upload preparation beyond the JPEG, median", case.marks.median, "ms", most=0.6)
    over = case.marks.median / book.cases[f"{GROUP}: JPEG"].marks.median
    book.target("upload preparation beyond the JPEG, over the JPEG", over, "times", most=OVER_JPEG)


def _add_signers(
    options: Options, book: Book, stack: ExitStack, jpeg: bytes, runners: dict[str, Runner]
) -> dict[str, str]:
    """The service's own clients, each in its environment: names of their cases to notes."""
    notes: dict[str, str] = {}
    given = options.arguments
    shared = SharedFrames(np.frombuffer(jpeg, np.uint8)[None])
    stack.callback(shared.close)
    for plan in plan_signers(core=given.official_core, tea=given.official_tea):
        if plan.missing is not None:
            book.skip(plan.name, f"not run: {plan.missing}")
            continue
        try:
            worker = stack.enter_context(Worker(plan, shared, np.empty((0, 4)), options.one, options.outer))
        except WorkerError as error:
            book.skip(plan.name, f"not run: {error}")
            continue
        name = f"request, signed, {plan.name}"
        runners[name] = worker
        notes[name] = f"{plan.note}; {', '.join(f'{key} {value}' for key, value in worker.versions.items())}"
    return notes


def our_request(jpeg: bytes) -> bytes:
    """Signed form body as the client makes it."""
    return signed_form(KEY, {**PUBLIC, "ServiceParameters": match_parameters(PERSON, jpeg)})


def plain_request(jpeg: bytes) -> bytes:
    """The same body by the standard library alone."""
    fields = {
        "method": "match",
        "name": PERSON.name,
        "certNumber": PERSON.cert_number,
        "imgbase64": base64.b64encode(jpeg).decode(),
    }
    written = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    params = {**PUBLIC, "ServiceParameters": written}
    query = "&".join(f"{name}={quote(params[name], safe='-_.~')}" for name in sorted(params))
    text = f"POST&%2F&{quote(query, safe='-_.~')}"
    digest = hmac.new(f"{KEY.secret}&".encode(), text.encode(), hashlib.sha1).digest()
    return f"{query}&Signature={quote(base64.b64encode(digest).decode(), safe='')}".encode()


def portrait() -> Image:
    """640x480 of the astronaut's upper part, the face at a kiosk's distance."""
    image = cv2.imread(str(open_store().path("sample_astronaut")), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("the sample picture can't be read; run `livegate models pull`")
    return np.asarray(cv2.resize(image[:384], (640, 480), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def passed(image: Image) -> LivePass:
    """A pass without a decision: the benchmark times what follows it."""
    return _mint(seal(Frame(image, t=0.0, seq=0)), session_id="benchmark", score=1.0, minted_at=0.0)
