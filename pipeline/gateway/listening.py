"""Sockets that are listened at."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from ipaddress import ip_address

from pipeline.errors import AuthorityError

log = logging.getLogger("livegate.gateway")


def is_loopback(host: str) -> bool:
    """True where no other machine can reach an address that is listened at."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket for as long as the block lasts.

    Raises:
        AuthorityError: the address can't be listened at.
    """
    if not is_loopback(host):
        log.warning(
            "listening beyond this machine, without TLS: put a TLS proxy in front, or names, ID numbers and "
            "pictures travel in clear"
        )
    with contextlib.ExitStack() as stack:
        try:
            flags = socket.AI_PASSIVE
            family, kind, proto, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=flags
            )[0]
            # Made by hand: with the proto of socket.create_server, 0, asyncio leaves Nagle's delay on.
            listener = stack.enter_context(socket.socket(family, kind, proto))
            if os.name == "posix":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
        except (OSError, OverflowError) as error:
            raise AuthorityError(
                f"the address can't be listened at: {type(error).__name__}",
                hint="Another program may hold the port; choose one with --port or --admin-port.",
            ) from None
        yield listener


def url_of(host: str, listener: socket.socket) -> str:
    """Base URL of a listening socket."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"
