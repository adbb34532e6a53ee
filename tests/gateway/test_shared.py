"""Redis for nonces and counters: what it takes over, what it refuses, and what happens when it is gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.errors import SettingsError, StoreError
from pipeline.gateway import open_authority, open_shared
from pipeline.gateway.counters import Limit
from pipeline.gateway.nonces import NONCE_LIFETIME_S
from pipeline.gateway.terms import Quota
from pipeline.protocol.answers import parse_answer
from pipeline.settings import Settings

pytestmark = pytest.mark.storages("redis")
QUERY = {"method": "query", "bizId": "ZSTP0", "queryId": "0" * 32}
NOW = 1_000_000


@pytest.fixture
def authority(database: str) -> Iterator[Any]:
    opened = open_authority(database)
    yield opened
    opened.store.close()


@pytest.fixture
def open_it(authority: Any, storage: Any, database: str) -> Iterator[Any]:
    """Open nonces and counters: on Redis, or with ``False`` in the database."""
    opened = []

    def open_(redis: bool = True) -> Any:
        opened.append(open_shared(authority, storage.redis_url(database) if redis else None))
        return opened[-1]

    yield open_
    for shared in opened:
        shared.close()


@pytest.fixture
def client(storage: Any, database: str) -> Iterator[Any]:
    with storage.redis_client(database) as opened:
        yield opened


def test_every_key_but_the_mark_ends_by_itself(open_it: Any, client: Any) -> None:
    shared = open_it()
    assert shared.nonces.use("k", "n", now=NOW)
    shared.counters.hold(shared.counters.take([Limit("a" * 64, 1, NOW + 5)], now=NOW), NOW + 500)
    lives = {key.rsplit(b"}:", 1)[1].split(b":")[0]: client.ttl(key) for key in client.scan_iter()}
    assert lives[b"mark"] == -1
    assert 0 <= NONCE_LIFETIME_S - lives[b"nonce"] < 60
    assert 440 < lives[b"count"] <= 560


def test_what_the_database_held_is_taken_over(open_it: Any) -> None:
    """A system that is moved to Redis forgets neither a used nonce nor a lock."""
    before = open_it(False)
    assert before.nonces.use("k", "used", now=NOW)
    before.counters.hold(before.counters.take([Limit("a" * 64, 1, NOW + 5)], now=NOW), NOW + 500)
    after = open_it()
    assert not after.nonces.use("k", "used", now=NOW + 1)
    assert after.nonces.use("k", "new", now=NOW + 1)
    assert after.counters.take([Limit("a" * 64, 1, NOW + 900)], now=NOW + 499) is None
    assert after.counters.take([Limit("a" * 64, 1, NOW + 900)], now=NOW + 500)


def test_a_redis_that_lost_its_memory_lets_nobody_through_until_old_nonces_are_out_of_date(
    open_it: Any, client: Any
) -> None:
    shared = open_it()
    assert shared.nonces.use("k", "used", now=NOW)
    client.flushdb()
    for again in (shared, open_it()):
        with pytest.raises(StoreError, match="lost its memory"):
            again.nonces.use("k", "used", now=NOW + 1)
    with pytest.raises(StoreError, match="lost its memory"):
        shared.nonces.use("k", "new", now=NOW + NONCE_LIFETIME_S)
    assert shared.nonces.use("k", "new", now=NOW + 1 + NONCE_LIFETIME_S)


def test_two_authorities_share_a_redis_and_not_their_keys(
    open_it: Any, storage: Any, database: str, tmp_path: Any, monkeypatch: Any
) -> None:
    from pipeline.gateway.vault import KEY_VARIABLE

    assert open_it().nonces.use("k", "n", now=NOW)
    monkeypatch.delenv(KEY_VARIABLE)
    other = open_authority(f"sqlite:///{tmp_path / 'other.db'}")
    shared = open_shared(other, storage.redis_url(database))
    assert shared.nonces.use("k", "n", now=NOW)
    shared.close()
    other.store.close()


def test_a_redis_that_is_gone_is_unavailable_and_comes_back_by_itself(
    make_caller: Any, client: Any, monkeypatch: Any
) -> None:
    from pipeline.gateway import redis_link

    monkeypatch.setattr(redis_link, "REPLY_S", 0.3)
    caller = make_caller(quota=Quota(per_day=9))
    assert caller.call(QUERY).code == 400
    params = caller.signed(caller.params(QUERY))
    client.client_pause(1500)
    answer = caller.gateway.handle(caller.request(params))
    assert (answer.status, parse_answer(answer.body).code) == (503, "ServiceUnavailable")
    with pytest.raises(StoreError):
        caller.gateway.shared.ping()
    client.client_unpause()
    assert caller.call(QUERY).code == 400


def test_connections_that_were_cut_are_made_anew(make_caller: Any, client: Any) -> None:
    caller = make_caller()
    assert caller.call(QUERY).code == 400
    client.client_kill_filter(skipme=True, _type="normal")
    assert caller.call(QUERY).code == 400


def test_locks_that_can_not_be_asked_judge_nobody(make_caller: Any, kit: Any, monkeypatch: Any) -> None:
    """The nonce went through, then Redis is gone: Z1111, and no comparison."""
    caller = make_caller(detailed_codes=True, audit=False)
    kit.enroll(caller, 1)

    def gone(limits: Any, **_: object) -> list[Any]:
        if limits:
            raise StoreError("Redis can't be used")
        return []

    monkeypatch.setattr(caller.gateway.shared.counters, "take", gone)
    answer = caller.match(kit.picture(1))
    assert (answer.code, answer.data["resultCodeSub"]) == (500, "Z1111")
    assert "score" not in answer.data


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:1/0",
        "http://x",
        "",
        "redis://127.0.0.1:1/0 x",
        "redis://h:notaport",
        "rediss://127.0.0.1:1",
    ],
)
def test_a_redis_that_can_not_be_used_is_told_at_the_start_without_its_url(authority: Any, url: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_shared(authority, url.replace("//1", "//:geheim@1"))
    told = f"{caught.value} {caught.value.hint}"
    assert "geheim" not in told
    assert "127.0.0.1" not in told
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_redis_that_drops_keys_when_it_is_full_is_refused(open_it: Any, client: Any) -> None:
    try:
        client.config_set("maxmemory", "64mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(StoreError, match="drops keys"):
            open_it()
        client.config_set("maxmemory-policy", "noeviction")
        open_it().ping()
    finally:
        client.config_set("maxmemory", "0")


@pytest.mark.parametrize("value", ["http://x", "redis:/x", "", "redis://a b"])
def test_the_setting_is_checked_and_never_shown(value: str) -> None:
    with pytest.raises(SettingsError, match="redis_url"):
        Settings(redis_url=value)
    settings = Settings(redis_url="redis://:geheim@h/0")
    assert "geheim" not in repr(settings)
    from pipeline.service import gateway_options

    options = gateway_options(settings)
    assert options.redis_url == "redis://:geheim@h/0"
    assert "geheim" not in repr(options)
