"""`Intake`: how bodies come in. Bounds their time, their rate, their number and the memory that they hold."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Final

from starlette.requests import ClientDisconnect, Request

from pipeline.gateway.budget import AddressBudget
from pipeline.gateway.operation.metrics import Metrics
from pipeline.gateway.params import BODY_TOO_LARGE, REQUEST_TIMEOUT, UNSUPPORTED_ENCODING, Refused, is_encoded
from pipeline.gateway.wire import RawRequest
from pipeline.protocol.codes import SERVICE_UNAVAILABLE, THROTTLING_USER

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """What bodies may take while they come in.

    Attributes:
        seconds: longest time for one body.
        grace_s: time before its rate is looked at.
        least_rate: bytes a second that it must then have had on the whole. A picture of 640x480 makes 110 kB:
            at this rate it just comes in within ``seconds``.
        drained: how much of a body that is too large is still read and thrown away, so that its sender can
            receive the refusal. More is cut.
        bodies: most of them at once.
        bodies_each: most of them at once from one address; a trusted proxy that names no one is not bounded.
        held: bytes of all of them together; what waits for a thread is bounded by its number.
    """

    seconds: float = 30.0
    grace_s: float = 5.0
    least_rate: int = 4096
    drained: int = 64 * _MIB
    bodies: int = 256
    bodies_each: int = 64
    held: int = 128 * _MIB


class Bill:
    """What one request has cost its address so far."""

    __slots__ = ("_budget", "_size", "address")

    def __init__(self, budget: AddressBudget, address: str | None) -> None:
        self._budget = budget
        self._size = 0
        self.address = address

    def add(self, size: int) -> None:
        """Charge bytes."""
        self._size += size
        self._budget.charge(self.address, size)

    def is_covered(self) -> bool:
        """False once the address has nothing left."""
        return self._budget.has_left(self.address)

    def cancel(self) -> None:
        """Give it all back."""
        self._budget.refund(self.address, self._size)


class Intake:
    """Reads bodies. For one thread: the event loop's.

    Args:
        longest: longest body that is taken, bytes.
        limits: what they may take meanwhile.
        metrics: told what comes in and what is held.
    """

    def __init__(self, longest: int, limits: IntakeLimits, metrics: Metrics) -> None:
        self._longest = longest
        self._limits = limits
        self._metrics = metrics
        self._held = 0
        self._bodies = 0
        self._each: Counter[str] = Counter()

    async def body(self, request: Request, raw: RawRequest, bill: Bill) -> bytes | Refused:
        """The body, or one byte more than is allowed of it; or why it is not taken."""
        refused = refused_by_head(raw, self._longest, self._limits.drained)
        if refused is not None:
            return refused
        if not bill.is_covered():
            return Refused(THROTTLING_USER)
        if not self._has_room(bill.address):
            return Refused(SERVICE_UNAVAILABLE)
        kept: list[bytes] = []
        self._enter(bill.address)
        try:
            return await self._read(request, bill, kept)
        finally:
            self._leave(bill.address, sum(map(len, kept)))

    async def _read(self, request: Request, bill: Bill, kept: list[bytes]) -> bytes | Refused:
        loop = asyncio.get_running_loop()
        began, limits = loop.time(), self._limits
        size = read = 0
        try:
            async with asyncio.timeout_at(began + min(limits.seconds, limits.grace_s)) as end:
                async for piece in request.stream():
                    read += len(piece)
                    bill.add(len(piece))
                    if piece and not bill.is_covered():
                        return Refused(THROTTLING_USER)
                    if read > limits.drained:
                        return Refused(BODY_TOO_LARGE)
                    part = piece[: self._longest + 1 - size]
                    if part:
                        if self._held + len(part) > limits.held:
                            return Refused(SERVICE_UNAVAILABLE)
                        kept.append(part)
                        size += len(part)
                        self._hold(len(part))
                    # As long as its rate is kept, its end moves on.
                    earned = limits.grace_s + read / limits.least_rate
                    end.reschedule(began + min(limits.seconds, earned))
        except (ClientDisconnect, TimeoutError):
            return Refused(REQUEST_TIMEOUT)
        return b"".join(kept)

    def _has_room(self, address: str | None) -> bool:
        each = 0 if address is None else self._each[address]
        return self._bodies < self._limits.bodies and each < self._limits.bodies_each

    def _enter(self, address: str | None) -> None:
        self._bodies += 1
        self._metrics.move("body")
        if address is not None:
            self._each[address] += 1

    def _leave(self, address: str | None, size: int) -> None:
        self._bodies -= 1
        self._metrics.move(None, "body")
        self._hold(-size)
        if address is not None:
            self._each[address] -= 1
            if not self._each[address]:
                del self._each[address]

    def _hold(self, size: int) -> None:
        self._held += size
        self._metrics.hold(size)


def refused_by_head(raw: RawRequest, longest: int, drained: int) -> Refused | None:
    """Judge a body by what the head says of it, before any of it is read.

    Compressed bodies are not taken: nothing is ever unpacked. A body that says itself that it is too large
    is read to its end all the same where that is bearable and its sender does not wait for a word to go on,
    since most senders read no answer before they have sent everything.

    Args:
        raw: method, target and headers.
        longest: longest body, bytes.
        drained: longest one that is read and thrown away, bytes.
    """
    if is_encoded(raw):
        return Refused(UNSUPPORTED_ENCODING)
    told = raw.header("content-length") or "0"
    size = int(told) if told.isascii() and told.isdigit() and len(told) < 20 else 0
    if size > (longest if raw.header("expect") else drained):
        return Refused(BODY_TOO_LARGE)
    return None
