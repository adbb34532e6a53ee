from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.gateway.params import Refused, format_of, read_parameters, wanted_format
from pipeline.gateway.wire import Limits, RawRequest
from pipeline.protocol.signing import form_encode

FORM = (("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"),)
LIMITS = Limits()
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def read(request: RawRequest, limits: Limits = LIMITS) -> dict[str, str] | str:
    found = read_parameters(request, limits)
    return found.code.code if isinstance(found, Refused) else found


def test_query_and_form_are_one_set() -> None:
    assert read(RawRequest("POST", "/?a=1&b=", FORM, b"c=x+y%2Bz&d")) == {
        "a": "1",
        "b": "",
        "c": "x y+z",
        "d": "",
    }


def test_a_body_without_a_type_is_a_form() -> None:
    assert read(RawRequest("POST", "/", (), b"a=%E5%BC%A0")) == {"a": "张"}


@pytest.mark.parametrize(
    ("target", "body"), [("/?a=1&a=1", b""), ("/", b"a=1&a=2"), ("/?a=1", b"a=1"), ("/?%61=1", b"a=")]
)
def test_a_name_given_twice_is_refused(target: str, body: bytes) -> None:
    assert read(RawRequest("POST", target, FORM, body)) == "InvalidParameter"


@pytest.mark.parametrize(
    ("target", "body"), [("/?a=%FF", b""), ("/", b"a=\xff"), ("/?a=%ED%A0%80", b""), ("/?a=é", b"")]
)
def test_what_is_not_utf8_is_refused(target: str, body: bytes) -> None:
    assert read(RawRequest("POST", target, FORM, body)) == "InvalidParameter"


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "application/json", "text/plain"])
def test_other_bodies_are_refused(kind: str) -> None:
    assert read(RawRequest("POST", "/", (("content-type", kind),), b"a=1")) == "UnsupportedMediaType"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "get", ""])
def test_other_methods_are_refused(method: str) -> None:
    assert read(RawRequest(method, "/")) == "UnsupportedHTTPMethod"


def test_sizes_are_refused_just_above_their_limits() -> None:
    limits = Limits(target=10, body=4, fields=2)
    assert read(RawRequest("GET", "/?a=123456"), limits) == {"a": "123456"}
    assert read(RawRequest("GET", "/?a=1234567"), limits) == "RequestURITooLong"
    assert read(RawRequest("POST", "/", FORM, b"a=12"), limits) == {"a": "12"}
    assert read(RawRequest("POST", "/", FORM, b"a=123"), limits) == "RequestEntityTooLarge"
    assert read(RawRequest("POST", "/?a&b", FORM), limits) == {"a": "", "b": ""}
    assert read(RawRequest("POST", "/?a&b", FORM, b"c"), limits) == "InvalidParameter"
    assert read(RawRequest("POST", "/?a&b&c", FORM), replace(limits, fields=3)) == {"a": "", "b": "", "c": ""}


@pytest.mark.parametrize(
    ("word", "form"),
    [
        ("json", "JSON"),
        ("JSON", "JSON"),
        ("xml", "XML"),
        ("XML", "XML"),
        ("", "XML"),
        ("Json", None),
        ("yaml", None),
    ],
)
def test_format_words(word: str, form: str | None) -> None:
    assert format_of({"Format": word}) == form
    assert format_of({}) == "XML"


def test_the_form_of_an_early_refusal_is_taken_from_the_query_then_from_accept() -> None:
    assert wanted_format(RawRequest("POST", "/?x=1&Format=json")) == "JSON"
    assert wanted_format(RawRequest("POST", "/?Format=XML", (("Accept", "application/json"),))) == "XML"
    assert wanted_format(RawRequest("POST", "/", (("Accept", "application/json"),))) == "JSON"
    assert wanted_format(RawRequest("POST", "/")) == "XML"


@given(st.dictionaries(TEXT, TEXT, max_size=6))
def test_what_a_client_encodes_is_what_is_read(params: dict[str, str]) -> None:
    encoded = form_encode(params)
    assert read(RawRequest("POST", "/", FORM, encoded)) == params


def test_a_request_shows_nothing_of_itself() -> None:
    request = RawRequest("POST", "/?name=secret-name", FORM, b"certNumber=secret-number")
    assert "secret" not in repr(request)
