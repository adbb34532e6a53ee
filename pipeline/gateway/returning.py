"""Pictures that ``query`` gives back (``returnImage``): encrypted, for half an hour at most, and once.

This is the one picture that the gateway can read after a request, so it is off unless the operator switches
it on, and it is never kept beside evidence that is sealed to a customer's key (docs/adr/0015).
"""

from __future__ import annotations

import base64
import threading
from typing import Final

import cv2
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from pipeline.errors import StoreError
from pipeline.gateway.keeping import Arrival, read_consent
from pipeline.gateway.picture import PictureLimits, PictureProblem, decode_picture
from pipeline.gateway.schema import ReturnImageRow
from pipeline.gateway.store import Store
from pipeline.gateway.vault import Vault

LONGEST_S: Final = 30 * 60
"""Longest time that a picture is kept. The vendor's own picture links live 5 to 15 minutes."""

PURGE_EVERY_S: Final = 60
"""Least time between two clean-ups by one process."""

_JPEG: Final = b"\xff\xd8"
_QUALITY: Final = 95


class ReturnImages:
    """Pictures of passed sessions, until they are asked for.

    Args:
        store: open database.
        vault: encrypts them under a key of their own, each bound to its session.
        retention_s: how long one is kept, seconds, 1 to `LONGEST_S`; 0 where none is.
        limits: what is taken as a picture.
    """

    def __init__(self, store: Store, vault: Vault, retention_s: int, limits: PictureLimits) -> None:
        self._store = store
        self._vault = vault
        self._retention_s = retention_s
        self._limits = limits
        self._next_purge = float("-inf")
        self._lock = threading.Lock()

    def wants(self, arrival: Arrival | None) -> bool:
        """Whether the picture of this ``match`` may be kept: switched on, and with a consent reference.

        Raises:
            ServiceError: a consent reference was given that can't be read.
        """
        if self._retention_s == 0 or arrival is None or not arrival.consents:
            return False
        read_consent(arrival.consents)
        return True

    def add(self, session: Session, query_id: str, file: bytes, *, now: float) -> None:
        """Keep the picture of a session, a JPEG as it came, a PNG as a JPEG.

        Args:
            session: the transaction that gives the session its result.
            query_id: its ``queryId``.
            file: picture that was compared.
            now: seconds since 1970.
        """
        sealed = self._vault.seal_picture(self._as_jpeg(file), query_id)
        session.add(ReturnImageRow(query_id=query_id, sealed=sealed, expires_at=int(now) + self._retention_s))

    def take(self, query_id: str, *, now: float) -> str | None:
        """The picture of a session, which is removed with this.

        Returns:
            url-safe base64 with padding; None where there is none or its time is over.

        Raises:
            StoreError: the database can't be read, or the picture does not open with the authority's key.
        """
        query = select(ReturnImageRow).where(ReturnImageRow.query_id == query_id).with_for_update()
        with self._store.write() as session:
            row = session.scalar(query)
            if row is None:
                return None
            picture = self._vault.open_picture(row.sealed, query_id) if row.expires_at > int(now) else None
            session.delete(row)
        return None if picture is None else base64.urlsafe_b64encode(picture).decode("ascii")

    def purge(self, *, now: float) -> None:
        """Remove pictures whose time is over, also where none is kept any more; once a minute at most.

        Raises:
            StoreError: the database can't be written.
        """
        with self._lock:
            if now < self._next_purge:
                return
            self._next_purge = now + PURGE_EVERY_S
        over = select(ReturnImageRow.query_id).where(ReturnImageRow.expires_at <= int(now))
        with self._store.write() as session:
            # Rows that others are removing are passed over: two of them can't wait for each other.
            session.execute(
                delete(ReturnImageRow).where(
                    ReturnImageRow.query_id.in_(over.with_for_update(skip_locked=True))
                ),
                execution_options={"synchronize_session": False},
            )

    def _as_jpeg(self, file: bytes) -> bytes:
        if file.startswith(_JPEG):
            return file
        image = decode_picture(file, self._limits)
        if isinstance(image, PictureProblem):
            raise StoreError("a picture that was compared can't be read again")
        written, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not written:
            raise StoreError("a picture can't be written as JPEG")
        return data.tobytes()
