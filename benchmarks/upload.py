"""What a frame that passed costs until it can be sent, beside the plain way to sign a request."""

from __future__ import annotations

import base64

from benchmarks.harness import Call, Runner, alternate
from benchmarks.options import Options, say
from benchmarks.report import Book
from benchmarks.upload_prep import our_request, passed, plain_request, portrait
from pipeline.match.encode import encode_upload
from pipeline.match.jpeg import encode_jpeg

GROUP = "upload 640x480"


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
    say(f"  {GROUP}: {len(runners)} cases in turn")
    times = alternate(runners, options.repeats, seed=options.seed)
    for name, taken in times.items():
        ours = "urllib" not in name
        book.add_times(f"{GROUP}: {name}", GROUP, taken, ours=ours, cores=options.one)
    own = [a + b for a, b in zip(times["digest of the pass"].ms, times["request, signed"].ms, strict=True)]
    case = book.add_case(
        f"{GROUP}: all but the JPEG",
        GROUP,
        own,
        cores=options.one,
        block=book.cases[f"{GROUP}: JPEG"].block,
        note="sum, call by call, of the digest and the signed request",
    )
    book.compare(f"{GROUP}: request, signed, urllib.parse.quote", f"{GROUP}: request, signed")
    book.target("upload preparation beyond the JPEG, median", case.marks.median, "ms", most=0.6)
    book.skip("official SDK's signing", "not run: there is no adapter for it yet")
