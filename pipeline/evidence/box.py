"""The sealed box: one live picture and its consent reference, readable with the private key alone.

```
"LGEV" 01 | length of context, 2 bytes | context, JSON | encapsulated key, 32 bytes | ciphertext and tag
└────────────── HPKE info: authenticated, in clear ────┘ └────────── RFC 9180, base mode ──────────────┘
```
The scheme is HPKE (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, single-shot, empty AAD,
as `cryptography` ships it. Every box has an ephemeral key of its own, and the sender keeps no secret: who
seals can't open. All that stands in clear before the body is the ``info`` of the key schedule, so a box opens
only under exactly the context that it was sealed with.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from pipeline.errors import StoreError
from pipeline.evidence.keys import PrivateKey, PublicKey

SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

_MAGIC: Final = b"LGEV\x01"
_LENGTH_BYTES: Final = 2
_LONGEST_CONTEXT: Final = 4096
_SHORTEST_BODY: Final = 32 + 16
_LATEST: Final = 253_402_300_799
"""Latest time in a context: the last second of the year 9999."""

_HEX32: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_HEX64: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Context:
    """What a box is bound to. Holds no personal data; the columns of its row say the same.

    Attributes:
        id: 32 hex digits, the record.
        request_id: ``RequestId`` of the match.
        access_key_id: who sent the picture.
        query_id: 32 hex digits, the session that the match named, or None.
        consent_digest: 64 hex digits, keyed digest of the consent reference.
        key_id: 32 hex digits, which public key sealed it.
        created_at: seconds since 1970.
        expires_at: end of the retention, seconds since 1970.
    """

    id: str
    request_id: str
    access_key_id: str
    query_id: str | None
    consent_digest: str
    key_id: str
    created_at: int
    expires_at: int

    def encode(self) -> bytes:
        """JSON in its one written form: ASCII, names sorted, no spaces."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode("ascii")

    @classmethod
    def decode(cls, data: bytes) -> Context:
        """Read what `encode` made, and nothing else.

        Raises:
            StoreError: it is anything else.
        """
        try:
            values = json.loads(data)
            found = cls(**values)
            right = found._is_valid() and found.encode() == data
        except (ValueError, TypeError, RecursionError):
            right = False
        if not right:
            raise _unreadable("its context is not readable")
        return found

    def _is_valid(self) -> bool:
        times = (self.created_at, self.expires_at)
        return (
            _matches(_HEX32, self.id, self.key_id)
            and _matches(_HEX64, self.consent_digest)
            and (self.query_id is None or _matches(_HEX32, self.query_id))
            and all(isinstance(text, str) and text for text in (self.request_id, self.access_key_id))
            and all(type(time) is int and 0 <= time <= _LATEST for time in times)
        )


@dataclass(frozen=True, slots=True, repr=False)
class SealedBox:
    """A box taken apart and not opened. Nothing of the context is authenticated before `open`.

    Attributes:
        context: what it says it is bound to.
        info: everything before the body, which HPKE binds.
        body: encapsulated key, ciphertext and tag.
    """

    context: Context
    info: bytes
    body: bytes

    @classmethod
    def parse(cls, data: bytes) -> SealedBox:
        """Take a box apart.

        Raises:
            StoreError: these bytes are not a sealed box.
        """
        start = len(_MAGIC) + _LENGTH_BYTES
        if not data.startswith(_MAGIC) or len(data) < start:
            raise _unreadable("it does not begin like one")
        length = int.from_bytes(data[len(_MAGIC) : start], "big")
        if length > _LONGEST_CONTEXT or len(data) < start + length + _SHORTEST_BODY:
            raise _unreadable("it is cut off")
        context = Context.decode(data[start : start + length])
        return cls(context, data[: start + length], data[start + length :])

    def open(self, key: PrivateKey) -> OpenedBox:
        """Decrypt.

        Args:
            key: the private key that belongs to ``context.key_id``.

        Raises:
            StoreError: the key is another one, or a byte of the box was changed.
        """
        if key.key_id != self.context.key_id:
            raise StoreError(
                f"this picture is sealed for key {self.context.key_id}, not for {key.key_id}",
                hint="Give the private key with that id: --key may be given several times.",
            )
        try:
            plain = SUITE.decrypt(self.body, key.key, info=self.info)
        except (InvalidTag, ValueError):
            raise StoreError(
                f"the sealed picture {self.context.id} does not open: it or its context was changed",
                hint="Take the record from a backup; what was changed can't be repaired.",
            ) from None
        return _unpack(plain)

    def __repr__(self) -> str:
        return f"SealedBox({self.context!r}, {len(self.body)} bytes)"


@dataclass(frozen=True, slots=True)
class OpenedBox:
    """What was sealed.

    Attributes:
        picture: JPEG or PNG bytes as they came.
        consent: consent reference under which it came.
    """

    picture: bytes = field(repr=False)
    consent: str = field(repr=False)


def seal(context: Context, picture: bytes, consent: str, key: PublicKey) -> bytes:
    """Seal a picture and its consent reference.

    Args:
        context: what the box is bound to; its ``key_id`` must be the key's.
        picture: JPEG or PNG bytes.
        consent: consent reference.
        key: whose private half opens it.

    Returns:
        The box: the context, the picture and about 60 bytes more.

    Raises:
        StoreError: the context can't be written.
    """
    encoded = context.encode()
    if context.key_id != key.key_id or len(encoded) > _LONGEST_CONTEXT or not context._is_valid():
        raise StoreError("a picture can't be sealed under this context")
    info = _MAGIC + len(encoded).to_bytes(_LENGTH_BYTES, "big") + encoded
    text = consent.encode("utf-8")
    plain = len(text).to_bytes(_LENGTH_BYTES, "big") + text + picture
    return info + SUITE.encrypt(plain, key.key, info=info)


def _unpack(plain: bytes) -> OpenedBox:
    length = int.from_bytes(plain[:_LENGTH_BYTES], "big")
    end = _LENGTH_BYTES + length
    try:
        if len(plain) < end:
            raise ValueError
        return OpenedBox(plain[end:], plain[_LENGTH_BYTES:end].decode("utf-8"))
    except ValueError:
        raise _unreadable("what was sealed is not a picture with a consent reference") from None


def _matches(pattern: re.Pattern[str], *values: Any) -> bool:
    return all(isinstance(value, str) and pattern.fullmatch(value) for value in values)


def _unreadable(why: str) -> StoreError:
    return StoreError(f"this is not a sealed picture: {why}", hint="Take the record from a backup.")
