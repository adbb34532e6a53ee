"""Fields of ``ServiceParameters``, read or refused with a sentence that names them, never their value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pipeline.errors import ServiceError
from pipeline.protocol.codes import UnifiedCode

METAINFO_LENGTH: Final = 64 * 1024


def read_fields(text: str) -> dict[str, Any]:
    """Read ``ServiceParameters``: one JSON object, no name twice, no NaN.

    Raises:
        ServiceError: it is anything else.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise ValueError("a name occurs twice")
        return fields

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        fields = json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise wrong(UnifiedCode.BAD_PARAMETERS.message) from None
    return fields


def text_of(fields: Mapping[str, Any], name: str, longest: int | None) -> str:
    """A field that must be there, must be text, not blank and not too long.

    Raises:
        ServiceError: it is not.
    """
    value = fields.get(name)
    if value is None or value == "":
        raise wrong(f"{name}不能为空")
    if not isinstance(value, str) or (longest is not None and len(value) > longest):
        raise wrong(f"{name}不合法")
    if not value.strip():
        raise wrong(f"{name}不能为空")
    return value


def metainfo_of(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """``metainfo``: a JSON object, as text or as it is. It is looked at and not kept.

    Raises:
        ServiceError: it is missing (Z8101) or no such object (Z5101).
    """
    value = fields.get("metainfo")
    if isinstance(value, Mapping) and value:
        return value
    if value not in (None, "") and not (isinstance(value, str) and len(value) <= METAINFO_LENGTH):
        raise wrong("metainfo不合法", "Z5101")
    text = text_of(fields, "metainfo", METAINFO_LENGTH)
    try:
        content = read_fields(text)
    except ServiceError:
        content = {}
    if not content:
        raise wrong("metainfo不合法", "Z5101")
    return content


def wrong(sentence: str, sub_code: str | None = None) -> ServiceError:
    """A business parameter is missing or wrong. The sentence names it and never its value."""
    return ServiceError(sentence, service_code=UnifiedCode.BAD_PARAMETERS, sub_code=sub_code)
