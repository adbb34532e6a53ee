"""`Gateway`: one request in, one answer out, whatever carries them. The file to read first in this room.

```
RawRequest ──params──▶ parameters ──admission──▶ access key ──service──▶ Outcome ──▶ RawAnswer
                │                       │
                └──────── Refused ──────┴──▶ string code, HTTP 4xx/5xx
```
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from typing import Final

from structlog.contextvars import bound_contextvars

from pipeline.errors import StoreError
from pipeline.gateway.access import AccessKeys
from pipeline.gateway.admission import Admission
from pipeline.gateway.attesting import Attesting
from pipeline.gateway.audit import AuditEntry, AuditLog, Trace
from pipeline.gateway.authority import Authority
from pipeline.gateway.counters import Limit
from pipeline.gateway.faces import Embedder
from pipeline.gateway.keeping import Arrival
from pipeline.gateway.operation.logs import fault, log_request
from pipeline.gateway.operation.watch import Seen, Watch, stage_of
from pipeline.gateway.options import GatewayOptions
from pipeline.gateway.outcome import Outcome
from pipeline.gateway.params import INVALID_FORMAT, Refused, format_of, read_parameters, wanted_format
from pipeline.gateway.quota import QuotaGuard
from pipeline.gateway.returning import ReturnImages
from pipeline.gateway.risk import Risk
from pipeline.gateway.service import FaceVerify
from pipeline.gateway.sessions import Sessions
from pipeline.gateway.shared import open_shared
from pipeline.gateway.wire import RawAnswer, RawRequest
from pipeline.protocol.answers import Answer, Format, Refusal, build_answer, content_type
from pipeline.protocol.codes import (
    API_NOT_FOUND,
    INTERNAL_ERROR,
    SERVICE_UNAVAILABLE,
    THROTTLING_USER,
    UnifiedCode,
)

log = logging.getLogger("livegate.gateway")

HEALTH_PATH: Final = "/healthz"
STRANGERS_AUDITED: Final = 600
"""Requests without a right signature that get an audit row, in one minute: anybody can send them."""
_PLAIN: Final = (("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store"))


class Gateway:
    """The face_verify protocol's server side, without a transport. Safe to share between threads.

    Args:
        authority: enrolled people; its store is closed with the gateway.
        embedder: gives the embedder; called when the first picture comes, and may be called again.
        options: how to answer.
        clock: seconds since 1970.
        new_request_id: gives ``RequestId``.
    """

    def __init__(
        self,
        authority: Authority,
        embedder: Callable[[], Embedder],
        *,
        options: GatewayOptions | None = None,
        clock: Callable[[], float] = time.time,
        new_request_id: Callable[[], str] = lambda: str(uuid.uuid4()).upper(),
    ) -> None:
        self.authority = authority
        self.options = options or GatewayOptions()
        self.access_keys = AccessKeys(authority.store, authority.vault)
        self._embedder = embedder
        self._clock = clock
        self._new_request_id = new_request_id
        self._watches: list[Watch] = [log_request]
        self.shared = open_shared(authority, self.options.redis_url)
        self._admission = Admission(self.access_keys, self.shared.nonces)
        self._counters = self.shared.counters
        self._quota = QuotaGuard(
            self._counters, authority.vault, each=self.options.quota, whole=self.options.whole_quota
        )
        self._audit = AuditLog(authority.store, authority.vault) if self.options.audit else None
        self.risk = Risk(self._counters, authority.vault, self.options.risk)
        self._service = FaceVerify(
            authority,
            Sessions(authority.store),
            embedder,
            pictures=self.options.pictures,
            cert_check=self.options.cert_check,
            evidence=None if self.options.evidence is None else self.options.evidence(authority),
            risk=self.risk,
            devices=self.options.devices,
            pass_score=self.options.pass_score,
            suspended=self.options.suspended,
            attesting=Attesting(authority.vault, self.options.attestation),
            images=ReturnImages(
                authority.store, authority.vault, self.options.return_image_s, self.options.pictures
            ),
        )

    def handle(self, request: RawRequest) -> RawAnswer:
        """Answer one request. Never raises: whatever goes wrong is an answer of the protocol.

        Args:
            request: as it came over the wire.

        Returns:
            HTTP 200 with an integer ``Code`` from the service, HTTP 4xx or 5xx with a string ``Code`` from
            the gateway, or at `HEALTH_PATH` the word that the process lives.
        """
        path = request.target.partition("?")[0]
        if path == HEALTH_PATH:
            return self._health(request)
        request_id = self._new_request_id()
        with bound_contextvars(request_id=request_id):  # on every line that the log gets meanwhile
            return self._handle(request, path, request_id)

    def _handle(self, request: RawRequest, path: str, request_id: str) -> RawAnswer:
        started = time.perf_counter()
        form = wanted_format(request)
        trace = Trace()
        found: Outcome | Refused
        try:
            params = read_parameters(request, self.options.limits)
            if isinstance(params, Refused):
                found = params
            else:
                form = format_of(params) or form
                found = self._decide(request.method, path, params, Arrival.of(request, request_id), trace)
        except StoreError as error:
            log.error("%s: %s", request_id, fault(error))
            found = Refused(SERVICE_UNAVAILABLE)
        except Exception as error:
            log.error("%s: %s", request_id, fault(error))
            found = Refused(INTERNAL_ERROR)
        found = self._record(found, trace, request_id, (time.perf_counter() - started) * 1000)
        answer = self._write(found, request_id, form, admitted=trace.admitted)
        self._tell(request, answer, found, request_id, trace, time.perf_counter() - started)
        return answer

    def refuse(self, request: RawRequest, refused: Refused, *, stage: str | None = None) -> RawAnswer:
        """Answer without a look at the request, where its carrier can't take it.

        Args:
            request: as far as it came.
            refused: what to say.
            stage: one of `pipeline.gateway.operation.watch.STAGES`; by the code if left out.
        """
        request_id = self._new_request_id()
        answer = self._write(refused, request_id, wanted_format(request))
        self._tell(request, answer, refused, request_id, Trace(), 0.0, stage)
        return answer

    def add_watch(self, watch: Watch) -> None:
        """Tell somebody of every answered request from now on, free of personal data."""
        self._watches.append(watch)

    @property
    def embedder(self) -> Embedder:
        """The embedder that it matches with, loaded now if it was not yet.

        Raises:
            ModelError: a model file is missing or can't be loaded.
        """
        return self._embedder()

    def close(self) -> None:
        """Close the database, and the connections to Redis. Idempotent."""
        self.shared.close()
        self.authority.store.close()

    def _decide(
        self, method: str, path: str, params: dict[str, str], arrival: Arrival, trace: Trace
    ) -> Outcome | Refused:
        if format_of(params) is None:
            return Refused(INVALID_FORMAT)
        if path not in ("", "/"):
            return Refused(API_NOT_FOUND)
        now = self._clock()
        admitted = self._admission.admit(method, params, now=now, trace=trace)
        if isinstance(admitted, Refused):
            return admitted
        if isinstance(admitted, UnifiedCode):
            return Outcome(admitted, admitted.message, {})
        trace.admitted = True
        if not self._quota.take_whole(now=now):
            return Refused(THROTTLING_USER)
        if admitted.is_open(now) and not self._quota.take(admitted, now=now):
            return Outcome(UnifiedCode.QUOTA, UnifiedCode.QUOTA.message, {})
        return self._service.execute(
            admitted.owner,
            params["ServiceParameters"],
            now=now,
            arrival=arrival,
            key=admitted,
            trace=trace,
        )

    def _record(
        self, found: Outcome | Refused, trace: Trace, request_id: str, elapsed: float
    ) -> Outcome | Refused:
        """Write the audit row. What can't be written down is not answered."""
        if self._audit is None:
            return found
        at = int(self._clock())
        detail = None if isinstance(found, Refused) else found.detail
        entry = AuditEntry(
            at=at,
            key_id=trace.key_id,
            method=trace.method,
            code=found.code.code if isinstance(found, Refused) else str(int(found.code)),
            sub_code="" if detail is None else detail.sub_code,
            person=trace.person,
            request_id=request_id,
            elapsed_ms=int(elapsed),
        )
        try:
            if trace.admitted or self._may_audit_stranger(at):
                self._audit.append(entry)
        except Exception as error:
            log.error("%s: no audit row: %s", request_id, fault(error))
            return Refused(SERVICE_UNAVAILABLE) if trace.admitted else found
        return found

    def _tell(
        self,
        request: RawRequest,
        answer: RawAnswer,
        found: Outcome | Refused,
        request_id: str,
        trace: Trace,
        seconds: float,
        stage: str | None = None,
    ) -> None:
        detail = None if isinstance(found, Refused) else found.detail
        code = found.code.code if isinstance(found, Refused) else str(int(found.code))
        sub_code = "" if detail is None else detail.sub_code
        seen = Seen(
            request_id,
            trace.method,
            code,
            sub_code,
            answer.status,
            stage_of(code, sub_code) if stage is None else stage,
            key=self.authority.vault.digest("logged key", trace.key_id)[:12] if trace.key_id else "",
            admitted=trace.admitted,
            seconds=seconds,
            target_bytes=len(request.target),
            body_bytes=len(request.body),
            answer_bytes=len(answer.body),
            spent=trace.spent,
        )
        for watch in self._watches:
            watch(seen)

    def _may_audit_stranger(self, now: int) -> bool:
        limit = Limit(self.authority.vault.digest("audited strangers"), STRANGERS_AUDITED, now + 60)
        return self._counters.take([limit], now=now) is not None

    def _write(
        self, found: Outcome | Refused, request_id: str, form: Format, *, admitted: bool = False
    ) -> RawAnswer:
        answer: Answer | Refusal
        if isinstance(found, Refused):
            status = found.code.http_status
            message = found.code.message + found.detail
            answer = Refusal(found.code.code, message, request_id, self.options.host_id)
        else:
            status = 200
            data = dict(found.data)
            if self.options.detailed_codes and found.detail is not None:
                data["resultCode"] = str(found.detail.result_code)
                data["resultCodeSub"] = found.detail.sub_code
                data["resultMsgSub"] = found.detail.message
            answer = Answer(int(found.code), found.message, request_id, data)
        headers = (
            ("content-type", content_type(form)),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        )
        return RawAnswer(status, headers, build_answer(answer, form), admitted)

    def _health(self, request: RawRequest) -> RawAnswer:
        if request.method not in ("GET", "HEAD"):
            return RawAnswer(405, (*_PLAIN, ("allow", "GET, HEAD")), b"method not allowed\n")
        return RawAnswer(200, _PLAIN, b"ok\n")

    def __repr__(self) -> str:
        return f"Gateway({self.authority!r})"
