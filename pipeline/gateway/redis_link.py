"""`RedisLink`: one Redis for one authority, and its errors as ours.

Keys are ``livegate:{fingerprint}:...``, the fingerprint being that of the authority's master key: several
authorities can share a server, and the braces keep one authority's keys together on a cluster.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import StoreError

if TYPE_CHECKING:
    from redis import Redis
    from redis.commands.core import Script

REPLY_S: Final = 3.0
"""How long Redis may take to answer or to take a connection; after that the request gets a 503."""

URL: Final = re.compile(r"(redis|rediss|unix)://\S+", re.ASCII)


class RedisLink:
    """A pool of connections to one Redis. Nothing is sent twice: a lost answer is an error.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``; in no message and no repr.
        fingerprint: hex digits of the authority whose keys these are.

    Raises:
        StoreError: the URL is none, Redis does not answer or may drop keys when it is full, or the client
            library is missing.
    """

    def __init__(self, url: str, fingerprint: str) -> None:
        try:
            from redis import Redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            raise StoreError(
                "the client library of Redis is not installed",
                hint="Install livegate with the extra `scale`.",
            ) from None
        if not URL.fullmatch(url):
            raise StoreError(
                "the Redis URL can't be used", hint="Like redis://host:6379/0, rediss:// for TLS."
            )
        self._prefix = f"livegate:{{{fingerprint}}}:"
        with _told():
            self._client: Redis = Redis.from_url(
                url,
                decode_responses=True,
                socket_timeout=REPLY_S,
                socket_connect_timeout=REPLY_S,
                socket_keepalive=True,
                retry=Retry(NoBackoff(), 0),
                client_name="livegate",
            )
        try:
            self._refuse_eviction()
        except BaseException:
            self.close()
            raise

    def key(self, kind: str, name: str = "") -> str:
        """Full name of a key; ``name`` is a keyed digest, never data of a person."""
        return f"{self._prefix}{kind}:{name}" if name else self._prefix + kind

    def script(self, source: str) -> Script:
        """A Lua script that Redis runs as one step."""
        return self._client.register_script(source)

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        """Run a script.

        Raises:
            StoreError: Redis did not answer; whether it ran is not known.
        """
        with _told():
            return script(keys=list(keys), args=list(arguments))

    def put_once(self, key: str, value: str) -> bool:
        """Set a key that is not there; False where it is."""
        with _told():
            return bool(self._client.set(key, value, nx=True))

    def fill(
        self, words: Iterable[tuple[str, int]], rows: Iterable[tuple[str, Mapping[str, str | int], int]]
    ) -> None:
        """Set many keys in one go, over what is there.

        Args:
            words: keys that only need to be there, each with its life in seconds.
            rows: keys of hashes, their fields, and their life in seconds.
        """
        with _told(), self._client.pipeline(transaction=False) as pipe:
            for key, life in words:
                pipe.set(key, "1", ex=life)
            for key, fields, life in rows:
                pipe.hset(key, mapping=dict[Any, Any](fields))
                pipe.expire(key, life)
            pipe.execute()

    def ping(self) -> None:
        """Ask Redis for an answer.

        Raises:
            StoreError: it gives none.
        """
        with _told():
            self._client.ping()

    def close(self) -> None:
        """Close all connections. Idempotent."""
        with contextlib.suppress(Exception):
            self._client.close()

    def _refuse_eviction(self) -> None:
        """A Redis that drops keys when it is full would forget used nonces and locks in silence."""
        with _told():
            memory: Any = self._client.info("memory")
        if memory.get("maxmemory") and memory.get("maxmemory_policy") != "noeviction":
            raise StoreError(
                "this Redis drops keys when its memory is full",
                hint="Set its maxmemory-policy to noeviction.",
            )

    def __repr__(self) -> str:
        return "RedisLink(...)"


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """The library's errors can carry addresses and commands: only their kind goes further."""
    from redis.exceptions import RedisError

    try:
        yield
    except (RedisError, OSError, ValueError) as error:
        raise StoreError(
            f"Redis can't be used: {type(error).__name__}",
            hint="Check LIVEGATE_REDIS_URL and that Redis runs.",
        ) from None
