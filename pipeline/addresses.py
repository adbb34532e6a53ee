"""Addresses that servers listen at: which of them only this machine reaches, and the sockets behind them."""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import IPv6Address, ip_address
from typing import Final

BACKLOG: Final = 128
"""Connections that wait at a socket to be taken."""


def is_loopback(host: str) -> bool:
    """True where nothing sent to a host leaves this machine, and nobody elsewhere reaches it there.

    So are literal addresses of 127.0.0.0/8 and ``::1`` (RFC 6890), the former written as IPv6 too
    (``::ffff:127.0.0.1``), and the name ``localhost`` in any case. All else is not: it decides what may
    travel in clear and who needs a token. Among that is what a resolver might take for the loopback, as
    ``127.1`` or ``0x7f000001``; ``localhost.``, which the hosts file does not know and a name server may
    answer; brackets, ports and scopes.

    Args:
        host: address or name without brackets.
    """
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if not isinstance(address, IPv6Address):
        return address.is_loopback
    mapped = address.ipv4_mapped
    return address.scope_id is None and (mapped or address).is_loopback


def listen_at(host: str, port: int) -> socket.socket:
    """A socket that listens; ``::`` takes IPv4 too where the system has it so.

    Args:
        host: address or name of this machine.
        port: TCP port, 0 for a free one.

    Raises:
        OSError: it can't be listened at; ``strerror`` says why.
    """
    if not 0 <= port < 1 << 16:
        raise OSError(errno.EINVAL, "ports are 0 to 65535")  # getaddrinfo would take the lowest 16 bits
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
        # Made by hand: with the proto of socket.create_server, 0, asyncio leaves Nagle's delay on.
        listener = socket.socket(family, kind, proto)
        try:
            if os.name == "posix":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
    except (OSError, ValueError) as error:  # ValueError: a name that no resolver takes
        told = error.strerror if isinstance(error, OSError) else None
        raise OSError(getattr(error, "errno", None), told or type(error).__name__) from None
    return listener


def url_of(host: str, listener: socket.socket) -> str:
    """Base URL under which this machine reaches a socket of `listen_at`.

    Args:
        host: as it was given to `listen_at`.
        listener: the socket.
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - shown, not listened at
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"
