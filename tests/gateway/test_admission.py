"""The order of the gateway's checks, and what each one answers."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.gateway.admission import REQUIRED, read_timestamp
from pipeline.protocol.answers import Answer, Refusal, parse_answer
from pipeline.protocol.signing import string_to_sign

pytestmark = pytest.mark.storages("sqlite", "postgresql", "redis")
QUERY = {"method": "query", "bizId": "ZSTP0", "queryId": "0" * 32}
PREFIX = "Specified signature is not matched with our calculation. server string to sign is:"


def code(caller: Any, params: dict[str, str], verb: str = "POST") -> str | int:
    return parse_answer(caller.gateway.handle(caller.request(params, verb)).body).code


def test_a_signed_request_reaches_the_service(caller: Any) -> None:
    answer = caller.call(QUERY)
    assert isinstance(answer, Answer)
    assert answer.sub_code == "Z8301"


def test_the_same_request_by_get_reaches_the_service(caller: Any) -> None:
    assert code(caller, caller.signed(caller.params(QUERY), "GET"), "GET") == 400


@pytest.mark.storages("sqlite")
@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("blank", [False, True])
def test_each_public_parameter_must_be_there(caller: Any, name: str, blank: bool) -> None:
    params = caller.signed(caller.params(QUERY))
    params = params | {name: ""} if blank else {k: v for k, v in params.items() if k != name}
    answer = caller.gateway.handle(caller.request(params))
    assert answer.status == 400
    assert parse_answer(answer.body).code == f"Missing{name}"


@pytest.mark.storages("sqlite")
@pytest.mark.parametrize(
    ("public", "status", "expected"),
    [
        ({"Version": "2014-05-26"}, 400, "InvalidVersion"),
        ({"Action": "DescribeRegions"}, 404, "InvalidApi.NotFound"),
        ({"AccessKeyId": "nobody"}, 404, "InvalidAccessKeyId.NotFound"),
        ({"AccessKeyId": "x" * 5000}, 404, "InvalidAccessKeyId.NotFound"),
        ({"AccessKeyId": "a\x00b"}, 404, "InvalidAccessKeyId.NotFound"),
        ({"SignatureMethod": "HMAC-SHA256"}, 400, "IncompleteSignature"),
        ({"SignatureVersion": "2.0"}, 400, "IncompleteSignature"),
        ({"Timestamp": "2026-11-24 00:27:22"}, 400, "InvalidTimeStamp.Format"),
        ({"Timestamp": "2026-11-24T00:27:22+08:00"}, 400, "InvalidTimeStamp.Format"),
        ({"Timestamp": "2026-02-30T00:00:00Z"}, 400, "InvalidTimeStamp.Format"),
        ({"Format": "yaml"}, 400, "InvalidParameter"),
    ],
)
def test_wrong_public_parameters(caller: Any, public: dict[str, str], status: int, expected: str) -> None:
    answer = caller.raw(QUERY, **public)
    assert answer.status == status
    refusal = parse_answer(answer.body)
    assert isinstance(refusal, Refusal)
    assert refusal.code == expected
    assert refusal.host_id == "livegate"
    assert refusal.request_id


def test_another_service_is_told_by_the_service_itself(caller: Any) -> None:
    answer = caller.raw(QUERY, Service="coupon_abuse")
    assert answer.status == 200
    found = parse_answer(answer.body)
    assert (found.code, found.message) == (404, "参数Service不合法。")


@pytest.mark.storages("sqlite")
@pytest.mark.parametrize("signature", ["x", "AAAA", "not base64!", "A" * 27 + "=" * 9])
def test_what_can_be_no_signature_is_incomplete(caller: Any, signature: str) -> None:
    assert code(caller, caller.params(QUERY) | {"Signature": signature}) == "IncompleteSignature"


def test_a_wrong_signature_gets_the_string_to_sign_after_the_colon(caller: Any) -> None:
    params = caller.signed(caller.params(QUERY), secret="another")
    answer = parse_answer(caller.gateway.handle(caller.request(params)).body)
    assert answer.code == "SignatureDoesNotMatch"
    assert answer.message == PREFIX + string_to_sign("POST", params)
    assert answer.message.split(":", 1)[1] == string_to_sign("POST", params)


@pytest.mark.storages("sqlite")
def test_a_string_to_sign_longer_than_any_honest_one_is_not_sent_back(caller: Any) -> None:
    params = caller.signed(caller.params(" " * 1_000_000), secret="another")
    answer = parse_answer(caller.gateway.handle(caller.request(params)).body)
    assert (answer.code, answer.message) == ("SignatureDoesNotMatch", PREFIX)


@pytest.mark.parametrize("name", ["ServiceParameters", "SignatureNonce", "Timestamp", "Format"])
def test_a_changed_parameter_breaks_the_signature(caller: Any, name: str) -> None:
    params = caller.signed(caller.params(QUERY))
    changed = {"Format": "json", "Timestamp": params["Timestamp"].replace("22Z", "23Z")}
    params[name] = changed.get(name, params[name] + " ")
    assert code(caller, params) == "SignatureDoesNotMatch"


def test_an_added_parameter_breaks_the_signature_and_a_signed_one_does_not(caller: Any) -> None:
    assert code(caller, caller.signed(caller.params(QUERY)) | {"RegionId": "x"}) == "SignatureDoesNotMatch"
    assert code(caller, caller.signed(caller.params(QUERY, RegionId="x", SignatureType=""))) == 400


def test_a_signature_for_get_is_none_for_post(caller: Any) -> None:
    assert code(caller, caller.signed(caller.params(QUERY), "GET")) == "SignatureDoesNotMatch"


def test_a_request_is_taken_once(caller: Any) -> None:
    params = caller.signed(caller.params(QUERY))
    assert [code(caller, params) for _ in range(3)] == [400, "SignatureNonceUsed", "SignatureNonceUsed"]


def test_two_keys_may_use_the_same_nonce(caller: Any) -> None:
    from pipeline.protocol.signing import AccessKey

    caller.call(QUERY, SignatureNonce="n")
    caller.key = AccessKey("another", "secret")
    caller.gateway.access_keys.put(caller.key, now=caller.now)
    assert caller.call(QUERY, SignatureNonce="n").code == 400


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c, p: c.signed(p, secret="forged"),
        lambda c, p: c.signed(p | {"Timestamp": "2020-01-01T00:00:00Z"}),
        lambda c, p: c.signed(p | {"Timestamp": "soon"}),
        lambda c, p: p | {"Signature": "AAAA"},
        lambda c, p: c.signed(p | {"Version": "1"}),
        lambda c, p: c.signed(p | {"AccessKeyId": "nobody"}),
        lambda c, p: c.signed(p | {"Service": "x"}),
    ],
    ids=["forged", "expired", "no time", "incomplete", "version", "key", "service"],
)
def test_a_refused_request_does_not_use_up_the_nonce(caller: Any, spoil: Any) -> None:
    params = caller.params(QUERY, SignatureNonce="precious")
    assert code(caller, spoil(caller, params)) != 400
    assert code(caller, caller.signed(params)) == 400


def test_what_is_checked_first_is_answered_first(caller: Any) -> None:
    """Everything is wrong at once; mending the faults one by one shows them in the documented order."""
    bad = {
        "SignatureNonce": "used",
        "Timestamp": "2020-01-01T00:00:00Z",
        "Signature": None,
        "AccessKeyId": "nobody",
        "Service": "x",
        "Action": "x",
        "Version": "x",
    }
    caller.call(QUERY, SignatureNonce="used")
    good = caller.params(QUERY)
    seen = []
    for mended in [*reversed(bad), None]:
        params = {k: v for k, v in (good | bad).items() if v is not None}
        if "Signature" in bad:
            params["Signature"] = "b" * 27 + "="
        else:
            params = caller.signed(params)
        seen.append(code(caller, params))
        bad.pop(mended, None)
    assert seen == [
        "InvalidVersion",
        "InvalidApi.NotFound",
        404,
        "InvalidAccessKeyId.NotFound",
        "SignatureDoesNotMatch",
        "InvalidTimeStamp.Expired",
        "SignatureNonceUsed",
        400,
    ]


@pytest.mark.parametrize(("off", "taken"), [(-900, True), (900, True), (-901, False), (901, False)])
def test_the_time_may_be_15_minutes_off_either_way(caller: Any, kit: Any, off: int, taken: bool) -> None:
    answer = caller.call(QUERY, Timestamp=kit.timestamp(caller.now + off))
    assert answer.code == (400 if taken else "InvalidTimeStamp.Expired")


def test_a_request_from_the_future_can_not_be_replayed_while_its_time_holds(caller: Any, kit: Any) -> None:
    """The longest that one signature can be good for is 30 minutes; its nonce outlives that."""
    params = caller.signed(caller.params(QUERY, Timestamp=kit.timestamp(caller.now + 900)))
    assert code(caller, params) == 400
    for later in (60, 899, 900, 900):
        caller.now += later if later != 900 else 0
        caller.call(QUERY)  # gives the clean-up its turn
        assert code(caller, params) == "SignatureNonceUsed"
    caller.now += 842
    assert code(caller, params) == "InvalidTimeStamp.Expired"


@pytest.mark.storages("sqlite", "postgresql")
def test_nonces_are_forgotten_after_their_time(caller: Any) -> None:
    from sqlalchemy import func, select

    from pipeline.gateway.schema import NonceRow

    for _ in range(5):
        caller.call(QUERY)
    caller.now += 32 * 60
    caller.call(QUERY, SignatureNonce="nonce-0")
    with caller.gateway.authority.store.read() as session:
        assert session.scalar(select(func.count()).select_from(NonceRow)) == 1


def test_a_revoked_key_ends_at_once(caller: Any) -> None:
    assert caller.call(QUERY).code == 400
    assert caller.gateway.access_keys.revoke("testid", now=caller.now)
    assert caller.call(QUERY).code == "InvalidAccessKeyId.NotFound"
    assert not caller.gateway.access_keys.revoke("testid", now=caller.now)
    caller.gateway.access_keys.put(caller.key, now=caller.now)
    assert caller.call(QUERY).code == "InvalidAccessKeyId.NotFound"


def test_a_key_can_be_given_a_new_secret(caller: Any) -> None:
    from pipeline.protocol.signing import AccessKey

    caller.key = AccessKey("testid", "renewed")
    assert caller.call(QUERY).code == "SignatureDoesNotMatch"
    caller.gateway.access_keys.put(caller.key, now=caller.now)
    assert caller.call(QUERY).code == 400


def test_timestamps() -> None:
    assert read_timestamp("1970-01-02T00:00:01Z") == 86401
    assert read_timestamp("2014-7-29T12:00:00Z") == read_timestamp("2014-07-29T12:00:00Z")
    for text in ("", "2014-07-29", "2014-07-29T12:00:00", "2014-07-29T25:00:00Z", "２014-07-29T12:00:00Z"):
        assert read_timestamp(text) is None
