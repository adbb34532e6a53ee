"""What goes over the wire, what comes back typed, and which failures are tried again."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.addresses import is_loopback
from pipeline.errors import (
    AnswerError,
    ConsentError,
    GatewayError,
    LivegateError,
    MatchError,
    NetworkError,
    OutcomeUnknownError,
    PassError,
    ServiceError,
    SettingsError,
    UsageError,
)
from pipeline.match.by_hand import HandPicture, match_by_hand
from pipeline.match.client import MatchClient, MatchResult, reason_for
from pipeline.match.encode import Upload
from pipeline.match.jpeg import encode_jpeg
from pipeline.match.person import Person
from pipeline.match.rules import Retries, Timeouts
from pipeline.protocol.answers import Answer, Refusal, build_answer
from pipeline.protocol.codes import DETAILED_CODES, GATEWAY_CODES, UnifiedCode
from pipeline.protocol.signing import string_to_sign, verify
from pipeline.reasons import Reason

from .conftest import (
    CONSENT,
    NAME,
    NUMBER,
    OK_MATCH,
    REQUEST_ID,
    SECRET,
    Build,
    fields_of,
    picture,
    service_parameters,
)

IDS = {"queryId": "731be7f204a962b0486a9b64ea3050ae", "bizId": "ZSTP2018013076546767654695203625"}
OK_INIT = {"Data": IDS, "Message": "OK", "Code": 200, "RequestId": REQUEST_ID}
OK_QUERY = {"Message": "OK", "Code": 200, "RequestId": REQUEST_ID}
BUSY = httpx.Response(503, json={"Code": "ServiceUnavailable", "Message": "m", "HostId": "h"})


def refusal(code: str, status: int) -> httpx.Response:
    return httpx.Response(status, content=build_answer(Refusal(code, "m", REQUEST_ID, "h"), "JSON"))


def call(client: MatchClient, method: str, person: Person, upload: Upload) -> Any:
    if method == "match":
        return client.match(person, upload, CONSENT)
    if method == "init":
        return client.init(person, {"appName": "a"})
    return client.query(IDS["queryId"], IDS["bizId"])


ANSWERS = {"match": OK_MATCH, "init": OK_INIT, "query": OK_QUERY}
METHODS = pytest.mark.parametrize("method", list(ANSWERS))


def test_match_sends_everything_in_one_signed_form_body(
    scripted: Build, person: Person, upload: Upload
) -> None:
    client, script = scripted(OK_MATCH, clock=lambda: 1_780_000_000.9, nonce=lambda: "nonce-1")
    client.match(person, upload, CONSENT)
    (request,) = script.requests
    assert request.method == "POST"
    assert request.url.query == b""
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    fields = fields_of(request)
    assert verify(SECRET, string_to_sign("POST", fields), fields.pop("Signature"))
    assert json.loads(fields.pop("ServiceParameters")) == {
        "method": "match",
        "name": NAME,
        "certNumber": NUMBER,
        "imgbase64": upload.base64,
    }
    assert fields == {
        "AccessKeyId": "testid",
        "Action": "ExecuteRequest",
        "Format": "JSON",
        "Service": "face_verify",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": "nonce-1",
        "SignatureVersion": "1.0",
        "Timestamp": datetime.fromtimestamp(1_780_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Version": "2017-03-31",
    }


@pytest.mark.parametrize("name", ['"}\\', "a&b=c%20d+e", "~*'()!/?#", "张 三", "\U0002070e", "</script>"])
def test_every_name_arrives_as_it_was_written(scripted: Build, upload: Upload, name: str) -> None:
    client, script = scripted(OK_MATCH)
    client.match(Person(name, NUMBER), upload, CONSENT)
    (request,) = script.requests
    assert service_parameters(request)["name"] == name
    fields = fields_of(request)
    assert verify(SECRET, string_to_sign("POST", fields), fields["Signature"])


def test_init_and_query_send_the_references_fields(scripted: Build, person: Person) -> None:
    client, script = scripted(OK_INIT, OK_QUERY, {**OK_QUERY, "Data": {"image": "_9j_"}})
    client.init(person, '{"zimVer":"1"}')
    client.query(IDS["queryId"], IDS["bizId"])
    client.query(IDS["queryId"], IDS["bizId"], return_image=True)
    sent = [service_parameters(request) for request in script.requests]
    assert sent == [
        {"method": "init", "name": NAME, "certNumber": NUMBER, "metainfo": '{"zimVer":"1"}'},
        {"method": "query", **IDS},
        {"method": "query", **IDS, "returnImage": "1"},
    ]


def test_metainfo_given_as_content_is_sent_as_json_text(scripted: Build, person: Person) -> None:
    client, script = scripted(OK_INIT)
    client.init(person, {"appName": "应用"})
    assert json.loads(service_parameters(script.requests[0])["metainfo"]) == {"appName": "应用"}
    for bad in ("", " ", {"a": object()}, {"a": float("nan")}):
        with pytest.raises(UsageError):
            client.init(person, bad)
    assert len(script.requests) == 1


def test_the_consent_reference_travels_with_each_match_and_only_with_it(
    scripted: Build, person: Person, upload: Upload
) -> None:
    client, script = scripted(OK_MATCH, OK_INIT)
    client.match(person, upload, CONSENT)
    client.init(person, "{}")
    sent = [request.headers.get("X-Livegate-Consent") for request in script.requests]
    assert sent == ["consent%2F2026%20%E7%AC%AC1%E5%8F%B7", None]


def test_session_and_attestation_travel_with_a_match_that_has_them(
    scripted: Build, person: Person, upload: Upload
) -> None:
    client, script = scripted(OK_MATCH)
    client.match(person, upload, CONSENT, query_id="a" * 32, attestation="e30.e30.c2ln")
    client.match(person, upload, CONSENT)
    bound, free = script.requests
    assert service_parameters(bound)["queryId"] == "a" * 32
    assert bound.headers["X-Livegate-Attestation"] == "e30.e30.c2ln"
    assert "queryId" not in service_parameters(free)
    assert "X-Livegate-Attestation" not in free.headers


@pytest.mark.parametrize(
    "more",
    [
        {"query_id": "A" * 32},
        {"query_id": ""},
        {"query_id": '","name":"x'},
        {"attestation": "a\r\nX-Evil: 1"},
        {"attestation": "身"},
        {"attestation": "a" * 4097},
    ],
)
def test_a_session_or_attestation_of_another_form_sends_nothing(
    scripted: Build, person: Person, upload: Upload, more: dict[str, Any]
) -> None:
    client, script = scripted(OK_MATCH)
    with pytest.raises(UsageError):
        client.match(person, upload, CONSENT, **more)
    assert script.requests == []


@pytest.mark.parametrize("consent", ["", "  "])
def test_without_a_consent_reference_nothing_is_sent(
    scripted: Build, person: Person, upload: Upload, consent: str
) -> None:
    client, script = scripted(OK_MATCH)
    with pytest.raises(ConsentError):
        client.match(person, upload, consent)
    assert script.requests == []


def test_a_consent_reference_can_not_add_headers(scripted: Build, person: Person, upload: Upload) -> None:
    client, script = scripted(OK_MATCH)
    client.match(person, upload, "a\r\nX-Evil: 1")
    assert "X-Evil" not in script.requests[0].headers


@pytest.mark.parametrize("picture_", [b"\xff\xd8", None, "text"])
def test_only_an_upload_can_be_sent(scripted: Build, person: Person, picture_: Any) -> None:
    client, script = scripted(OK_MATCH)
    with pytest.raises(PassError):
        client.match(person, picture_, CONSENT)
    by_hand = HandPicture(encode_jpeg(picture(48, 64)))
    with pytest.raises(PassError):
        client.match(person, by_hand, CONSENT)  # type: ignore[arg-type]
    assert script.requests == []
    assert match_by_hand(client, person, by_hand, CONSENT).score == 96.1
    with pytest.raises(ConsentError):
        match_by_hand(client, person, by_hand, "")


@pytest.mark.parametrize("form", ["JSON", "XML"])
def test_results_are_typed_in_both_forms(scripted: Build, person: Person, upload: Upload, form: Any) -> None:
    image = base64.urlsafe_b64encode(b"\xff\xd8\xff\xfb" * 5).decode().rstrip("=")
    answers = [
        Answer(200, "OK", REQUEST_ID, {"score": 56.0}),
        Answer(200, "OK", REQUEST_ID, IDS),
        Answer(200, "OK", REQUEST_ID),
        Answer(200, "OK", REQUEST_ID, {"image": image}),
    ]
    client, _ = scripted(*(httpx.Response(200, content=build_answer(a, form)) for a in answers))
    assert client.match(person, upload, CONSENT) == MatchResult(200, 56.0, REQUEST_ID)
    begun = client.init(person, "{}")
    assert (begun.query_id, begun.biz_id, begun.request_id) == (*IDS.values(), REQUEST_ID)
    asked = client.query(begun.query_id, begun.biz_id)
    assert (asked.code, asked.image, asked.request_id) == (200, None, REQUEST_ID)
    assert client.query(begun.query_id, begun.biz_id, True).image == b"\xff\xd8\xff\xfb" * 5


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"score": None},
        {"score": True},
        {"score": "96.1"},
        {"score": -0.1},
        {"score": 100.1},
        {"score": 1e308},
        {"score": [96]},
        "NaN",
        "Infinity",
        "1" + "0" * 400,
    ],
)
def test_a_score_that_is_no_number_from_0_to_100_is_no_answer(
    scripted: Build, person: Person, upload: Upload, data: Any
) -> None:
    text = json.dumps(data) if not isinstance(data, str) else f'{{"score":{data}}}'
    body = f'{{"Code":200,"Message":"OK","Data":{text}}}'
    client, script = scripted(httpx.Response(200, content=body))
    with pytest.raises(AnswerError):
        client.match(person, upload, CONSENT)
    assert len(script.requests) == 1


@pytest.mark.parametrize("score", [0, 100, 0.0, 99.999])
def test_the_ends_of_the_scale_are_scores(
    scripted: Build, person: Person, upload: Upload, score: float
) -> None:
    client, _ = scripted({"Code": 200, "Message": "OK", "Data": {"score": score}})
    result = client.match(person, upload, CONSENT)
    assert result.score == score
    assert isinstance(result.score, float)


@pytest.mark.parametrize(
    "data", [None, {}, {"queryId": "", "bizId": ""}, {"queryId": "a", "bizId": "张"}, {"queryId": "a" * 65}]
)
def test_init_without_usable_ids_is_no_answer(scripted: Build, person: Person, data: Any) -> None:
    client, _ = scripted({"Code": 200, "Message": "OK", "Data": data})
    with pytest.raises(AnswerError):
        client.init(person, "{}")


@pytest.mark.parametrize("data", [None, {}, {"image": ""}])
def test_a_passed_result_is_not_lost_where_no_picture_comes_with_it(scripted: Build, data: Any) -> None:
    client, _ = scripted({**OK_QUERY, "Data": data})
    result = client.query(IDS["queryId"], IDS["bizId"], return_image=True)
    assert (result.code, result.image) == (200, None)


@pytest.mark.parametrize("data", [{"image": "***"}, {"image": "A"}, {"image": 7}])
def test_a_picture_that_is_no_base64_is_no_answer(scripted: Build, data: Any) -> None:
    client, _ = scripted({"Code": 200, "Message": "OK", "Data": data})
    with pytest.raises(AnswerError):
        client.query(IDS["queryId"], IDS["bizId"], return_image=True)


UNIFIED_REASONS = {
    400: Reason.BAD_REQUEST,
    402: Reason.QUOTA,
    403: Reason.NOT_PERMITTED,
    404: Reason.BAD_REQUEST,
    500: Reason.SERVICE_ERROR,
}


@METHODS
@pytest.mark.parametrize("code", [400, 402, 403, 404])
def test_a_unified_code_of_refusal_is_raised_typed_and_never_tried_again(
    scripted: Build, person: Person, upload: Upload, method: str, code: int
) -> None:
    answer = Answer(code, UnifiedCode(code).message, REQUEST_ID)
    client, script = scripted(httpx.Response(200, content=build_answer(answer, "JSON")), ANSWERS[method])
    with pytest.raises(ServiceError, match=f"Code {code}") as caught:
        call(client, method, person, upload)
    assert (caught.value.service_code, caught.value.request_id) == (code, REQUEST_ID)
    assert reason_for(caught.value) is UNIFIED_REASONS[code]
    assert len(script.requests) == 1


SUB_REASONS = {
    "Z1146": Reason.NOT_SAME_PERSON,
    "Z8105": Reason.IDENTITY_REFUSED,
    "Z8102": Reason.NOT_PERMITTED,
    "Z8302": Reason.NOT_PERMITTED,
    "Z1114": Reason.QUOTA,
    "Z1102": Reason.SERVICE_ERROR,
    "Z5137": Reason.UNDECIDED,
    "Z8301": Reason.BAD_REQUEST,
    "Z1108": Reason.BAD_REQUEST,
    "Z8399": Reason.SERVICE_ERROR,
}
FAILURES = [code for code in DETAILED_CODES.values() if code.unified is not UnifiedCode.OK]


@pytest.mark.parametrize("place", ["data", "message", "a Code of success"])
@pytest.mark.parametrize("detailed", FAILURES, ids=lambda code: code.sub_code)
def test_every_detailed_code_of_failure_is_raised_typed(scripted: Build, detailed: Any, place: str) -> None:
    data = {} if place == "message" else {"resultCodeSub": detailed.sub_code}
    message = detailed.message if place == "message" else "不通过的原因"
    code = 200 if place == "a Code of success" else int(detailed.unified)
    answer = build_answer(Answer(code, message, REQUEST_ID, data), "JSON")
    client, _ = scripted(httpx.Response(200, content=answer))
    with pytest.raises(ServiceError) as caught:
        client.query(IDS["queryId"], IDS["bizId"])
    assert caught.value.service_code == detailed.unified
    assert detailed.message in caught.value.message
    if detailed.sub_code in SUB_REASONS:
        assert reason_for(caught.value) is SUB_REASONS[detailed.sub_code]


@pytest.mark.parametrize(("sub_code", "way_out"), [("Z5137", "Ask again"), ("Z8301", "queryId and bizId")])
def test_the_hint_of_a_refused_query_is_about_the_query(scripted: Build, sub_code: str, way_out: str) -> None:
    answer = build_answer(Answer(400, "", REQUEST_ID, {"resultCodeSub": sub_code}), "JSON")
    client, _ = scripted(httpx.Response(200, content=answer))
    with pytest.raises(ServiceError) as caught:
        client.query(IDS["queryId"], IDS["bizId"])
    assert way_out in caught.value.hint


@pytest.mark.parametrize("sub_code", ["Z8100", "Z8300"])
def test_a_detailed_code_of_success_is_part_of_the_result(scripted: Build, sub_code: str) -> None:
    client, _ = scripted({**OK_QUERY, "Data": {"resultCodeSub": sub_code}})
    assert client.query(IDS["queryId"], IDS["bizId"]).sub_code == sub_code


def test_a_code_that_the_reference_does_not_list_is_raised_too(
    scripted: Build, person: Person, upload: Upload
) -> None:
    client, _ = scripted({"Code": 777, "Message": "x"})
    with pytest.raises(ServiceError, match="does not list") as caught:
        client.match(person, upload, CONSENT)
    assert caught.value.service_code == 777
    assert reason_for(caught.value) is Reason.SERVICE_ERROR


@METHODS
@pytest.mark.parametrize(
    "code", [c for c in GATEWAY_CODES.values() if c.http_status < 500], ids=lambda c: c.code
)
def test_a_gateway_code_is_raised_typed_and_never_tried_again(
    scripted: Build, person: Person, upload: Upload, method: str, code: Any
) -> None:
    client, script = scripted(refusal(code.code, code.http_status), ANSWERS[method])
    with pytest.raises(GatewayError) as caught:
        call(client, method, person, upload)
    assert (caught.value.gateway_code, caught.value.http_status) == (code.code, code.http_status)
    assert caught.value.request_id == REQUEST_ID
    throttled = code.code == "Throttling.User"
    assert reason_for(caught.value) is (Reason.QUOTA if throttled else Reason.SERVICE_ERROR)
    assert len(script.requests) == 1


@METHODS
@pytest.mark.parametrize("busy", [BUSY, httpx.Response(500), httpx.Response(502, text="<html>")], ids=repr)
@pytest.mark.parametrize("first", [None, httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError])
def test_connect_errors_and_5xx_are_tried_again_each_with_a_new_nonce_time_and_signature(
    scripted: Build, person: Person, upload: Upload, method: str, busy: httpx.Response, first: Any
) -> None:
    times = iter([1_780_000_000.0, 1_780_000_005.0, 1_780_000_011.0])
    client, script = scripted(first or busy, busy, ANSWERS[method], clock=lambda: next(times))
    call(client, method, person, upload)
    sent = [fields_of(request) for request in script.requests]
    assert len(sent) == 3
    for name in ("SignatureNonce", "Timestamp", "Signature"):
        assert len({fields[name] for fields in sent}) == 3
    assert len({fields["ServiceParameters"] for fields in sent}) == 1
    for fields in sent:
        assert verify(SECRET, string_to_sign("POST", fields), fields["Signature"])
    assert len(script.pauses) == 2


@METHODS
@pytest.mark.parametrize("outcome", [BUSY, httpx.ConnectError])
def test_the_tries_are_bounded_and_end_as_a_network_error(
    scripted: Build, person: Person, upload: Upload, method: str, outcome: Any
) -> None:
    client, script = scripted(outcome, retries=Retries(attempts=4, first_pause=0.5, longest_pause=0.75))
    with pytest.raises(NetworkError) as caught:
        call(client, method, person, upload)
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert reason_for(caught.value) is Reason.NETWORK
    assert len(script.requests) == 4
    assert len(script.pauses) == 3
    assert all(0 <= pause <= limit for pause, limit in zip(script.pauses, (0.5, 0.75, 0.75), strict=True))


def test_code_500_of_the_service_is_tried_again_and_raised_as_what_it_is(
    scripted: Build, person: Person, upload: Upload
) -> None:
    client, script = scripted({"Code": 500, "Message": "服务器内部错误"}, OK_MATCH)
    assert client.match(person, upload, CONSENT).score == 96.1
    assert len(script.requests) == 2
    client, script = scripted({"Code": 500, "Message": "服务器内部错误"})
    with pytest.raises(ServiceError) as caught:
        client.match(person, upload, CONSENT)
    assert caught.value.service_code == 500
    assert reason_for(caught.value) is Reason.SERVICE_ERROR
    assert len(script.requests) == 3


def test_no_further_try_begins_without_the_time_for_its_answer(
    scripted: Build, person: Person, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda _, longest: longest)
    client, script = scripted(
        BUSY,
        timeout=Timeouts(total=30),
        retries=Retries(attempts=10, first_pause=12, longest_pause=60),
    )
    with pytest.raises(NetworkError):
        client.match(person, upload, CONSENT)
    assert script.pauses == [12]
    assert len(script.requests) == 2


LOST = [httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError]


@pytest.mark.parametrize("method", ["match", "init"])
@pytest.mark.parametrize("loss", [*LOST, httpx.Response(504)], ids=repr)
def test_what_was_sent_and_not_answered_is_unknown_and_not_sent_again(
    scripted: Build, person: Person, upload: Upload, method: str, loss: Any
) -> None:
    client, script = scripted(loss, ANSWERS[method])
    with pytest.raises(OutcomeUnknownError) as caught:
        call(client, method, person, upload)
    assert reason_for(caught.value) is Reason.OUTCOME_UNKNOWN
    assert len(script.requests) == 1
    assert script.pauses == []


@pytest.mark.parametrize("loss", [*LOST, httpx.WriteTimeout, httpx.Response(504)], ids=repr)
def test_a_query_without_an_answer_is_asked_again(
    scripted: Build, person: Person, upload: Upload, loss: Any
) -> None:
    client, script = scripted(loss, OK_QUERY)
    assert call(client, "query", person, upload).code == 200
    assert len(script.requests) == 2


@pytest.mark.parametrize("loss", [httpx.WriteError, httpx.WriteTimeout])
def test_a_match_that_was_cut_off_while_sending_is_not_sent_again_and_not_unknown(
    scripted: Build, person: Person, upload: Upload, loss: Any
) -> None:
    client, script = scripted(loss, OK_MATCH)
    with pytest.raises(NetworkError) as caught:
        client.match(person, upload, CONSENT)
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert len(script.requests) == 1


@METHODS
@pytest.mark.parametrize(
    "strange",
    [
        httpx.Response(200),
        httpx.Response(200, text="<html>hello</html>"),
        httpx.Response(301, headers={"Location": "https://elsewhere.test/"}),
        httpx.Response(403, text="proxy says no"),
        httpx.Response(404, json={"Code": 200, "Message": "OK", "Data": {"score": 99, **IDS}}),
        httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"x")),
        httpx.Response(200, content=b" " * (8 * 1024 * 1024 + 1)),
        httpx.DecodingError,
    ],
    ids=range(8),
)
def test_an_answer_that_is_none_of_this_protocol_is_said_so_at_once(
    scripted: Build, person: Person, upload: Upload, method: str, strange: Any
) -> None:
    if isinstance(strange, httpx.Response) and not strange.is_closed:
        strange._content = b"x"
    client, script = scripted(strange, ANSWERS[method])
    with pytest.raises(AnswerError) as caught:
        call(client, method, person, upload)
    assert reason_for(caught.value) is Reason.SERVICE_ERROR
    assert len(script.requests) == 1


@settings(max_examples=150, deadline=None)
@given(
    status=st.sampled_from([200, 201, 204, 302, 400, 403, 404, 429, 500, 502, 503, 504]),
    body=st.binary(max_size=60)
    | st.dictionaries(
        st.sampled_from(["Code", "Message", "Data", "RequestId", "HostId"]),
        st.integers(-1, 600)
        | st.sampled_from(["OK", "200", "Throttling.User", NAME, ""])
        | st.none()
        | st.fixed_dictionaries({"score": st.floats() | st.text(max_size=3)}),
    ).map(lambda fields: json.dumps(fields).encode()),
)
def test_any_answer_ends_in_a_score_or_in_an_error_of_the_tree(
    upload: Upload, person: Person, status: int, body: bytes
) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
    with MatchClient("https://a.test", "id", SECRET, transport=transport, sleep=lambda _: None) as client:
        try:
            found: Any = client.match(person, upload, CONSENT)
        except MatchError as error:
            found = error
    assert NAME not in repr(found)
    if isinstance(found, MatchError):
        assert isinstance(reason_for(found), Reason)
    else:
        assert 200 <= status < 300
        assert 0 <= found.score <= 100


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "saf.example.test",
        "ftp://a.test",
        "https://",
        "https://user:hunter2@a.test",
        "https://a.test/?hunter2=1",
        "https://a.test/#hunter2",
        "https://a.test:99999",
        "https://[::1",
        "http://a.test",
        "http://127.0.0.1.a.test",
        "http://localhost.a.test",
        "http://10.0.0.1",
        "http://",
        "http://127.1",
        "http://0x7f.1",
        "http://2130706433",
        "http://localhost.",
        "http://[::ffff:10.0.0.1]",
        "http://[::]",
        "http://[::1%25lo]",
        "http://127.0.0.1\\@evil.test",
        "http://127.0.0.1\\.evil.test",
        "http://localhost%2eevil.test",
        "http://local\nhost",
        "https://a.test\n",
        " https://a.test",
    ],
    ids=ascii,
)
def test_an_endpoint_that_is_unfit_or_unencrypted_is_refused(endpoint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        MatchClient(endpoint, "id", SECRET)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:1",
        "http://localhost",
        "http://LocalHost:1",
        "http://[::1]:8080/x",
        "http://[::ffff:127.0.0.1]:1",
    ],
)
def test_plain_http_is_for_loopback_unless_a_named_setting_allows_more(endpoint: str) -> None:
    MatchClient(endpoint, "id", SECRET).close()
    MatchClient("http://a.test", "id", SECRET, allow_plain_http=True).close()


PIECES = ["localhost", "127.0.0.1", "[::1]", "[::ffff:", "]", "evil.test", "10.0.0.1", "1", "%2e", "\uff0e"]
PIECES += list("@:%.\\/?#\n\t \u3002")


@given(st.lists(st.sampled_from(PIECES), max_size=5))
@settings(max_examples=150, deadline=None)
def test_what_is_sent_in_clear_goes_to_the_loopback_as_the_http_library_reads_the_endpoint(
    parts: list[str],
) -> None:
    endpoint = "http://" + "".join(parts)
    try:
        MatchClient(endpoint, "id", SECRET).close()
    except SettingsError:
        return
    assert is_loopback(httpx.URL(endpoint).host)


@pytest.mark.parametrize(
    "options",
    [
        {"proxy": "no url hunter2"},
        {"proxy": "gopher://hunter2"},
        {"ca_file": __file__},
        {"ca_file": "/no/such/file"},
    ],
    ids=range(4),
)
def test_an_unusable_proxy_or_ca_file_is_refused_without_being_shown(options: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        MatchClient("https://a.test", "id", SECRET, **options)
    assert "hunter2" not in repr(caught.value)


@pytest.mark.parametrize(("key_id", "secret"), [("", "x"), ("x", "")])
def test_an_empty_key_is_refused(key_id: str, secret: str) -> None:
    with pytest.raises(SettingsError):
        MatchClient("https://a.test", key_id, secret)


@pytest.mark.parametrize("bad", [{"read": 0}, {"connect": -1}, {"total": 1e9}, {"write": float("nan")}])
def test_timeouts_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        Timeouts(**bad)


@pytest.mark.parametrize("bad", [{"attempts": 0}, {"attempts": 11}, {"first_pause": 9, "longest_pause": 1}])
def test_retries_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        Retries(**bad)


@pytest.mark.parametrize(("query_id", "biz_id"), [("", "a"), ("a", ""), ("a" * 65, "a")])
def test_ids_out_of_range_are_not_sent(scripted: Build, query_id: str, biz_id: str) -> None:
    client, script = scripted(OK_QUERY)
    with pytest.raises(UsageError):
        client.query(query_id, biz_id)
    assert script.requests == []


def test_a_closed_client_says_so(scripted: Build, person: Person, upload: Upload) -> None:
    client, _ = scripted(OK_MATCH)
    client.close()
    client.close()
    with pytest.raises(UsageError, match="closed"):
        client.match(person, upload, CONSENT)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConsentError("m"), Reason.BAD_REQUEST),
        (PassError("m"), Reason.SYSTEM_ERROR),
        (MatchError("m"), Reason.SERVICE_ERROR),
        (LivegateError("m"), Reason.SYSTEM_ERROR),
    ],
)
def test_every_other_error_has_a_reason_too(error: LivegateError, reason: Reason) -> None:
    assert reason_for(error) is reason
