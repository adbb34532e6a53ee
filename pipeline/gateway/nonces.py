"""`Nonces`: that nobody asks twice with one signature, whichever process or host is asked."""

from __future__ import annotations

import math
from typing import Final, Protocol

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from pipeline.gateway.schema import NonceRow
from pipeline.gateway.store import Store
from pipeline.gateway.vault import Vault

NONCE_LIFETIME_S: Final = 31 * 60
"""A request's time may lie 15 minutes ahead, and is accepted for 15 after it: 30 minutes, and one more."""

PURGE_EVERY_S: Final = 60
"""Least time between two clean-ups of expired nonces by one process."""


class Nonces(Protocol):
    """Used nonces. Safe to share between threads."""

    def use(self, key_id: str, nonce: str, *, now: float) -> bool:
        """Use a nonce up. Of any number of callers at once exactly one is let through.

        Args:
            key_id: whose nonce; two keys may use the same one.
            nonce: as received.
            now: seconds since 1970.

        Returns:
            True the first time, False where it was used within `NONCE_LIFETIME_S`.

        Raises:
            StoreError: it is not known; the request must not be let through.
        """
        ...


class SqlNonces:
    """Used nonces in the database, see `Nonces`. One INSERT under a primary key decides.

    Args:
        store: open database.
        vault: digests the nonces, which are of any length and content.
    """

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault
        self._purged_at = -math.inf

    def use(self, key_id: str, nonce: str, *, now: float) -> bool:
        """Use a nonce up; False where it was used before."""
        if now - self._purged_at >= PURGE_EVERY_S:
            self._purge(int(now))
            self._purged_at = now
        digest = self._vault.digest("nonce", key_id, nonce)
        try:
            with self._store.write() as session:
                session.add(NonceRow(digest=digest, expires_at=int(now) + NONCE_LIFETIME_S))
        except IntegrityError:
            return False
        return True

    def _purge(self, now: int) -> None:
        """Remove expired ones. Rows that others are busy with are passed over, so it waits for nobody."""
        expired = select(NonceRow.digest).where(NonceRow.expires_at < now).with_for_update(skip_locked=True)
        with self._store.write() as session:
            statement = delete(NonceRow).where(NonceRow.digest.in_(expired))
            session.execute(statement, execution_options={"synchronize_session": False})
