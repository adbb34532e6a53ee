"""What a stranger can make the server hold or read: heads that never end, bodies without a signature."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from pipeline.gateway import connection as connections
from pipeline.gateway import make_app, running
from pipeline.gateway.budget import ADDRESSES, AddressBudget
from pipeline.protocol.answers import parse_answer
from pipeline.protocol.signing import form_encode

QUERY = {"method": "query", "bizId": "ZSTP0", "queryId": "0" * 32}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def until_closed(connection: socket.socket) -> bytes:
    connection.settimeout(20)
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.fixture
def hasty(caller: Any, monkeypatch: Any) -> Iterator[tuple[str, int]]:
    """Address of a server that waits a third of a second for a head, and long for all else."""
    monkeypatch.setattr(connections, "HEAD_S", 0.3)
    with running(caller.gateway) as url:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        yield parts.hostname, parts.port


@pytest.mark.parametrize("piece", [b"P", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n"])
def test_a_head_that_does_not_end_is_told_and_cut(hasty: tuple[str, int], piece: bytes) -> None:
    with socket.create_connection(hasty) as connection:
        connection.sendall(piece)
        head, _, body = until_closed(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert parse_answer(body).code == "RequestTimeout"


def test_a_connection_that_says_nothing_is_closed(hasty: tuple[str, int]) -> None:
    with socket.create_connection(hasty) as connection:
        assert until_closed(connection) == b""


def test_the_second_head_of_a_connection_is_limited_too(hasty: tuple[str, int]) -> None:
    with socket.create_connection(hasty) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.settimeout(20)
        first = b""
        while not first.endswith(b"ok\n"):
            first += connection.recv(65536)
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert until_closed(connection).startswith(b"HTTP/1.1 408 ")


def test_a_slow_body_is_not_taken_for_a_slow_head(hasty: tuple[str, int]) -> None:
    with socket.create_connection(hasty) as connection:
        connection.sendall(b"POST /?Format=JSON HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        connection.settimeout(1.0)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.sendall(b"a")
        connection.settimeout(20)
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")


# bytes without a signature


class Web:
    """The application with a peer of any address."""

    def __init__(self, caller: Any, **budget: Any) -> None:
        self.caller = caller
        self.now = 0.0
        self.app = make_app(
            caller.gateway,
            budget=AddressBudget(burst=10_000, per_second=10, clock=lambda: self.now, **budget),
        )

    def post(self, content: bytes, peer: str = "203.0.113.5", **headers: str) -> Any:
        async def send() -> httpx.Response:
            carrier = httpx.ASGITransport(self.app, client=(peer, 1))
            async with httpx.AsyncClient(transport=carrier, base_url="http://x") as client:
                return await client.post(
                    "/?Format=JSON",
                    content=content,
                    headers=FORM | {name.replace("_", "-"): value for name, value in headers.items()},
                )

        return asyncio.run(send()).json()["Code"]

    def body(self, secret: str | None = None) -> bytes:
        """A request of 4 kB, signed; its Format is in the query."""
        params = self.caller.signed(self.caller.params(QUERY, Padding="x" * 4000), secret=secret)
        return form_encode({name: value for name, value in params.items() if name != "Format"})


def test_bytes_without_a_right_signature_run_out_for_one_address_and_come_back(caller: Any) -> None:
    web = Web(caller)
    junk = b"a=" + b"x" * 5_900
    assert [web.post(junk) for _ in range(3)] == ["MissingVersion", "Throttling.User", "Throttling.User"]
    assert web.post(junk, "203.0.113.6") == "MissingVersion"
    web.now += 2_000
    assert web.post(junk) == "MissingVersion"


def test_a_customer_s_bytes_are_given_back_and_a_forger_s_are_not(caller: Any) -> None:
    web = Web(caller)
    assert [web.post(web.body()) for _ in range(8)] == [400] * 8
    forged = [web.post(web.body("forged")) for _ in range(4)]
    assert forged == ["SignatureDoesNotMatch"] * 2 + ["Throttling.User"] * 2


def test_a_body_is_read_no_further_than_is_paid_for(caller: Any) -> None:
    web, sent = Web(caller), []

    async def feed() -> Any:
        async def receive() -> dict[str, Any]:
            sent.append(1)
            return {"type": "http.request", "body": b"x" * 3000, "more_body": True}

        answers: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            answers.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "query_string": b"Format=JSON",
            "headers": [],
            "client": ("203.0.113.5", 1),
        }
        await web.app(scope, receive, send)
        return answers

    start, *_ = asyncio.run(feed())
    assert start["status"] == 400
    assert (b"connection", b"close") in start["headers"]
    assert len(sent) == 4


def test_the_loopback_and_trusted_proxies_speak_for_others(caller: Any) -> None:
    web = Web(caller, trusted_proxies=["10.0.0.1"])
    junk = b"a=" + b"x" * 9_900
    for proxy in ("127.0.0.1", "10.0.0.1", "::1"):
        assert [web.post(junk, proxy) for _ in range(3)] == ["MissingVersion"] * 3
    via = {"X_Forwarded_For": "1.2.3.4, 203.0.113.9, 10.0.0.1"}
    assert [web.post(junk, "127.0.0.1", **via) for _ in range(2)] == ["MissingVersion", "Throttling.User"]
    assert web.post(junk, "203.0.113.9") == "Throttling.User"
    assert web.post(junk, "1.2.3.4") == "MissingVersion"


@pytest.mark.parametrize(
    ("peer", "told", "charged"),
    [
        (None, [], None),
        ("127.0.0.1", [], None),
        ("203.0.113.5", [], "203.0.113.5"),
        ("203.0.113.5", ["1.2.3.4"], "203.0.113.5"),
        ("127.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("127.0.0.1", ["9.9.9.9", "1.2.3.4"], "1.2.3.4"),
        ("127.0.0.1", ["garbage"], "unknown"),
        ("127.0.0.1", [" , "], None),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", [], "2001:db8:1:2::/64"),
        ("::5", [], "::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        ("::ffff:203.0.113.5", [], "203.0.113.5"),
    ],
)
def test_who_is_charged(peer: str | None, told: list[str], charged: str | None) -> None:
    headers = [("X-Forwarded-For", value) for value in told]
    assert AddressBudget().address_of(peer, headers) == charged


def test_no_more_addresses_are_remembered_than_allowed() -> None:
    budget = AddressBudget(burst=10, per_second=0)
    for number in range(ADDRESSES + 1):
        budget.charge(str(number), 10)
    assert budget.has_left("0")
    assert not budget.has_left("1")
    assert len(budget._spent) == ADDRESSES
