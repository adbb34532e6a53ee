"""One connection: uvicorn's, with time limits on heads, the service's error form, and a careful end."""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from pipeline.gateway.params import INVALID_REQUEST, LATE_HEAD
from pipeline.protocol.answers import Refusal, build_answer, content_type
from pipeline.protocol.codes import GatewayCode

log = logging.getLogger("livegate.gateway")

HEAD_S: Final = 30.0
"""How long a request line and its headers may take to come in."""

LINGER_S: Final = 0.5
"""How long a connection without a request is kept once a stop began: one may be on its way."""


class State(ServerState):
    """What the connections of a server share.

    Attributes:
        stopping: no new connections are taken; each one ends with its next answer.
    """

    stopping = False


class Connection(H11Protocol):
    """uvicorn's, with a time limit on heads and the service's error form for what is no HTTP at all."""

    _head_timer: asyncio.TimerHandle | None = None
    _head_begun = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.BaseProtocol`."""
        super().connection_made(transport)
        self._start_head_timer()
        if isinstance(self.server_state, State) and self.server_state.stopping:
            self.shutdown()  # it was taken in the moment in which the stop began

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._head_begun = True
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:  # part of a head: uvicorn's keep-alive timer is off now
            self._start_head_timer()
        else:
            self._stop_head_timer()

    def shutdown(self) -> None:
        """A stop: what runs is finished, and a request on its way to an idle connection is answered."""
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(LINGER_S, self._close_idle)
        else:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        self._refuse(INVALID_REQUEST)

    def _close_idle(self) -> None:
        if self.transport.is_closing() or not (self.cycle is None or self.cycle.response_complete):
            return
        if self.conn.trailing_data[0]:  # half a head: its own time limit ends it
            self.loop.call_later(LINGER_S, self._close_idle)
            return
        self.transport.close()

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self._head_is_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing() or self.conn.their_state is not h11.IDLE:
            return
        if self._head_begun:
            self._refuse(LATE_HEAD)
        else:
            self.transport.close()

    def _refuse(self, code: GatewayCode) -> None:
        """Answer what never became a request, and close. There is no query yet that could ask for JSON."""
        request_id = str(uuid.uuid4()).upper()
        log.info("%s", code.code, extra={"request_id": request_id, "code": code.code, "stage": "parameters"})
        body = build_answer(Refusal(code.code, code.message, request_id, "livegate"), "XML")
        headers = [
            (b"content-type", content_type("XML").encode("ascii")),
            (b"content-length", str(len(body)).encode("ascii")),
            (b"connection", b"close"),
        ]
        reason = b"Bad Request" if code.http_status == 400 else b"Request Timeout"
        for event in (
            h11.Response(status_code=code.http_status, headers=headers, reason=reason),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
