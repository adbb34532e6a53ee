"""How bodies may come in: rate, time, number, memory; nothing is unpacked, parsed or decoded for nothing."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
import time
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from pipeline.gateway import RawRequest, ServeOptions, make_app, running
from pipeline.gateway.intake import IntakeLimits
from pipeline.gateway.operation.metrics import Metrics
from pipeline.gateway.picture import PictureLimits, PictureProblem, check_header, decode_picture
from pipeline.protocol.answers import parse_answer

pytestmark = pytest.mark.storages("sqlite")

FORM = "application/x-www-form-urlencoded"
Pieces = Callable[[], AsyncIterator[bytes]]


class Web:
    """The application with bodies that come piece by piece."""

    def __init__(self, caller: Any, **limits: Any) -> None:
        self.metrics = Metrics()
        self.app = make_app(caller.gateway, limits=IntakeLimits(**limits), metrics=self.metrics)

    async def send(self, pieces: list[Any], *, peer: str = "203.0.113.5", **headers: str) -> Any:
        """Send pieces. A number is a pause in seconds, an event is waited for, None ends the body.

        Without None it goes on for ever, with nothing in it.
        """
        waiting = list(pieces)

        async def receive() -> dict[str, Any]:
            while waiting and not isinstance(waiting[0], bytes | None):
                pause = waiting.pop(0)
                await (asyncio.sleep(pause) if isinstance(pause, float) else pause.wait())
            if not waiting:
                await asyncio.sleep(30)
            piece = waiting.pop(0)
            return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

        answers: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            answers.append(message)

        told = {"content-type": FORM, **headers}
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "query_string": b"Format=JSON",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in told.items()],
            "client": (peer, 1),
        }
        await self.app(scope, receive, send)
        head = dict(answers[0]["headers"])
        return json.loads(answers[1]["body"])["Code"], head.get(b"connection")

    def post(self, pieces: list[Any], **headers: str) -> Any:
        return asyncio.run(self.send(pieces, **headers))


def test_a_body_that_trickles_is_cut_and_the_refusal_ends_the_connection(caller: Any) -> None:
    web = Web(caller, grace_s=0.2, least_rate=10_000, seconds=20.0)
    trickle: list[Any] = [b"a=1", *([0.05, b"x"] * 200)]
    began = time.monotonic()
    assert web.post(trickle) == ("RequestTimeout", b"close")
    assert time.monotonic() - began < 10


def test_a_body_that_stops_is_cut(caller: Any) -> None:
    assert Web(caller, grace_s=0.1).post([b"a=1"])[0] == "RequestTimeout"


def test_a_body_that_keeps_its_rate_may_take_longer_than_the_grace(caller: Any) -> None:
    web = Web(caller, grace_s=0.2, least_rate=10_000, seconds=20.0)
    steady: list[Any] = [0.05, b"a=" + b"x" * 5000, *([0.1, b"x" * 5000] * 5), None]
    assert web.post(steady)[0] == "MissingVersion"


def test_no_body_takes_longer_than_the_whole_time(caller: Any) -> None:
    web = Web(caller, grace_s=0.2, least_rate=1, seconds=0.4)
    assert web.post([b"x" * 100_000, *([0.05, b"x"] * 100)])[0] == "RequestTimeout"


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_bodies_that_come_in_slowly_hold_no_place_of_those_that_work(caller: Any) -> None:
    web = Web(caller)

    async def scenario() -> list[Any]:
        go = asyncio.Event()
        slow = [asyncio.create_task(web.send([b"a=1", go, None], peer=f"203.0.113.{n}")) for n in range(80)]
        await settle()
        quick = await web.send([b"a=1", None])
        assert b'livegate_in_flight{level="body"} 80.0' in web.metrics.exposition()
        go.set()
        return [quick, *await asyncio.gather(*slow)]

    quick, *slow = asyncio.run(scenario())
    assert quick[0] == "MissingVersion"
    assert {code for code, _ in slow} <= {"MissingVersion", "ServiceUnavailable"}


def test_one_address_may_not_hold_all_places_for_bodies(caller: Any) -> None:
    web = Web(caller, bodies=3, bodies_each=2)

    async def scenario() -> list[Any]:
        go = asyncio.Event()
        held = [asyncio.create_task(web.send([b"a=1", go, None])) for _ in range(2)]
        await settle()
        same = await web.send([b"a=1", None])
        other = await web.send([b"a=1", None], peer="203.0.113.6")
        held.append(asyncio.create_task(web.send([b"a=1", go, None], peer="203.0.113.7")))
        await settle()
        full = await web.send([b"a=1", None], peer="203.0.113.6")
        go.set()
        await asyncio.gather(*held)
        after = await web.send([b"a=1", None])
        return [same[0], other[0], full[0], after[0]]

    assert asyncio.run(scenario()) == [
        "ServiceUnavailable",
        "MissingVersion",
        "ServiceUnavailable",
        "MissingVersion",
    ]


def test_memory_for_bodies_is_bounded_and_given_back(caller: Any) -> None:
    web = Web(caller, held=10_000)
    assert web.post([b"a=" + b"x" * 20_000, None]) == ("ServiceUnavailable", b"close")
    assert web.post([b"a=" + b"x" * 5_000, None])[0] == "MissingVersion"
    assert b"livegate_held_bytes 0.0" in web.metrics.exposition()


# refused by the head


def unread(caller: Any, **headers: str) -> Any:
    """Answer to a request whose body must not be read."""
    app = make_app(caller.gateway)

    async def send() -> Any:
        async def receive() -> Any:
            pytest.fail("the body was read")

        answers: list[dict[str, Any]] = []

        async def collect(message: Any) -> None:
            answers.append(message)

        told = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"Format=JSON"}
        await app(scope | {"headers": told, "client": ("203.0.113.5", 1)}, receive, collect)
        return answers[0]["status"], json.loads(answers[1]["body"])["Code"]

    return asyncio.run(send())


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "x-unknown", "gzip, identity"])
def test_a_compressed_body_is_refused_unread(caller: Any, encoding: str) -> None:
    assert unread(caller, content_encoding=encoding) == (415, "UnsupportedMediaType")


def test_a_compressed_body_is_never_unpacked_in_process_either(caller: Any, kit: Any) -> None:
    bomb = gzip.compress(b"a" * 10_000_000)
    headers = (kit.form, ("Content-Encoding", "gzip"))
    answer = caller.gateway.handle(RawRequest("POST", "/?Format=JSON", headers, bomb))
    assert (answer.status, parse_answer(answer.body).code) == (415, "UnsupportedMediaType")


def test_a_body_that_says_it_is_far_too_large_is_refused_unread(caller: Any) -> None:
    assert unread(caller, content_length=str(10**9)) == (413, "RequestEntityTooLarge")
    assert unread(caller, content_length="9" * 19) == (413, "RequestEntityTooLarge")
    # this sender waits for a word to go on, so it can be told before it sends anything
    assert unread(caller, content_length=str(5 * 2**20), expect="100-continue") == (
        413,
        "RequestEntityTooLarge",
    )


# over a socket


def exchange(url: str, *pieces: bytes) -> bytes:
    host, port = urlsplit(url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as peer:
        for piece in pieces:
            peer.sendall(piece)
        return b"".join(iter(lambda: peer.recv(65536), b""))


def test_a_chunked_body_that_is_too_large_is_read_to_its_end_and_told(caller: Any) -> None:
    head = (
        b"POST /?Format=JSON HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    with running(caller.gateway, options=ServeOptions(threads=1)) as url:
        received = exchange(url, head, *[chunk] * 5, b"0\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 413 ")
    assert json.loads(received.partition(b"\r\n\r\n")[2])["Code"] == "RequestEntityTooLarge"


def test_a_body_without_length_and_without_end_is_cut_off(caller: Any) -> None:
    web = Web(caller, drained=200_000)
    assert web.post([b"x" * 50_000] * 6) == ("RequestEntityTooLarge", b"close")


def test_a_chunked_body_of_the_right_kind_is_read(caller: Any) -> None:
    head = b"POST /?Format=JSON HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
    head += b"Content-Type: " + FORM.encode() + b"\r\n\r\n"
    with running(caller.gateway, options=ServeOptions(threads=1)) as url:
        received = exchange(url, head, b"3\r\na=1\r\n", b"0\r\n\r\n")
    assert json.loads(received.partition(b"\r\n\r\n")[2])["Code"] == "MissingVersion"


# what would cost much to parse


def test_a_multipart_body_of_many_parts_is_refused_and_not_parsed(caller: Any, monkeypatch: Any) -> None:
    import python_multipart

    monkeypatch.setattr(
        python_multipart.MultipartParser, "__init__", lambda *_, **__: pytest.fail("it was parsed")
    )
    part = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    headers = (("content-type", "multipart/form-data; boundary=b"),)
    answer = caller.gateway.handle(RawRequest("POST", "/?Format=JSON", headers, part * 50_000 + b"--b--"))
    assert (answer.status, parse_answer(answer.body).code) == (415, "UnsupportedMediaType")

    app = make_app(caller.gateway)

    async def post() -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.post("/?Format=JSON", content=part * 1000, headers=headers)

    assert asyncio.run(post()).json()["Code"] == "UnsupportedMediaType"


@pytest.mark.parametrize("text", [b"a&", b"a=&", b"&", b"a=b;"])
def test_millions_of_parameters_are_refused_without_being_split(
    caller: Any, kit: Any, monkeypatch: Any, text: bytes
) -> None:
    import urllib.parse

    unquoted: list[int] = []
    real = urllib.parse.unquote

    def counting(*values: Any, **named: Any) -> str:
        unquoted.append(1)
        return real(*values, **named)

    monkeypatch.setattr(urllib.parse, "unquote", counting)
    body = (text * (4 * 2**20 // len(text)))[: 4 * 2**20]
    answer = caller.gateway.handle(RawRequest("POST", "/?Format=JSON", (kit.form,), body))
    assert answer.status == 400
    assert len(unquoted) < 1000


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"method":' + "9" * 1_000_000 + "}",
        '{"method":"match","x":1e999999}',
        '{"method":"' + "\\u0000" * 100_000 + '"}',
    ],
    ids=["lists", "objects", "digits", "infinite", "zeros"],
)
def test_json_that_is_made_to_hurt_is_bad_parameters(caller: Any, text: str) -> None:
    assert caller.call(text).code == 400


# pictures


def webp(width: int, height: int) -> bytes:
    body = b"VP8X" + struct.pack("<IB3x", 10, 0) + struct.pack("<I", width - 1)[:3]
    body += struct.pack("<I", height - 1)[:3]
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def jpeg_of_size(data: bytes, width: int, height: int) -> bytes:
    at = data.index(b"\xff\xc0")
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG whose header claims any size, with the pixels of a small one inside."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + b"\x80" * 300) * 100))
    between = b"".join(chunk(*one) for one in chunks)
    return b"\x89PNG\r\n\x1a\n" + header + between + pixels + chunk(b"IEND", b"")


def test_bombs_of_every_format_are_refused_by_their_header(caller: Any, kit: Any, monkeypatch: Any) -> None:
    import base64

    import cv2

    bombs = {
        "png": png(30_000, 30_000),
        "jpeg": jpeg_of_size(kit.jpeg(kit.picture(1)), 65_500, 65_500),
        "webp": webp(16_000, 16_000),
    }
    monkeypatch.setattr(cv2, "imdecode", lambda *_, **__: pytest.fail("the decoder was called"))
    for kind, data in bombs.items():
        assert isinstance(check_header(data, PictureLimits()), PictureProblem), kind
        answer = caller.match(base64.b64encode(data).decode())
        assert (answer.code, answer.message) == (400, "imgbase64不合法"), kind


def test_a_png_s_texts_and_profiles_never_reach_the_decoder(monkeypatch: Any) -> None:
    import cv2

    packed = zlib.compress(b"\0" * 1_000_000)
    extra = [(b"zTXt", b"k\0\0" + packed), (b"iCCP", b"k\0\0" + packed), (b"acTL", b"\0" * 8)] * 20
    data = png(100, 100, *extra)
    seen: list[bytes] = []
    real = cv2.imdecode

    def decode(array: Any, flags: int) -> Any:
        seen.append(array.tobytes())
        return real(array, flags)

    monkeypatch.setattr(cv2, "imdecode", decode)
    image = decode_picture(data, PictureLimits())
    assert not isinstance(image, PictureProblem)
    assert (image.shape, int(image.min()), int(image.max())) == ((100, 100, 3), 0x80, 0x80)
    assert seen == [png(100, 100)]


@pytest.mark.parametrize("end", ["cut", "many"])
def test_a_png_whose_chunks_lead_nowhere_is_not_decoded(monkeypatch: Any, end: str) -> None:
    import cv2

    monkeypatch.setattr(cv2, "imdecode", lambda *_, **__: pytest.fail("the decoder was called"))
    data = png(100, 100, *[(b"tEXt", b"")] * 5000)
    if end == "cut":
        data = png(100, 100)
        at = data.index(b"IDAT") - 4
        data = data[:at] + struct.pack(">I", 2**31) + data[at + 4 :]
    assert decode_picture(data, PictureLimits()) is PictureProblem.UNREADABLE


def test_a_png_of_more_pixels_than_its_header_says_is_not_decoded(monkeypatch: Any) -> None:
    import cv2

    packed = zlib.compress(b"\0" * 50_000_000, 9)
    data = png(100, 100)
    at, end = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
    body = b"IDAT" + packed
    bomb = (
        data[:at] + struct.pack(">I", len(packed)) + body + struct.pack(">I", zlib.crc32(body)) + data[end:]
    )
    monkeypatch.setattr(cv2, "imdecode", lambda *_, **__: pytest.fail("the decoder was called"))
    assert decode_picture(bomb, PictureLimits()) is PictureProblem.UNREADABLE


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("size", [(64, 64), (65, 200), (600, 67)])
def test_honest_pngs_of_every_depth_unpack_to_what_they_say(
    channels: int, dtype: str, size: tuple[int, int]
) -> None:
    import cv2
    import numpy as np

    shape = size if channels == 1 else (*size, channels)
    image = np.random.default_rng(0).integers(0, 255, shape).astype(dtype)
    data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes()
    decoded = decode_picture(data, PictureLimits())
    assert not isinstance(decoded, PictureProblem)
    assert decoded.shape == (*size, 3)
