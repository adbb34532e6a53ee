"""Answers survive a round trip in both forms; hostile bodies end in one clear error."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import AnswerError
from pipeline.protocol.answers import (
    MAX_ANSWER_BYTES,
    Answer,
    Format,
    Refusal,
    build_answer,
    content_type,
    parse_answer,
)

REQUEST_ID = "4EF9AEE5-288F-4176-8110-00EDC91A614E"
XML_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40).map(str.strip)
FORMS = pytest.mark.parametrize("form", ["JSON", "XML"])


@FORMS
@given(
    code=st.integers(0, 99_999),
    message=XML_TEXT,
    score=st.floats(0, 100).map(lambda value: round(value, 4)),
    query_id=XML_TEXT,
)
def test_an_answer_survives_the_round_trip(
    form: Format, code: int, message: str, score: float, query_id: str
) -> None:
    answer = Answer(code, message, REQUEST_ID, {"score": score, "queryId": query_id})
    assert parse_answer(build_answer(answer, form)) == answer


@FORMS
@given(message=XML_TEXT)
def test_a_refusal_survives_the_round_trip(form: Format, message: str) -> None:
    refusal = Refusal("SignatureDoesNotMatch", message, REQUEST_ID, "saf.cn-shanghai.aliyuncs.com")
    assert parse_answer(build_answer(refusal, form)) == refusal


def test_the_references_own_examples_are_understood() -> None:
    body = '{"Data":{"score":56.0},"Message":"OK","Code":200}'
    assert parse_answer(body.encode()) == Answer(200, "OK", None, {"score": 56.0})
    failed = f'{{"Message": "name不能为空", "Code": 400, "RequestId":"{REQUEST_ID}"}}'
    assert parse_answer(failed.encode()) == Answer(400, "name不能为空", REQUEST_ID)


def test_the_xml_forms_have_the_gateways_roots() -> None:
    assert b"<ExecuteRequestResponse>" in build_answer(Answer(200), "XML")
    error = build_answer(Refusal("InvalidVersion", "m", "r", "h"), "XML")
    assert error.endswith(
        b"<Error><RequestId>r</RequestId><HostId>h</HostId>"
        b"<Code>InvalidVersion</Code><Message>m</Message></Error>"
    )


def test_json_is_written_as_the_reference_shows_it() -> None:
    body = build_answer(Answer(200, "OK", REQUEST_ID, {"queryId": "q"}), "JSON")
    assert json.loads(body) == {
        "Data": {"queryId": "q"},
        "Message": "OK",
        "Code": 200,
        "RequestId": REQUEST_ID,
    }
    assert b"Data" not in build_answer(Answer(400, "name不能为空"), "JSON")
    assert "不能为空".encode() in build_answer(Answer(400, "name不能为空"), "JSON")


def test_a_code_written_as_text_is_still_an_integer() -> None:
    assert parse_answer(b'{"Code":"200","Message":"OK"}') == Answer(200)


def test_characters_that_xml_can_not_carry_are_replaced_and_not_written() -> None:
    parsed = parse_answer(build_answer(Answer(400, "a\x00b\x1b\ud800c"), "XML"))
    assert parsed.message == "a\ufffdb\ufffd\ufffdc"


@pytest.mark.parametrize(
    ("data", "message", "sub_code"),
    [
        ({"resultCodeSub": "Z1146"}, "", "Z1146"),
        ({"resultCodeSub": 7}, "抱歉，没有认出您（Z1146）", "Z1146"),
        ({"resultCodeSub": "Z9999"}, "", None),
        ({}, "OK", None),
    ],
)
def test_the_detailed_code_is_found_in_data_or_message(
    data: dict[str, Any], message: str, sub_code: str | None
) -> None:
    assert Answer(400, message, None, data).sub_code == sub_code


def test_content_types_name_the_form() -> None:
    assert content_type("JSON").startswith("application/json")
    assert content_type("XML").startswith("text/xml")


def test_reprs_hold_nothing_that_a_server_may_have_echoed() -> None:
    text = repr(Answer(200, "zhangsan", "zhangsan", {"a": "zhangsan"}))
    text += repr(Refusal("Code", "zhangsan", "zhangsan", "zhangsan"))
    assert "zhangsan" not in text


BOMB = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;">]><Error><Code>&c;</Code></Error>'
FILE = b'<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><Error><Code>&f;</Code></Error>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"null",
        b"[]",
        b"200",
        b"{}",
        b"{",
        b"<",
        b"<html><body>502</body></html>",
        b"<Error></Error>",
        b'{"Code":true}',
        b'{"Code":-1}',
        b'{"Code":1e3}',
        b'{"Code":100000}',
        b'{"Code":null,"Message":"OK"}',
        b'{"Code":""}',
        b'{"Code":200,"Message":7}',
        b'{"Code":200,"RequestId":[]}',
        b'{"Code":200,"Data":"x"}',
        b'{"Code":200,"Data":{"score":NaN}}',
        b'{"Code":200,"Data":{"score":Infinity}}',
        b'{"Code":' + b"9" * 5000 + b"}",
        b'{"Code":200,"Data":' + b"[" * 200_000,
        b'{"a":' * 100_000,
        b"\xff\xfe{",
        b"{\xe4",
        '{"Code":200}'.encode("utf-16"),
        b'<?xml version="1.0" encoding="no-such"?><Error><Code>1</Code></Error' + b"x",
        b"<!DOCTYPE Error><Error><Code>InvalidVersion</Code></Error>",
        BOMB,
        FILE,
        b" " * (MAX_ANSWER_BYTES + 1),
    ],
    ids=range(32),
)
def test_a_body_in_none_of_the_forms_gets_a_clear_error(body: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_answer(body)


JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(
    st.sampled_from(["Code", "Message", "RequestId", "HostId", "Data", "x"]), JSON_VALUE, max_size=5
)


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.text("<>/ErrorCode&;![]\"'?= ", max_size=80).map(lambda text: ("<" + text).encode())
    | FIELDS.map(lambda fields: json.dumps(fields).encode())
)
def test_any_body_ends_in_an_answer_or_in_the_one_error(body: bytes) -> None:
    try:
        parsed = parse_answer(body)
    except AnswerError:
        return
    if isinstance(parsed, Answer):
        assert 0 <= parsed.code <= 99_999
        assert isinstance(parsed.data, dict)
        assert parsed.sub_code is None or parsed.sub_code.startswith("Z")
    else:
        assert parsed.code


@pytest.mark.parametrize("score", ["NaN", "inf", "1e2", "", "--3", "96.1"])
def test_only_plain_decimals_are_numbers_in_xml(score: str) -> None:
    fields = f"<Code>200</Code><Data><score>{score}</score></Data>"
    parsed = parse_answer(f"<ExecuteRequestResponse>{fields}</ExecuteRequestResponse>".encode())
    assert isinstance(parsed, Answer)
    value = parsed.data["score"]
    assert value == (96.1 if score == "96.1" else score)
    assert not (isinstance(value, float) and not math.isfinite(value))
