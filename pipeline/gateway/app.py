"""The gateway over HTTP: a thin ASGI application. All it does is carry bytes to `Gateway.handle` and back."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pipeline.gateway.budget import AddressBudget
from pipeline.gateway.core import Gateway
from pipeline.gateway.params import REQUEST_TIMEOUT, Refused
from pipeline.gateway.wire import RawAnswer, RawRequest
from pipeline.protocol.codes import SERVICE_UNAVAILABLE, THROTTLING_USER

BODY_TIMEOUT_S: Final = 30.0
"""How long a body may take to come in."""

DRAINED_BYTES: Final = 64 * 1024 * 1024
"""How much of a body that is too large is still read and thrown away, so that the refusal can be received."""


class Endpoint:
    """One ASGI endpoint for every path and method.

    Args:
        gateway: answers the requests.
        workers: threads that run it; the nets take one core each.
        waiting: most requests held at a time, running and waiting; more are answered as unavailable.
        budget: bytes that an address may send without a right signature.
    """

    def __init__(
        self, gateway: Gateway, *, workers: int, waiting: int, budget: AddressBudget | None = None
    ) -> None:
        self._gateway = gateway
        self._workers = workers
        self._waiting = waiting
        self._budget = budget or AddressBudget()
        self._limiter: CapacityLimiter | None = None
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        raw = RawRequest(request.method, _target(scope), _headers(scope))
        if self._held >= self._waiting:
            answer = self._gateway.refuse(raw, Refused(SERVICE_UNAVAILABLE))
        else:
            self._held += 1
            try:
                answer = await self._answer(request, raw)
            finally:
                self._held -= 1
        await _response(answer)(scope, receive, send)

    async def _answer(self, request: Request, raw: RawRequest) -> RawAnswer:
        peer = None if request.client is None else request.client.host
        bill = Bill(self._budget, self._budget.address_of(peer, raw.headers))
        bill.add(len(raw.target))
        body = await self._body(request, bill)
        if isinstance(body, Refused):
            answer = self._gateway.refuse(raw, body)
            # What is left of the body is not read: the connection can't be used again.
            return RawAnswer(answer.status, (*answer.headers, ("connection", "close")), answer.body)
        raw = RawRequest(raw.method, raw.target, raw.headers, body)
        answer = await to_thread.run_sync(self._gateway.handle, raw, limiter=self._pool())
        if answer.admitted:
            bill.cancel()
        return answer

    async def _body(self, request: Request, bill: Bill) -> bytes | Refused:
        """The body, or one byte more than is allowed of it; refused where it is too slow or not paid for."""
        limit = self._gateway.options.limits.body
        chunks: list[bytes] = []
        kept = read = 0
        if not bill.is_covered():
            return Refused(THROTTLING_USER)
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                async for chunk in request.stream():
                    read += len(chunk)
                    bill.add(len(chunk))
                    if chunk and not bill.is_covered():
                        return Refused(THROTTLING_USER)
                    if read > DRAINED_BYTES:
                        break
                    if kept <= limit:
                        chunks.append(chunk[: limit + 1 - kept])
                        kept += len(chunks[-1])
        except (ClientDisconnect, TimeoutError):
            return Refused(REQUEST_TIMEOUT)
        return b"".join(chunks)

    def _pool(self) -> CapacityLimiter:
        if self._limiter is None:  # made inside the event loop that uses it
            self._limiter = CapacityLimiter(self._workers)
        return self._limiter


class Bill:
    """What one request has cost its address so far."""

    __slots__ = ("_address", "_budget", "_size")

    def __init__(self, budget: AddressBudget, address: str | None) -> None:
        self._budget = budget
        self._address = address
        self._size = 0

    def add(self, size: int) -> None:
        """Charge bytes."""
        self._size += size
        self._budget.charge(self._address, size)

    def is_covered(self) -> bool:
        """False once the address has nothing left."""
        return self._budget.has_left(self._address)

    def cancel(self) -> None:
        """Give it all back."""
        self._budget.refund(self._address, self._size)


def make_app(
    gateway: Gateway,
    *,
    workers: int | None = None,
    waiting: int = 64,
    budget: AddressBudget | None = None,
) -> Starlette:
    """The ASGI application of a gateway.

    Args:
        gateway: answers the requests.
        workers: threads that run it; one more than the machine's cores if left out.
        waiting: most requests held at a time.
        budget: bytes that an address may send without a right signature; the default one if left out.
    """
    threads = workers or (os.cpu_count() or 1) + 1
    endpoint = Endpoint(gateway, workers=threads, waiting=waiting, budget=budget)
    return Starlette(routes=[Route("/{path:path}", endpoint)])


def _target(scope: Scope) -> str:
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8")
    query: bytes = scope["query_string"]
    return (raw_path + b"?" + query if query else raw_path).decode("latin-1")


def _headers(scope: Scope) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])


def _response(answer: RawAnswer) -> Response:
    response = Response(answer.body, answer.status)
    for name, value in answer.headers:
        response.headers[name] = value
    return response
