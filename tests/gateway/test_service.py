"""match, init and query, over an embedder without nets."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from pipeline.gateway import Identity
from pipeline.gateway.authority import EmbeddingModel
from pipeline.protocol.cert_number import CertCheck

META = '{"zimVer":"3.0.0","appName":"kiosk"}'
REFUSED = "用户身份信息无效，请填写正确的身份信息（Z8105）"


def init(caller: Any, **changes: Any) -> Any:
    fields = {
        "method": "init",
        "name": "张三",
        "certNumber": "11010519491231002X",
        "metainfo": META,
        **changes,
    }
    return caller.call({k: v for k, v in fields.items() if v is not None})


def query(caller: Any, **fields: Any) -> Any:
    return caller.call({"method": "query", **fields})


def test_the_enrolled_face_scores_high_and_another_low(caller: Any, kit: Any) -> None:
    same, other = caller.match(kit.picture(1)), caller.match(kit.picture(2))
    assert same.code == other.code == 200
    assert same.message == "OK"
    assert same.data["score"] > 95
    assert other.data["score"] < 60


def test_the_answer_has_the_reference_form(caller: Any, kit: Any) -> None:
    service = {
        "method": "match",
        "name": kit.name,
        "certNumber": kit.number,
        "imgbase64": kit.base64(kit.picture(1)),
    }
    answer = json.loads(caller.raw(service).body)
    assert set(answer) == {"Data", "Message", "Code", "RequestId"}
    assert set(answer["Data"]) == {"score"}
    assert isinstance(answer["Code"], int)


def test_one_person_s_face_does_not_match_another_s_identity(caller: Any, kit: Any) -> None:
    kit.enroll(caller, 2, "李四", "440524188001010014")
    assert caller.match(kit.picture(2)).data["score"] < 60
    assert caller.match(kit.picture(2), "李四", "440524188001010014").data["score"] > 95


@pytest.mark.parametrize(
    ("name", "number"),
    [("李四", "11010519491231002X"), ("张三", "440524188001010014"), ("李四", "440524188001010014")],
    ids=["name", "number", "both"],
)
def test_a_wrong_name_and_an_unknown_number_are_told_alike(
    caller: Any, kit: Any, name: str, number: str
) -> None:
    answer = caller.match(kit.picture(1), name, number)
    assert (answer.code, answer.message, dict(answer.data)) == (400, REFUSED, {})


def test_names_and_numbers_have_one_written_form(caller: Any, kit: Any) -> None:
    assert caller.match(kit.picture(1), " 张三 ", "１１０１０５１９４９１２３１００２x").data["score"] > 95


@pytest.mark.parametrize("missing", ["name", "certNumber", "imgbase64"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_parameter_is_named(caller: Any, kit: Any, missing: str, value: str | None) -> None:
    fields = {"method": "match", "name": kit.name, "certNumber": kit.number, "imgbase64": "AAAA"}
    fields[missing] = value
    answer = caller.call({k: v for k, v in fields.items() if v is not None})
    assert (answer.code, answer.message) == (400, f"{missing}不能为空")


@pytest.mark.parametrize("value", [1, True, ["张三"], {"a": 1}, "x" * 1000])
def test_a_parameter_of_another_kind_is_named(caller: Any, value: Any) -> None:
    answer = caller.call({"method": "match", "name": value, "certNumber": "b", "imgbase64": "AAAA"})
    assert (answer.code, answer.message) == (400, "name不合法")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        '"match"',
        "NaN",
        '{"method":NaN}',
        '{"method":"match","method":"init"}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"method":' + "9" * 5000 + "}",
        '{"method":"delete"}',
        '{"method":["match"]}',
        "{}",
    ],
    ids=lambda text: text[:24],
)
def test_service_parameters_that_are_none(caller: Any, text: str) -> None:
    answer = caller.call(text)
    assert (answer.code, answer.message) == (400, "参数ServiceParameters不合法。")


def test_lone_surrogates_inside_json_are_no_name(caller: Any) -> None:
    text = '{"method":"match","name":"\\ud800","certNumber":"11010519491231002X","imgbase64":"AAAA"}'
    assert caller.call(text).code == 400
    text = (
        text.replace("match", "init")
        .replace("imgbase64", "metainfo")
        .replace("AAAA", META.replace('"', '\\"'))
    )
    assert caller.call(text).message == REFUSED


@pytest.mark.parametrize(
    "extra", [b"", b"\x00" * 100, b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a" + b"0" * 99]
)
def test_what_is_no_picture_is_a_wrong_parameter(caller: Any, extra: bytes) -> None:
    import base64

    answer = caller.match(base64.b64encode(extra).decode() or "=")
    assert (answer.code, answer.message) == (400, "imgbase64不合法")


def test_a_picture_without_a_face_is_told(caller: Any, kit: Any) -> None:
    answer = caller.match(kit.picture(1) // 64)
    assert (answer.code, answer.message) == (400, "imgbase64中未检测到人脸")


def test_a_person_without_a_template_of_this_net_has_no_source(caller: Any, kit: Any) -> None:
    class Other(kit.embedder):
        model = EmbeddingModel("fake", "1" * 64)

    caller.gateway._service._embedder = Other
    answer = caller.match(kit.picture(1))
    assert (answer.code, answer.sub_code) == (400, "Z1102")


def test_a_revoked_template_matches_no_more(caller: Any, kit: Any) -> None:
    assert caller.gateway.authority.revoke(Identity.of(kit.name, kit.number), now=kit.now) == 1
    assert caller.match(kit.picture(1)).sub_code == "Z1102"
    assert init(caller).sub_code == "Z1102"


@pytest.mark.parametrize(
    ("check", "code"), [(CertCheck.OFF, 200), (CertCheck.WARN, 200), (CertCheck.STRICT, 400)]
)
def test_the_documented_sample_number_in_three_settings(
    make_caller: Any, kit: Any, check: CertCheck, code: int
) -> None:
    caller = make_caller(cert_check=check)
    kit.enroll(caller, 1, "张三", "33010320180101010X")
    answer = caller.match(kit.picture(1), "张三", "33010320180101010X")
    assert answer.code == code
    assert (answer.message == REFUSED) == (code == 400)


def test_detailed_codes_where_the_cause_is_known(make_caller: Any, kit: Any) -> None:
    caller = make_caller(detailed_codes=True)
    kit.enroll(caller, 1)
    unknown = caller.match(kit.picture(1), "李四")
    assert dict(unknown.data) == {
        "resultCode": "INVALID_PARAMETER",
        "resultCodeSub": "Z8105",
        "resultMsgSub": REFUSED,
    }
    opened = init(caller)
    assert (opened.data["resultCode"], opened.data["resultCodeSub"]) == ("OK", "Z8100")
    assert init(caller, metainfo=None).data["resultCodeSub"] == "Z8101"
    asked = query(caller, bizId=opened.data["bizId"], queryId=opened.data["queryId"])
    assert (asked.data["resultCode"], asked.data["resultCodeSub"]) == ("PROCESSING", "Z5137")
    assert "resultCodeSub" not in caller.match(kit.picture(1)).data


def test_unified_answers_carry_no_detail(caller: Any, kit: Any) -> None:
    assert dict(caller.match(kit.picture(1), "李四").data) == {}


def test_init_opens_a_session_of_the_documented_form(caller: Any) -> None:
    first, second = init(caller), init(caller)
    assert first.code == 200
    assert re.fullmatch(r"[0-9a-f]{32}", first.data["queryId"])
    assert re.fullmatch(r"ZSTP20261124\d{20}", first.data["bizId"])
    assert first.data["queryId"] != second.data["queryId"]


def test_init_takes_metainfo_as_an_object_too(caller: Any) -> None:
    assert init(caller, metainfo=json.loads(META)).code == 200


@pytest.mark.parametrize("metainfo", ["*****", "[]", "{}", {}, [], 5, "x" * 70_000])
def test_init_refuses_other_metainfo(caller: Any, metainfo: Any) -> None:
    assert (init(caller, metainfo=metainfo).message, init(caller).code) == ("metainfo不合法", 200)


def test_init_refuses_an_unknown_person(caller: Any) -> None:
    assert (init(caller, name="李四").message, init(caller, name=None).message) == (REFUSED, "name不能为空")


@pytest.mark.parametrize("spelling", ["bizId", "bizid"])
def test_query_finds_an_unfinished_session_by_either_spelling(caller: Any, spelling: str) -> None:
    data = init(caller).data
    answer = query(caller, **{spelling: data["bizId"], "queryId": data["queryId"], "returnImage": 1})
    assert (answer.code, answer.message) == (400, "抱歉，系统出错了，请稍后再试（Z5137）")


def test_query_refuses_what_it_does_not_know(caller: Any) -> None:
    data = init(caller).data
    other = init(caller).data
    for biz_id, query_id in [
        (data["bizId"], "0" * 32),
        (other["bizId"], data["queryId"]),
        (data["bizId"], data["queryId"].upper()),
        (data["bizId"], "' OR 1=1 --"),
    ]:
        answer = query(caller, bizId=biz_id, queryId=query_id)
        assert (answer.code, answer.sub_code) == (400, "Z8301")
    assert query(caller, queryId=data["queryId"]).message == "bizId不能为空"
    assert query(caller, bizId=data["bizId"]).message == "queryId不能为空"
    assert query(caller, bizId="a", bizid="b", queryId="c").message == "bizId不合法"
    assert query(caller, bizId="a", queryId="c", returnImage="yes").message == "returnImage不合法"


def test_a_session_is_seen_by_its_own_key_only_and_ends(caller: Any) -> None:
    from pipeline.protocol.signing import AccessKey

    data = init(caller).data
    ids = {"bizId": data["bizId"], "queryId": data["queryId"]}
    mine, caller.key = caller.key, AccessKey("another", "secret")
    caller.gateway.access_keys.put(caller.key, now=caller.now)
    assert query(caller, **ids).sub_code == "Z8301"
    caller.key = mine
    assert query(caller, **ids).sub_code == "Z5137"
    caller.now += 24 * 3600 + 1
    assert query(caller, **ids).sub_code == "Z8301"


def test_a_fault_of_the_embedder_is_code_500_without_detail(make_caller: Any, kit: Any, caplog: Any) -> None:
    class Broken(kit.embedder):
        def read(self, image: Any) -> Any:
            raise RuntimeError("secret detail")

    caller = make_caller(embedder=Broken())
    kit.enroll(caller, 1)
    answer = caller.match(kit.picture(1))
    assert (answer.code, answer.message) == (500, "内部服务器错误。")
    assert "RuntimeError" in caplog.text
    assert "secret detail" not in caplog.text


def test_an_embedding_that_is_not_finite_is_no_match(make_caller: Any, kit: Any) -> None:
    class Broken(kit.embedder):
        def read(self, image: Any) -> Any:
            reading = super().read(image)
            reading.embedding[:] = float("nan")
            return reading

    caller = make_caller(embedder=Broken())
    kit.enroll(caller, 1)
    assert caller.match(kit.picture(1)).code == 500
