"""Signatures equal those of public clients, and the fast percent-encoding equals the slow one."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.protocol.signing import (
    AccessKey,
    Algorithm,
    Encoded,
    canonical_query,
    form_encode,
    percent_encode,
    sign,
    signed_form,
    string_to_sign,
    verify,
)

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors.json").read_text("utf-8"))

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=300)
RESERVED = st.text("%+/=&?#[]@!$'()*,;: ~-_.\"{}\\\x00\n", max_size=200)
BASE64 = st.binary(max_size=600).map(lambda data: base64.b64encode(data).decode())
ANY_TEXT = TEXT | RESERVED | BASE64


@pytest.mark.parametrize("vector", VECTORS["percent_encoding"], ids=lambda v: v["in"])
def test_percent_encoding_equals_the_published_vectors(vector: dict[str, str]) -> None:
    assert percent_encode(vector["in"]) == vector["out"]


@given(ANY_TEXT)
def test_percent_encoding_equals_quote_for_every_text(text: str) -> None:
    assert percent_encode(text) == quote(text, safe="-_.~")


@pytest.mark.parametrize("kinds", range(1, 40))
def test_percent_encoding_is_the_same_on_both_sides_of_the_switch_between_its_two_ways(kinds: int) -> None:
    text = "".join(map(chr, range(0x1F, 0x1F + kinds))) * 3
    assert percent_encode(text) == quote(text, safe="-_.~")


def test_every_byte_value_is_encoded_alone_as_quote_does() -> None:
    for point in [*range(0x180), 0x7FF, 0x800, 0xFFFF, 0x10000, 0x10FFFF]:
        assert percent_encode(chr(point)) == quote(chr(point), safe="-_.~")


@given(st.text(max_size=20), st.characters(categories=("Cs",)))
def test_a_lone_surrogate_gets_a_clear_error_without_the_text(before: str, surrogate: str) -> None:
    with pytest.raises(UsageError, match="lone surrogate") as caught:
        percent_encode("secret-name" + before + surrogate)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "secret-name" not in repr(caught.value)


@pytest.mark.parametrize("vector", VECTORS["string_to_sign_only"], ids=lambda v: v["source"])
def test_string_to_sign_equals_the_published_vectors(vector: dict[str, Any]) -> None:
    assert string_to_sign(vector["method"], vector["params"]) == vector["string_to_sign"]


@pytest.mark.parametrize("vector", VECTORS["signatures"], ids=lambda v: v["name"])
def test_signatures_equal_the_published_vectors(vector: dict[str, Any]) -> None:
    text = string_to_sign(vector["method"], vector["params"])
    assert text == vector["string_to_sign"]
    assert sign(vector["secret"], text) == vector["signature"]
    assert verify(vector["secret"], text, vector["signature"])


@pytest.mark.parametrize("vector", VECTORS["wire"], ids=lambda v: v["name"])
def test_recorded_requests_of_public_clients_verify_when_parsed_as_a_server_does(
    vector: dict[str, Any],
) -> None:
    pairs = [
        *parse_qsl(urlsplit(vector["target"]).query, keep_blank_values=True),
        *parse_qsl(vector["body"], keep_blank_values=True),
    ]
    params = dict(pairs)
    assert len(params) == len(pairs)
    assert params["Signature"] == vector["signature"]
    text = string_to_sign(vector["method"], params)
    assert verify(vector["secret"], text, params["Signature"])


@pytest.mark.parametrize("vector", VECTORS["published_but_wrong"], ids=lambda v: v["name"])
def test_published_values_that_are_wrong_do_not_verify(vector: dict[str, Any]) -> None:
    text = string_to_sign(vector["method"], vector["params"])
    assert not verify(vector["secret"], text, vector["signature"])
    assert sign(vector["secret"], text) == vector["computed"]


@given(st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=6))
def test_string_to_sign_is_the_double_percent_encoding_written_out_plainly(params: dict[str, str]) -> None:
    names = sorted(set(params) - {"Signature"})
    query = "&".join(f"{quote(n, safe='-_.~')}={quote(params[n], safe='-_.~')}" for n in names)
    assert canonical_query(params) == query
    assert string_to_sign("POST", params) == f"POST&%2F&{quote(query, safe='-_.~')}"


def test_the_signature_itself_takes_no_part_and_empty_values_do() -> None:
    assert canonical_query({"b": "", "Signature": "x", "a": "1"}) == "a=1&b="


@given(ANY_TEXT)
def test_no_other_signature_verifies(forged: str) -> None:
    text = string_to_sign("POST", {"a": "b"})
    right = sign("secret", text)
    assert verify("secret", text, forged) == (forged == right)
    assert not verify("secret", text, right + forged + ".")


def test_a_signature_that_is_not_even_text_in_utf8_is_just_wrong() -> None:
    assert not verify("secret", "POST&%2F&", "\ud800")


def test_the_algorithm_is_injected() -> None:
    text = string_to_sign("GET", {"a": "b"})
    sha256 = Algorithm("HMAC-SHA256", "sha256")
    assert sign("secret", text, sha256) != sign("secret", text)
    assert verify("secret", text, sign("secret", text, sha256), sha256)
    assert not verify("secret", text, sign("secret", text), sha256)


@given(st.dictionaries(ANY_TEXT.filter(bool), ANY_TEXT, max_size=6))
def test_a_form_body_parses_back_to_what_was_encoded(params: dict[str, str]) -> None:
    body = form_encode(params).decode("ascii")
    assert parse_qsl(body, keep_blank_values=True, strict_parsing=bool(params)) == list(params.items())


def test_a_key_never_shows_its_secret() -> None:
    key = AccessKey("testid", "hunter2-secret")
    assert "hunter2" not in f"{key!r} {key} {[key]}"
    assert "testid" in repr(key)


@given(ANY_TEXT, st.binary(max_size=600), ANY_TEXT)
def test_text_encoded_in_pieces_equals_the_whole_text_encoded(before: str, data: bytes, after: str) -> None:
    pieces = Encoded.of(before) + Encoded.of_base64(data) + Encoded.of(after)
    whole = before + base64.b64encode(data).decode() + after
    assert bytes(pieces).decode() == quote(whole, safe="-_.~")
    assert string_to_sign("POST", {"a": pieces}) == string_to_sign("POST", {"a": whole})
    assert form_encode({"a": pieces}) == form_encode({"a": whole})


def test_encoded_text_never_shows_its_content() -> None:
    assert "hunter2" not in f"{Encoded.of('hunter2')!r} {Encoded.of('hunter2')}"


@given(st.dictionaries(ANY_TEXT.filter(bool), ANY_TEXT, max_size=6))
def test_a_signed_form_parses_back_and_verifies_as_a_server_does_it(params: dict[str, str]) -> None:
    params.pop("Signature", None)
    received = dict(
        parse_qsl(signed_form(AccessKey("id", "secret"), params).decode(), keep_blank_values=True)
    )
    signature = received.pop("Signature")
    assert received == params
    assert verify("secret", string_to_sign("POST", received), signature)
