"""A request's parameters: query and form body merged, exactly as the signature sees them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from pipeline.gateway.wire import Limits, RawRequest
from pipeline.protocol.answers import Format
from pipeline.protocol.codes import UNSUPPORTED_METHOD, GatewayCode

INVALID_PARAMETER: Final = GatewayCode(
    "InvalidParameter", 400, "The parameters are not one well-formed set of UTF-8 names and values."
)
DUPLICATED_PARAMETER: Final = GatewayCode("InvalidParameter", 400, "A parameter is given more than once.")
INVALID_FORMAT: Final = GatewayCode("InvalidParameter", 400, "Specified parameter Format is not valid.")
URI_TOO_LONG: Final = GatewayCode("RequestURITooLong", 414, "The request line is too long.")
BODY_TOO_LARGE: Final = GatewayCode("RequestEntityTooLarge", 413, "The request body is too large.")
REQUEST_TIMEOUT: Final = GatewayCode("RequestTimeout", 408, "The request body did not come in time.")
UNSUPPORTED_BODY: Final = GatewayCode(
    "UnsupportedMediaType", 415, "The request body must be application/x-www-form-urlencoded."
)
UNSUPPORTED_ENCODING: Final = GatewayCode(
    "UnsupportedMediaType", 415, "A request body with a Content-Encoding is not taken."
)
INVALID_REQUEST: Final = GatewayCode(
    "InvalidRequest", 400, "The request is not well-formed HTTP, or its head is too large."
)
LATE_HEAD: Final = GatewayCode("RequestTimeout", 408, "The request's head did not come in time.")

_FORM: Final = "application/x-www-form-urlencoded"
_METHODS: Final = ("GET", "POST")
_FORMATS: Final[dict[str, Format]] = {"json": "JSON", "JSON": "JSON", "xml": "XML", "XML": "XML"}
# How far a request line that is refused for its length is read to learn the wanted form of the answer.
_PEEKED: Final = 4096
_FORMAT_IN_QUERY: Final = re.compile(r"(?:^|&)Format=(json|xml)(?:&|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that the gateway does not let through to the service.

    Attributes:
        code: what the answer says.
        detail: text appended to its message: the string to sign, and nothing else, ever. Not in the repr.
    """

    code: GatewayCode
    detail: str = ""

    def __repr__(self) -> str:
        return f"Refused({self.code.code})"


def wanted_format(request: RawRequest) -> Format:
    """Form of the answer where the parameters can't be read: by the query, else by the Accept header."""
    found = _FORMAT_IN_QUERY.search(request.target.partition("?")[2][:_PEEKED])
    if found:
        return _FORMATS[found[1].lower()]
    return "JSON" if "application/json" in (request.header("accept") or "") else "XML"


def is_encoded(request: RawRequest) -> bool:
    """True where the body is said to be compressed. Nothing here ever unpacks one."""
    return (request.header("content-encoding") or "identity").strip().lower() not in ("identity", "")


def format_of(params: Mapping[str, str]) -> Format | None:
    """``Format`` as json, JSON, xml or XML; XML where it is absent or empty; None for any other word."""
    return _FORMATS.get(params.get("Format") or "XML")


def read_parameters(request: RawRequest, limits: Limits) -> dict[str, str] | Refused:
    """Read query and form body into one set of parameters.

    Blank values are kept, ``+`` is a space, extra parameters are let through. Percent-escapes must be UTF-8.

    Args:
        request: the request as received.
        limits: sizes beyond which nothing is parsed.

    Returns:
        Values by name, or why not: an unknown HTTP method, too long, a body of another type or compressed, a
        name that occurs twice (in query, body, or once in each), text that is not UTF-8.
    """
    if request.method not in _METHODS:
        return Refused(UNSUPPORTED_METHOD)
    if len(request.target) > limits.target:
        return Refused(URI_TOO_LONG)
    if len(request.body) > limits.body:
        return Refused(BODY_TOO_LARGE)
    if is_encoded(request):
        return Refused(UNSUPPORTED_ENCODING)
    media_type = (request.header("content-type") or _FORM).partition(";")[0].strip().lower()
    if request.body and media_type != _FORM:
        return Refused(UNSUPPORTED_BODY)

    if not request.target.isascii():
        return Refused(INVALID_PARAMETER)
    params: dict[str, str] = {}
    try:
        texts = (request.target.partition("?")[2], request.body.decode("utf-8"))
        for text in filter(None, texts):
            for name, value in parse_qsl(
                text, keep_blank_values=True, errors="strict", max_num_fields=limits.fields - len(params)
            ):
                if name in params:
                    return Refused(DUPLICATED_PARAMETER)
                params[name] = value
    except ValueError:  # UnicodeError too; its text would hold the value, so it goes no further
        return Refused(INVALID_PARAMETER)
    return params
