"""Who is let through to the service: the POP gateway's checks, in an order that a forgery can't misuse."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from pipeline.gateway.access import AccessKeys
from pipeline.gateway.audit import Trace
from pipeline.gateway.nonces import Nonces
from pipeline.gateway.params import Refused
from pipeline.gateway.terms import KeyRecord
from pipeline.protocol.codes import (
    ACCESS_KEY_NOT_FOUND,
    ACTION,
    API_NOT_FOUND,
    INCOMPLETE_SIGNATURE,
    INVALID_VERSION,
    SERVICE,
    SIGNATURE_DOES_NOT_MATCH,
    SIGNATURE_NONCE_USED,
    TIMESTAMP_EXPIRED,
    TIMESTAMP_FORMAT,
    VERSION,
    UnifiedCode,
    missing_parameter,
)
from pipeline.protocol.signing import HMAC_SHA1, SIGNATURE_VERSION, string_to_sign, verify

TIMESTAMP_WINDOW_S: Final = 15 * 60
"""How far a request's time may be off, either way."""

REQUIRED: Final = (
    "Version",
    "AccessKeyId",
    "Signature",
    "SignatureMethod",
    "Timestamp",
    "SignatureVersion",
    "SignatureNonce",
    "Action",
    "Service",
    "ServiceParameters",
)
"""Public parameters in the reference's order. ``Format`` is in its table too, with a default."""

ECHOED_LENGTH: Final = 2 * 1024 * 1024
"""Longest string to sign that a refusal repeats. One with a picture of 1 MB has 1.5 million characters. A
body of reserved characters would come back five times as long."""

_KEY_ID: Final = re.compile(r"[!-~]{1,128}", re.ASCII)
_SHA1_BYTES: Final = 20
# The reference's own example has a month of one digit: 2014-7-29T12:00:00Z.
_TIMESTAMP: Final = re.compile(r"\d{4}-\d{1,2}-\d{1,2}T\d{1,2}:\d{1,2}:\d{1,2}Z", re.ASCII)


class Admission:
    """Checks a request's public parameters.

    Args:
        keys: known access keys.
        nonces: used nonces.
    """

    def __init__(self, keys: AccessKeys, nonces: Nonces) -> None:
        self._keys = keys
        self._nonces = nonces

    def admit(
        self, method: str, params: Mapping[str, str], *, now: float, trace: Trace | None = None
    ) -> KeyRecord | Refused | UnifiedCode:
        """Run the checks: presence, version, action, service, key, signature, time, and last the nonce.

        The signature comes before the nonce, so that a forged request can't use up another one's nonce; the
        nonce comes last, so that a request refused for anything else can be mended and sent again.

        Args:
            method: HTTP method, part of the string to sign.
            params: every parameter of query and form.
            now: seconds since 1970.
            trace: told the access key's id once the key is known, whatever follows.

        Returns:
            The access key where all hold; the gateway's refusal; or `UnifiedCode.UNKNOWN_SERVICE`, which
            is the service's own answer.

        Raises:
            StoreError: keys or nonces can't be looked up; the request must not be let through.
        """
        for name in REQUIRED:
            if not params.get(name):
                return Refused(missing_parameter(name))
        if params["Version"] != VERSION:
            return Refused(INVALID_VERSION)
        if params["Action"] != ACTION:
            return Refused(API_NOT_FOUND)
        if params["Service"] != SERVICE:
            return UnifiedCode.UNKNOWN_SERVICE

        key_id = params["AccessKeyId"]
        found = self._keys.find(key_id, now=now) if _KEY_ID.fullmatch(key_id) else None
        if found is None:
            return Refused(ACCESS_KEY_NOT_FOUND)
        key, record = found
        if trace is not None:
            trace.key_id = key_id
        if not _is_complete(params):
            return Refused(INCOMPLETE_SIGNATURE)
        text = string_to_sign(method, params)
        if not verify(key.secret, text, params["Signature"]):
            # The caller's own parameters go back to the caller, whole: a public client compares them with its
            # own string to tell a wrong secret from a wrong encoding. They go nowhere else.
            return Refused(SIGNATURE_DOES_NOT_MATCH, text if len(text) <= ECHOED_LENGTH else "")

        sent = read_timestamp(params["Timestamp"])
        if sent is None:
            return Refused(TIMESTAMP_FORMAT)
        if abs(now - sent) > TIMESTAMP_WINDOW_S:
            return Refused(TIMESTAMP_EXPIRED)
        if not self._nonces.use(key_id, params["SignatureNonce"], now=now):
            return Refused(SIGNATURE_NONCE_USED)
        return record


def read_timestamp(text: str) -> float | None:
    """Read ``YYYY-MM-DDThh:mm:ssZ`` (ISO 8601, UTC); one digit is enough for all but the year.

    Returns:
        Seconds since 1970, or None where it is no such time.
    """
    if not _TIMESTAMP.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _is_complete(params: Mapping[str, str]) -> bool:
    """A signature of the one known kind that could be right: method, version, base64 of its length."""
    if params["SignatureMethod"] != HMAC_SHA1.method or params["SignatureVersion"] != SIGNATURE_VERSION:
        return False
    try:
        digest = base64.b64decode(params["Signature"].encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return False
    return len(digest) == _SHA1_BYTES
