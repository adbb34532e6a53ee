"""Every code in every form of a request and an answer: verb, place of the parameters, JSON and XML."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from pipeline.errors import StoreError
from pipeline.gateway import KeyTerms, Quota, RawAnswer, RawRequest
from pipeline.gateway.risk import NO_LOCKS
from pipeline.protocol.answers import Answer, Refusal, parse_answer
from pipeline.protocol.codes import GATEWAY_CODES, UnifiedCode, missing_parameter
from pipeline.protocol.signing import AccessKey

BUSINESS = ("Service", "ServiceParameters")
LAYOUTS = ("GET query", "POST query", "POST body", "POST both")


class Scene:
    """Sends signed requests in one layout, and wants answers in one form."""

    def __init__(self, caller: Any, kit: Any, layout: str, form: str) -> None:
        self.caller, self.kit, self.form = caller, kit, form
        self.verb, self.place = layout.split()

    def send(
        self, service: Any, secret: str | None = None, signature: str | None = None, **public: Any
    ) -> RawAnswer:
        params = self.caller.signed(
            self.caller.params(service, **{"Format": self.form, **public}), self.verb, secret
        )
        if signature is not None:
            params["Signature"] = signature
        if self.place == "both":  # as the service's current Python client does
            parts = [{k: v for k, v in params.items() if (k in BUSINESS) == body} for body in (False, True)]
        else:
            parts = [params, {}] if self.place == "query" else [{}, params]
        query, body = ("&".join(f"{quote(k)}={quote(v, safe='')}" for k, v in p.items()) for p in parts)
        target = "/?" + query if query else "/"
        headers = (self.kit.form,) if body else ()
        answer: RawAnswer = self.caller.gateway.handle(RawRequest(self.verb, target, headers, body.encode()))
        return answer

    def match(self, seed: int = 1, **changes: Any) -> RawAnswer:
        fields = {"method": "match", "name": self.kit.name, "certNumber": self.kit.number}
        fields["imgbase64"] = self.kit.base64(self.kit.picture(seed))
        return self.send(fields | changes)

    def with_key(self, terms: KeyTerms) -> RawAnswer:
        key = AccessKey("limited", "secret")
        self.caller.gateway.access_keys.put(key, now=self.caller.now, terms=terms)
        mine, self.caller.key = self.caller.key, key
        try:
            return self.match()
        finally:
            self.caller.key = mine

    def broken(self) -> RawAnswer:
        def fail(*_: object, **__: object) -> None:
            raise StoreError("lost")

        self.caller.gateway._service._authority.templates = fail
        try:
            return self.match()
        finally:
            del self.caller.gateway._service._authority.templates

    def twice(self) -> RawAnswer:
        self.send({"method": "query"}, SignatureNonce="same")
        return self.send({"method": "query"}, SignatureNonce="same")

    def at(self, offset: float) -> RawAnswer:
        return self.send({}, Timestamp=self.kit.timestamp(self.caller.now + offset))


UNIFIED: dict[UnifiedCode, Callable[[Scene], RawAnswer]] = {
    UnifiedCode.OK: Scene.match,
    UnifiedCode.BAD_PARAMETERS: lambda s: s.send("no JSON"),
    UnifiedCode.QUOTA: lambda s: s.with_key(KeyTerms(quota=Quota(per_second=0))),
    UnifiedCode.NOT_PERMITTED: lambda s: s.with_key(KeyTerms(ends_at=1)),
    UnifiedCode.UNKNOWN_SERVICE: lambda s: s.send({}, Service="face_detect"),
    UnifiedCode.SERVER_ERROR: Scene.broken,
}
REFUSALS: dict[str, Callable[[Scene], RawAnswer]] = {
    "SignatureDoesNotMatch": lambda s: s.send({}, secret="wrong"),
    "IncompleteSignature": lambda s: s.send({}, signature="short"),
    "SignatureNonceUsed": Scene.twice,
    "InvalidTimeStamp.Expired": lambda s: s.at(-901),
    "InvalidTimeStamp.Format": lambda s: s.send({}, Timestamp="yesterday"),
    "InvalidAccessKeyId.NotFound": lambda s: s.send({}, AccessKeyId="nobody"),
    "InvalidVersion": lambda s: s.send({}, Version="2018-01-01"),
    "InvalidApi.NotFound": lambda s: s.send({}, Action="Execute"),
}
ELSEWHERE = {"UnsupportedHTTPMethod", "Throttling.User", "InternalError", "ServiceUnavailable"}
"""Reached in test_transports.py, test_gate_keeping.py and test_service.py: no layout has a part in them."""


@pytest.fixture(params=LAYOUTS)
def scene(request: pytest.FixtureRequest, make_caller: Any, kit: Any) -> Scene:
    caller = make_caller(detailed_codes=True, risk=NO_LOCKS)
    kit.enroll(caller, 1)
    return Scene(caller, kit, request.param, request.node.callspec.params["form"])


FORMS = pytest.mark.parametrize("form", ["JSON", "XML"])


def test_the_tables_here_are_whole() -> None:
    assert set(UNIFIED) == set(UnifiedCode)
    assert set(REFUSALS) | ELSEWHERE == set(GATEWAY_CODES)


@FORMS
def test_every_unified_code(scene: Scene, form: str) -> None:
    for code, reach in UNIFIED.items():
        raw = reach(scene)
        found = parse_answer(raw.body)
        assert isinstance(found, Answer)
        assert (raw.status, found.code) == (200, code)
        assert found.message == ("OK" if code is UnifiedCode.OK else code.message)
        assert found.request_id
        assert (raw.body[:1] == b"{") == (form == "JSON")
        if code is UnifiedCode.OK:
            assert 95 <= found.data["score"] <= 100


@FORMS
def test_every_refusal_of_the_gateway(scene: Scene, form: str) -> None:
    for code, reach in REFUSALS.items():
        raw = reach(scene)
        found = parse_answer(raw.body)
        assert isinstance(found, Refusal)
        assert (raw.status, found.code) == (GATEWAY_CODES[code].http_status, code)
        assert found.message.startswith(GATEWAY_CODES[code].message)
        assert (found.request_id is not None, found.host_id) == (True, "livegate")
        assert (raw.body[:1] == b"{") == (form == "JSON")
    for name in ("SignatureNonce", "Timestamp", "ServiceParameters", "AccessKeyId"):
        found = parse_answer(scene.send({}, **{name: None}).body)
        assert found.code == f"Missing{name}"
        assert found.message == missing_parameter(name).message


@FORMS
def test_details_come_whole_in_every_form(scene: Scene, form: str) -> None:
    found = parse_answer(scene.match(name="另一人").body)
    assert isinstance(found, Answer)
    assert (found.code, found.message) == (400, "用户身份信息无效，请填写正确的身份信息（Z8105）")
    assert dict(found.data) == {
        "resultCode": "INVALID_PARAMETER",
        "resultCodeSub": "Z8105",
        "resultMsgSub": "用户身份信息无效，请填写正确的身份信息（Z8105）",
    }


@FORMS
def test_the_three_methods_one_after_the_other(scene: Scene, form: str) -> None:
    names = {"name": scene.kit.name, "certNumber": scene.kit.number}
    opened = parse_answer(scene.send({"method": "init", **names, "metainfo": json.dumps({"a": "b"})}).body)
    assert isinstance(opened, Answer)
    ids = {"bizId": opened.data["bizId"], "queryId": opened.data["queryId"]}
    early = parse_answer(scene.send({"method": "query", **ids}).body)
    scene.match(queryId=ids["queryId"])
    found = [parse_answer(scene.send({"method": "query", key: ids["bizId"], "queryId": ids["queryId"]}).body)
             for key in ("bizId", "bizid")]  # fmt: skip
    assert isinstance(early, Answer)
    assert (opened.sub_code, early.sub_code) == ("Z8100", "Z5137")
    assert [(answer.code, answer.message) for answer in found] == [(200, "OK")] * 2
