"""`Outcome`: what the service found, before it is written as an answer, and the ways to one."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipeline.errors import ServiceError
from pipeline.gateway.operation.logs import fault
from pipeline.protocol.codes import DETAILED_CODES, OK_MESSAGE, DetailedCode, UnifiedCode

log = logging.getLogger("livegate.gateway")

BAD_INIT: Final = DETAILED_CODES["Z8101"]
BAD_QUERY: Final = DETAILED_CODES["Z8301"]
LOCKED: Final = DETAILED_CODES["Z1114"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the service found. Its repr shows codes only.

    Attributes:
        code: unified code.
        message: sentence for ``Message``.
        data: ``Data``, empty where there is none.
        detail: detailed code of the cause, or None where the reference has none for it.
        method: ``init``, ``query`` or ``match``; None where it was none of these.
    """

    code: UnifiedCode
    message: str
    data: Mapping[str, Any]
    detail: DetailedCode | None = None
    method: str | None = None

    def __repr__(self) -> str:
        return f"Outcome({self.method}, {int(self.code)}, {self.detail and self.detail.sub_code})"


@contextlib.contextmanager
def stage(sub_code: str) -> Iterator[None]:
    """Whatever fails inside is the system's fault with this detailed code."""
    try:
        yield
    except Exception as error:
        log.error("service fault (%s): %s", sub_code, fault(error))
        code = UnifiedCode.SERVER_ERROR
        raise ServiceError(code.message, service_code=code, sub_code=sub_code) from None


def bad(sentence: str, method: str | None, detail: DetailedCode | None = None) -> Outcome:
    """A parameter is missing or wrong, in the words of a sentence."""
    detail = detail or (BAD_QUERY if method == "query" else BAD_INIT)
    return Outcome(UnifiedCode.BAD_PARAMETERS, sentence, {}, detail, method)


def told(detail: DetailedCode, method: str | None) -> Outcome:
    """A detailed code by itself. ``Message`` is its sentence, or the unified code's where that is fixed."""
    message = detail.message
    if detail.unified is UnifiedCode.OK:
        message = OK_MESSAGE
    elif detail.unified in (UnifiedCode.NOT_PERMITTED, UnifiedCode.SERVER_ERROR):
        message = detail.unified.message
    elif detail is LOCKED:
        message = detail.explanation
    return Outcome(detail.unified, message, {}, detail, method)
