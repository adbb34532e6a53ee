"""What the gateway tells at paths of its own: ``/healthz``, ``/readyz``, ``/metrics``, ``/openapi.json``.

The protocol lives at ``/`` alone and knows no other path, so these can't collide with it. None of them waits
for a thread that answers requests: a busy process is alive and ready.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pipeline.gateway.core import HEALTH_PATH, Gateway
from pipeline.gateway.operation.describe import describe
from pipeline.gateway.operation.metrics import CONTENT_TYPE, Metrics
from pipeline.gateway.operation.ready import Readiness
from pipeline.gateway.wire import RawRequest

READY_PATH: Final = "/readyz"
METRICS_PATH: Final = "/metrics"
DESCRIPTION_PATH: Final = "/openapi.json"

_JSON: Final = "application/json"
_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

Content = Callable[[], tuple[int, str, bytes]]
"""Status, media type and body of a page; called in a thread."""


class Page:
    """One page for GET and HEAD.

    Args:
        content: makes it.
    """

    def __init__(self, content: Content) -> None:
        self._content = content
        self._limiter: CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(1)
        if Request(scope).method not in ("GET", "HEAD"):
            headers = {**_HEADERS, "allow": "GET, HEAD"}
            response = Response(b"method not allowed\n", 405, headers, "text/plain")
        else:
            status, media_type, body = await to_thread.run_sync(self._content, limiter=self._limiter)
            response = Response(body, status, _HEADERS, media_type)
        await response(scope, receive, send)


class _Health:
    """The core's own word, the same bytes as in process, without a thread."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._gateway.handle(RawRequest(scope["method"], HEALTH_PATH))
        await Response(answer.body, answer.status, dict(answer.headers))(scope, receive, send)


def pages(gateway: Gateway, readiness: Readiness, metrics: Metrics | None) -> list[Route]:
    """The pages' routes.

    Args:
        gateway: what they tell of.
        readiness: answers ``/readyz``.
        metrics: answers ``/metrics``; no such page where it is left out.
    """

    def ready() -> tuple[int, str, bytes]:
        report = readiness.report()
        return 200 if report.ready else 503, _JSON, json.dumps(report.as_dict()).encode("ascii") + b"\n"

    description = json.dumps(describe(gateway.options), ensure_ascii=False).encode("utf-8") + b"\n"
    routes = [
        Route(HEALTH_PATH, _Health(gateway)),
        Route(READY_PATH, Page(ready)),
        Route(DESCRIPTION_PATH, Page(lambda: (200, _JSON, description))),
    ]
    if metrics is not None:
        routes.append(Route(METRICS_PATH, Page(lambda: (200, CONTENT_TYPE, metrics.exposition()))))
    return routes
