"""The codes of the face_verify service and of the gateway in front of it, as typed tables.

Source: the service's reference (unified codes 统一返回码; detailed codes 明细返回码 of init and query)
and, for the gateway, its public error pages. Chinese texts are as given there, misprints included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final, Literal

SERVICE: Final = "face_verify"
ACTION: Final = "ExecuteRequest"
VERSION: Final = "2017-03-31"
OK_MESSAGE: Final = "OK"
"""``Message`` of every successful answer in the reference."""


class UnifiedCode(IntEnum):
    """Integer ``Code`` of an answer of the service itself; it comes with HTTP 200."""

    OK = 200
    BAD_PARAMETERS = 400
    QUOTA = 402
    NOT_PERMITTED = 403
    UNKNOWN_SERVICE = 404
    SERVER_ERROR = 500

    @property
    def message(self) -> str:
        """The reference's sentence for this code."""
        return _UNIFIED_MESSAGES[self]


_UNIFIED_MESSAGES: Final = {
    UnifiedCode.OK: "请求正常。",
    UnifiedCode.BAD_PARAMETERS: "参数ServiceParameters不合法。",
    UnifiedCode.QUOTA: "日QPS超过已购规格，限流。",
    UnifiedCode.NOT_PERMITTED: "权限不足，服务未开通或已到期。",
    UnifiedCode.UNKNOWN_SERVICE: "参数Service不合法。",
    UnifiedCode.SERVER_ERROR: "内部服务器错误。",
}


class ResultCode(StrEnum):
    """``resultCode`` of a detailed code."""

    OK = "OK"
    INVALID_PARAMETER = "INVALID_PARAMETER"
    PRODUCT_NOT_OPEN = "PRODUCT_NOT_OPEN"
    SYSTEM_ERROR = "SYSTEM_ERROR"
    DEVICE_NOT_SUPPORT = "DEVICE_NOT_SUPPORT"
    SDKVERSION_NOT_SUPPORT = "SDKVERSION_NOT_SUPPORT"
    OS_NOT_SUPPORT = "OS_NOT_SUPPORT"
    UNABLE_GET_IMAGE = "UNABLE_GET_IMAGE"
    HIGH_RISK = "HIGH_RISK"
    NOT_SAME_PERSON = "NOT_SAME_PERSON"
    PROCESSING = "PROCESSING"


@dataclass(frozen=True, slots=True)
class DetailedCode:
    """One detailed code (明细返回码).

    Attributes:
        sub_code: ``resultCodeSub``, unique over both tables.
        method: the method whose table lists it.
        result_code: ``resultCode``.
        message: ``resultMsgSub``, for the person.
        explanation: the table's 说明, for the integrator.
        unified: the unified code that it is merged into. The reference does not print this mapping;
            ours follows its examples (a failed comparison is ``Code`` 400 with the reason as ``Message``):
            what the request or the person caused is 400, a product that is not open 403, what the service
            caused 500.
    """

    sub_code: str
    method: Literal["init", "query"]
    result_code: ResultCode
    message: str
    explanation: str
    unified: UnifiedCode


_MERGED: Final = {
    ResultCode.OK: UnifiedCode.OK,
    ResultCode.PRODUCT_NOT_OPEN: UnifiedCode.NOT_PERMITTED,
    ResultCode.SYSTEM_ERROR: UnifiedCode.SERVER_ERROR,
}

_INVALID = ResultCode.INVALID_PARAMETER
_SYSTEM = ResultCode.SYSTEM_ERROR
_SORRY_YOU: Final = "抱歉，系统出错了，请您稍后再试"
_SORRY: Final = "抱歉，系统出错了，请稍后再试"

_INIT: Final = (
    (ResultCode.OK, "Z8100", "初始化成功（Z8100）", "初始化成功。"),
    (_INVALID, "Z8101", f"{_SORRY_YOU}（Z8101）", "初始化时传入参数不正确。"),
    (
        _INVALID,
        "Z8105",
        "用户身份信息无效，请填写正确的身份信息（Z8105）",
        "请求参数中的用户身份信息无效，请填写正确的身份信息。",
    ),
    (ResultCode.PRODUCT_NOT_OPEN, "Z8102", "请去开通产品（Z8102）", "当前租户未开通刷脸认证产品。"),
    (_SYSTEM, "Z8199", f"{_SORRY}（Z8199）", "初始化时发生系统错误。"),
    (ResultCode.DEVICE_NOT_SUPPORT, "Z1108", "当前设备不支持刷脸（Z1108））", "设备类型不支持。"),
    (ResultCode.SDKVERSION_NOT_SUPPORT, "Z1110", "应用版本过低（Z1110）", "SDK版本不支持。"),
    (ResultCode.OS_NOT_SUPPORT, "Z1109", "当前系统不支持刷脸（Z1109）", "系统版本不支持。"),
    (ResultCode.UNABLE_GET_IMAGE, "Z1102", "抱歉，您暂时无法使用刷脸服务（Z1102）", "比对源不可用。"),
    (_SYSTEM, "Z1111", f"{_SORRY_YOU}（Z1111）", "初始化策略结果获取失败。"),
    (_SYSTEM, "Z1112", f"{_SORRY_YOU}（Z1112）", "暂时无法使用刷脸认证。"),
    (_SYSTEM, "Z1199", f"{_SORRY_YOU}（Z1199）", "暂时无法使用刷脸认证。"),
    (_INVALID, "Z5101", f"{_SORRY_YOU}（Z5101）", "暂时无法使用刷脸认证。"),
    (_INVALID, "Z5102", f"{_SORRY_YOU}（Z5102）", "初始化时发生系统错误。"),
    (_INVALID, "Z5103", f"{_SORRY_YOU}（Z5103）", "初始化时发生系统错误。"),
    (_SYSTEM, "Z5199", f"{_SORRY_YOU}（Z5199）", "初始化时发生系统错误。"),
    (ResultCode.HIGH_RISK, "Z1114", f"{_SORRY_YOU}（Z1114）", "刷脸失败次数过多，请您稍后再试。"),
)

_QUERY: Final = (
    (ResultCode.OK, "Z8300", "认证成功（Z8300）", "刷脸认证通过。"),
    (_INVALID, "Z8301", f"{_SORRY_YOU}（Z8301）", "查询时传入参数不正确。"),
    (ResultCode.NOT_SAME_PERSON, "Z1146", "抱歉，没有认出您（Z1146）", "刷脸认证未通过。"),
    (ResultCode.PRODUCT_NOT_OPEN, "Z8302", "请去开通产品（Z8302）", "当前租户未开通刷脸认证产品。"),
    (_SYSTEM, "Z8399", f"{_SORRY}（Z8399）", "查询时发生系统错误。"),
    (ResultCode.PROCESSING, "Z5137", f"{_SORRY}（Z5137）", "刷脸认证未完成。"),
)


def _table() -> dict[str, DetailedCode]:
    table: dict[str, DetailedCode] = {}
    methods: tuple[Literal["init", "query"], ...] = ("init", "query")
    for method, rows in zip(methods, (_INIT, _QUERY), strict=True):
        for result, sub_code, message, explanation in rows:
            unified = _MERGED.get(result, UnifiedCode.BAD_PARAMETERS)
            table[sub_code] = DetailedCode(sub_code, method, result, message, explanation, unified)
    return table


DETAILED_CODES: Final[Mapping[str, DetailedCode]] = MappingProxyType(_table())
"""Every detailed code of the reference by its ``resultCodeSub``."""


def sub_code_in(text: str) -> str | None:
    """Find the detailed code that a message names, as the reference's own do: ``…（Z1146）``.

    Args:
        text: any text.

    Returns:
        The first one that the reference lists, or None.
    """
    return next(
        (found for found in re.findall(r"Z\d{4}(?!\d)", text, re.ASCII) if found in DETAILED_CODES), None
    )


@dataclass(frozen=True, slots=True)
class GatewayCode:
    """A string ``Code`` of the gateway in front of the service.

    Attributes:
        code: the answer's ``Code``.
        http_status: 4xx or 5xx.
        message: English sentence for the answer's ``Message``.
    """

    code: str
    http_status: int
    message: str


SIGNATURE_DOES_NOT_MATCH: Final = GatewayCode(
    "SignatureDoesNotMatch",
    400,
    # The colon, and nothing else after it than the string to sign: one public client splits here.
    "Specified signature is not matched with our calculation. server string to sign is:",
)
INCOMPLETE_SIGNATURE: Final = GatewayCode(
    "IncompleteSignature", 400, "The request signature does not conform to the service's standards."
)
SIGNATURE_NONCE_USED: Final = GatewayCode(
    "SignatureNonceUsed", 400, "Specified signature nonce was used already."
)
TIMESTAMP_EXPIRED: Final = GatewayCode(
    "InvalidTimeStamp.Expired", 400, "Specified time stamp or date value is expired."
)
TIMESTAMP_FORMAT: Final = GatewayCode(
    "InvalidTimeStamp.Format", 400, "Specified time stamp or date value is not well formatted."
)
ACCESS_KEY_NOT_FOUND: Final = GatewayCode(
    "InvalidAccessKeyId.NotFound", 404, "Specified access key is not found."
)
INVALID_VERSION: Final = GatewayCode("InvalidVersion", 400, "Specified parameter Version is not valid.")
API_NOT_FOUND: Final = GatewayCode("InvalidApi.NotFound", 404, "Specified api is not found.")
UNSUPPORTED_METHOD: Final = GatewayCode("UnsupportedHTTPMethod", 403, "This http method is not supported.")
THROTTLING_USER: Final = GatewayCode("Throttling.User", 400, "Request was denied due to user flow control.")
INTERNAL_ERROR: Final = GatewayCode("InternalError", 500, "The request processing has failed.")
SERVICE_UNAVAILABLE: Final = GatewayCode(
    "ServiceUnavailable", 503, "The request has failed due to a temporary failure of the server."
)

GATEWAY_CODES: Final[Mapping[str, GatewayCode]] = MappingProxyType(
    {
        code.code: code
        for code in (
            SIGNATURE_DOES_NOT_MATCH,
            INCOMPLETE_SIGNATURE,
            SIGNATURE_NONCE_USED,
            TIMESTAMP_EXPIRED,
            TIMESTAMP_FORMAT,
            ACCESS_KEY_NOT_FOUND,
            INVALID_VERSION,
            API_NOT_FOUND,
            UNSUPPORTED_METHOD,
            THROTTLING_USER,
            INTERNAL_ERROR,
            SERVICE_UNAVAILABLE,
        )
    }
)
"""Every fixed gateway code by its ``Code``; `missing_parameter` makes the ones that carry a name."""


def missing_parameter(name: str) -> GatewayCode:
    """``Missing{Parameter}``: a public parameter is absent.

    Args:
        name: the parameter's name, ``Timestamp`` for instance.
    """
    return GatewayCode(f"Missing{name}", 400, f"{name} is mandatory for this action.")
