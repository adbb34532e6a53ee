"""Lines to an endpoint: HTTP clients with one connection each, for one exchange at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import httpx

from pipeline.camera.cutoff import Stream
from pipeline.errors import UsageError

LIMITS: Final = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0)
"""One connection, dropped when idle before usual servers drop it (60 s)."""

_MOST_LINES: Final = 8
"""More than a kiosk needs at once."""

_IDLE_LINES: Final = 4


class Line:
    """A client with one connection at most, and that connection.

    Attributes:
        client: for one exchange at a time.
        stream: its connection, where one was made; whoever cuts the exchange off shuts this down.
        spent: not to be used again, and closed once given back.
    """

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.stream: Stream | None = None
        self.spent = False


class Lines:
    """Lines to be taken; the one that was used last comes first.

    Args:
        client: makes one, with `LIMITS`. The first is made at once, so that its errors come here.
    """

    def __init__(self, client: Callable[[], httpx.Client]) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(_MOST_LINES)
        self._idle = [Line(client())]
        self._all = set(self._idle)
        self.closed = False

    @contextmanager
    def take(self, seconds: float) -> Iterator[Line | None]:
        """A line for the block.

        Args:
            seconds: to wait for one to get free.

        Returns:
            The line; None if none got free in time.

        Raises:
            UsageError: they were closed.
        """
        if not self._places.acquire(timeout=seconds):
            yield None
            return
        try:
            with self._lock:
                if self.closed:
                    raise UsageError("This client was closed.")
                line = self._idle.pop() if self._idle else Line(self._client())
                self._all.add(line)
            try:
                yield line
            finally:
                self._give_back(line)
        finally:
            self._places.release()

    def _give_back(self, line: Line) -> None:
        with self._lock:
            if not self.closed and not line.spent and len(self._idle) < _IDLE_LINES:
                self._idle.append(line)
                return
            self._all.discard(line)
        line.client.close()

    def close(self) -> None:
        """Close every connection, those in use too. Idempotent."""
        with self._lock:
            self.closed = True
            lines, self._all = self._all, set()
        for line in lines:
            line.client.close()


class Lent(httpx.BaseTransport):
    """A transport that several clients use and none of them closes."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Hand a request on."""
        return self._transport.handle_request(request)
