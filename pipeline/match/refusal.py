"""From a refused request to the error of the tree, with nothing in it that a server may have echoed.

``SignatureDoesNotMatch`` carries the string to sign in its message, and any message may repeat a name or a
number. So known texts are raised: the reference's own for its codes, and of a server's words only known ones.
"""

from __future__ import annotations

import re
from typing import Final

from pipeline.errors import GatewayError, ServiceError
from pipeline.match.results import request_id_of
from pipeline.protocol.answers import Answer, Refusal
from pipeline.protocol.codes import DETAILED_CODES, GATEWAY_CODES, UnifiedCode

_FIELD_MESSAGE: Final = re.compile(
    "(?:name|certNumber|metainfo|imgbase64|method|queryId|biz[Ii]d|returnImage|ServiceParameters|consent"
    "|attestation)"
    "(?:不能为空|不合法|不正确|无效|过大|过长)"
)
"""The form of the reference's example ``name不能为空``."""
_GATEWAY_WORD: Final = re.compile(
    r"(?:Forbidden|Incomplete|Internal|Invalid|Missing|NoPermission|Service|Signature|Throttling|Unauthorized"
    r"|Unsupported)[A-Za-z.]{0,48}",
    re.ASCII,
)
_CLOCK_HINT: Final = "Set the machine's clock: it differs from the service's by more than 15 minutes."
_DETAILED_HINTS: Final[dict[str | None, str]] = {
    "Z5137": "Ask again when the person has finished the check.",
    "Z8301": "Check queryId and bizId.",
}
_SERVICE_HINTS: Final = {
    UnifiedCode.BAD_PARAMETERS: "Check the name, the certificate number and the picture.",
    UnifiedCode.QUOTA: "Wait, or raise the quota of the account.",
    UnifiedCode.NOT_PERMITTED: "Open or renew the service for this account.",
    UnifiedCode.UNKNOWN_SERVICE: "Check that the endpoint offers face_verify.",
    UnifiedCode.SERVER_ERROR: "Try again later.",
}


def service_error(answer: Answer) -> ServiceError:
    """Error for an answer whose ``Code`` is not 200.

    Its message names the code, the detailed code if there is one, and the reference's sentence for it.
    """
    known = UnifiedCode(answer.code) if answer.code in list(UnifiedCode) else None
    sub_code = answer.sub_code
    if sub_code is not None:
        told = f"{DETAILED_CODES[sub_code].message} {DETAILED_CODES[sub_code].explanation}"
    elif _FIELD_MESSAGE.fullmatch(answer.message):
        told = answer.message
    else:
        told = known.message if known is not None else "a code that the reference does not list"
    return ServiceError(
        f"The service answered Code {answer.code}: {told}",
        service_code=answer.code,
        sub_code=sub_code,
        request_id=request_id_of(answer),
        hint=_DETAILED_HINTS.get(sub_code) or (_SERVICE_HINTS.get(known) if known is not None else None),
    )


def gateway_error(refusal: Refusal, status: int) -> GatewayError:
    """Error for a refusal of the gateway; a ``Code`` that is no known kind of word is not repeated."""
    word = refusal.code
    if word not in GATEWAY_CODES and not _GATEWAY_WORD.fullmatch(word):
        word = "Unknown"
    return GatewayError(
        f"The gateway refused the request: {word} (HTTP {status}).",
        gateway_code=word,
        http_status=status,
        request_id=request_id_of(refusal),
        hint=_CLOCK_HINT if word == "InvalidTimeStamp.Expired" else None,
    )
