"""How many requests a key, and the gateway as a whole, may have answered."""

from __future__ import annotations

from typing import Final

from pipeline.gateway.counters import Counters, Limit
from pipeline.gateway.terms import KeyRecord, Quota
from pipeline.gateway.vault import Vault

_DAY_S: Final = 24 * 3600


class QuotaGuard:
    """Counts requests by the calendar second and the day (UTC), for all processes of a database together.

    Args:
        counters: where they are counted.
        vault: digests what is counted.
        each: limits of a key that has none of its own.
        whole: limits of all keys together.
    """

    def __init__(self, counters: Counters, vault: Vault, *, each: Quota, whole: Quota) -> None:
        self._counters = counters
        self._vault = vault
        self._each = each
        self._whole = whole

    def take(self, key: KeyRecord, *, now: float) -> bool:
        """Count one request of a key; its line of rotations shares one quota.

        Returns:
            False where a limit is reached; nothing was counted then.

        Raises:
            StoreError: it can't be counted; the request must not be let through.
        """
        return self._take("key", key.owner, key.terms.quota.over(self._each), now)

    def take_whole(self, *, now: float) -> bool:
        """Count one request of anybody.

        Returns:
            False where a limit is reached.

        Raises:
            StoreError: it can't be counted.
        """
        return self._take("gateway", "", self._whole, now)

    def _take(self, kind: str, subject: str, quota: Quota, now: float) -> bool:
        second = int(now)
        limits = []
        if quota.per_second is not None:
            name = self._vault.digest("quota of a second", kind, subject)
            limits.append(Limit(name, quota.per_second, second + 1))
        if quota.per_day is not None:
            name = self._vault.digest("quota of a day", kind, subject)
            limits.append(Limit(name, quota.per_day, (second // _DAY_S + 1) * _DAY_S))
        return self._counters.take(limits, now=now) is not None
