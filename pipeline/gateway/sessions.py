"""Verifications that ``init`` opens and ``query`` asks about."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pipeline.errors import StoreError
from pipeline.gateway.schema import SessionRow
from pipeline.gateway.store import Store

SESSION_LIFETIME_S: Final = 24 * 3600
"""How long a session can be asked about. Ours: the reference gives none."""


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """What ``init`` hands out.

    Attributes:
        query_id: 32 hex digits.
        biz_id: ``ZSTP`` and 28 digits, the first 8 the day (UTC).
    """

    query_id: str
    biz_id: str


@dataclass(frozen=True, slots=True)
class SessionState:
    """What ``query`` finds.

    Attributes:
        result: ``resultCodeSub`` of the finished verification, or None while it is not finished.
        query_id: its id.
        person_id: who is to be verified.
        device_digest: keyed digest of the device that ``init`` named, or None.
        install_digest: keyed digest of the installation that has to attest for the result, or None.
        access_key_id: the key that opened it.
    """

    result: str | None
    query_id: str = ""
    person_id: str = ""
    device_digest: str | None = None
    install_digest: str | None = None
    access_key_id: str = ""


class Sessions:
    """Sessions in the database, each seen only by the access key that opened it.

    Args:
        store: open database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def open(
        self,
        access_key_id: str,
        person_id: str,
        *,
        now: float,
        device_digest: str | None = None,
        install_digest: str | None = None,
    ) -> OpenedSession:
        """Open a session for an enrolled person, and clear those that have ended."""
        day = time.strftime("%Y%m%d", time.gmtime(now))
        opened = OpenedSession(
            query_id=secrets.token_hex(16), biz_id=f"ZSTP{day}{secrets.randbelow(10**20):020d}"
        )
        try:
            with self._store.write() as session:
                ended = select(SessionRow.query_id).where(SessionRow.expires_at < int(now))
                # Rows that others are removing are passed over: two of them can't wait for each other.
                session.execute(
                    delete(SessionRow).where(
                        SessionRow.query_id.in_(ended.with_for_update(skip_locked=True))
                    ),
                    execution_options={"synchronize_session": False},
                )
                session.add(
                    SessionRow(
                        query_id=opened.query_id,
                        biz_id=opened.biz_id,
                        access_key_id=access_key_id,
                        person_id=person_id,
                        result=None,
                        created_at=int(now),
                        expires_at=int(now) + SESSION_LIFETIME_S,
                        device_digest=device_digest,
                        install_digest=install_digest,
                    )
                )
        except IntegrityError:
            raise StoreError("a session's key or person was removed while it was opened") from None
        return opened

    def find(
        self, access_key_id: str | None, query_id: str, biz_id: str | None, *, now: float
    ) -> SessionState | None:
        """The session with both ids, opened by this key and not ended; None for any other.

        Args:
            access_key_id: who asks; None for one who has to prove otherwise that the session is theirs.
            query_id: its ``queryId``.
            biz_id: its ``bizId``; None where the caller does not tell it.
            now: seconds since 1970.
        """
        with self._store.read() as session:
            row = session.get(SessionRow, query_id)
        if row is None or access_key_id not in (None, row.access_key_id) or biz_id not in (None, row.biz_id):
            return None
        if row.expires_at < int(now):
            return None
        return SessionState(
            row.result,
            row.query_id,
            row.person_id,
            row.device_digest,
            row.install_digest,
            row.access_key_id,
        )

    def finish(
        self, query_id: str, result: str, *, now: float, also: Callable[[Session], None] | None = None
    ) -> bool:
        """Give a session its result. One statement decides, so it is finished once.

        Args:
            query_id: its ``queryId``.
            result: ``resultCodeSub``.
            now: seconds since 1970.
            also: what belongs to the result, done in the same transaction and only where this call finished
                the session.

        Returns:
            False where it was finished before, has ended or never was.
        """
        statement = (
            update(SessionRow)
            .where(
                SessionRow.query_id == query_id,
                SessionRow.result.is_(None),
                SessionRow.expires_at >= int(now),
            )
            .values(result=result)
        )
        with self._store.write() as session:
            found = session.execute(statement, execution_options={"synchronize_session": False})
            finished = cast("CursorResult[Any]", found).rowcount == 1
            if finished and also is not None:
                also(session)
        return finished
