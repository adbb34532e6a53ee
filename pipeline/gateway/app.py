"""The gateway over HTTP: a thin ASGI application. All it does is carry bytes to `Gateway.handle` and back."""

from __future__ import annotations

import os

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pipeline.gateway.budget import AddressBudget
from pipeline.gateway.core import Gateway
from pipeline.gateway.intake import Bill, Intake, IntakeLimits
from pipeline.gateway.operation.metrics import Metrics
from pipeline.gateway.operation.pages import pages
from pipeline.gateway.operation.ready import Readiness
from pipeline.gateway.params import Refused
from pipeline.gateway.wire import RawAnswer, RawRequest
from pipeline.protocol.codes import SERVICE_UNAVAILABLE, THROTTLING_USER


class Endpoint:
    """One ASGI endpoint for every path and method that no page has.

    Args:
        gateway: answers the requests.
        workers: threads that run it; the nets take one core each.
        waiting: most requests held at a time, running and waiting; more are answered as unavailable.
        budget: bytes that an address may send without a right signature.
        limits: what bodies may take while they come in.
        metrics: told of where requests are.
        readiness: once it says that a stop was asked for, every answer ends its connection.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        workers: int,
        waiting: int,
        budget: AddressBudget,
        limits: IntakeLimits,
        metrics: Metrics,
        readiness: Readiness,
    ) -> None:
        self._gateway = gateway
        self._workers = workers
        self._waiting = waiting
        self._budget = budget
        self._intake = Intake(gateway.options.limits.body, limits, metrics)
        self._metrics = metrics
        self._readiness = readiness
        self._limiter: CapacityLimiter | None = None
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        raw = RawRequest(request.method, _target(scope), _headers(scope))
        answer = await self._answer(request, raw)
        if self._readiness.stopping:
            answer = _last(answer)
        await _response(answer)(scope, receive, send)

    async def _answer(self, request: Request, raw: RawRequest) -> RawAnswer:
        peer = None if request.client is None else request.client.host
        bill = Bill(self._budget, self._budget.address_of(peer, raw.headers))
        bill.add(len(raw.target))
        self._metrics.charged(self._budget.addresses)
        body = await self._intake.body(request, raw, bill)
        if isinstance(body, Refused):
            stage = {THROTTLING_USER: "budget", SERVICE_UNAVAILABLE: "queue"}.get(body.code, "body")
            # What is left of the body is not read: the connection can't be used again.
            return _last(self._gateway.refuse(raw, body, stage=stage))
        raw = RawRequest(raw.method, raw.target, raw.headers, body)
        if self._held >= self._waiting:
            return self._gateway.refuse(raw, Refused(SERVICE_UNAVAILABLE), stage="queue")
        answer = await self._work(raw)
        if answer.admitted:
            bill.cancel()
        return answer

    async def _work(self, raw: RawRequest) -> RawAnswer:
        at = "queue"

        def work() -> RawAnswer:
            nonlocal at
            self._metrics.move("work", "queue")
            at = "work"
            return self._gateway.handle(raw)

        self._held += 1
        self._metrics.move("queue")
        try:
            return await to_thread.run_sync(work, limiter=self._pool())
        finally:
            self._metrics.move(None, "work" if at == "work" else "queue")
            self._held -= 1

    def _pool(self) -> CapacityLimiter:
        if self._limiter is None:  # made inside the event loop that uses it
            self._limiter = CapacityLimiter(self._workers)
        return self._limiter


def make_app(
    gateway: Gateway,
    *,
    workers: int | None = None,
    waiting: int = 64,
    budget: AddressBudget | None = None,
    limits: IntakeLimits | None = None,
    metrics: Metrics | None = None,
    readiness: Readiness | None = None,
    metrics_page: bool = False,
) -> Starlette:
    """The ASGI application of a gateway.

    Args:
        gateway: answers the requests.
        workers: threads that run it; one more than the machine's cores if left out.
        waiting: most requests held at a time.
        budget: bytes that an address may send without a right signature; the default one if left out.
        limits: what bodies may take while they come in; the defaults if left out.
        metrics: told of where requests are; what was answered it is told by `Gateway.add_watch`.
        readiness: answers ``/readyz``.
        metrics_page: also answer ``/metrics`` here, to everybody who can reach it.
    """
    metrics = metrics or Metrics()
    readiness = readiness or Readiness(gateway)
    endpoint = Endpoint(
        gateway,
        workers=workers or (os.cpu_count() or 1) + 1,
        waiting=waiting,
        budget=budget or AddressBudget(),
        limits=limits or IntakeLimits(),
        metrics=metrics,
        readiness=readiness,
    )
    routes = pages(gateway, readiness, metrics if metrics_page else None)
    return Starlette(routes=[*routes, Route("/{path:path}", endpoint)])


def make_admin_app(gateway: Gateway, metrics: Metrics, readiness: Readiness) -> Starlette:
    """Health, readiness, metrics and description alone, for a port that only the operator reaches."""
    return Starlette(routes=pages(gateway, readiness, metrics))


def _target(scope: Scope) -> str:
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8")
    query: bytes = scope["query_string"]
    return (raw_path + b"?" + query if query else raw_path).decode("latin-1")


def _headers(scope: Scope) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])


def _last(answer: RawAnswer) -> RawAnswer:
    """The same answer as the connection's last one."""
    if ("connection", "close") in answer.headers:
        return answer
    return RawAnswer(answer.status, (*answer.headers, ("connection", "close")), answer.body, answer.admitted)


def _response(answer: RawAnswer) -> Response:
    response = Response(answer.body, answer.status)
    for name, value in answer.headers:
        response.headers[name] = value
    return response
