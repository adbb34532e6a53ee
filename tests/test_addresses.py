"""Which addresses are this machine's own, and the sockets that servers listen at."""

from __future__ import annotations

import contextlib
import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.addresses import is_loopback, listen_at, url_of

OWN = [
    "127.0.0.1",
    "127.0.0.0",
    "127.8.8.8",
    "127.255.255.255",
    "::1",
    "0:0:0:0:0:0:0:1",
    "::ffff:127.0.0.1",
    "::FFFF:7f08:808",
    "localhost",
    "LocalHost",
]
FOREIGN = [
    "",
    " ",
    ".",
    "0.0.0.0",
    "::",
    "10.0.0.1",
    "126.255.255.255",
    "128.0.0.0",
    "gate.example",
    # names that begin or end as one of its own
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evil.example.localhost",
    "evil.localhost",
    "localhost.localdomain",
    "localhost6",
    "xlocalhost",
    "127.0.0.1.",
    "localhost.",
    " localhost",
    "localhost\n",
    "127.0.0.1 ",
    "127.0.0.1\0.evil.example",
    "127.0.0.1\n",
    # what only some resolvers take for the loopback
    "127.1",
    "127",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "127.0.0.01",
    "127.0.0.256",
    "127.0.0.0/8",
    # addresses that hold one of its own
    "[::1]",
    "::1%lo",
    "127.0.0.1%lo",
    "::ffff:127.0.0.1%lo",
    "127.0.0.1:80",
    "::127.0.0.1",
    "::2",
    "fe80::1",
    "::ffff:10.0.0.1",
    "::ffff:0.0.0.1",
    "::fffe:127.0.0.1",
    "1::ffff:127.0.0.1",
    "2002:7f00:1::",
    "64:ff9b::7f00:1",
    # other characters that look or fold alike
    "ⓛocalhost",
    "localhoſt",
    "\uff11\uff12\uff17.0.0.1",
    "١٢٧.0.0.1",
    "127\u30020.0.1",
]


@pytest.mark.parametrize("host", OWN)
def test_its_own_addresses_are_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", FOREIGN, ids=ascii)
def test_what_another_machine_may_answer_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def own_by_its_bytes(host: str) -> bool:
    """The same asked of the C library, which parses strictly here and resolves nothing."""
    if not host.isascii() or "\0" in host:
        return False
    with contextlib.suppress(OSError):
        return socket.inet_pton(socket.AF_INET, host)[0] == 127
    with contextlib.suppress(OSError):
        packed = socket.inet_pton(socket.AF_INET6, host)
        return packed == bytes(15) + b"\1" or packed[:13] == bytes(10) + b"\xff\xff\x7f"
    return host.casefold() == "localhost"


near = st.builds(
    lambda host, at, end, put: host[: min(at, end)] + put + host[max(at, end) :],
    st.sampled_from(OWN + FOREIGN),
    st.integers(0, 20),
    st.integers(0, 20),
    st.sampled_from(["", ".", ":", "%", "0", "1", "f", "x", "127", "[", " ", "\0", "\u0661", "ſ", ".example"])
    | st.text(max_size=3),
)
literal = st.ip_addresses().map(str) | st.ip_addresses(v=6).map(lambda address: address.exploded)
mapped = st.ip_addresses(v=4).map(lambda address: f"::ffff:{address}")


@given(near | literal | mapped | st.text(max_size=20))
@example("::ffff:126.255.255.255")
def test_hostile_hosts_are_loopback_by_their_bytes_or_not_at_all(host: str) -> None:
    assert is_loopback(host) is own_by_its_bytes(host)


@given(st.sampled_from(OWN), st.from_regex(r"\A\.?[a-z0-9-]{1,20}\.[a-z]{2,8}\.?\Z"))
def test_no_name_under_a_domain_is_loopback(host: str, domain: str) -> None:
    assert not is_loopback(f"{host}.{domain}")
    assert not is_loopback(f"{domain}.{host}")
    assert not is_loopback(f"{host}@{domain}")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_socket_listens_at_a_free_port_and_its_url_leads_to_it(host: str) -> None:
    with listen_at(host, 0) as listener:
        assert url_of(host, listener) == f"http://{host}:{listener.getsockname()[1]}"
        with socket.create_connection(listener.getsockname()[:2], timeout=10):
            taken, _ = listener.accept()
            taken.close()


def test_a_socket_listens_with_the_protocol_that_lets_asyncio_send_at_once() -> None:
    with listen_at("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("2001:db8::1", "[2001:db8::1]"),
        ("gate.example", "gate.example"),
    ],
)
def test_a_url_names_an_address_that_can_be_asked(host: str, shown: str) -> None:
    with listen_at("127.0.0.1", 0) as listener:
        assert url_of(host, listener) == f"http://{shown}:{listener.getsockname()[1]}"


def test_the_ipv6_wildcard_takes_ipv4_where_the_system_has_it_so() -> None:
    try:
        listener = listen_at("::", 0)
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error.strerror}")
    with listener:
        if listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
            pytest.skip("the system keeps IPv4 out of such sockets")
        with socket.create_connection(("127.0.0.1", listener.getsockname()[1]), timeout=10):
            taken, peer = listener.accept()
            taken.close()
        assert peer[0] == "::ffff:127.0.0.1"
        assert is_loopback(peer[0])


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("203.0.113.9", 0),  # documentation's, nobody's
        ("127.0.0.1", 70000),
        ("a" * 64 + ".example", 0),
        ("a..b", 0),
        ("127.0.0.1", -1),
    ],
    ids=["elsewhere", "port", "long label", "empty label", "negative port"],
)
def test_what_can_not_be_listened_at_is_told_with_a_reason(host: str, port: int) -> None:
    with pytest.raises(OSError, match=r"\w") as caught:
        listen_at(host, port)
    assert caught.value.strerror
    assert caught.value.__cause__ is None


def test_a_taken_port_is_told_and_its_socket_is_given_back() -> None:
    with listen_at("127.0.0.1", 0) as taken, pytest.raises(OSError, match="use"):
        listen_at("127.0.0.1", taken.getsockname()[1])
