"""Counted windows: never more than the limit, under any order of calls, threads and processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from pipeline.errors import StoreError
from pipeline.gateway.counters import Limit, Place
from pipeline.gateway.schema import CounterRow
from pipeline.gateway.sql_counters import SqlCounters
from pipeline.gateway.store import Store

A, B = "a" * 64, "b" * 64
POSTGRESQL = os.environ.get("LIVEGATE_TEST_POSTGRESQL_URL", "")
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
def store(blank_database: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copy2(blank_database / "authority.db", tmp_path / "counters.db")
    opened = Store(f"sqlite:///{tmp_path / 'counters.db'}")
    yield opened
    opened.close()


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
def test_windows_do_what_the_model_says(store: Store, operations: list[Any], length: int) -> None:
    counters, model, now = SqlCounters(store), Model(), 1000
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
        with store.read() as session:
            for row in session.scalars(select(CounterRow)):
                assert row.count == len(model.held[row.name])


def test_a_late_release_does_not_touch_the_next_window(store: Store) -> None:
    counters = SqlCounters(store)
    old = counters.take([Limit(A, 1, 20)], now=10)
    assert counters.take([Limit(A, 1, 40)], now=20)
    counters.release(old or [])
    assert counters.take([Limit(A, 1, 40)], now=21) is None


def test_a_refusal_counts_nothing_anywhere(store: Store) -> None:
    counters = SqlCounters(store)
    assert counters.take([Limit(B, 1, 20)], now=10)
    assert counters.take([Limit(A, 1, 20), Limit(B, 1, 20)], now=10) is None
    assert counters.take([Limit(A, 1, 20)], now=10)


def test_ended_windows_are_removed(store: Store) -> None:
    counters = SqlCounters(store)
    for digit in "0123456789abcdef":
        counters.take([Limit(digit * 64, 1, 20)], now=10)
    counters.take([Limit("z" * 64, 1, 200)], now=100)
    with store.read() as session:
        assert session.scalar(select(func.count()).select_from(CounterRow)) == 1


def test_a_database_without_the_statement_is_told(store: Store, monkeypatch: Any) -> None:
    monkeypatch.setattr(Store, "dialect", "mysql")
    with pytest.raises(StoreError, match="SQLite or PostgreSQL"):
        SqlCounters(store).take([Limit(A, 1, 20)], now=10)


WORKER = """
import json, sys, threading, time
from pathlib import Path
from pipeline.gateway.counters import Limit
from pipeline.gateway.sql_counters import SqlCounters
from pipeline.gateway.store import Store

store = Store(sys.argv[1])
counters, barrier = SqlCounters(store), Path(sys.argv[2])
kept = []

def work():
    for turn in range(int(sys.argv[3])):
        places = counters.take([Limit("a" * 64, 17, 100), Limit("b" * 64, 1000, 100)], now=10)
        if places is None:
            continue
        if turn % 2:
            counters.release(places)
        else:
            kept.append(1)

while not barrier.exists():
    time.sleep(0.001)
threads = [threading.Thread(target=work) for _ in range(2)]
[t.start() for t in threads]
[t.join() for t in threads]
store.close()
print(len(kept))
"""


def at_once(url: str, barrier: Path, turns: int, processes: int = 2) -> int:
    """Processes with two threads each; every second place is given back. How many places were kept."""
    command = [sys.executable, "-c", WORKER, url, str(barrier), str(turns)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    barrier.touch()
    outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * processes
    return sum(json.loads(output) for output in outputs)


def test_threads_of_processes_never_take_more_than_the_limit(store: Store, tmp_path: Path) -> None:
    kept = at_once(f"sqlite:///{tmp_path / 'counters.db'}", tmp_path / "go", 30)
    # A refusal means that 17 were held, at most 3 of them by others who were about to give back.
    assert 14 <= kept <= 17
    with store.read() as session:
        counts = {row.name: row.count for row in session.scalars(select(CounterRow))}
    assert counts == {A: kept, B: kept}


@pytest.mark.skipif(not POSTGRESQL, reason="LIVEGATE_TEST_POSTGRESQL_URL names no database")
def test_processes_on_postgresql_never_take_more_than_the_limit(tmp_path: Path) -> None:
    store = Store(POSTGRESQL)
    counters = SqlCounters(store)
    for name in (A, B):
        counters.clear(name)
    kept = at_once(POSTGRESQL, tmp_path / "go", 40)
    assert 14 <= kept <= 17
    with store.read() as session:
        rows = session.scalars(select(CounterRow).where(CounterRow.name.in_([A, B])))
        assert {row.name: row.count for row in rows} == {A: kept, B: kept}
    counters.clear(A)
    places = counters.take([Limit(A, 1, 20)], now=10)
    assert counters.take([Limit(A, 1, 20)], now=10) is None
    counters.hold(places or [], 50)
    assert counters.take([Limit(A, 1, 70)], now=49) is None
    assert counters.take([Limit(A, 1, 70)], now=50)
    store.close()
