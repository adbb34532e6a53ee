"""What is run in which order, and what counts. Runners here do nothing and take made-up time."""

from __future__ import annotations

import gc

import pytest

from benchmarks.harness import Block, Call, alternate
from benchmarks.sequence import bounce, parse_size


class Made:
    """A runner that tells in its times which call it was."""

    cores = None

    def __init__(self, name: str, log: list[tuple[str, int, int]]) -> None:
        self.name = name
        self.log = log

    def block(self, start: int, count: int) -> Block:
        self.log.append((self.name, start, count))
        return Block([(start + i) * 1_000_000 for i in range(count)], 5_000_000 * count, count - 1)


def test_every_round_has_a_block_of_each_and_warm_up_is_not_counted() -> None:
    log: list[tuple[str, int, int]] = []
    times = alternate({n: Made(n, log) for n in "abc"}, 25, block=10, settle=1, warm_up=30, seed=1)
    assert log[:3] == [("a", 0, 30), ("b", 0, 30), ("c", 0, 30)]
    rounds = [log[3 + i : 6 + i] for i in range(0, len(log) - 3, 3)]
    assert len(rounds) == 3
    for number, entries in enumerate(rounds):
        assert sorted(name for name, _, _ in entries) == ["a", "b", "c"]
        assert {(start, count) for _, start, count in entries} == {(30 + 10 * number, 10)}
    for taken in times.values():
        # the head of each block, calls 30, 40 and 50, is left out
        assert taken.ms == [float(v) for v in range(31, 60) if v % 10]
        assert (taken.calls, taken.found) == (30, 27)
        assert taken.cpu_ms == 5.0


def test_orders_change_from_round_to_round_and_repeat_with_the_seed() -> None:
    def order(seed: int) -> str:
        log: list[tuple[str, int, int]] = []
        alternate({n: Made(n, log) for n in "abcde"}, 90, warm_up=0, seed=seed)
        return "".join(name for name, _, _ in log)

    assert order(1) == order(1) != order(2)
    first = order(1)
    assert len({first[i : i + 5] for i in range(0, len(first), 5)}) > 3


def test_a_block_without_a_counted_call_is_refused() -> None:
    with pytest.raises(ValueError, match="counted"):
        alternate({}, 10, block=1, settle=1)


def test_collector_is_off_inside_and_back_on_after_even_an_error() -> None:
    seen: list[bool] = []
    Call(lambda n: seen.append(gc.isenabled())).block(0, 2)
    assert seen == [False, False]
    assert gc.isenabled()

    def fail(number: int) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Call(fail).block(0, 1)
    assert gc.isenabled()


def test_call_counts_what_found_something() -> None:
    block = Call(lambda n: n % 2 == 0).block(0, 5)
    assert (len(block.wall_ns), block.found) == (5, 3)
    assert Call(lambda n: None).block(7, 2).found == 2


def test_no_frame_follows_itself() -> None:
    shown = [bounce(n, 4) for n in range(13)]
    assert shown == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0]
    assert [bounce(n, 2) for n in range(4)] == [0, 1, 0, 1]
    assert bounce(5, 1) == 0


@pytest.mark.parametrize("text", ["", "x", "1280", "0x0", "-1x720", "1280x720x3", "12e2x720", "10x10"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="WIDTHxHEIGHT"):
        parse_size(text)


def test_a_size() -> None:
    assert parse_size("1280x720") == (1280, 720)
