"""Who may talk to the kiosk: hosts, origins, tokens, peers; and what every answer carries."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse

from pipeline.addresses import is_loopback
from pipeline.kiosk.security import HEADERS, Access, Guard, host_name

TOKEN = "correct horse battery"


def ask(
    access: Access,
    path: str = "/",
    *,
    kind: str = "http",
    headers: list[tuple[bytes, bytes]] | None = None,
    peer: str | None = "127.0.0.1",
    **more: str,
) -> tuple[int, dict[str, str]]:
    """Status and headers of one request; of a WebSocket 101 where it came through, 403 where it did not."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        else:
            await PlainTextResponse("in")(scope, receive, send)

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    given_headers = headers or [(b"host", b"127.0.0.1:8040")]
    given_headers += [(name.replace("_", "-").encode(), value.encode()) for name, value in more.items()]
    scope = {
        "type": kind,
        "method": "GET",
        "path": path,
        "headers": given_headers,
        "client": peer and (peer, 50000),
    }
    asyncio.run(Guard(app, access)(scope, receive, send))
    first = sent[0]
    if kind == "websocket":
        return (101 if first["type"] == "websocket.accept" else 403), {}
    return first["status"], {name.decode(): value.decode() for name, value in first["headers"]}


HERE = Access("127.0.0.1")
ABROAD = Access("0.0.0.0", ("kiosk.example",), TOKEN, remote_screen=True)


@pytest.mark.parametrize("host", ["127.0.0.1:8040", "localhost", "LOCALHOST:1", "[::1]:8040", "127.8.8.8"])
def test_its_own_names_are_answered(host: str) -> None:
    assert ask(HERE, headers=[(b"host", host.encode())])[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8040",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.1@evil.example",
        "10.0.0.7",
        "kiosk.example",
        "",
        "[::1",
        "127.0.0.1:port",
        "a b",
    ],
)
def test_a_name_turned_to_this_address_is_not_answered(host: str) -> None:
    assert ask(HERE, headers=[(b"host", host.encode())])[0] == 421
    origin = ("origin", f"http://{host}")
    headers = [(b"host", host.encode()), (origin[0].encode(), origin[1].encode())]
    assert ask(HERE, "/socket", kind="websocket", headers=headers)[0] == 403


def test_no_host_and_two_hosts_are_not_answered() -> None:
    assert ask(HERE, headers=[(b"accept", b"*/*")])[0] == 421
    assert ask(HERE, headers=[(b"host", b"127.0.0.1"), (b"host", b"127.0.0.1")])[0] == 421


def test_beyond_this_machine_addresses_and_listed_names_are_answered_and_no_others() -> None:
    for host, status in (("10.0.0.7:8040", 200), ("kiosk.example", 200), ("evil.example", 421)):
        assert ask(ABROAD, headers=[(b"host", host.encode())])[0] == status


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8040", "file://", ""],
)
def test_a_page_of_elsewhere_gets_nothing(origin: str) -> None:
    assert ask(HERE, "/operator.json", origin=origin)[0] == 403
    assert ask(HERE, "/socket", kind="websocket", origin=origin)[0] == 403


def test_a_websocket_needs_an_origin_and_its_own_is_let_in() -> None:
    assert ask(HERE, "/socket", kind="websocket")[0] == 403
    assert ask(HERE, "/socket", kind="websocket", origin="http://127.0.0.1:8040")[0] == 101
    assert ask(HERE, "/socket", kind="websocket", origin="https://127.0.0.1:8040")[0] == 101


def test_the_person_s_page_is_for_this_machine_s_screen() -> None:
    access = Access("0.0.0.0", token=TOKEN)
    for peer in ("10.0.0.9", "::ffff:10.0.0.9", None):
        assert ask(access, "/", peer=peer)[0] == 403
        assert ask(access, "/socket", kind="websocket", origin="http://127.0.0.1:8040", peer=peer)[0] == 403
    for peer in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert ask(access, "/", peer=peer)[0] == 200
    assert ask(ABROAD, "/", peer="10.0.0.9")[0] == 200
    assert ask(access, "/healthz", peer="10.0.0.9")[0] == 200


def basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


@pytest.mark.parametrize("path", ["/operator", "/operator.json"])
def test_the_operator_s_pages_want_the_token(path: str) -> None:
    access = Access("127.0.0.1", token=TOKEN)
    status, headers = ask(access, path)
    assert status == 401
    assert headers["www-authenticate"].startswith("Basic ")
    for wrong in ("", "Bearer", f"Bearer {TOKEN}x", "Basic !!!", basic(TOKEN.encode()), basic(b"a:b"), TOKEN):
        assert ask(access, path, authorization=wrong)[0] == 401
    for right in (f"Bearer {TOKEN}", basic(b"operator:" + TOKEN.encode()), basic(b":" + TOKEN.encode())):
        assert ask(access, path, authorization=right)[0] == 200
    assert ask(access, "/")[0] == 200
    assert ask(HERE, path)[0] == 200


def test_the_token_is_in_no_repr() -> None:
    assert TOKEN not in repr(ABROAD)


@pytest.mark.parametrize("access", [HERE, ABROAD])
@pytest.mark.parametrize("host", [b"127.0.0.1", b"evil.example"])
def test_every_answer_carries_the_headers(access: Access, host: bytes) -> None:
    _, headers = ask(access, "/operator", headers=[(b"host", host)])
    assert HEADERS.items() <= headers.items()
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy


raw = st.binary(max_size=60)


@given(host=raw, origin=raw, authorization=raw, kind=st.sampled_from(["http", "websocket"]))
def test_hostile_headers_never_come_in_and_never_break_it(
    host: bytes, origin: bytes, authorization: bytes, kind: str
) -> None:
    access = Access("127.0.0.1", token=TOKEN)
    headers = [(b"host", host), (b"origin", origin), (b"authorization", authorization)]
    status, _ = ask(access, "/operator.json", kind=kind, headers=headers)
    if status in (200, 101):  # then by right
        text = host.decode("latin-1")
        assert is_loopback(host_name(text) or "")
        assert origin.decode("latin-1").lower().endswith(text.lower())
    assert status in ((101, 403) if kind == "websocket" else (401, 403, 421))


@given(st.text(max_size=40))
def test_a_host_is_read_as_a_browser_reads_it_or_not_at_all(text: str) -> None:
    name = host_name(text)
    assert name is None or (name == name.lower() and not set(name) & set(" \t/@\\?#,"))
