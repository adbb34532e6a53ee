"""Sockets that are listened at."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Final

from pipeline.addresses import is_loopback, listen_at
from pipeline.errors import AuthorityError

_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h; the socket module does not name it

log = logging.getLogger("livegate.gateway")


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
    try:
        listener = listen_at(host, port)
    except OSError as error:
        raise AuthorityError(
            f"the address can't be listened at, port {port}: {error.strerror}",
            hint="Give --host an address of this machine, and --port or --admin-port a free port.",
        ) from None
    with listener:
        yield listener


def take_no_more(listener: socket.socket) -> bool:
    """Let no new connection begin at a socket that is still listened at. Those that have begun come through.

    A listening socket that is closed resets the connections that wait at it, and there is always a moment
    between the last ``accept`` and the close. So the kernel is told to drop first packets (SYN without ACK,
    a socket filter of five instructions): whoever comes now tries again a second later, and is refused then.

    Returns:
        False where the system has no such filter.
    """
    if not sys.platform.startswith("linux"):
        return False
    # struct sock_filter {u16 code; u8 jt, jf; u32 k}: A = flags; A &= SYN|ACK; A == SYN ? drop : pass
    code = b"".join(
        struct.pack("HBBI", *line)
        for line in ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0))
    ) + struct.pack("HBBI", 0x06, 0, 0, 0xFFFFFFFF)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HP", len(code) // 8, ctypes.addressof(buffer))  # struct sock_fprog
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except OSError:
        return False
    return True
