"""Access keys: who may ask, and what."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from pipeline.errors import StoreError
from pipeline.gateway.schema import AccessKeyRow
from pipeline.gateway.store import Store
from pipeline.gateway.terms import METHODS, KeyRecord, KeyTerms, Quota
from pipeline.gateway.vault import Vault, write_private_once
from pipeline.protocol.signing import AccessKey

OVERLAP_S: Final = 7 * 24 * 3600
"""How long a rotated key lives on beside the one that follows it."""


class AccessKeys:
    """Access keys in the database, their secrets encrypted.

    Args:
        store: open database.
        vault: the master key's work.
    """

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    def get(self, key_id: str, *, now: float | None = None) -> AccessKey | None:
        """The key of this id; None where it is unknown or revoked. Not cached: a revoked key ends at once."""
        found = self.find(key_id, now=time.time() if now is None else now)
        return None if found is None else found[0]

    def find(self, key_id: str, *, now: float) -> tuple[AccessKey, KeyRecord] | None:
        """The key of this id with its terms; None where it is unknown or revoked."""
        with self._store.read() as session:
            row = session.get(AccessKeyRow, key_id)
        if row is None or not (record := _record(row)).is_valid(now):
            return None
        return AccessKey(key_id, self._vault.open(row.secret, _place(key_id)).decode("utf-8")), record

    def records(self) -> list[KeyRecord]:
        """Every key, revoked ones too, the oldest first; no secrets."""
        query = select(AccessKeyRow).order_by(AccessKeyRow.created_at, AccessKeyRow.id)
        with self._store.read() as session:
            return [_record(row) for row in session.scalars(query)]

    def put(self, key: AccessKey, *, now: float, terms: KeyTerms | None = None) -> None:
        """Store a key, or give a stored one its new secret. A revoked key stays revoked.

        Args:
            key: id and secret.
            now: seconds since 1970.
            terms: what it may do; a new key may do everything where left out, a stored one what it might.
        """
        sealed = self._vault.seal(key.secret.encode("utf-8"), _place(key.key_id))
        try:
            with self._store.write() as session:
                row = session.get(AccessKeyRow, key.key_id)
                if row is None:
                    row = AccessKeyRow(id=key.key_id, secret=sealed, created_at=int(now))
                    session.add(row)
                elif self._vault.open(row.secret, _place(key.key_id)).decode("utf-8") != key.secret:
                    row.secret = sealed
                if terms is not None:
                    _write_terms(row, terms)
        except IntegrityError:
            raise StoreError("another process stored the same access key at the same time") from None

    def set_terms(self, key_id: str, terms: KeyTerms) -> bool:
        """Give a key and every key of its line new terms.

        Returns:
            False where it is unknown.
        """
        with self._store.write() as session:
            row = session.get(AccessKeyRow, key_id)
            if row is None:
                return False
            owner = row.owner or row.id
            line = select(AccessKeyRow).where((AccessKeyRow.id == owner) | (AccessKeyRow.owner == owner))
            for member in session.scalars(line):
                _write_terms(member, terms)
            return True

    def rotate(
        self,
        key_id: str,
        *,
        now: float,
        overlap_s: float = OVERLAP_S,
        follower: AccessKey | None = None,
    ) -> AccessKey:
        """Make the key that follows this one. Both are valid for the overlap, then the old one ends.

        Args:
            key_id: a valid key.
            now: seconds since 1970.
            overlap_s: how long the old one lives on, seconds; an end that was set before stays if nearer.
            follower: the key to follow, new to the database; a random one if left out.

        Raises:
            StoreError: the key is unknown or revoked.
        """
        fresh = follower or new_access_key()
        sealed = self._vault.seal(fresh.secret.encode("utf-8"), _place(fresh.key_id))
        with self._store.write() as session:
            row = session.get(AccessKeyRow, key_id, with_for_update=True)
            if row is None or not _record(row).is_valid(now):
                raise StoreError("the access key is unknown or revoked", hint="See `livegate keys list`.")
            next_row = AccessKeyRow(
                id=fresh.key_id, secret=sealed, created_at=int(now), owner=row.owner or row.id
            )
            _write_terms(next_row, _record(row).terms)
            session.add(next_row)
            ends_at = int(now + overlap_s)
            row.revoked_at = ends_at if row.revoked_at is None else min(row.revoked_at, ends_at)
        return fresh

    def revoke(self, key_id: str, *, now: float) -> bool:
        """End a key at once, also one that a rotation lets live on for a while.

        Returns:
            False where it is unknown or was revoked before.
        """
        with self._store.write() as session:
            row = session.get(AccessKeyRow, key_id)
            if row is None or not _record(row).is_valid(now):
                return False
            row.revoked_at = int(now)
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
        created = write_access_key(path, new_access_key())
    key = _read_key(path)
    keys.put(key, now=now)
    return KeyGrant(key, path, created)


def new_access_key() -> AccessKey:
    """A random id and secret."""
    return AccessKey(f"LG{secrets.token_hex(10)}", secrets.token_urlsafe(30))


def write_access_key(path: Path, key: AccessKey) -> bool:
    """Write a key to a new file of mode 600, JSON with ``id`` and ``secret``.

    Returns:
        False where the file exists; it is left as it is.

    Raises:
        StoreError: the folder is missing or not writable.
    """
    text = json.dumps({"id": key.key_id, "secret": key.secret}, indent=2)
    return write_private_once(path, text + "\n")


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


def _record(row: AccessKeyRow) -> KeyRecord:
    methods = frozenset(METHODS if row.scopes is None else row.scopes.split())
    terms = KeyTerms(methods, row.product_ends_at, Quota(row.per_second, row.per_day))
    return KeyRecord(row.id, row.owner or row.id, terms, row.created_at, row.revoked_at)


def _write_terms(row: AccessKeyRow, terms: KeyTerms) -> None:
    row.scopes = None if terms.methods == set(METHODS) else " ".join(sorted(terms.methods))
    row.product_ends_at = terms.ends_at
    row.per_second, row.per_day = terms.quota.per_second, terms.quota.per_day
