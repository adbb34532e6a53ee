"""Where evidence hooks into the gateway: the sink that keeps live pictures, and the row that they become.

The gateway knows no key and no form of encryption. It hands a picture that was compared, with the consent it
came under, to an `EvidenceSink`, and answers success only when the sink has it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import unquote_to_bytes

from sqlalchemy import BigInteger, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.errors import ServiceError
from pipeline.gateway.schema import Base
from pipeline.gateway.wire import RawRequest
from pipeline.protocol.attestation import ATTESTATION_HEADER
from pipeline.protocol.codes import UnifiedCode
from pipeline.protocol.consent import CONSENT_HEADER, MAX_CONSENT

log = logging.getLogger("livegate.gateway")

LONGEST_BOX: Final = 2**24 - 1
"""Bytes. MySQL picks its column by this; its usual one ends at 64 KiB. Other databases take no notice."""

_ENCODED: Final = re.compile(r"(?:[!-$&-~]|%[0-9A-Fa-f]{2})+", re.ASCII)
_QUERY_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


class EvidenceRow(Base):
    """One sealed picture. Only the holder of the private key can read ``sealed``.

    Attributes:
        id: 32 hex digits.
        request_id: ``RequestId`` of the match that brought the picture.
        access_key_id: whose session the match finished, else whose request it was. No foreign key: evidence
            outlives a removed access key.
        query_id: session that the match named, or None.
        consent_digest: keyed digest of the consent reference, so that a withdrawn one can be found.
        key_id: which public key sealed it.
        sealed: the sealed box, which holds the columns above once more, authenticated.
        expires_at: end of the retention.
    """

    __tablename__ = "evidence"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    request_id: Mapped[str] = mapped_column(String(64))
    access_key_id: Mapped[str] = mapped_column(String(128))
    query_id: Mapped[str | None] = mapped_column(String(32), index=True)
    consent_digest: Mapped[str] = mapped_column(String(64), index=True)
    key_id: Mapped[str] = mapped_column(String(32))
    sealed: Mapped[bytes] = mapped_column(LargeBinary(LONGEST_BOX))
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)


@dataclass(frozen=True, slots=True)
class LivePicture:
    """A picture in which a face was compared, with what belongs to it.

    Attributes:
        file: JPEG or PNG bytes as they came.
        consent: consent reference, 1 to `MAX_CONSENT` characters.
        request_id: ``RequestId`` of the match.
        access_key_id: whose session the match finished, so that its ``query`` finds it; else who sent it.
        query_id: session that the match named, or None.
        taken_at: when it came, seconds since 1970.
    """

    file: bytes = field(repr=False)
    consent: str = field(repr=False)
    request_id: str
    access_key_id: str
    query_id: str | None
    taken_at: float


class EvidenceSink(Protocol):
    """Keeps live pictures. Called from several threads; what it raises fails the request (unified 500)."""

    def keep(self, picture: LivePicture) -> None:
        """Keep a picture, for good when this returns."""
        ...

    def queried(self, access_key_id: str, query_id: str) -> None:
        """The result of a finished session is about to be given to the key that opened it."""
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a service method may know of the request around its parameters.

    Attributes:
        request_id: ``RequestId`` of the answer.
        consents: values of the consent header, as sent.
        attestations: values of the attestation header, as sent.
    """

    request_id: str
    consents: tuple[str, ...] = field(repr=False)
    attestations: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, request: RawRequest, request_id: str) -> Arrival:
        """Read it off a request."""

        def values(wanted: str) -> tuple[str, ...]:
            return tuple(value for name, value in request.headers if name.lower() == wanted)

        return cls(request_id, values(CONSENT_HEADER), values(ATTESTATION_HEADER))


def plan_keeping(
    sink: EvidenceSink | None,
    arrival: Arrival | None,
    fields: Mapping[str, Any],
    *,
    now: float,
) -> Callable[[bytes, str], None] | None:
    """Find out, before anything is compared, whether a match's picture is to be kept.

    Args:
        sink: where pictures go; None where evidence is off.
        arrival: the request around the parameters.
        fields: ``ServiceParameters``; an optional ``queryId`` binds the picture to a session.
        now: seconds since 1970.

    Returns:
        What keeps the picture, to be called with its bytes and the access key whose it is before success is
        answered; None where evidence is off or no consent was given: without consent nothing is kept, and the
        match goes on.

    Raises:
        ServiceError: a consent reference or ``queryId`` was given that can't be read. A caller who gave one
            relies on it, so it is not passed over.
    """
    if sink is None or arrival is None:
        return None
    if not arrival.consents:
        log.info("%s: no consent reference, the picture is not kept", arrival.request_id)
        return None
    consent = read_consent(arrival.consents)
    query_id = fields.get("queryId") or None
    if query_id is not None and not (isinstance(query_id, str) and _QUERY_ID.fullmatch(query_id)):
        raise _wrong("queryId不合法")

    def keep(file: bytes, access_key_id: str) -> None:
        sink.keep(LivePicture(file, consent, arrival.request_id, access_key_id, query_id, now))

    return keep


def read_consent(values: tuple[str, ...]) -> str:
    """Read the consent header.

    Raises:
        ServiceError: it is given twice, empty, too long or not percent-encoded UTF-8 that can be printed.
    """
    consent = ""
    if len(values) == 1 and _ENCODED.fullmatch(values[0]):
        try:
            consent = unquote_to_bytes(values[0]).decode("utf-8")
        except UnicodeDecodeError:
            consent = ""
    if not consent.strip() or len(consent) > MAX_CONSENT or not consent.isprintable():
        raise _wrong("consent不合法")
    return consent


def _wrong(sentence: str) -> ServiceError:
    return ServiceError(sentence, service_code=UnifiedCode.BAD_PARAMETERS)
