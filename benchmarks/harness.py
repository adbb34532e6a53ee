"""How things are timed: runners in blocks, in turn, and what is thrown away."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from benchmarks.machine import pin

MIN_REPEATS: Final = 200
"""Fewer timed calls than this make a report that calls itself a trial."""
BLOCK: Final = 10
"""Calls of one runner in a row."""
SETTLE: Final = 1
"""Calls at the head of a block that are not counted: caches hold what the runner before left there."""
WARM_UP: Final = 30
"""Calls of each runner before anything counts."""


@dataclass(frozen=True, slots=True)
class Block:
    """Calls of one runner in a row.

    Attributes:
        wall_ns: duration of each call, `time.perf_counter_ns`.
        cpu_ns: processor time of all the process's threads over the whole block.
        found: calls that found what they looked for.
    """

    wall_ns: list[int]
    cpu_ns: int
    found: int


class Runner(Protocol):
    """Whatever can be timed: a function of this process, or a worker."""

    cores: tuple[int, ...] | None
    """Cores to hold the calling thread to while it runs; None leaves it where it is."""

    def block(self, start: int, count: int) -> Block:
        """Do calls ``start`` to ``start + count - 1``, timed one by one."""
        ...


@dataclass(slots=True)
class Call:
    """A function of this process as a runner.

    Attributes:
        step: takes the call's number; False says that it did not find what it looked for.
        cores: see `Runner`.
    """

    step: Callable[[int], object]
    cores: tuple[int, ...] | None = None

    def block(self, start: int, count: int) -> Block:
        """See `Runner`. The garbage collector is off inside."""
        step, clock = self.step, time.perf_counter_ns
        wall, found = [], 0
        with no_collection():
            cpu = time.process_time_ns()
            for number in range(start, start + count):
                begin = clock()
                outcome = step(number)
                wall.append(clock() - begin)
                found += outcome is not False
            cpu = time.process_time_ns() - cpu
        return Block(wall, cpu, found)


@dataclass(slots=True)
class Times:
    """What was measured of one runner.

    Attributes:
        ms: counted calls in order, milliseconds.
        cpu_ns: processor time over all calls of counted blocks.
        calls: number of calls in counted blocks, with those not counted at the head.
        found: of these, how many found what they looked for.
    """

    ms: list[float] = field(default_factory=list)
    cpu_ns: int = 0
    calls: int = 0
    found: int = 0

    @property
    def cpu_ms(self) -> float:
        """Processor time of one call, all threads, milliseconds."""
        return self.cpu_ns / self.calls / 1e6 if self.calls else 0.0


def alternate(
    runners: Mapping[str, Runner],
    repeats: int,
    *,
    block: int = BLOCK,
    settle: int = SETTLE,
    warm_up: int = WARM_UP,
    seed: int = 0,
) -> dict[str, Times]:
    """Time several runners in one go: a block of each in every round, in a new order each round.

    A change of the machine's speed or load in the middle so falls on all of them.

    Args:
        runners: what to time, by name.
        repeats: counted calls of each, at least.
        block: calls in a row.
        settle: of these, how many at the head are not counted.
        warm_up: calls of each before the first round.
        seed: of the orders.

    Returns:
        The times by name; all have the same number of counted calls, a multiple of ``block - settle``.

    Raises:
        ValueError: nothing of a block would be counted.
    """
    if not 0 <= settle < block:
        raise ValueError("a block must hold one counted call at least")
    gc.collect()
    gc.freeze()  # what is there now lives longer than the run: no collection needs to look at it
    try:
        return _alternate(runners, -(-repeats // (block - settle)), block, settle, warm_up, seed)
    finally:
        gc.unfreeze()


def _alternate(
    runners: Mapping[str, Runner],
    rounds: int,
    block: int,
    settle: int,
    warm_up: int,
    seed: int,
) -> dict[str, Times]:
    rng = np.random.default_rng(seed)
    times = {name: Times() for name in runners}
    names = list(runners)
    if warm_up:
        for name in names:
            _in_place(runners[name], 0, warm_up)
    for number in range(rounds):
        for index in rng.permutation(len(names)):
            name = names[index]
            done = _in_place(runners[name], warm_up + number * block, block)
            kept = times[name]
            kept.ms += [ns / 1e6 for ns in done.wall_ns[settle:]]
            kept.cpu_ns += done.cpu_ns
            kept.calls += len(done.wall_ns)
            kept.found += done.found
    return times


def _in_place(runner: Runner, start: int, count: int) -> Block:
    if runner.cores is not None:
        pin(runner.cores)
    return runner.block(start, count)


@contextmanager
def no_collection() -> Iterator[None]:
    """Collect garbage now and not inside the block, then put things back as they were."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
