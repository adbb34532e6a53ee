"""`SqlCounters`: counted windows in the database.

A window is one row. Taking is one statement that counts and decides at once (INSERT ... ON CONFLICT DO
UPDATE ... WHERE ... RETURNING), so two processes can't both take the last place.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from pipeline.errors import StoreError
from pipeline.gateway.counters import Limit, Place
from pipeline.gateway.schema import CounterRow
from pipeline.gateway.store import Store

PURGE_EVERY_S: Final = 60
"""Least time between two clean-ups of ended windows by one process."""

# In SQL by hand: the library compiles its own form of ON CONFLICT anew for every call, which cost more than
# the statement itself.
_TAKE: Final = text(
    """
    INSERT INTO counters (name, "window", count, ends_at) VALUES (:name, :fresh, 1, :ends_at)
    ON CONFLICT (name) DO UPDATE SET
        "window" = CASE WHEN counters.ends_at <= :now THEN excluded."window" ELSE counters."window" END,
        count = CASE WHEN counters.ends_at <= :now THEN 1 ELSE counters.count + 1 END,
        ends_at = CASE WHEN counters.ends_at <= :now THEN excluded.ends_at ELSE counters.ends_at END
    WHERE counters.ends_at <= :now OR counters.count < :most
    RETURNING "window"
    """
)


class _FullError(Exception):
    """Rolls the transaction back; never leaves this module."""


class SqlCounters:
    """Counted windows in the database, see `Counters`.

    Args:
        store: open database, SQLite or PostgreSQL.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._purged_at = -math.inf

    def take(self, limits: Sequence[Limit], *, now: float) -> list[Place] | None:
        """Take one place under each limit, or none at all.

        Raises:
            StoreError: the database can't be written, or is of a kind without the statement.
        """
        if not limits:
            return []
        if now - self._purged_at >= PURGE_EVERY_S:
            self._purge(int(now))
            self._purged_at = now
        try:
            with self._store.write() as session:
                # In the order of the names: two transactions can't wait for each other.
                return [
                    self._take(session, limit, int(now)) for limit in sorted(limits, key=lambda x: x.name)
                ]
        except _FullError:
            return None

    def release(self, places: Sequence[Place]) -> None:
        """Give places back; a window that ended is left alone."""
        self._change(places, count=CounterRow.count - 1)

    def hold(self, places: Sequence[Place], ends_at: int) -> None:
        """Let every window that is full now end at this time."""
        self._change(places, full_only=True, ends_at=ends_at)

    def clear(self, name: str) -> bool:
        """Forget a window; False where there was none."""
        with self._store.write() as session:
            gone = session.scalar(
                delete(CounterRow).where(CounterRow.name == name).returning(CounterRow.name)
            )
            return gone is not None

    def _purge(self, now: int) -> None:
        """Remove ended windows. Rows that others are busy with are passed over, so it waits for nobody."""
        ended = select(CounterRow.name).where(CounterRow.ends_at <= now).with_for_update(skip_locked=True)
        with self._store.write() as session:
            statement = delete(CounterRow).where(CounterRow.name.in_(ended))
            session.execute(statement, execution_options={"synchronize_session": False})

    def _take(self, session: Session, limit: Limit, now: int) -> Place:
        if limit.most < 1:
            raise _FullError
        if self._store.dialect not in ("sqlite", "postgresql"):
            raise StoreError("limits need SQLite or PostgreSQL", hint="Switch quota and risk limits off.")
        values = {
            "name": limit.name,
            "fresh": secrets.token_hex(16),
            "ends_at": limit.ends_at,
            "now": now,
            "most": limit.most,
        }
        window = session.scalar(_TAKE, values)
        if window is None:
            raise _FullError
        return Place(limit, str(window))

    def _change(self, places: Sequence[Place], *, full_only: bool = False, **values: Any) -> None:
        if not places:
            return
        with self._store.write() as session:
            for place in sorted(places, key=lambda x: x.limit.name):
                statement = update(CounterRow).where(
                    CounterRow.name == place.limit.name, CounterRow.window == place.window
                )
                if full_only:
                    statement = statement.where(CounterRow.count >= place.limit.most)
                session.execute(statement.values(**values), execution_options={"synchronize_session": False})
