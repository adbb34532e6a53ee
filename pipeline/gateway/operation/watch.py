"""`Seen`: what may be told of one answered request. Logs and metrics get this, and nothing else of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from pipeline.protocol.codes import UnifiedCode

STAGES: Final = (
    "body",
    "budget",
    "queue",
    "parameters",
    "key",
    "signature",
    "time",
    "nonce",
    "quota",
    "terms",
    "risk",
    "service",
    "store",
    "fault",
)
"""Where a request can end without success, in the order in which they are passed.

``body``: too large, too slow or of another type. ``budget``: the address's bytes without a right signature
are used up. ``queue``: too many at once. ``terms``: product closed, or method not in the key's scopes.
``risk``: locked after failures. ``service``: parameters or people that the service does not accept.
``store``: the database or its counters can't be asked. ``fault``: ours."""

_BY_CODE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "RequestTimeout": "body",
        "RequestEntityTooLarge": "body",
        "UnsupportedMediaType": "body",
        "InvalidAccessKeyId.NotFound": "key",
        "IncompleteSignature": "signature",
        "SignatureDoesNotMatch": "signature",
        "InvalidTimeStamp.Format": "time",
        "InvalidTimeStamp.Expired": "time",
        "SignatureNonceUsed": "nonce",
        "Throttling.User": "quota",
        "ServiceUnavailable": "store",
        "InternalError": "fault",
        str(int(UnifiedCode.OK)): "",
        str(int(UnifiedCode.BAD_PARAMETERS)): "service",
        str(int(UnifiedCode.QUOTA)): "quota",
        str(int(UnifiedCode.NOT_PERMITTED)): "terms",
        str(int(UnifiedCode.SERVER_ERROR)): "fault",
    }
)
_RISK: Final = "Z1114"


@dataclass(frozen=True, slots=True)
class Seen:
    """One answered request, without personal data.

    Attributes:
        request_id: ``RequestId`` of the answer.
        method: ``init``, ``query``, ``match``; empty where the service did not get to know it.
        code: ``Code`` of the answer: a unified code in digits, or the gateway's word.
        sub_code: detailed code of the cause, or empty.
        status: HTTP status.
        stage: one of `STAGES`, or empty for a success.
        key: fingerprint of the access key once it is known, or empty. For the log, never for a metric.
        admitted: True once signature, time and nonce were right.
        seconds: time in the gateway's core.
        target_bytes: length of the request's path and query.
        body_bytes: length of its body, as far as it was read.
        answer_bytes: length of the answer's body.
        spent: seconds by part: ``decode``, ``embed``.
    """

    request_id: str
    method: str
    code: str
    sub_code: str
    status: int
    stage: str
    key: str = ""
    admitted: bool = False
    seconds: float = 0.0
    target_bytes: int = 0
    body_bytes: int = 0
    answer_bytes: int = 0
    spent: Mapping[str, float] = field(default_factory=dict)


Watch = Callable[[Seen], None]
"""Told of every answered request, from the thread that answered it. Must be quick and must not raise."""


def stage_of(code: str, sub_code: str = "") -> str:
    """Where a request with this answer ended.

    Args:
        code: ``Code`` of the answer.
        sub_code: detailed code of the cause, or empty.
    """
    if sub_code == _RISK:
        return "risk"
    return _BY_CODE.get(code, "parameters")
