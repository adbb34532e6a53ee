"""Access keys and their nonces: who may ask, and that nobody asks twice with one signature."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from pipeline.errors import StoreError
from pipeline.gateway.schema import AccessKeyRow, NonceRow
from pipeline.gateway.store import Store
from pipeline.gateway.vault import Vault, write_private_once
from pipeline.protocol.signing import AccessKey

NONCE_LIFETIME_S: Final = 31 * 60
"""A request's time may lie 15 minutes ahead, and is accepted for 15 after it: 30 minutes, and one more."""

PURGE_EVERY_S: Final = 60
"""Least time between two clean-ups of expired nonces by one process."""


class AccessKeys:
    """Access keys in the database, their secrets encrypted.

    Args:
        store: open database.
        vault: the master key's work.
    """

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    def get(self, key_id: str) -> AccessKey | None:
        """The key of this id; None where it is unknown or revoked. Not cached: a revoked key ends at once."""
        with self._store.read() as session:
            row = session.get(AccessKeyRow, key_id)
        if row is None or row.revoked_at is not None:
            return None
        return AccessKey(key_id, self._vault.open(row.secret, _place(key_id)).decode("utf-8"))

    def put(self, key: AccessKey, *, now: float) -> None:
        """Store a key, or give a stored one its new secret. A revoked key stays revoked."""
        sealed = self._vault.seal(key.secret.encode("utf-8"), _place(key.key_id))
        try:
            with self._store.write() as session:
                row = session.get(AccessKeyRow, key.key_id)
                if row is None:
                    session.add(
                        AccessKeyRow(id=key.key_id, secret=sealed, created_at=int(now), revoked_at=None)
                    )
                elif self._vault.open(row.secret, _place(key.key_id)).decode("utf-8") != key.secret:
                    row.secret = sealed
        except IntegrityError:
            raise StoreError("another process stored the same access key at the same time") from None

    def revoke(self, key_id: str, *, now: float) -> bool:
        """End a key.

        Returns:
            False where it is unknown or was revoked before.
        """
        with self._store.write() as session:
            row = session.get(AccessKeyRow, key_id)
            if row is None or row.revoked_at is not None:
                return False
            row.revoked_at = int(now)
            return True


class Nonces:
    """Used nonces. One INSERT decides, so of any number of processes exactly one is let through.

    Args:
        store: open database.
        vault: digests the nonces, which are of any length and content.
    """

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault
        self._purged_at = 0.0

    def use(self, key_id: str, nonce: str, *, now: float) -> bool:
        """Use a nonce up.

        Args:
            key_id: whose nonce; two keys may use the same one.
            nonce: as received.
            now: seconds since 1970.

        Returns:
            True the first time, False where it was used within `NONCE_LIFETIME_S`.

        Raises:
            StoreError: the database can't be written; the request must not be let through.
        """
        row = NonceRow(
            digest=self._vault.digest("nonce", key_id, nonce), expires_at=int(now) + NONCE_LIFETIME_S
        )
        try:
            with self._store.write() as session:
                if now - self._purged_at >= PURGE_EVERY_S:
                    session.execute(delete(NonceRow).where(NonceRow.expires_at < int(now)))
                session.add(row)
        except IntegrityError:
            return False
        self._purged_at = now if now - self._purged_at >= PURGE_EVERY_S else self._purged_at
        return True


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """An access key that is ready for use.

    Attributes:
        key: id and secret; the secret is in no repr.
        path: file that holds it, mode 600; None where it came from the caller.
        created: True where it was made by this call.
    """

    key: AccessKey
    path: Path | None
    created: bool


def grant_access_key(
    keys: AccessKeys, path: Path | None, *, now: float, imported: AccessKey | None = None
) -> KeyGrant:
    """Make sure that there is an access key: the caller's, else the one in the file, else a new one.

    Args:
        keys: where it is stored.
        path: file for a key of our making; JSON with ``id`` and ``secret``.
        now: seconds since 1970.
        imported: key to use instead, from the environment for instance; no file is written then.

    Raises:
        StoreError: no path where one is needed, or a file that can't be read or written, or no key in it.
    """
    if imported is not None:
        keys.put(imported, now=now)
        return KeyGrant(imported, None, created=False)
    if path is None:
        raise StoreError("there is no file to keep an access key in", hint="Name one, or import a key.")
    created = False
    if not path.exists():
        fresh = {
            "id": f"LG{secrets.token_hex(10)}",
            "secret": secrets.token_urlsafe(30),
        }
        created = write_private_once(path, json.dumps(fresh, indent=2) + "\n")
    key = _read_key(path)
    keys.put(key, now=now)
    return KeyGrant(key, path, created)


def _read_key(path: Path) -> AccessKey:
    try:
        content = json.loads(path.read_text("utf-8"))
        key_id, secret = content["id"], content["secret"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(f"the access key file can't be read: {type(error).__name__}") from None
    if not (isinstance(key_id, str) and isinstance(secret, str) and key_id and secret):
        raise StoreError("the access key file holds no key")
    return AccessKey(key_id, secret)


def _place(key_id: str) -> str:
    return f"access key {key_id}"
