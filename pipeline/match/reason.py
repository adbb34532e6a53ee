"""From an error of the service to the word and sentence for the person at the camera."""

from __future__ import annotations

from typing import Final

from pipeline.errors import (
    ConsentError,
    GatewayError,
    LivegateError,
    MatchError,
    NetworkError,
    OutcomeUnknownError,
    ServiceError,
)
from pipeline.protocol.codes import DETAILED_CODES, ResultCode, UnifiedCode
from pipeline.reasons import Reason

_BY_RESULT: Final = {
    ResultCode.NOT_SAME_PERSON: Reason.NOT_SAME_PERSON,
    ResultCode.PRODUCT_NOT_OPEN: Reason.NOT_PERMITTED,
    ResultCode.PROCESSING: Reason.UNDECIDED,
    # "刷脸失败次数过多，请您稍后再试": the person has to wait, as with a quota.
    ResultCode.HIGH_RISK: Reason.QUOTA,
    ResultCode.SYSTEM_ERROR: Reason.SERVICE_ERROR,
    # No source picture to compare with ("您暂时无法使用刷脸服务"): nothing that the person could mend.
    ResultCode.UNABLE_GET_IMAGE: Reason.SERVICE_ERROR,
}
_BY_SUB_CODE: Final[dict[str | None, Reason]] = {"Z8105": Reason.IDENTITY_REFUSED}
_BY_CODE: Final = {
    int(UnifiedCode.BAD_PARAMETERS): Reason.BAD_REQUEST,
    int(UnifiedCode.QUOTA): Reason.QUOTA,
    int(UnifiedCode.NOT_PERMITTED): Reason.NOT_PERMITTED,
    int(UnifiedCode.UNKNOWN_SERVICE): Reason.BAD_REQUEST,
    int(UnifiedCode.SERVER_ERROR): Reason.SERVICE_ERROR,
}


def reason_for(error: LivegateError) -> Reason:
    """Word for an error that ended a call to the service.

    A detailed code says more than the unified one, and goes first.

    Args:
        error: what `MatchClient` or the encoder raised.
    """
    if isinstance(error, OutcomeUnknownError):
        return Reason.OUTCOME_UNKNOWN
    if isinstance(error, NetworkError):
        return Reason.NETWORK
    if isinstance(error, ServiceError):
        return _of_service(error)
    if isinstance(error, GatewayError):
        throttled = error.gateway_code.startswith("Throttling")
        return Reason.QUOTA if throttled else Reason.SERVICE_ERROR
    if isinstance(error, MatchError):
        return Reason.SERVICE_ERROR
    return Reason.BAD_REQUEST if isinstance(error, ConsentError) else Reason.SYSTEM_ERROR


def _of_service(error: ServiceError) -> Reason:
    if error.sub_code in _BY_SUB_CODE:
        return _BY_SUB_CODE[error.sub_code]
    detail = DETAILED_CODES.get(error.sub_code or "")
    if detail is not None and (found := _BY_RESULT.get(detail.result_code)):
        return found
    return _BY_CODE.get(error.service_code, Reason.SERVICE_ERROR)
