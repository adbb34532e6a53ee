"""POP request signatures (SignatureVersion 1.0): percent-encoding, string to sign, sign, verify.

Source: the service's reference, its Java sample, and the vectors of public clients
(`tests/protocol/vectors.json`). A string to sign holds a name, an ID number and a picture. Never log one.
"""

from __future__ import annotations

import base64
import hmac
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self, final

from pipeline.errors import UsageError

SIGNATURE_VERSION: Final = "1.0"

_UNRESERVED: Final = (string.ascii_letters + string.digits + "-_.~").encode()
_ESCAPES: Final = tuple(b"%%%02X" % i for i in range(256))
_ENCODED: Final = tuple(bytes((i,)) if i in _UNRESERVED else _ESCAPES[i] for i in range(256))
_PERCENT: Final = ord("%")
# From about this many different reserved bytes on (Chinese text), one table pass beats a replace() per byte.
_MAX_REPLACED_KINDS: Final = 16


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A keyed digest by the name that goes into ``SignatureMethod``.

    Attributes:
        method: value of ``SignatureMethod``.
        digest: name of the digest in `hashlib`.
    """

    method: str
    digest: str


HMAC_SHA1: Final = Algorithm("HMAC-SHA1", "sha1")
"""The only algorithm that the reference names. SHA-1 inside HMAC is not broken by SHA-1's collisions."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key. Its secret is in no repr.

    Attributes:
        key_id: public ``AccessKeyId``.
        secret: shared secret, without the ``&`` that signing appends.
    """

    key_id: str
    secret: str

    def __repr__(self) -> str:
        return f"AccessKey(key_id={self.key_id!r}, secret=...)"


@final
class Encoded:
    """Percent-encoded text, right by construction: made from plain text or from bytes, and by joining such.

    The percent-encoding of a joined text is the joined percent-encodings, so a long base64 value inside a
    JSON text is encoded once, in pieces. Its content is in no repr.
    """

    __slots__ = ("_data",)
    _data: bytes

    @classmethod
    def of(cls, text: str) -> Self:
        """Encode plain text.

        Raises:
            UsageError: the text holds a lone surrogate.
        """
        return cls._holding(_encode(text))

    @classmethod
    def of_base64(cls, data: bytes) -> Self:
        """Encode the base64 text of ``data``; only ``+``, ``/`` and ``=`` of the alphabet are reserved."""
        text = base64.b64encode(data)
        return cls._holding(text.replace(b"+", b"%2B").replace(b"/", b"%2F").replace(b"=", b"%3D"))

    @classmethod
    def _holding(cls, data: bytes) -> Self:
        encoded = cls()
        encoded._data = data
        return encoded

    def __add__(self, other: Encoded) -> Encoded:
        return self._holding(self._data + other._data)

    def __bytes__(self) -> bytes:
        return self._data

    def __repr__(self) -> str:
        return f"Encoded({len(self._data)} bytes)"


Params = Mapping[str, str | Encoded]
"""Parameters of a request by name: plain text, or text that is percent-encoded already."""


def percent_encode(text: str) -> str:
    """Encode as RFC 3986 wants: ``A-Za-z0-9-_.~`` stay, every other byte of the UTF-8 form becomes ``%XX``.

    Equal to ``urllib.parse.quote(text, safe="-_.~")`` for every text, and much faster for base64: one pass
    deletes the unreserved bytes, what is left says which others occur at all, and each of those is replaced.

    Raises:
        UsageError: the text holds a lone surrogate, which has no UTF-8 form.
    """
    return _encode(text).decode("ascii")


def canonical_query(params: Params) -> str:
    """Join ``name=value``, both percent-encoded, with ``&``, sorted by name.

    ``Signature`` is left out, empty values are kept.

    Args:
        params: every parameter of the request, those of the query and those of the form body together.

    Raises:
        UsageError: a name or value holds a lone surrogate.
    """
    return _canonical(params).decode("ascii")


def string_to_sign(method: str, params: Params) -> str:
    """Build ``METHOD&%2F&`` and the percent-encoded canonical query.

    Args:
        method: HTTP method, upper case.
        params: as in `canonical_query`.

    Raises:
        UsageError: a name or value holds a lone surrogate.
    """
    return _string_to_sign(method, _canonical(params)).decode("ascii")


def sign(secret: str, text: str, algorithm: Algorithm = HMAC_SHA1) -> str:
    """Sign a string to sign.

    Args:
        secret: the access key's secret; ``&`` is appended here.
        text: result of `string_to_sign`.
        algorithm: keyed digest.

    Returns:
        The digest in standard base64, not percent-encoded.
    """
    return _sign(secret, _utf8(text), algorithm)


def verify(secret: str, text: str, signature: str, algorithm: Algorithm = HMAC_SHA1) -> bool:
    """Compare a received signature with the computed one, in a time that tells nothing of where they differ.

    Args:
        secret: the access key's secret.
        text: string to sign, computed from what was received.
        signature: received ``Signature``, any text.
        algorithm: keyed digest.

    Returns:
        True where they are equal.
    """
    received = signature.encode("utf-8", "surrogatepass")
    return hmac.compare_digest(sign(secret, text, algorithm).encode("ascii"), received)


def signed_form(key: AccessKey, params: Params, algorithm: Algorithm = HMAC_SHA1) -> bytes:
    """Sign the parameters for POST and write them, with their ``Signature``, as a form body.

    Each value is percent-encoded once: the canonical query is a form body already.

    Args:
        key: access key; its ``key_id`` must be among the parameters as ``AccessKeyId``.
        params: every parameter but ``Signature``.
        algorithm: keyed digest.

    Raises:
        UsageError: a name or value holds a lone surrogate.
    """
    query = _canonical(params)
    signature = _sign(key.secret, _string_to_sign("POST", query), algorithm)
    return b"%s&Signature=%s" % (query, _encode(signature))


def form_encode(params: Params) -> bytes:
    """Encode a body as ``application/x-www-form-urlencoded``, in the order given, a space as ``%20``.

    Raises:
        UsageError: a name or value holds a lone surrogate.
    """
    return b"&".join(_encode(name) + b"=" + _encode(value) for name, value in params.items())


def _canonical(params: Params) -> bytes:
    names = sorted(name for name in params if name != "Signature")
    return b"&".join(_encode(name) + b"=" + _encode(params[name]) for name in names)


def _string_to_sign(method: str, query: bytes) -> bytes:
    # A canonical query has only unreserved bytes and these three, so this is its percent-encoding.
    encoded = query.replace(b"%", b"%25").replace(b"=", b"%3D").replace(b"&", b"%26")
    return _utf8(method) + b"&%2F&" + encoded


def _sign(secret: str, text: bytes, algorithm: Algorithm) -> str:
    digest = hmac.digest(_utf8(secret) + b"&", text, algorithm.digest)
    return base64.b64encode(digest).decode("ascii")


def _encode(value: str | Encoded) -> bytes:
    if isinstance(value, Encoded):
        return bytes(value)
    data = _utf8(value)
    reserved = set(data.translate(None, _UNRESERVED))
    if len(reserved) > _MAX_REPLACED_KINDS:
        return b"".join(map(_ENCODED.__getitem__, data))
    if _PERCENT in reserved:
        # First: the escapes that the next replacements write hold "%" themselves.
        reserved.remove(_PERCENT)
        data = data.replace(b"%", _ESCAPES[_PERCENT])
    for byte in reserved:
        data = data.replace(bytes((byte,)), _ESCAPES[byte])
    return data


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        # The original error carries the whole text: it must not be chained.
        raise UsageError("A parameter holds a lone surrogate, which has no UTF-8 form.") from None
