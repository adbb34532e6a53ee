"""An end for an HTTP exchange as a whole.

httpx bounds each read, so a server that drips bytes never runs into a timeout. Knows httpx by its interface
only: this room is loaded where no network library is.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self


class Stream(Protocol):
    """A connection of httpx (``network_stream``)."""

    def get_extra_info(self, info: str) -> Any:
        """What the connection says of itself; ``socket`` is asked."""
        ...


class CutOff:
    """Shuts the connection of one exchange down at a moment, whatever the exchange waits for.

    The exchange runs inside the ``with`` block, and each of its requests has ``trace`` as its extension of
    that name, by which httpx tells of the connections that it makes. A read or write that waits fails as it
    does when the other side hangs up. Not ended: the resolution of a name; connecting and the TLS handshake,
    which the connect timeout bounds, for each address of the name.

    Args:
        seconds: from entering the block; at once where it is not above 0.
        stream: connection that httpx may use again, made in an earlier exchange.
    """

    def __init__(self, seconds: float, stream: Stream | None = None) -> None:
        self.stream = stream
        self._over = self._ended = False
        self._lock = threading.Lock()
        self._timer = threading.Timer(max(0.0, seconds), self._cut)
        self._timer.daemon = True

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Hear of a step of httpx, see its extension ``trace``."""
        made = info.get("return_value")
        if not event.endswith(".complete") or not hasattr(made, "get_extra_info"):
            return
        with self._lock:
            self.stream = made
            if self._over:
                shut(made)

    def _cut(self) -> None:
        with self._lock:
            if not self._ended:  # else the connection may be in another exchange already
                self._over = True
                shut(self.stream)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            self._ended = True


def plain_socket(stream: Stream | None) -> socket.socket | None:
    """Socket of a connection, or None without one."""
    found = stream.get_extra_info("socket") if stream is not None else None
    return found if isinstance(found, socket.socket) else None


def shut(stream: Stream | None) -> None:
    """Shut a connection down from any thread: who waits for it ends. No error if it is down already."""
    found = plain_socket(stream)
    if found is not None:
        with suppress(OSError):
            # SSLSocket.shutdown would first forget its encryption, and a write at that moment go out in clear
            socket.socket.shutdown(found, socket.SHUT_RDWR)
