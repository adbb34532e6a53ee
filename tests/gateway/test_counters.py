"""Counted windows: never more than the limit, under any order of calls, threads and processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from pipeline.errors import StoreError
from pipeline.gateway import Shared, open_authority, open_shared
from pipeline.gateway.counters import Limit, Place
from pipeline.gateway.schema import CounterRow
from pipeline.gateway.sql_counters import SqlCounters
from pipeline.gateway.store import Store

pytestmark = pytest.mark.storages("sqlite", "postgresql", "redis")
A, B = "a" * 64, "b" * 64
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.sampled_from([A, B]), st.integers(0, 3)),
        st.tuples(st.just("both"), st.integers(0, 3), st.integers(0, 3)),
        st.tuples(st.sampled_from(["release", "hold"]), st.integers(0, 30), st.integers(1, 9)),
        st.tuples(st.just("wait"), st.integers(1, 6), st.none()),
    ),
    max_size=40,
)


@pytest.fixture
def shared(storage: Any, database: str) -> Iterator[Shared]:
    authority = open_authority(database)
    opened = open_shared(authority, storage.redis_url(database))
    yield opened
    opened.close()
    authority.store.close()


@pytest.fixture
def counters(shared: Shared) -> Any:
    return shared.counters


@pytest.fixture
def counts(shared: Shared, storage: Any, database: str) -> Any:
    """What is counted, read from where it is kept."""

    def from_redis() -> dict[str, int]:
        with storage.redis_client(database) as client:
            keys = client.keys("livegate:*:count:*")
            return {key.rsplit(b":", 1)[1].decode(): int(client.hget(key, "count")) for key in keys}

    def from_database() -> dict[str, int]:
        with shared.counters._store.read() as session:  # type: ignore[attr-defined]
            return {row.name: row.count for row in session.scalars(select(CounterRow))}

    return from_redis if storage.kind == "redis" else from_database


class Model:
    """What windows do, written down a second time: a set of held tokens for each name."""

    def __init__(self) -> None:
        self.held: dict[str, set[int]] = {}
        self.ends: dict[str, int] = {}

    def fits(self, name: str, most: int, now: int) -> bool:
        if self.ends.get(name, 0) <= now:
            return most > 0
        return len(self.held[name]) < most

    def take(self, name: str, token: int, ends: int, now: int) -> None:
        if self.ends.get(name, 0) <= now:
            self.held[name], self.ends[name] = set(), ends
        self.held[name].add(token)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OPERATIONS, st.integers(1, 5))
def test_windows_do_what_the_model_says(
    counters: Any, counts: Any, operations: list[Any], length: int
) -> None:
    model, now = Model(), 1000
    for name in (A, B):
        counters.clear(name)
    taken: list[tuple[Place, int]] = []
    for what, first, second in operations:
        if what == "wait":
            now += first
        elif what in ("take", "both"):
            wants = {first: second} if what == "take" else {A: first, B: second}
            places = counters.take([Limit(n, most, now + length) for n, most in wants.items()], now=now)
            assert (places is not None) == all(model.fits(n, most, now) for n, most in wants.items())
            for place in places or ():
                taken.append((place, len(taken)))
                model.take(place.limit.name, taken[-1][1], now + length, now)
        elif taken:
            place, token = taken[first % len(taken)]
            mine = token in model.held[place.limit.name]
            if what == "hold":
                counters.hold([place], now + second)
                if mine and len(model.held[place.limit.name]) >= place.limit.most:
                    model.ends[place.limit.name] = now + second
            elif mine:
                counters.release([place])
                model.held[place.limit.name].discard(token)
    assert counts() == {name: len(held) for name, held in model.held.items()}


def test_a_late_release_does_not_touch_the_next_window(counters: Any) -> None:
    old = counters.take([Limit(A, 1, 20)], now=10)
    assert counters.take([Limit(A, 1, 40)], now=20)
    counters.release(old)
    assert counters.take([Limit(A, 1, 40)], now=21) is None


def test_a_refusal_counts_nothing_anywhere(counters: Any) -> None:
    assert counters.take([Limit(B, 1, 20)], now=10)
    assert counters.take([Limit(A, 1, 20), Limit(B, 1, 20)], now=10) is None
    assert counters.take([Limit(A, 1, 20)], now=10)


def test_a_lock_lasts_to_its_end_and_no_longer(counters: Any) -> None:
    places = counters.take([Limit(A, 1, 20)], now=10)
    counters.hold(places, 50)
    assert counters.take([Limit(A, 1, 70)], now=49) is None
    assert counters.take([Limit(A, 1, 70)], now=50)


def test_what_is_cleared_begins_anew(counters: Any) -> None:
    assert counters.take([Limit(A, 1, 20)], now=10)
    assert counters.clear(A)
    assert not counters.clear(A)
    assert counters.take([Limit(A, 1, 20)], now=10)


def test_nothing_to_count_needs_no_place(counters: Any) -> None:
    assert counters.take([], now=10) == []
    counters.release([])
    counters.hold([], 20)


@pytest.mark.storages("sqlite", "postgresql")
def test_ended_windows_are_removed(counters: Any) -> None:
    for digit in "0123456789abcdef":
        counters.take([Limit(digit * 64, 1, 20)], now=10)
    counters.take([Limit("z" * 64, 1, 200)], now=100)
    with counters._store.read() as session:
        assert session.scalar(select(func.count()).select_from(CounterRow)) == 1


@pytest.mark.storages("postgresql")
def test_a_clean_up_waits_for_nobody(counters: Any, database: str) -> None:
    """Another process holds an ended window's row: the others are removed, and nothing waits."""
    counters.take([Limit(A, 1, 20), Limit(B, 1, 20)], now=10)
    other = Store(database)
    with other.write() as session:
        session.execute(select(CounterRow.name).where(CounterRow.name == A).with_for_update())
        counters.take([Limit("c" * 64, 1, 200)], now=100)
    with other.read() as session:
        assert set(session.scalars(select(CounterRow.name))) == {A, "c" * 64}
    other.close()


@pytest.mark.storages("sqlite")
def test_a_database_without_the_statement_is_told(counters: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(Store, "dialect", "mysql")
    with pytest.raises(StoreError, match="SQLite or PostgreSQL"):
        counters.take([Limit(A, 1, 20)], now=10)


def test_threads_of_processes_never_take_more_than_the_limit(
    crew: Any, counts: Any, storage: Any, database: str
) -> None:
    kept = sum(crew("take", storage, database, turns=30))
    # A refusal means that 17 were held, all but one of the threads' about to be given back at most.
    assert 17 - (2 * crew.size - 1) <= kept <= 17
    assert counts() == {A: kept, B: kept}


def test_the_database_keeps_what_redis_has_not(storage: Any, shared: Shared) -> None:
    assert isinstance(shared.counters, SqlCounters) == (storage.kind != "redis")
    assert shared.kind == storage.kind
