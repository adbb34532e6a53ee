"""`RedisNonces` and `RedisCounters`: used nonces and counted windows on Redis, each decision one Lua script.

Redis keeps all in memory. One that was emptied, by a restart without its file for instance, would let used
nonces through again. So the database notes that a Redis is in use, and Redis holds a mark: where the note is
there and the mark is not, nobody is let through until every nonce of before is out of date.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pipeline.errors import StoreError
from pipeline.gateway.counters import Limit, Place
from pipeline.gateway.nonces import NONCE_LIFETIME_S
from pipeline.gateway.redis_link import RedisLink
from pipeline.gateway.schema import CounterRow, Meta, NonceRow
from pipeline.gateway.store import Store
from pipeline.gateway.vault import Vault

log = logging.getLogger("livegate.gateway")

SLACK_S: Final = 60
"""How much longer than its window a key lives: hosts' clocks differ, and the window's own end decides."""

_NOTE: Final = "redis"
_NO_MARK, _QUIET = -1, -2

# KEYS: mark, nonce. ARGV: now, seconds to keep the nonce.
_USE: Final = """
local quiet = redis.call('GET', KEYS[1])
if not quiet then return -1 end
if tonumber(quiet) > tonumber(ARGV[1]) then return -2 end
if redis.call('SET', KEYS[2], '1', 'NX', 'EX', ARGV[2]) then return 1 end
return 0
"""

# KEYS: windows. ARGV: now, word of a new window, slack; for each key its limit and the end of a new window.
# All are looked at before the first is written, so a full one leaves no trace.
_TAKE: Final = """
local now, words = tonumber(ARGV[1]), {}
for i, key in ipairs(KEYS) do
  local row = redis.call('HMGET', key, 'window', 'count', 'ends_at')
  local runs = row[3] and tonumber(row[3]) > now
  local most = tonumber(ARGV[2 + 2 * i])
  if most < 1 or (runs and tonumber(row[2]) >= most) then return false end
  words[i] = runs and row[1] or ''
end
for i, key in ipairs(KEYS) do
  if words[i] ~= '' then
    redis.call('HINCRBY', key, 'count', 1)
  else
    local ends_at = tonumber(ARGV[3 + 2 * i])
    words[i] = ARGV[2]
    redis.call('HSET', key, 'window', ARGV[2], 'count', 1, 'ends_at', ends_at)
    redis.call('EXPIRE', key, math.max(ends_at - now, 0) + tonumber(ARGV[3]))
  end
end
return words
"""

# KEYS: windows. ARGV: the word of each.
_RELEASE: Final = """
for i, key in ipairs(KEYS) do
  if redis.call('HGET', key, 'window') == ARGV[i] then redis.call('HINCRBY', key, 'count', -1) end
end
"""

# KEYS: windows. ARGV: new end, then for each key its word and its limit. A key's life moves with its end.
_HOLD: Final = """
local ends_at = tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
  local row = redis.call('HMGET', key, 'window', 'count', 'ends_at')
  if row[1] == ARGV[2 * i] and tonumber(row[2]) >= tonumber(ARGV[2 * i + 1]) then
    local life = redis.call('TTL', key) + ends_at - tonumber(row[3])
    redis.call('HSET', key, 'ends_at', ends_at)
    redis.call('EXPIRE', key, math.max(life, 1))
  end
end
"""

_CLEAR: Final = "return redis.call('DEL', KEYS[1])"


class RedisNonces:
    """Used nonces on Redis, see `pipeline.gateway.nonces.Nonces`.

    Args:
        link: the Redis.
        store: database that notes that this authority uses a Redis.
        vault: digests the nonces.
    """

    def __init__(self, link: RedisLink, store: Store, vault: Vault) -> None:
        self._link = link
        self._store = store
        self._vault = vault
        self._script = link.script(_USE)

    def use(self, key_id: str, nonce: str, *, now: float) -> bool:
        """Use a nonce up; False where it was used before.

        Raises:
            StoreError: Redis does not answer, or has lost its memory less than `NONCE_LIFETIME_S` ago.
        """
        digest = self._vault.digest("nonce", key_id, nonce)
        found = self._use(digest, now)
        if found == _NO_MARK:
            self._set_mark(int(now))
            found = self._use(digest, now)
        if found in (_NO_MARK, _QUIET):
            raise StoreError(
                "Redis has lost its memory: nobody is let through until older nonces are out of date",
                hint="It ends by itself within 31 minutes. Let Redis keep its data in a file (appendonly).",
            )
        return found == 1

    def _use(self, digest: str, now: float) -> int:
        keys = (self._link.key("mark"), self._link.key("nonce", digest))
        return int(self._link.run(self._script, keys, (int(now), NONCE_LIFETIME_S)))

    def _set_mark(self, now: int) -> None:
        """Mark a Redis without a mark: new to this authority, or emptied.

        The mark is the time until which nobody is let through. A new one takes over what the database holds.
        """
        with self._store.read() as session:
            known = session.get(Meta, _NOTE) is not None
        if not known:
            try:
                # Processes that start at once: the second waits here, and finds note and mark.
                with self._store.write() as session:
                    session.add(Meta(name=_NOTE, value="in use"))
                    session.flush()
                    self._take_over(session, now)
                    self._link.put_once(self._link.key("mark"), "0")
                return
            except IntegrityError:
                pass
        if self._link.put_once(self._link.key("mark"), str(now + NONCE_LIFETIME_S)):
            log.error("Redis has lost its memory: nobody is let through for %d s", NONCE_LIFETIME_S)

    def _take_over(self, session: Session, now: int) -> None:
        nonces = session.scalars(select(NonceRow).where(NonceRow.expires_at > now))
        windows = session.scalars(select(CounterRow).where(CounterRow.ends_at > now))
        self._link.fill(
            [(self._link.key("nonce", row.digest), row.expires_at - now) for row in nonces],
            [
                (
                    self._link.key("count", row.name),
                    {"window": row.window, "count": row.count, "ends_at": row.ends_at},
                    row.ends_at - now + SLACK_S,
                )
                for row in windows
            ],
        )


class RedisCounters:
    """Counted windows on Redis, see `pipeline.gateway.counters.Counters`.

    Args:
        link: the Redis.
    """

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._take = link.script(_TAKE)
        self._release = link.script(_RELEASE)
        self._hold = link.script(_HOLD)
        self._clear = link.script(_CLEAR)

    def take(self, limits: Sequence[Limit], *, now: float) -> list[Place] | None:
        """Take one place under each limit, or none at all."""
        if not limits:
            return []
        asked = [part for limit in limits for part in (limit.most, limit.ends_at)]
        arguments: list[str | int] = [int(now), secrets.token_hex(16), SLACK_S, *asked]
        words = self._link.run(self._take, [self._key(limit.name) for limit in limits], arguments)
        if words is None:
            return None
        return [Place(limit, str(word)) for limit, word in zip(limits, words, strict=True)]

    def release(self, places: Sequence[Place]) -> None:
        """Give places back; a window that ended is left alone."""
        if places:
            keys = [self._key(place.limit.name) for place in places]
            self._link.run(self._release, keys, [place.window for place in places])

    def hold(self, places: Sequence[Place], ends_at: int) -> None:
        """Let every window that is full now end at this time."""
        if places:
            keys = [self._key(place.limit.name) for place in places]
            arguments: list[str | int] = [ends_at]
            for place in places:
                arguments += [place.window, place.limit.most]
            self._link.run(self._hold, keys, arguments)

    def clear(self, name: str) -> bool:
        """Forget a window; False where there was none."""
        return bool(self._link.run(self._clear, [self._key(name)], ()))

    def _key(self, name: str) -> str:
        return self._link.key("count", name)
