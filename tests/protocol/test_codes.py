"""The code tables hold every code of the reference, once."""

from __future__ import annotations

import re

import pytest

from pipeline.protocol.codes import (
    DETAILED_CODES,
    GATEWAY_CODES,
    SIGNATURE_DOES_NOT_MATCH,
    ResultCode,
    UnifiedCode,
    missing_parameter,
    sub_code_in,
)

INIT = "Z8100 Z8101 Z8105 Z8102 Z8199 Z1108 Z1110 Z1109 Z1102 Z1111 Z1112 Z1199 Z5101 Z5102 Z5103 Z5199 Z1114"
QUERY = "Z8300 Z8301 Z1146 Z8302 Z8399 Z5137"


def test_the_unified_codes_are_those_of_the_reference() -> None:
    assert {int(code) for code in UnifiedCode} == {200, 400, 402, 403, 404, 500}
    assert UnifiedCode(402).message == "日QPS超过已购规格，限流。"
    assert all(code.message.endswith("。") for code in UnifiedCode)


def test_the_detailed_codes_are_those_of_the_reference_under_their_method() -> None:
    by_method = {
        method: [code.sub_code for code in DETAILED_CODES.values() if code.method == method]
        for method in ("init", "query")
    }
    assert by_method == {"init": INIT.split(), "query": QUERY.split()}


@pytest.mark.parametrize("sub_code", DETAILED_CODES)
def test_a_detailed_code_is_found_by_its_name_and_its_message_names_it(sub_code: str) -> None:
    code = DETAILED_CODES[sub_code]
    assert code.sub_code == sub_code
    assert re.findall(r"Z\d{4}", code.message) == [sub_code]
    assert code.explanation.endswith("。")


@pytest.mark.parametrize(
    ("sub_code", "result", "unified"),
    [
        ("Z8100", ResultCode.OK, 200),
        ("Z8300", ResultCode.OK, 200),
        ("Z8105", ResultCode.INVALID_PARAMETER, 400),
        ("Z1146", ResultCode.NOT_SAME_PERSON, 400),
        ("Z1114", ResultCode.HIGH_RISK, 400),
        ("Z5137", ResultCode.PROCESSING, 400),
        ("Z8102", ResultCode.PRODUCT_NOT_OPEN, 403),
        ("Z8302", ResultCode.PRODUCT_NOT_OPEN, 403),
        ("Z8399", ResultCode.SYSTEM_ERROR, 500),
    ],
)
def test_a_detailed_code_is_merged_into_a_unified_one(
    sub_code: str, result: ResultCode, unified: int
) -> None:
    assert DETAILED_CODES[sub_code].result_code is result
    assert DETAILED_CODES[sub_code].unified == unified


def test_only_the_two_codes_of_success_are_merged_into_200() -> None:
    merged = {code.sub_code for code in DETAILED_CODES.values() if code.unified is UnifiedCode.OK}
    assert merged == {"Z8100", "Z8300"}


def test_gateway_codes_have_an_http_status_of_an_error_and_are_found_by_name() -> None:
    assert {name: code.http_status for name, code in GATEWAY_CODES.items()} == {
        "SignatureDoesNotMatch": 400,
        "IncompleteSignature": 400,
        "SignatureNonceUsed": 400,
        "InvalidTimeStamp.Expired": 400,
        "InvalidTimeStamp.Format": 400,
        "InvalidAccessKeyId.NotFound": 404,
        "InvalidVersion": 400,
        "InvalidApi.NotFound": 404,
        "UnsupportedHTTPMethod": 403,
        "Throttling.User": 400,
        "InternalError": 500,
        "ServiceUnavailable": 503,
    }
    assert missing_parameter("Timestamp").code == "MissingTimestamp"
    assert missing_parameter("Timestamp").http_status == 400


def test_the_message_of_a_wrong_signature_has_one_colon_as_public_clients_need_it() -> None:
    message = SIGNATURE_DOES_NOT_MATCH.message + "POST&%2F&a%3Db"
    assert message.split(":")[1] == "POST&%2F&a%3Db"


def test_the_tables_can_not_be_changed() -> None:
    with pytest.raises(TypeError):
        DETAILED_CODES["Z0000"] = DETAILED_CODES["Z8100"]  # type: ignore[index]


def test_a_detailed_code_is_found_in_a_message_only_where_the_reference_lists_it() -> None:
    assert sub_code_in("抱歉，没有认出您（Z1146）") == "Z1146"
    assert sub_code_in("Z0000 then Z1114") == "Z1114"
    assert sub_code_in("Z11461") is None
    assert sub_code_in("OK") is None
