"""`MatchClient`: init, query and match of the face_verify service, signed, bounded, not sent twice blindly.

The rules of trying again are in docs/adr/0006. No body, string to sign, name, number or key is logged or
raised.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import tenacity

from pipeline.errors import (
    ConsentError,
    MatchError,
    PassError,
    SettingsError,
    UsageError,
)
from pipeline.match.encode import Upload
from pipeline.match.exchange import Exchange, Loss
from pipeline.match.outcome import Failure, of_loss, of_reply
from pipeline.match.person import Person
from pipeline.match.reason import reason_for
from pipeline.match.results import (
    InitResult,
    MatchResult,
    QueryResult,
    read_init,
    read_match,
    read_query,
    request_id_of,
)
from pipeline.match.rules import Retries, Timeouts
from pipeline.protocol.answers import Answer
from pipeline.protocol.attestation import ATTESTATION_HEADER, MAX_ATTESTATION
from pipeline.protocol.codes import ACTION, SERVICE, VERSION
from pipeline.protocol.consent import CONSENT_HEADER, MAX_CONSENT
from pipeline.protocol.signing import (
    HMAC_SHA1,
    SIGNATURE_VERSION,
    AccessKey,
    Encoded,
    percent_encode,
    signed_form,
)

if TYPE_CHECKING:
    import httpx

__all__ = ["InitResult", "MatchClient", "MatchResult", "QueryResult", "reason_for"]

log = logging.getLogger("livegate.match")

_QUERY_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


class MatchClient:
    """Client of a face_verify service. Safe to share between threads; close it or use it in ``with``.

    Args:
        endpoint: ``https://...``; ``http://`` to loopback only.
        key_id: ``AccessKeyId``.
        key_secret: its secret.
        timeout: limits in seconds.
        retries: number of tries and their pauses.
        proxy: proxy URL; the environment's proxies where None.
        ca_file: PEM certificates to trust instead of the usual ones; verification can't be switched off.
        allow_plain_http: lets ``http://`` reach hosts other than loopback.
        transport: used instead of sockets, for tests and for a gateway in the same process.
        clock: Unix time in seconds, for ``Timestamp``.
        nonce: a new ``SignatureNonce`` at every call.
        sleep: waits between tries, seconds.

    Raises:
        SettingsError: an argument can't be used; the message never shows its value.

    Example:
        ```python
        with MatchClient("https://saf.cn-shanghai.aliyuncs.com", key_id, key_secret) as client:
            result = client.match(Person("张三", "330103..."), encode_upload(live_pass), consent="2026-0001")
        ```
    """

    def __init__(
        self,
        endpoint: str,
        key_id: str,
        key_secret: str,
        *,
        timeout: Timeouts | None = None,
        retries: Retries | None = None,
        proxy: str | None = None,
        ca_file: Path | None = None,
        allow_plain_http: bool = False,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.time,
        nonce: Callable[[], str] = lambda: str(uuid.uuid4()),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not key_id or not key_secret:
            raise SettingsError("The access key's id or secret is empty.")
        self._key = AccessKey(key_id, key_secret)
        self._timeouts = timeout or Timeouts()
        self._retries = retries or Retries()
        self._clock, self._nonce, self._sleep = clock, nonce, sleep
        self._exchange = Exchange(
            endpoint,
            self._timeouts,
            proxy=proxy,
            ca_file=ca_file,
            allow_plain_http=allow_plain_http,
            transport=transport,
        )

    def match(
        self,
        person: Person,
        upload: Upload,
        consent: str,
        *,
        query_id: str | None = None,
        attestation: str | None = None,
    ) -> MatchResult:
        """Ask how alike the uploaded face and the person's source picture are.

        Sent again only after a connect error or a 5xx answer; not where it was sent and no answer came.

        Args:
            person: whose face it should be.
            upload: from `encode_upload`.
            consent: reference under which the person agreed, 1 to `MAX_CONSENT` characters; it travels in
                `CONSENT_HEADER`.
            query_id: ``queryId`` of the session that this upload finishes, for gateways of ours.
            attestation: what the device says of it, see `pipeline.protocol.attestation`; it travels in
                `ATTESTATION_HEADER`.

        Raises:
            UsageError: a query id or attestation of another form.
            PassError: ``upload`` is anything else, or was changed since it was made.
            ConsentError: the reference is empty.
            OutcomeUnknownError: the request was sent and no answer came.
            NetworkError: no connection, or 5xx until the tries ended.
            ServiceError: the service answered another ``Code`` than 200.
            GatewayError: the gateway refused the request.
            AnswerError: the answer is not one of this protocol.
        """
        if not isinstance(upload, Upload):
            raise PassError("Only an upload of a frame that passed can be sent.")
        upload.check()
        if query_id is not None and not _QUERY_ID.fullmatch(query_id):
            raise UsageError("A queryId is 32 hex digits.")
        headers = {}
        if attestation is not None:
            if not (
                attestation.isascii() and attestation.isprintable() and len(attestation) <= MAX_ATTESTATION
            ):
                raise UsageError(f"An attestation is at most {MAX_ATTESTATION} printable characters.")
            headers[ATTESTATION_HEADER] = attestation
        return self._match(person, upload.jpeg, consent, query_id, headers)

    def init(self, person: Person, metainfo: str | Mapping[str, object]) -> InitResult:
        """Begin a check that a client SDK will carry out.

        Args:
            person: whose check it is.
            metainfo: what the client SDK gave, JSON text or its content.

        Raises:
            UsageError: ``metainfo`` is empty or can't be written as JSON.
            MatchError: as `match`.
        """
        text = metainfo if isinstance(metainfo, str) else _json(metainfo)
        if not text.strip():
            raise UsageError("metainfo is empty.")
        fields = {"name": person.name, "certNumber": person.cert_number, "metainfo": text}
        parameters = Encoded.of(_json({"method": "init"} | fields))
        return read_init(self._call("init", parameters, idempotent=False))

    def query(self, query_id: str, biz_id: str, return_image: bool = False) -> QueryResult:
        """Ask for the outcome of a check that `init` began. Changes nothing, so a lost answer is retried.

        Args:
            query_id: ``queryId`` of `init`.
            biz_id: ``bizId`` of `init`.
            return_image: ask for the picture too.

        Raises:
            UsageError: an id is empty or longer than 64 characters.
            MatchError: as `match`; a check that failed is a `ServiceError`, see `reason_for`.
        """
        if not all(0 < len(value) <= 64 for value in (query_id, biz_id)):
            raise UsageError("queryId and bizId are 1 to 64 characters.")
        fields = {"method": "query", "bizId": biz_id, "queryId": query_id}
        if return_image:
            fields["returnImage"] = "1"
        answer = self._call("query", Encoded.of(_json(fields)), idempotent=True)
        return read_query(answer, with_image=return_image)

    def close(self) -> None:
        """Close every connection. Idempotent."""
        self._exchange.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"MatchClient(host={self._exchange.host!r})"

    def _match(
        self,
        person: Person,
        jpeg: bytes,
        consent: str,
        query_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> MatchResult:
        if not consent.strip():
            raise ConsentError("No consent reference was given, so nothing may be uploaded.")
        if len(consent) > MAX_CONSENT:
            raise UsageError(f"A consent reference is at most {MAX_CONSENT} characters.")
        parameters = match_parameters(person, jpeg, query_id)
        sent = {**(headers or {}), CONSENT_HEADER: percent_encode(consent)}
        return read_match(self._call("match", parameters, idempotent=False, headers=sent))

    def _call(
        self, method: str, parameters: Encoded, *, idempotent: bool, headers: dict[str, str] | None = None
    ) -> Answer:
        """Try until there is an answer with ``Code`` 200, a failure that forbids another try, or no time."""
        limits = self._timeouts
        deadline = time.monotonic() + limits.total

        def attempt() -> Answer | Failure:
            started = time.monotonic()
            body = signed_form(self._key, self._public_parameters() | {"ServiceParameters": parameters})
            reply = self._exchange.post(body, headers or {}, deadline)
            if isinstance(reply, Loss):
                outcome: Answer | Failure = of_loss(reply, idempotent=idempotent)
            else:
                outcome = of_reply(reply.status, reply.body, idempotent=idempotent)
            self._report(method, outcome, time.monotonic() - started)
            return outcome

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda outcome: isinstance(outcome, Failure) and outcome.again),
            # A further try needs time for its answer, else it would only end as unknown.
            stop=tenacity.stop_after_attempt(self._retries.attempts)
            | tenacity.stop_before_delay(max(0.0, limits.total - limits.read)),
            wait=tenacity.wait_random_exponential(self._retries.first_pause, self._retries.longest_pause),
            sleep=self._sleep,
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        outcome = retrying(attempt)
        if isinstance(outcome, Failure):
            raise outcome.error
        return outcome

    def _public_parameters(self) -> dict[str, str | Encoded]:
        """New nonce and time at every try: the service refuses a nonce that it has seen."""
        return {
            "AccessKeyId": self._key.key_id,
            "Action": ACTION,
            "Format": "JSON",
            "Service": SERVICE,
            "SignatureMethod": HMAC_SHA1.method,
            "SignatureNonce": self._nonce(),
            "SignatureVersion": SIGNATURE_VERSION,
            "Timestamp": datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Version": VERSION,
        }

    def _report(self, method: str, outcome: Answer | Failure, elapsed: float) -> None:
        found: object = outcome.error if isinstance(outcome, Failure) else outcome
        word = found.code if isinstance(found, MatchError | Answer) else None
        code = getattr(found, "service_code", None) or getattr(found, "gateway_code", None) or word
        log.info(
            "%s at %s: %s, request id %s, %.0f ms",
            method,
            self._exchange.host,
            code,
            request_id_of(found),
            elapsed * 1000,
        )


def match_parameters(person: Person, jpeg: bytes, query_id: str | None = None) -> Encoded:
    """``ServiceParameters`` of a ``match``, percent-encoded.

    base64 needs no escape in JSON, so the picture is put between the written texts as it is. Cost:
    ``python -m benchmarks stages``.

    Args:
        person: whose face it should be.
        jpeg: picture file.
        query_id: session that it finishes, or None.
    """
    fields = {"method": "match", "name": person.name, "certNumber": person.cert_number}
    if query_id is not None:
        fields["queryId"] = query_id
    head = _json(fields)
    return Encoded.of(head[:-1] + ',"imgbase64":"') + Encoded.of_base64(jpeg) + Encoded.of('"}')


def _json(fields: Mapping[str, Any]) -> str:
    try:
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError):
        pass
    raise UsageError("metainfo can't be written as JSON.")
