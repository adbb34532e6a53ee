"""The client over real sockets: stalls, cut connections, a server that comes up late, TLS, proxies, reuse."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipeline.errors import AnswerError, NetworkError, OutcomeUnknownError, SettingsError
from pipeline.match.client import MatchClient
from pipeline.match.encode import Upload
from pipeline.match.exchange import Exchange, Loss, Reply
from pipeline.match.person import Person
from pipeline.match.rules import Retries, Timeouts
from pipeline.match.waiting import Sending, within

from .conftest import CONSENT, OK_MATCH, SECRET, LoopbackServer, answering

GOOD = answering(200, json.dumps(OK_MATCH))
BUSY = answering(503, '{"Code":"ServiceUnavailable","Message":"m","RequestId":"r","HostId":"h"}')
SHORT = Timeouts(connect=2.0, read=0.3, write=2.0, total=20.0)
QUICK = Retries(attempts=3, first_pause=0.0, longest_pause=0.0)


def client_of(server: LoopbackServer, **options: Any) -> MatchClient:
    options.setdefault("retries", QUICK)
    return MatchClient(f"http://127.0.0.1:{server.port}", "testid", SECRET, **options)


def test_a_match_that_stalls_is_sent_once_and_reported_as_unknown(person: Person, upload: Upload) -> None:
    with (
        LoopbackServer(lambda _: server.release.wait(20)) as server,
        client_of(server, timeout=SHORT) as client,
    ):
        with pytest.raises(OutcomeUnknownError):
            client.match(person, upload, CONSENT)
        server.release.set()
    assert len(server.bodies) == 1


def test_a_match_whose_connection_is_closed_after_sending_is_unknown_too(
    person: Person, upload: Upload
) -> None:
    with (
        LoopbackServer(lambda c: c.shutdown(socket.SHUT_RDWR)) as server,
        client_of(server) as client,
        pytest.raises(OutcomeUnknownError),
    ):
        client.match(person, upload, CONSENT)
    assert len(server.bodies) == 1


def test_a_match_whose_answer_breaks_off_is_unknown_too(person: Person, upload: Upload) -> None:
    def half(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        connection.shutdown(socket.SHUT_RDWR)

    with LoopbackServer(half) as server, client_of(server) as client, pytest.raises(OutcomeUnknownError):
        client.match(person, upload, CONSENT)
    assert len(server.bodies) == 1


DRIPPED = {
    "header": b"",
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
    "size of a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
    "interim answers": b"HTTP/1.1 102 Processing\r\n",
}


@pytest.mark.parametrize("begun", [pytest.param(begun, id=part) for part, begun in DRIPPED.items()])
@pytest.mark.parametrize("used_before", [False, True], ids=["new connection", "used connection"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["http", "https"])
def test_a_server_that_drips_its_answer_can_not_hold_the_call_beyond_its_time(
    person: Person,
    upload: Upload,
    tls: ssl.SSLContext,
    certificate: tuple[Path, Path],
    begun: bytes,
    used_before: bool,
    encrypted: bool,
) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(begun or b"HTTP/1.1 200 OK\r\nX: ")
        while not server.release.wait(0.05):
            connection.sendall(b"x")

    answers = [GOOD, drip] if used_before else [drip]
    with (
        LoopbackServer(*answers, tls=tls if encrypted else None) as server,
        MatchClient(
            f"http{'s' if encrypted else ''}://127.0.0.1:{server.port}",
            "testid",
            SECRET,
            timeout=Timeouts(read=10.0, total=1.0),
            ca_file=certificate[0] if encrypted else None,
            retries=QUICK,
        ) as client,
    ):
        for _ in answers[1:]:
            client.match(person, upload, CONSENT)
        with pytest.raises(OutcomeUnknownError):
            client.match(person, upload, CONSENT)
    assert len(server.bodies) == len(answers)
    assert server.connections == 1


def test_a_query_that_is_dripped_at_is_a_network_error_in_time() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not server.release.wait(0.05):
            connection.sendall(b"x")

    limits = Timeouts(read=10.0, total=1.0)
    with (
        LoopbackServer(drip) as server,
        client_of(server, timeout=limits) as client,
        pytest.raises(NetworkError, match="in time"),
    ):
        client.query("q" * 32, "b" * 32)
    assert len(server.bodies) == 1


def test_a_call_that_is_cut_off_leaves_the_others_alone(person: Person, upload: Upload) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        dripping.set()
        while not server.release.wait(0.02):
            connection.sendall(b"x")

    def slow(connection: socket.socket) -> None:
        cut.wait(20)
        GOOD(connection)

    dripping, cut = threading.Event(), threading.Event()
    with LoopbackServer(drip, slow) as server:
        exchange = Exchange(f"http://127.0.0.1:{server.port}", Timeouts())
        replies: list[Reply | Loss] = []

        def ask(seconds: float) -> None:
            replies.append(exchange.post(b"a=1", {}, time.monotonic() + seconds))

        first = threading.Thread(target=ask, args=(1.5,))
        first.start()
        assert dripping.wait(10)
        second = threading.Thread(target=ask, args=(30.0,))
        second.start()
        first.join(20)
        assert replies == [Loss.LOST]
        cut.set()
        second.join(20)
        exchange.close()
    assert [getattr(reply, "status", reply) for reply in replies[1:]] == [200]


class SlowName:
    """The name ``slow.example.test``: found on loopback, once `release` is set."""

    def __init__(self, asked: Callable[[], None] = lambda: None) -> None:
        self.release = threading.Event()
        self._asked = asked
        self._resolve = socket.getaddrinfo

    def __call__(self, host: str, port: int, *rest: Any) -> list[Any]:
        if host != "slow.example.test":
            return list(self._resolve(host, port, *rest))
        self._asked()
        assert self.release.wait(30)
        return list(self._resolve("127.0.0.1", port, *rest))

    def let_go_and_wait_for_the_rest(self) -> None:
        self.release.set()
        for thread in threading.enumerate():
            if thread.name == "livegate exchange":
                thread.join(30)
                assert not thread.is_alive()


def press_ctrl_c() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def slow_client(
    server: LoopbackServer, certificate: tuple[Path, Path], *, tls: bool = False, total: float = 2.0
) -> MatchClient:
    return MatchClient(
        f"http{'s' if tls else ''}://slow.example.test:{server.port}",
        "testid",
        SECRET,
        timeout=Timeouts(read=10.0, total=total),
        allow_plain_http=True,
        ca_file=certificate[0] if tls else None,
        retries=QUICK,
    )


@pytest.mark.parametrize("encrypted", [False, True], ids=["http", "https"])
def test_a_name_that_is_not_found_in_time_ends_the_call_and_what_was_given_up_is_never_sent(
    person: Person,
    upload: Upload,
    tls: ssl.SSLContext,
    certificate: tuple[Path, Path],
    encrypted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = SlowName()
    monkeypatch.setattr(socket, "getaddrinfo", name)
    with (
        LoopbackServer(GOOD, tls=tls if encrypted else None) as server,
        slow_client(server, certificate, tls=encrypted) as client,
    ):
        with pytest.raises(NetworkError) as caught:
            client.match(person, upload, CONSENT)
        assert not isinstance(caught.value, OutcomeUnknownError)
        name.let_go_and_wait_for_the_rest()
        assert server.bodies == []
        assert client.match(person, upload, CONSENT).score == 96.1
    assert len(server.bodies) == 1


def test_what_is_interrupted_while_a_name_is_looked_up_is_never_sent(
    person: Person, upload: Upload, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = SlowName(press_ctrl_c)
    monkeypatch.setattr(socket, "getaddrinfo", name)
    with LoopbackServer(GOOD) as server, slow_client(server, certificate, total=20.0) as client:
        with pytest.raises(KeyboardInterrupt):
            client.match(person, upload, CONSENT)
        name.let_go_and_wait_for_the_rest()
    assert server.bodies == []


def test_what_is_interrupted_while_the_answer_is_waited_for_closes_its_connection(
    person: Person, upload: Upload
) -> None:
    ended = threading.Event()

    def interrupt(connection: socket.socket) -> None:
        press_ctrl_c()
        if connection.recv(1) == b"":
            ended.set()

    with LoopbackServer(interrupt, GOOD) as server, client_of(server) as client:
        with pytest.raises(KeyboardInterrupt):
            client.match(person, upload, CONSENT)
        assert ended.wait(10)
        assert client.match(person, upload, CONSENT).score == 96.1
    assert (len(server.bodies), server.connections) == (2, 2)


@pytest.mark.parametrize("first", ["begin", "give_up"])
def test_a_request_begins_or_is_given_up_and_never_both(first: str) -> None:
    sending = Sending()
    order = (sending.begin, sending.give_up) if first == "begin" else (sending.give_up, sending.begin)
    assert [step() for step in (*order, *order)] == [True, False, True, False]


def test_of_many_threads_that_race_to_begin_and_to_give_up_one_kind_wins() -> None:
    for _ in range(50):
        sending, told, gate = Sending(), [], threading.Barrier(4)

        def step(
            begin: bool,
            sending: Sending = sending,
            told: list[tuple[bool, bool]] = told,
            gate: threading.Barrier = gate,
        ) -> None:
            gate.wait(10)
            told.append((begin, sending.begin() if begin else sending.give_up()))

        threads = [threading.Thread(target=step, args=(number % 2 == 0,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {begin for begin, won in told if won} in ({True}, {False})
        assert len(told) == 4


def test_what_takes_too_long_is_left_and_what_fails_raises() -> None:
    held = threading.Event()
    assert within(0.0, lambda: held.wait(30)) is None
    held.set()
    assert within(30.0, lambda: "done") == "done"
    with pytest.raises(ZeroDivisionError):
        within(30.0, lambda: 1 / 0)


def test_a_server_that_is_busy_twice_is_asked_three_times_with_three_nonces_over_one_connection(
    person: Person, upload: Upload
) -> None:
    with LoopbackServer(BUSY, BUSY, GOOD) as server, client_of(server) as client:
        assert client.match(person, upload, CONSENT).score == 96.1
    assert len(set(server.nonces())) == 3
    assert server.connections == 1


def test_calls_share_one_connection(person: Person, upload: Upload) -> None:
    with LoopbackServer(GOOD) as server, client_of(server) as client:
        for _ in range(3):
            client.match(person, upload, CONSENT)
    assert len(server.bodies) == 3
    assert server.connections == 1


def test_a_connection_that_the_server_closed_between_calls_is_not_used_again(
    person: Person, upload: Upload
) -> None:
    def good_then_gone(connection: socket.socket) -> None:
        GOOD(connection)
        connection.shutdown(socket.SHUT_RDWR)

    with LoopbackServer(good_then_gone) as server, client_of(server) as client:
        client.match(person, upload, CONSENT)
        client.match(person, upload, CONSENT)
    assert (len(server.bodies), server.connections) == (2, 2)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def test_a_server_that_refuses_connections_and_then_comes_up_is_reached(
    person: Person, upload: Upload
) -> None:
    port = free_port()
    servers: list[LoopbackServer] = []

    def come_up(_: float) -> None:
        servers.append(LoopbackServer(GOOD, port=port))

    client = MatchClient(f"http://127.0.0.1:{port}", "testid", SECRET, sleep=come_up)
    try:
        with client:
            assert client.match(person, upload, CONSENT).score == 96.1
    finally:
        for server in servers:
            server.__exit__()
    assert [len(server.bodies) for server in servers] == [1]


def test_a_server_that_is_never_there_is_a_network_error(person: Person, upload: Upload) -> None:
    pauses: list[float] = []
    client = MatchClient(f"http://127.0.0.1:{free_port()}", "testid", SECRET, sleep=pauses.append)
    with client, pytest.raises(NetworkError) as caught:
        client.match(person, upload, CONSENT)
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert len(pauses) == 2


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02 no http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 999999 X\r\n\r\n",
    ],
    ids=range(3),
)
def test_a_match_that_is_answered_with_what_is_not_http_is_unknown_too(
    person: Person, upload: Upload, garbage: bytes
) -> None:
    with (
        LoopbackServer(lambda c: c.sendall(garbage)) as server,
        client_of(server) as client,
        pytest.raises(OutcomeUnknownError),
    ):
        client.match(person, upload, CONSENT)
    assert len(server.bodies) == 1


def test_a_compressed_answer_is_refused(person: Person, upload: Upload) -> None:
    zipped = answering(200, b"\x1f\x8b", extra="Content-Encoding: gzip\r\n")
    with LoopbackServer(zipped) as server, client_of(server) as client, pytest.raises(AnswerError):
        client.match(person, upload, CONSENT)
    assert b"accept-encoding: identity" in server.heads[0].lower()


OWN_NAMES = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("slow.example.test")]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Self-signed certificate for 127.0.0.1 and ``slow.example.test``, and its key, as PEM files."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(OWN_NAMES), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return cert_file, key_file


@pytest.fixture
def tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once_and_nothing_is_sent(
    person: Person, upload: Upload, tls: ssl.SSLContext
) -> None:
    with (
        LoopbackServer(GOOD, tls=tls) as server,
        MatchClient(f"https://127.0.0.1:{server.port}", "testid", SECRET, retries=QUICK) as client,
        pytest.raises(NetworkError, match="not trusted"),
    ):
        client.match(person, upload, CONSENT)
    assert server.bodies == []
    assert server.connections == 1


def test_a_ca_file_makes_it_trusted(
    person: Person, upload: Upload, tls: ssl.SSLContext, certificate: tuple[Path, Path]
) -> None:
    with (
        LoopbackServer(GOOD, tls=tls) as server,
        MatchClient(f"https://127.0.0.1:{server.port}", "testid", SECRET, ca_file=certificate[0]) as client,
    ):
        assert client.match(person, upload, CONSENT).score == 96.1


def test_a_ca_file_does_not_make_another_name_trusted(
    person: Person, upload: Upload, tls: ssl.SSLContext, certificate: tuple[Path, Path]
) -> None:
    with (
        LoopbackServer(GOOD, tls=tls) as server,
        MatchClient(
            f"https://localhost:{server.port}", "testid", SECRET, ca_file=certificate[0], retries=QUICK
        ) as client,
        pytest.raises(NetworkError, match="not trusted"),
    ):
        client.match(person, upload, CONSENT)
    assert server.bodies == []


def test_a_proxy_is_asked_for_other_hosts_and_never_for_loopback(
    person: Person, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LoopbackServer(GOOD) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        with MatchClient(
            "http://saf.example.test", "testid", SECRET, proxy=url, allow_plain_http=True
        ) as client:
            client.match(person, upload, CONSENT)
        assert proxy.heads[0].startswith(b"POST http://saf.example.test/ HTTP/1.1\r\n")
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with MatchClient("http://saf.example.test", "testid", SECRET, allow_plain_http=True) as client:
            client.match(person, upload, CONSENT)
        assert len(proxy.bodies) == 2
        with LoopbackServer(GOOD) as server, client_of(server) as client:
            client.match(person, upload, CONSENT)
        assert (len(server.bodies), len(proxy.bodies)) == (1, 2)
    with pytest.raises(SettingsError):
        MatchClient("http://127.0.0.1:1", "testid", SECRET, proxy=url)


def test_a_proxy_that_refuses_to_tunnel_is_a_network_error(person: Person, upload: Upload) -> None:
    tunnels: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse_each() -> None:
            for _ in range(QUICK.attempts):
                connection, _ = listening.accept()
                with connection, connection.makefile("rb") as stream:
                    tunnels.append(stream.readline())
                    connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse_each)
        thread.start()
        proxy = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with (
            MatchClient("https://saf.example.test", "testid", SECRET, proxy=proxy, retries=QUICK) as client,
            pytest.raises(NetworkError, match="could not be reached"),
        ):
            client.match(person, upload, CONSENT)
        thread.join(10)
    assert tunnels == [b"CONNECT saf.example.test:443 HTTP/1.1\r\n"] * QUICK.attempts
