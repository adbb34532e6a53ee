"""Attestations: what is signed comes back, and nothing else does."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from pipeline.protocol.attestation import (
    MAX_ATTESTATION,
    Attestation,
    Camera,
    InstallKey,
    open_attestation,
    read_token,
    sign_attestation,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
SAID = Attestation(
    query_id="a" * 32,
    device_id="b" * 32,
    app="till",
    app_version="1.2",
    sdk_version="0.1.0",
    at=1_795_480_042,
    frame_sha256="c" * 64,
    picture_sha256="d" * 64,
    camera=Camera("e" * 32, "device", "usb", "046d:0825", trusted=True),
)
SIGNED = sign_attestation(SAID, KEY)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def resigned(payload: Any = None, header: Any = None) -> str:
    """The same attestation with another payload or header, signed rightly by the same key."""
    parts = SIGNED.split(".")
    if header is not None:
        parts[0] = b64(json.dumps(header, sort_keys=True, separators=(",", ":")).encode())
    if payload is not None:
        parts[1] = b64(json.dumps(payload, sort_keys=True, separators=(",", ":")).encode())
    signed = f"{parts[0]}.{parts[1]}"
    return f"{signed}.{b64(KEY.sign(signed.encode()))}"


def decoded(part: int) -> dict[str, Any]:
    text = SIGNED.split(".")[part]
    return dict(json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))


def test_what_was_signed_comes_back_with_its_key() -> None:
    assert open_attestation(SIGNED) == (SAID, InstallKey("b" * 32, PUBLIC))
    assert len(SIGNED) < MAX_ATTESTATION
    assert SIGNED.isascii()


def test_it_is_a_jws_that_other_tools_can_read() -> None:
    assert decoded(0) == {
        "alg": "EdDSA",
        "typ": "livegate-attestation",
        "jwk": {"kty": "OKP", "crv": "Ed25519", "x": b64(PUBLIC)},
    }
    assert decoded(1)["camera"]["model"] == "046d:0825"


@given(st.integers(0, len(SIGNED) - 1), st.sampled_from("AZaz09-_.="))
def test_any_changed_character_spoils_it(place: int, letter: str) -> None:
    changed = SIGNED[:place] + letter + SIGNED[place + 1 :]
    assert (open_attestation(changed) is not None) == (changed == SIGNED)


@given(st.text(max_size=200) | st.lists(st.binary(max_size=60), min_size=3, max_size=3).map(
    lambda parts: ".".join(map(b64, parts))
))  # fmt: skip
def test_any_other_text_is_none(text: str) -> None:
    assert open_attestation(text) is None


@pytest.mark.parametrize(
    "change",
    [
        {"query_id": "A" * 32},
        {"query_id": 5},
        {"device_id": ""},
        {"at": True},
        {"at": -1},
        {"at": 1e9},
        {"at": 2**50},
        {"frame_sha256": "c" * 63},
        {"app": "x" * 65},
        {"app": "\n"},
        {"camera": None},
        {"camera": []},
        {"camera": {"id": "e" * 32}},
        {"more": 1},
    ],
)
def test_rightly_signed_nonsense_is_none(change: dict[str, Any]) -> None:
    assert open_attestation(resigned(decoded(1) | change)) is None


@pytest.mark.parametrize("name", list(decoded(1)))
def test_no_field_may_be_missing(name: str) -> None:
    fields = decoded(1)
    del fields[name]
    assert open_attestation(resigned(fields)) is None


@pytest.mark.parametrize(
    "header",
    [
        decoded(0) | {"alg": "none"},
        decoded(0) | {"typ": "JWT"},
        decoded(0) | {"kid": "1"},
        {"alg": "EdDSA"},
        5,
    ],
)
def test_another_header_is_none_even_rightly_signed(header: Any) -> None:
    assert open_attestation(resigned(header=header)) is None


def test_another_key_in_the_header_is_found_out() -> None:
    other = sign_attestation(SAID, Ed25519PrivateKey.generate())
    mixed = ".".join([other.split(".")[0], *SIGNED.split(".")[1:]])
    assert open_attestation(mixed) is None


def test_one_that_is_too_long_is_not_looked_at() -> None:
    assert open_attestation(resigned(decoded(1) | {"app": "x" * MAX_ATTESTATION})) is None


def test_the_token_of_metainfo_names_device_and_key() -> None:
    token = InstallKey("b" * 32, PUBLIC).token
    assert read_token(token) == InstallKey("b" * 32, PUBLIC)
    for broken in ("", "lg1", token[:-1], token + "A", token.replace("lg1", "lg2"), token.upper()):
        assert read_token(broken) is None


def test_claims_differ_where_a_field_does() -> None:
    found = open_attestation(sign_attestation(replace(SAID, at=1), KEY))
    assert found is not None
    assert found[0] == replace(SAID, at=1)
