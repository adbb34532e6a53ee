"""What all processes and hosts must agree on within a moment: used nonces and counted windows.

The one place that chooses where they are kept: on Redis where a URL is set, else in the database. Everything
else is in the database always.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.gateway.authority import Authority
from pipeline.gateway.counters import Counters
from pipeline.gateway.nonces import Nonces, SqlNonces
from pipeline.gateway.redis_link import RedisLink
from pipeline.gateway.redis_state import RedisCounters, RedisNonces
from pipeline.gateway.sql_counters import SqlCounters


@dataclass(frozen=True, slots=True)
class Shared:
    """Nonces and counters of one authority.

    Attributes:
        nonces: used nonces.
        counters: counted windows, for quota, locks and other limits.
        kind: ``redis``, or the database's kind.
    """

    nonces: Nonces
    counters: Counters
    kind: str
    _link: RedisLink | None = field(default=None, repr=False)

    def ping(self) -> None:
        """Ask Redis for an answer; nothing to do where the database keeps it all.

        Raises:
            StoreError: it gives none.
        """
        if self._link is not None:
            self._link.ping()

    def close(self) -> None:
        """Close the connections to Redis. The database stays open. Idempotent."""
        if self._link is not None:
            self._link.close()


def open_shared(authority: Authority, redis_url: str | None = None) -> Shared:
    """Choose where nonces and counters are kept.

    Args:
        authority: whose they are.
        redis_url: Redis for them; None keeps them in the authority's database.

    Raises:
        StoreError: Redis can't be used. There is no falling back: processes that count in different places
            would let the same request through twice.
    """
    store, vault = authority.store, authority.vault
    if redis_url is None:
        return Shared(SqlNonces(store, vault), SqlCounters(store), store.dialect)
    link = RedisLink(redis_url, vault.fingerprint)
    return Shared(RedisNonces(link, store, vault), RedisCounters(link), "redis", link)
