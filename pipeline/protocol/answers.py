"""Answers of the face_verify service and of the gateway in front of it, in JSON and in XML.

An `Answer` is the service's own: HTTP 200 and an integer ``Code``. A `Refusal` is the gateway's: HTTP 4xx
or 5xx and a string ``Code``. Source: the service's reference; its gateway for the XML roots.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from pipeline.errors import AnswerError
from pipeline.protocol.codes import DETAILED_CODES, sub_code_in

Format = Literal["JSON", "XML"]

MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""Largest body that is parsed. The largest honest one answers ``query`` with a picture: 1 MB in base64."""

_SERVICE_ROOT: Final = "ExecuteRequestResponse"
_GATEWAY_ROOT: Final = "Error"
_NUMBER: Final = re.compile(r"-?\d{1,12}(\.\d{1,18})?", re.ASCII)
_MAX_CODE: Final = 99_999
# What XML 1.0 (section 2.2) can't carry, not even escaped.
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service itself answered.

    Attributes:
        code: ``Code``, 200 for success; see `pipeline.protocol.codes.UnifiedCode`.
        message: ``Message`` as received; not to be logged, a foreign server may echo anything in it.
        request_id: ``RequestId`` as received, or None.
        data: ``Data``, empty where there is none. In XML every value is text but ``score``.
    """

    code: int
    message: str = field(default="OK", repr=False)
    request_id: str | None = field(default=None, repr=False)
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def sub_code(self) -> str | None:
        """Detailed code of the reference, from ``Data.resultCodeSub`` or out of the message, or None."""
        stated = self.data.get("resultCodeSub")
        if isinstance(stated, str) and stated in DETAILED_CODES:
            return stated
        return sub_code_in(self.message)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the gateway in front of the service answered.

    Attributes:
        code: string ``Code``.
        message: ``Message`` as received; not to be logged, it may hold the string to sign.
        request_id: ``RequestId`` as received, or None.
        host_id: ``HostId``, the host that was asked, or None.
    """

    code: str
    message: str = field(default="", repr=False)
    request_id: str | None = field(default=None, repr=False)
    host_id: str | None = field(default=None, repr=False)


def parse_answer(body: bytes) -> Answer | Refusal:
    """Parse a body, JSON or XML by its first character.

    Args:
        body: whole body, at most `MAX_ANSWER_BYTES`, UTF-8.

    Returns:
        An `Answer` for an integer ``Code``, a `Refusal` for a word.

    Raises:
        AnswerError: the body is too large or in none of the protocol's forms. It holds nothing of the body.
    """
    if len(body) > MAX_ANSWER_BYTES:
        raise AnswerError(f"The answer is larger than {MAX_ANSWER_BYTES} bytes.")
    try:
        text = body.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        text = ""
    fields = None
    if text.startswith("{"):
        fields = _read_json(text)
    elif text.startswith("<"):
        fields = _read_xml(text)
    if fields is None:
        raise AnswerError("The answer is neither JSON nor XML of the protocol.")
    return _typed(fields)


def build_answer(answer: Answer | Refusal, form: Format) -> bytes:
    """Write an answer as the service, or a refusal as its gateway, does.

    Args:
        answer: what to say; parts that are None or empty are left out.
        form: ``"JSON"`` or ``"XML"``.

    Returns:
        The body, UTF-8.
    """
    fields: dict[str, Any]
    if isinstance(answer, Answer):
        root = _SERVICE_ROOT
        fields = {"Data": dict(answer.data) or None, "Message": answer.message, "Code": answer.code}
        fields["RequestId"] = answer.request_id
    else:
        root = _GATEWAY_ROOT
        fields = {"RequestId": answer.request_id, "HostId": answer.host_id}
        fields |= {"Code": answer.code, "Message": answer.message}
    fields = {name: value for name, value in fields.items() if value is not None}
    if form == "JSON":
        return json.dumps(fields, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    tree = ET.Element(root)
    for name, value in fields.items():
        _append(tree, name, value)
    written: bytes = ET.tostring(tree, encoding="UTF-8", xml_declaration=True)
    return written


def content_type(form: Format) -> str:
    """``Content-Type`` header of a body of this form."""
    return "application/json;charset=utf-8" if form == "JSON" else "text/xml;charset=utf-8"


def _append(parent: ET.Element, name: str, value: object) -> None:
    element = ET.SubElement(parent, name)
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _append(element, str(key), inner)
    elif isinstance(value, bool):
        element.text = "true" if value else "false"
    elif value is not None:
        element.text = _NOT_XML.sub("\ufffd", str(value))


def _read_json(text: str) -> dict[str, Any] | None:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        fields = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _read_xml(text: str) -> dict[str, Any] | None:
    try:
        root = fromstring(text, forbid_dtd=True)
    except (ET.ParseError, DefusedXmlException, ValueError):
        return None
    if root.tag not in (_SERVICE_ROOT, _GATEWAY_ROOT):
        return None
    fields: dict[str, Any] = {child.tag: (child.text or "").strip() for child in root}
    data = root.find("Data")
    if data is not None:
        fields["Data"] = {child.tag: (child.text or "").strip() for child in data}
        score = fields["Data"].get("score")
        if score is not None and _NUMBER.fullmatch(score):
            fields["Data"]["score"] = float(score)
    return fields


def _typed(fields: dict[str, Any]) -> Answer | Refusal:
    code = fields.get("Code")
    message = fields.get("Message", "")
    request_id = fields.get("RequestId")
    data = fields.get("Data")
    if not isinstance(message, str) or not isinstance(request_id, str | None):
        raise AnswerError("The answer's Message or RequestId is not text.")
    if not isinstance(data, dict | None):
        raise AnswerError("The answer's Data is not an object.")
    if isinstance(code, str) and re.fullmatch(r"\d{1,5}", code, re.ASCII):
        code = int(code)
    if isinstance(code, int) and not isinstance(code, bool) and 0 <= code <= _MAX_CODE:
        return Answer(code, message, request_id or None, data or {})
    if isinstance(code, str) and code:
        host_id = fields.get("HostId")
        return Refusal(code, message, request_id or None, host_id if isinstance(host_id, str) else None)
    raise AnswerError("The answer's Code is neither an integer nor a word.")
