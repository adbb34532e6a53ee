"""`SealedEvidence`: the gateway's sink. Seals each picture as it comes and stores the box, or fails."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from pipeline.errors import SettingsError, StoreError
from pipeline.evidence.box import Context, seal
from pipeline.evidence.keys import PublicKey, read_public_key
from pipeline.gateway.authority import Authority
from pipeline.gateway.keeping import EvidenceRow, LivePicture
from pipeline.gateway.vault import Vault

log = logging.getLogger("livegate.evidence")

DEFAULT_RETENTION_DAYS: Final = 180
"""Days. The vendor's sister products keep stored photographs as long."""
LONGEST_RETENTION_DAYS: Final = 3650
DAY_S: Final = 86_400


class SealedEvidence:
    """Keeps live pictures sealed. Safe to share between threads and processes.

    Args:
        authority: whose database keeps the boxes, and whose key digests consent references.
        key: public key of who may open them.
        retention_days: 1 to `LONGEST_RETENTION_DAYS`; each record carries its own end.
        delete_after_query: erase the pictures of a session when ``query`` gives its result.

    Raises:
        SettingsError: the retention is out of range.
    """

    def __init__(
        self,
        authority: Authority,
        key: PublicKey,
        *,
        retention_days: int = DEFAULT_RETENTION_DAYS,
        delete_after_query: bool = False,
    ) -> None:
        _check_retention(retention_days)
        self._store = authority.store
        self._vault = authority.vault
        self._key = key
        self._retention_s = retention_days * DAY_S
        self._delete_after_query = delete_after_query

    def keep(self, picture: LivePicture) -> None:
        """Seal a picture and commit the box.

        Raises:
            StoreError: the database can't be written; nothing was kept, and no success may be answered.
        """
        context = Context(
            id=uuid.uuid4().hex,
            request_id=picture.request_id,
            access_key_id=picture.access_key_id,
            query_id=picture.query_id,
            consent_digest=consent_digest(self._vault, picture.consent),
            key_id=self._key.key_id,
            created_at=int(picture.taken_at),
            expires_at=int(picture.taken_at) + self._retention_s,
        )
        row = to_row(context, seal(context, picture.file, picture.consent, self._key))
        try:
            with self._store.write() as session:
                session.add(row)
        except IntegrityError:
            raise StoreError("a sealed picture's id is taken") from None
        log.info("%s: picture sealed as %s", picture.request_id, context.id)

    def queried(self, access_key_id: str, query_id: str) -> None:
        """Erase the pictures of a session whose result is about to be given, where that is switched on.

        Raises:
            StoreError: the database can't be written; the pictures are still there.
        """
        if not self._delete_after_query:
            return
        wanted = (EvidenceRow.query_id == query_id, EvidenceRow.access_key_id == access_key_id)
        with self._store.write() as session:
            gone = session.scalars(select(EvidenceRow.id).where(*wanted)).all()
            session.execute(delete(EvidenceRow).where(*wanted))
        for record in gone:
            log.info("evidence %s erased after the query", record)

    def __repr__(self) -> str:
        return f"SealedEvidence(key {self._key.key_id})"


def sealed_evidence(
    public_key: Path | None,
    *,
    retention_days: int = DEFAULT_RETENTION_DAYS,
    delete_after_query: bool = False,
) -> Callable[[Authority], SealedEvidence]:
    """What `GatewayOptions.evidence` takes. The key is read now, so a missing one refuses to start.

    Args:
        public_key: PEM file with the X25519 public key.
        retention_days: as in `SealedEvidence`.
        delete_after_query: as in `SealedEvidence`.

    Raises:
        SettingsError: no key, an unusable key, a private one, or a retention out of range.
    """
    _check_retention(retention_days)
    key = read_public_key(public_key)

    def make(authority: Authority) -> SealedEvidence:
        return SealedEvidence(
            authority, key, retention_days=retention_days, delete_after_query=delete_after_query
        )

    return make


def consent_digest(vault: Vault, consent: str) -> str:
    """Keyed digest that a consent reference is found by, 64 hex digits."""
    return vault.digest("consent reference", consent)


def _check_retention(days: int) -> None:
    if not 1 <= days <= LONGEST_RETENTION_DAYS:
        raise SettingsError(f"the retention of evidence is 1 to {LONGEST_RETENTION_DAYS} days")


def to_row(context: Context, sealed: bytes) -> EvidenceRow:
    """The row of a box."""
    return EvidenceRow(
        id=context.id,
        request_id=context.request_id,
        access_key_id=context.access_key_id,
        query_id=context.query_id,
        consent_digest=context.consent_digest,
        key_id=context.key_id,
        sealed=sealed,
        created_at=context.created_at,
        expires_at=context.expires_at,
    )
