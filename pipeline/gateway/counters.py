"""`Counters`: how often something may happen in a window, exact for any number of processes.

A window is one row. Taking is one statement that counts and decides at once (INSERT ... ON CONFLICT DO
UPDATE ... WHERE ... RETURNING), so two processes can't both take the last place.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, text, update
from sqlalchemy.orm import Session

from pipeline.errors import StoreError
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


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many within a window that begins with the first one.

    Attributes:
        name: what is counted: a keyed digest, 64 hex digits.
        most: how many are let through in one window; 0 lets nothing through.
        ends_at: when a window that begins now would end, seconds since 1970, after now.
    """

    name: str
    most: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class Place:
    """One place that was taken.

    Attributes:
        limit: what was asked for.
        window: the window that it was taken in.
    """

    limit: Limit
    window: str


class _FullError(Exception):
    """Rolls the transaction back; never leaves this module."""


class Counters:
    """Counted windows in the database.

    Args:
        store: open database, SQLite or PostgreSQL.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._purged_at = -math.inf

    def take(self, limits: Sequence[Limit], *, now: float) -> list[Place] | None:
        """Take one place under each limit, or none at all where one of them is full.

        Args:
            limits: each of another name.
            now: seconds since 1970.

        Returns:
            One place for each limit, or None: nothing was counted.

        Raises:
            StoreError: the database can't be written, or is of a kind without the statement.
        """
        if not limits:
            return []
        clean = now - self._purged_at >= PURGE_EVERY_S
        try:
            with self._store.write() as session:
                if clean:
                    session.execute(delete(CounterRow).where(CounterRow.ends_at <= int(now)))
                # In the order of the names: two transactions can't wait for each other.
                places = [
                    self._take(session, limit, int(now)) for limit in sorted(limits, key=lambda x: x.name)
                ]
        except _FullError:
            return None
        if clean:
            self._purged_at = now
        return places

    def release(self, places: Sequence[Place]) -> None:
        """Give places back: what they were taken for does not count. A window that ended is left alone.

        Raises:
            StoreError: the database can't be written; the places stay taken.
        """
        self._change(places, count=CounterRow.count - 1)

    def hold(self, places: Sequence[Place], ends_at: int) -> None:
        """Let every window that is full now end at this time instead of at its own: a lock.

        Raises:
            StoreError: the database can't be written.
        """
        self._change(places, full_only=True, ends_at=ends_at)

    def clear(self, name: str) -> bool:
        """Forget a window.

        Returns:
            False where there was none.
        """
        with self._store.write() as session:
            gone = session.scalar(
                delete(CounterRow).where(CounterRow.name == name).returning(CounterRow.name)
            )
            return gone is not None

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
