"""Requests as public clients were seen to send them, byte for byte."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote_plus

import pytest

from pipeline.gateway import RawRequest
from pipeline.protocol.answers import Answer, parse_answer
from pipeline.protocol.signing import AccessKey, sign, string_to_sign

VECTORS = json.loads((Path(__file__).parents[1] / "protocol" / "vectors.json").read_text("utf-8"))
WIRE = pytest.mark.parametrize("wire", VECTORS["wire"], ids=lambda wire: wire["name"])


def request_of(wire: dict[str, Any]) -> RawRequest:
    return RawRequest(wire["method"], wire["target"], tuple(wire["headers"].items()), wire["body"].encode())


@WIRE
def test_a_recorded_request_passes_every_check_as_it_is(caller: Any, wire: dict[str, Any]) -> None:
    """Its four-letter "picture" is then refused by the service itself, in JSON."""
    answer = caller.gateway.handle(request_of(wire))
    assert answer.status == 200
    found = json.loads(answer.body)
    assert (found["Code"], found["Message"]) == (400, "imgbase64不合法")


@WIRE
def test_a_recorded_request_is_taken_once(caller: Any, wire: dict[str, Any]) -> None:
    caller.gateway.handle(request_of(wire))
    again = caller.gateway.handle(request_of(wire))
    assert again.status == 400
    assert json.loads(again.body)["Code"] == "SignatureNonceUsed"


@WIRE
def test_a_recorded_form_works_with_our_key_and_picture(caller: Any, kit: Any, wire: dict[str, Any]) -> None:
    """The same client, layout and headers; key, parameters and signature are ours."""
    caller.key = AccessKey("our-key", "our-secret")
    caller.gateway.access_keys.put(caller.key, now=caller.now)
    name, number = "张三 ~*+/=!'()", "440524188001010014"
    kit.enroll(caller, 7, name, number)
    picture = kit.base64(kit.picture(7))
    service = {"method": "match", "name": name, "certNumber": number, "imgbase64": picture}
    ours = {"AccessKeyId": "our-key", "ServiceParameters": json.dumps(service, ensure_ascii=False)}

    path, _, query = wire["target"].partition("?")
    parts = [dict(parse_qsl(text, keep_blank_values=True)) for text in (query, wire["body"])]
    parts = [{k: ours.get(k, v) for k, v in part.items()} for part in parts]
    signature = sign("our-secret", string_to_sign(wire["method"], parts[0] | parts[1]))
    parts = [{k: signature if k == "Signature" else v for k, v in part.items()} for part in parts]
    query, body = ("&".join(f"{k}={quote_plus(v)}" for k, v in part.items()) for part in parts)
    target = f"{path}?{query}" if query else path

    answer = caller.gateway.handle(
        RawRequest(wire["method"], target, tuple(wire["headers"].items()), body.encode())
    )
    found = parse_answer(answer.body)
    assert isinstance(found, Answer)
    assert found.code == 200
    assert found.data["score"] > 95


def test_a_picture_of_almost_a_megabyte_fits_into_the_query(caller: Any) -> None:
    picture = base64.b64encode(b"\xff\xfb\xff" * 340_000).decode()
    service = {"method": "match", "name": "a", "certNumber": "b", "imgbase64": picture}
    params = caller.signed(caller.params(service), "GET")
    found = parse_answer(caller.gateway.handle(caller.request(params, "GET")).body)
    assert (found.code, found.message) == (400, "imgbase64不合法")


@pytest.mark.parametrize("form", ["json", "JSON", "xml", "XML", None])
def test_answers_come_in_the_wanted_form(caller: Any, form: str | None) -> None:
    answer = caller.raw({"method": "query", "bizId": "x", "queryId": "0" * 32}, Format=form)
    wanted = "application/json" if form in ("json", "JSON") else "text/xml"
    assert dict(answer.headers)["content-type"] == f"{wanted};charset=utf-8"
    if wanted == "text/xml":
        assert b"<ExecuteRequestResponse>" in answer.body
    assert parse_answer(answer.body).code == 400


def test_refusals_come_in_xml_with_the_documented_elements(caller: Any) -> None:
    answer = caller.raw({"method": "query"}, Format="XML", Version="x")
    text = answer.body.decode()
    order = [text.index(f"<{name}>") for name in ("Error", "RequestId", "HostId", "Code", "Message")]
    assert order == sorted(order)
