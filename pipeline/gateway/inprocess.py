"""The gateway without a socket: an httpx transport that calls the core in this process."""

from __future__ import annotations

import httpx

from pipeline.gateway.core import Gateway
from pipeline.gateway.wire import RawRequest

IN_PROCESS_URL = "http://livegate.invalid"
"""Base URL for clients of `InProcessTransport`. RFC 6761 reserves the name: nothing can ever resolve it."""


class InProcessTransport(httpx.BaseTransport):
    """Carries httpx requests to `Gateway.handle`. Opens no socket, whatever the URL's host is.

    Args:
        gateway: answers the requests; closed with the transport.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request, byte for byte as the server would."""
        raw = RawRequest(
            request.method,
            request.url.raw_path.decode("ascii"),
            tuple(request.headers.items()),
            request.read(),
        )
        answer = self._gateway.handle(raw)
        headers = [*answer.headers, ("content-length", str(len(answer.body)))]
        return httpx.Response(answer.status, headers=headers, content=answer.body, request=request)

    def close(self) -> None:
        """Close the gateway. Idempotent."""
        self._gateway.close()
