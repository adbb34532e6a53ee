"""What the service's three methods answer, typed and checked."""

from __future__ import annotations

import base64
import binascii
import math
import re
from dataclasses import dataclass, field
from typing import Final

from pipeline.errors import AnswerError
from pipeline.protocol.answers import Answer

_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
# A UUID, with or without dashes. Request ids are logged, and anything else could be an echo of what was sent.
_REQUEST_ID: Final = re.compile(r"[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class MatchResult:
    """Answer to ``match``: how alike the two faces are. Whether that passes is the gate's to say.

    Attributes:
        code: 200; every other code is a `ServiceError`.
        score: in [0, 100], higher is more alike.
        request_id: the service's, for its support, or None.
        sub_code: detailed code of the reference if the service tells one, or None.
    """

    code: int
    score: float
    request_id: str | None
    sub_code: str | None = None


@dataclass(frozen=True, slots=True)
class InitResult:
    """Answer to ``init``: the two names of a check that was begun.

    Attributes:
        query_id: ``queryId``, for the client SDK and for ``query``.
        biz_id: ``bizId``, for ``query``.
        request_id: the service's, or None.
    """

    query_id: str
    biz_id: str
    request_id: str | None


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Answer to ``query``: the check was passed; a check that was not is a `ServiceError`.

    Attributes:
        code: 200.
        image: picture of the check as JPEG bytes, hidden from the repr; None if it was not asked for, or the
            service gave none.
        request_id: the service's, or None.
        sub_code: detailed code of the reference if the service tells one, or None.
    """

    code: int
    image: bytes | None = field(repr=False)
    request_id: str | None
    sub_code: str | None = None


def request_id_of(answer: object) -> str | None:
    """``RequestId`` of an answer or refusal if it is a UUID, else None: others are not fit for logs."""
    found = getattr(answer, "request_id", None)
    return found if isinstance(found, str) and _REQUEST_ID.fullmatch(found) else None


def read_match(answer: Answer) -> MatchResult:
    """Read the answer to ``match``.

    Raises:
        AnswerError: the score is missing, not a finite number, or outside [0, 100].
    """
    score = answer.data.get("score")
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise AnswerError("The answer to match has no score.")
    if not 0 <= score <= 100 or not math.isfinite(score):
        raise AnswerError("The answer's score is outside 0 to 100.")
    return MatchResult(answer.code, float(score), request_id_of(answer), answer.sub_code)


def read_init(answer: Answer) -> InitResult:
    """Read the answer to ``init``.

    Raises:
        AnswerError: ``queryId`` or ``bizId`` is missing or not 1 to 64 letters, digits, ``-`` and ``_``.
    """
    ids = [answer.data.get(name) for name in ("queryId", "bizId")]
    if not all(isinstance(value, str) and _ID.fullmatch(value) for value in ids):
        raise AnswerError("The answer to init has no usable queryId and bizId.")
    return InitResult(str(ids[0]), str(ids[1]), request_id_of(answer))


def read_query(answer: Answer, *, with_image: bool) -> QueryResult:
    """Read the answer to ``query``.

    Args:
        answer: of code 200.
        with_image: a picture was asked for; without it one that came is dropped.

    Raises:
        AnswerError: a picture was asked for, and what came is not base64. That none came is no error: the
            reference marks it as not required, and the result must not be lost with it.
    """
    image = None
    text = answer.data.get("image")
    if with_image and text not in (None, ""):
        if not isinstance(text, str):
            raise AnswerError("The answer's picture is not text.")
        image = _picture(text)
    return QueryResult(answer.code, image, request_id_of(answer), answer.sub_code)


def _picture(text: str) -> bytes:
    """URL-safe base64 as the reference says, the standard alphabet too, padding optional."""
    standard = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        pass
    raise AnswerError("The answer's picture is not base64.")
