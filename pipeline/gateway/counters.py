"""`Counters`: how often something may happen in a window, exact for any number of processes and hosts.

What quota and locks count with. `pipeline.gateway.shared` says where they are kept: in the database
(`SqlCounters`) or on Redis (`RedisCounters`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


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


class Counters(Protocol):
    """Counted windows. Safe to share between threads."""

    def take(self, limits: Sequence[Limit], *, now: float) -> list[Place] | None:
        """Take one place under each limit, or none at all where one of them is full.

        Args:
            limits: each of another name.
            now: seconds since 1970.

        Returns:
            One place for each limit, or None: nothing was counted.

        Raises:
            StoreError: it can't be counted; what was to be counted must not happen.
        """
        ...

    def release(self, places: Sequence[Place]) -> None:
        """Give places back: what they were taken for does not count. A window that ended is left alone.

        Raises:
            StoreError: it can't be written; the places stay taken.
        """
        ...

    def hold(self, places: Sequence[Place], ends_at: int) -> None:
        """Let every window that is full now end at this time instead of at its own: a lock.

        Raises:
            StoreError: it can't be written.
        """
        ...

    def clear(self, name: str) -> bool:
        """Forget a window.

        Returns:
            False where there was none.

        Raises:
            StoreError: it can't be written.
        """
        ...
