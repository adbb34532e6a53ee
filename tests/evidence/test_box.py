"""The sealed box: standard HPKE, bound to its context, and deaf to hostile bytes."""

from __future__ import annotations

import dataclasses
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StoreError
from pipeline.evidence import Context, PrivateKey, SealedBox, seal
from pipeline.evidence.box import SUITE

PICTURE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 8


def context_for(pair: Any, **changes: Any) -> Context:
    values = {
        "id": "0" * 31 + "a",
        "request_id": "7F3C0D2E-0000-4000-8000-000000000001",
        "access_key_id": "testid",
        "query_id": None,
        "consent_digest": "c" * 64,
        "key_id": pair.public.key_id,
        "created_at": 1_795_480_042,
        "expires_at": 1_811_032_042,
    }
    return Context(**(values | changes))


@pytest.fixture(scope="module")
def box(pair: Any) -> bytes:
    return seal(context_for(pair), PICTURE, "同意 1", pair.public)


def test_what_was_sealed_comes_out(pair: Any, box: bytes) -> None:
    parsed = SealedBox.parse(box)
    assert parsed.context == context_for(pair)
    opened = parsed.open(pair.private)
    assert (opened.picture, opened.consent) == (PICTURE, "同意 1")


def test_no_two_boxes_of_one_picture_share_their_bytes(pair: Any, box: bytes) -> None:
    other = SealedBox.parse(seal(context_for(pair), PICTURE, "同意 1", pair.public))
    one = SealedBox.parse(box)
    assert one.info == other.info
    assert len(one.body) == len(other.body) == len(PICTURE) + 2 + len("同意 1".encode()) + 48
    same = sum(a == b for a, b in zip(one.body, other.body, strict=True))
    assert same < len(one.body) // 32  # 1 in 256 by chance


def test_nothing_of_it_is_readable(box: bytes) -> None:
    for secret in (PICTURE[:8], PICTURE[100:116], "同意".encode(), b"\xff\xd8\xff\xe0"):
        assert secret not in box


def test_an_independent_reading_of_rfc_9180_opens_it(pair: Any, box: bytes) -> None:
    """Sections 4, 4.1 and 5.1 of the RFC written out with HMAC and AES-GCM alone."""
    parsed = SealedBox.parse(box)
    enc, ciphertext = parsed.body[:32], parsed.body[32:]

    def extract(salt: bytes, suite: bytes, label: bytes, ikm: bytes) -> bytes:
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")

    def expand(prk: bytes, suite: bytes, label: bytes, info: bytes, length: int) -> bytes:
        text = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
        assert length <= 32
        return hmac.digest(prk, text + b"\x01", "sha256")[:length]

    own = pair.public.key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    kem = b"KEM" + (0x20).to_bytes(2, "big")
    shared_point = pair.private.key.exchange(X25519PublicKey.from_public_bytes(enc))
    shared = expand(extract(b"", kem, b"eae_prk", shared_point), kem, b"shared_secret", enc + own, 32)
    hpke = b"HPKE" + b"".join(n.to_bytes(2, "big") for n in (0x20, 0x01, 0x02))
    schedule = b"\x00" + extract(b"", hpke, b"psk_id_hash", b"")
    schedule += extract(b"", hpke, b"info_hash", parsed.info)
    secret = extract(shared, hpke, b"secret", b"")
    key = expand(secret, hpke, b"key", schedule, 32)
    nonce = expand(secret, hpke, b"base_nonce", schedule, 12)
    plain = AESGCM(key).decrypt(nonce, ciphertext, b"")
    assert plain.endswith(PICTURE)


@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_changed_bit_is_refused(pair: Any, box: bytes, where: float, bit: int) -> None:
    changed = bytearray(box)
    changed[int(where * len(box))] ^= 1 << bit
    with pytest.raises(StoreError):
        SealedBox.parse(bytes(changed)).open(pair.private)


@pytest.mark.parametrize(
    "changes",
    [
        {"created_at": 1_795_480_043},
        {"expires_at": 1_900_000_000},
        {"request_id": "another"},
        {"access_key_id": "another"},
        {"query_id": "b" * 32},
        {"consent_digest": "d" * 64},
        {"id": "b" * 32},
    ],
)
def test_a_box_under_another_context_is_refused(pair: Any, box: bytes, changes: dict[str, Any]) -> None:
    body = SealedBox.parse(box).body
    encoded = context_for(pair, **changes).encode()
    moved = box[:5] + len(encoded).to_bytes(2, "big") + encoded + body
    with pytest.raises(StoreError, match="was changed"):
        SealedBox.parse(moved).open(pair.private)


def test_another_key_is_named(pair: Any, make_pair: Any, box: bytes) -> None:
    other = make_pair()
    with pytest.raises(StoreError, match=other.private.key_id) as caught:
        SealedBox.parse(box).open(other.private)
    assert pair.public.key_id in caught.value.message


def test_another_key_under_the_same_id_does_not_open_it(pair: Any, box: bytes) -> None:
    liar = PrivateKey(X25519PrivateKey.generate(), pair.public.key_id)
    with pytest.raises(StoreError, match="does not open"):
        SealedBox.parse(box).open(liar)


@given(st.binary(max_size=400))
def test_bytes_of_any_kind_are_refused(data: bytes) -> None:
    with pytest.raises(StoreError, match="not a sealed picture"):
        SealedBox.parse(data)


@given(st.binary(max_size=200), st.integers(0, 65535), st.binary(max_size=200))
def test_bytes_behind_a_right_beginning_are_refused(head: bytes, length: int, rest: bytes) -> None:
    with pytest.raises(StoreError, match="not a sealed picture"):
        SealedBox.parse(b"LGEV\x01" + length.to_bytes(2, "big") + head + rest)


@given(st.data())
def test_every_cut_is_refused(pair: Any, box: bytes, data: st.DataObject) -> None:
    cut = box[: data.draw(st.integers(0, len(box) - 1))]
    with pytest.raises(StoreError):
        SealedBox.parse(cut).open(pair.private)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([f.name for f in dataclasses.fields(Context)] + ["more"]), json_values)
def test_contexts_with_odd_values_are_refused_or_read_as_they_are(pair: Any, name: str, value: Any) -> None:
    values = json.loads(context_for(pair).encode()) | {name: value}
    data = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
    try:
        read = Context.decode(data)
    except StoreError:
        return
    assert name != "more"
    assert getattr(read, name) == value
    assert type(getattr(read, name)) is type(value)
    assert read.encode() == data


@pytest.mark.parametrize(
    "mend",
    [
        lambda text: text.replace('{"', '{"id":"x","', 1),
        lambda text: text.replace(":", ": ", 1),
        lambda text: text.replace("testid", "\\u0074estid"),
        lambda text: text.replace("1795480042", "1795480042.0"),
        lambda text: text.replace("1795480042", "-1"),
        lambda text: text.replace("1795480042", "9" * 4000),
        lambda text: text.replace("1795480042", "true"),
        lambda text: text.replace("1795480042", "NaN"),
        lambda text: "[" * 2000,
        lambda text: "null",
    ],
)
def test_a_context_has_one_written_form(pair: Any, mend: Any) -> None:
    text = context_for(pair).encode().decode()
    assert Context.decode(text.encode()) == context_for(pair)
    changed = mend(text)
    assert changed != text
    with pytest.raises(StoreError, match="not readable"):
        Context.decode(changed.encode())


def test_a_box_that_holds_no_picture_is_refused(pair: Any, box: bytes) -> None:
    info = SealedBox.parse(box).info
    for plain in (b"", b"\x00", b"\x00\x05ab", b"\x00\x02\xff\xfe"):
        sealed = info + SUITE.encrypt(plain, pair.public.key, info=info)
        with pytest.raises(StoreError):
            SealedBox.parse(sealed).open(pair.private)


def test_a_context_that_can_not_be_written_is_refused(pair: Any, make_pair: Any) -> None:
    for context in (
        context_for(pair, key_id=make_pair().public.key_id),
        context_for(pair, access_key_id="x" * 5000),
        context_for(pair, expires_at=2**60),
        context_for(pair, consent_digest="short"),
    ):
        with pytest.raises(StoreError, match="can't be sealed"):
            seal(context, PICTURE, "c", pair.public)


def test_nothing_shows_in_a_repr(pair: Any, box: bytes) -> None:
    parsed = SealedBox.parse(box)
    told = repr((parsed, parsed.open(pair.private), pair.private, pair.public))
    assert "同意" not in told
    assert "xff" not in told
    assert pair.public.key_id in told
