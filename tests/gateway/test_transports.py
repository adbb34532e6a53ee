"""Two carriers, one core: over a socket and in process the answers are the same bytes."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from pipeline.errors import AuthorityError
from pipeline.gateway import (
    IN_PROCESS_URL,
    InProcessTransport,
    RawRequest,
    make_app,
    running,
    serve,
)
from pipeline.protocol.answers import parse_answer
from pipeline.protocol.signing import form_encode

OWN_HEADERS = ("content-type", "cache-control", "x-content-type-options", "content-length")
QUERY = {"method": "query", "bizId": "ZSTP0", "queryId": "0" * 32}


@pytest.fixture
def carriers(make_caller: Any, kit: Any, storage: Any) -> Iterator[dict[str, Any]]:
    """A caller and a client for each carrier, over two databases with the same content."""
    with httpx.Client(trust_env=False) as over_socket:
        callers = {name: make_caller(storage.database(name)) for name in ("socket", "process")}
        for caller in callers.values():
            kit.enroll(caller, 1)
        in_process = httpx.Client(transport=InProcessTransport(callers["process"].gateway))
        with running(callers["socket"].gateway) as url, in_process:
            yield {
                "socket": (callers["socket"], over_socket, url),
                "process": (callers["process"], in_process, IN_PROCESS_URL),
            }


def both(carriers: dict[str, Any], send: Any) -> tuple[int, dict[str, str], bytes]:
    seen = []
    for caller, client, url in carriers.values():
        answer = send(caller, client, url)
        headers = {name: answer.headers[name] for name in OWN_HEADERS if name in answer.headers}
        seen.append((answer.status_code, headers, answer.content))
    assert seen[0] == seen[1]
    return seen[0]


def post(service: Any, spoil: bool = False, **public: str | None) -> Any:
    def send(caller: Any, client: httpx.Client, url: str) -> httpx.Response:
        params = caller.signed(caller.params(service, **public), secret="wrong" if spoil else None)
        return client.post(url + "/", content=form_encode(params), headers=dict([caller_form]))

    return send


caller_form = ("content-type", "application/x-www-form-urlencoded")


@pytest.mark.parametrize("form", ["JSON", "XML"])
def test_results_are_the_same_bytes(carriers: Any, kit: Any, form: str) -> None:
    service = {"method": "match", "name": kit.name, "certNumber": kit.number}
    for seed in (1, 2):
        fields = service | {"imgbase64": kit.base64(kit.picture(seed))}
        status, _, body = both(carriers, post(fields, Format=form))
        assert status == 200
        assert (parse_answer(body).data["score"] > 95) == (seed == 1)
    both(carriers, post(service, Format=form))
    both(carriers, post(QUERY, Format=form))


@pytest.mark.parametrize("form", ["JSON", "XML"])
def test_refusals_are_the_same_bytes(carriers: Any, form: str) -> None:
    assert both(carriers, post(QUERY, Format=form, Version="x"))[0] == 400
    assert both(carriers, post(QUERY, Format=form, Action="x"))[0] == 404
    assert both(carriers, post(QUERY, spoil=True, Format=form))[0] == 400
    assert both(carriers, post(QUERY, Format=form, SignatureNonce=None))[0] == 400


@pytest.mark.parametrize(
    ("method", "path", "extra", "status"),
    [
        ("GET", "/", {}, 400),
        ("GET", "/?a=1&a=2&Format=JSON", {}, 400),
        ("GET", "/favicon.ico", {}, 404),
        ("GET", "/a/../b%2F?x=%FF", {}, 400),
        ("DELETE", "/?Format=JSON", {}, 403),
        ("PUT", "/", {"content": b"x"}, 403),
        ("OPTIONS", "*", {}, 403),
        ("POST", "/?Format=json", {"content": b"{}", "headers": {"content-type": "application/json"}}, 415),
        ("POST", "/", {"files": {"f": b"x"}}, 415),
        ("GET", "/healthz", {}, 200),
        ("POST", "/healthz", {}, 405),
    ],
)
def test_odd_requests_are_the_same_bytes(
    carriers: Any, method: str, path: str, extra: Any, status: int
) -> None:
    def send(_caller: Any, client: httpx.Client, url: str) -> httpx.Response:
        return client.request(method, url + "/" if path == "*" else url + path, **extra)

    found, _, body = both(carriers, send)
    assert found == status
    if path == "/healthz":
        assert body in (b"ok\n", b"method not allowed\n")
    elif method != "HEAD":
        assert parse_answer(body).code


def test_a_body_that_is_too_large_gets_a_413_that_arrives(carriers: Any) -> None:
    def send(_caller: Any, client: httpx.Client, url: str) -> httpx.Response:
        body = b"a=" + b"x" * (6 * 1024 * 1024)
        return client.post(url + "/?Format=JSON", content=body, headers=dict([caller_form]))

    status, _, body = both(carriers, send)
    assert (status, json.loads(body)["Code"]) == (413, "RequestEntityTooLarge")


def test_a_request_line_of_nine_megabytes_gets_a_414(caller: Any) -> None:
    with running(caller.gateway) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        connection.putrequest("GET", "/?Format=JSON&ServiceParameters=" + "x" * 9_000_000)
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 414
        assert json.loads(answer.read())["Code"] == "RequestURITooLong"
        connection.close()


def test_a_request_line_of_a_megabyte_is_served(caller: Any) -> None:
    service = {"method": "match", "name": "a", "certNumber": "b", "imgbase64": "A" * 1_000_000}
    request = caller.request(caller.signed(caller.params(service), "GET"), "GET")
    with running(caller.gateway) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        connection.request("GET", request.target)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["Message"]) == (200, "imgbase64不合法")
        connection.close()


@pytest.mark.parametrize(
    "junk", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01" * 9]
)
def test_what_is_no_http_gets_the_error_form_and_no_traceback(caller: Any, junk: bytes, caplog: Any) -> None:
    with running(caller.gateway) as url:
        host, port = urlsplit(url).netloc.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as peer:
            peer.sendall(junk + b"\r\n\r\n")
            peer.shutdown(socket.SHUT_WR)
            received = b"".join(iter(lambda: peer.recv(65536), b""))
    if received:
        assert received.startswith(b"HTTP/1.1 400")
        assert parse_answer(received.partition(b"\r\n\r\n")[2]).code == "InvalidRequest"
    assert "Traceback" not in caplog.text


def test_a_caller_that_leaves_does_no_harm(caller: Any, caplog: Any) -> None:
    with running(caller.gateway) as url:
        host, port = urlsplit(url).netloc.split(":")
        for _ in range(3):
            with socket.create_connection((host, int(port)), timeout=10) as peer:
                peer.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
        assert httpx.get(url + "/healthz", trust_env=False).text == "ok\n"
    assert "Traceback" not in caplog.text


def test_too_many_at_once_are_answered_as_unavailable(make_caller: Any, kit: Any) -> None:
    embedder = kit.waiting_embedder()
    caller = make_caller(embedder=embedder)
    kit.enroll(caller, 1)
    app = make_app(caller.gateway, workers=1, waiting=1)
    service = {
        "method": "match",
        "name": kit.name,
        "certNumber": kit.number,
        "imgbase64": kit.base64(kit.picture(1)),
    }

    async def scenario() -> tuple[httpx.Response, httpx.Response]:
        import asyncio

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            params = caller.signed(caller.params(service))
            first = asyncio.create_task(client.post("/", content=form_encode(params), headers=[caller_form]))
            await asyncio.to_thread(embedder.entered.wait, 30)
            second = await client.get("/?Format=JSON")
            embedder.leave.set()
            return await first, second

    import asyncio

    first, second = asyncio.run(scenario())
    assert (second.status_code, second.json()["Code"]) == (503, "ServiceUnavailable")
    assert (first.status_code, first.json()["Code"]) == (200, 200)


def test_a_stop_finishes_what_runs(make_caller: Any, kit: Any) -> None:
    embedder = kit.waiting_embedder(longest_s=0.5)
    caller = make_caller(embedder=embedder)
    kit.enroll(caller, 1)
    answers: list[httpx.Response] = []
    service = {
        "method": "match",
        "name": kit.name,
        "certNumber": kit.number,
        "imgbase64": kit.base64(kit.picture(1)),
    }
    with running(caller.gateway) as url:
        body = form_encode(caller.signed(caller.params(service)))

        def send() -> None:
            with httpx.Client(trust_env=False) as client:
                answers.append(client.post(url + "/", content=body, headers=[caller_form]))

        thread = threading.Thread(target=send)
        thread.start()
        assert embedder.entered.wait(30)
    thread.join(30)
    assert answers[0].json()["Code"] == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(url + "/healthz", trust_env=False)


def test_a_port_in_use_is_told(make_caller: Any) -> None:
    caller = make_caller()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AuthorityError, match=f"can't be listened at, port {port}: (?!OSError)"):
            serve(caller.gateway, "127.0.0.1", port)


def test_listening_beyond_the_machine_is_warned_about(caller: Any, caplog: Any) -> None:
    with running(caller.gateway, "127.0.0.1"):
        assert "TLS" not in caplog.text
    with running(caller.gateway, "0.0.0.0"):
        assert "TLS" in caplog.text


def test_the_process_lives_though_its_database_is_lost(caller: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(caller.gateway.authority.store, "ping", lambda: pytest.fail("liveness asked it"))
    answer = caller.gateway.handle(RawRequest("GET", "/healthz"))
    assert (answer.status, answer.body) == (200, b"ok\n")
