"""Statistics of the benchmarks, against numbers that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.samples import block_medians, growth, median_ratio, rank_test, summarise

positive = st.floats(0.001, 1e6)


def noisy(centre: float, count: int = 297, seed: int = 0) -> list[float]:
    """Times with a long tail to the right, as calls have."""
    rng = np.random.default_rng(seed)
    return list(centre * (1 + 0.1 * rng.exponential(size=count)))


def test_marks_of_a_known_sample() -> None:
    marks = summarise([float(v) for v in range(101)][::-1])
    assert marks == (101, 50.0, 0.0, 25.0, 50.0, 75.0, 95.0, 99.0, 100.0)
    assert marks.iqr == 50.0


@given(st.lists(positive, min_size=1, max_size=60))
def test_marks_are_in_order(values: list[float]) -> None:
    m = summarise(values)
    assert m.min <= m.p25 <= m.median <= m.p75 <= m.p95 <= m.p99 <= m.max
    assert m.n == len(values)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_no_marks_of_nothing_or_of_what_is_no_number(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        summarise(values)


def test_ratio_finds_a_known_factor_inside_its_interval() -> None:
    over, under = noisy(3.0, seed=1), noisy(2.0, seed=2)
    found = median_ratio(over, under, block=9)
    assert found.low < 1.5 < found.high
    assert found.ratio == pytest.approx(np.median(over) / np.median(under))
    assert found.high - found.low < 0.1


def test_ratio_of_a_sample_to_itself_is_one_in_pairs() -> None:
    values = noisy(2.0)
    assert median_ratio(values, values, block=9, paired=True) == (1.0, 1.0, 1.0)


def test_drift_that_pairs_share_does_not_widen_the_interval() -> None:
    drift = np.repeat(np.linspace(1, 2, 33), 9)
    over, under = np.array(noisy(3.0, seed=1)) * drift, np.array(noisy(2.0, seed=2)) * drift
    paired = median_ratio(list(over), list(under), block=9, paired=True)
    apart = median_ratio(list(over), list(under), block=9)
    assert paired.high - paired.low < 0.6 * (apart.high - apart.low)


def test_values_that_hang_together_widen_the_interval() -> None:
    """33 states of the machine, 9 calls in each: there are 33 independent values, not 297."""
    states = np.repeat(np.random.default_rng(3).normal(10, 1, 33), 9)
    other = np.repeat(np.random.default_rng(4).normal(10, 1, 33), 9)
    as_blocks = median_ratio(list(states), list(other), block=9)
    as_singles = median_ratio(list(states), list(other), block=1)
    assert as_blocks.high - as_blocks.low > 2 * (as_singles.high - as_singles.low)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        a, b = (rng.normal(10, 1, 45) for _ in range(2))
        found = median_ratio(list(a), list(b), block=9, seed=seed, resamples=300)
        hits += found.low <= 1 <= found.high
    assert 160 <= hits <= 199


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 5))
def test_every_length_and_block_can_be_drawn(count: int, block: int, seed: int) -> None:
    values = [float(v) for v in range(1, count + 1)]
    found = median_ratio(values, values, block=block, seed=seed, resamples=50)
    assert found.ratio == 1.0
    assert 1 / count <= found.low <= found.high <= count


def test_ratio_refuses_what_has_none() -> None:
    with pytest.raises(ValueError, match="positive"):
        median_ratio([1.0], [0.0])
    with pytest.raises(ValueError, match="equally many"):
        median_ratio([1.0, 2.0], [1.0], paired=True)
    with pytest.raises(ValueError, match="block"):
        median_ratio([1.0], [1.0], block=0)


def test_rank_test_tells_a_shift_from_noise() -> None:
    assert rank_test(noisy(2.0, seed=1), noisy(2.0, seed=2), block=9) > 0.01
    assert rank_test(noisy(2.2, seed=1), noisy(2.0, seed=2), block=9) < 1e-6


def test_rank_test_is_not_fooled_by_repeated_values_of_one_state() -> None:
    """Two states each, nine calls a state: as single calls p would be far below 1e-4."""
    a, b = [1.0] * 9 + [3.0] * 9, [2.0] * 9 + [4.0] * 9
    assert rank_test(a, b, block=9) > 0.3


def test_block_medians_keep_the_rest() -> None:
    assert block_medians([1, 2, 3, 10, 20, 30, 7], 3).tolist() == [2, 20, 7]


def test_growth_is_the_slope_and_shrugs_at_a_leap() -> None:
    x = [float(v) for v in range(50)]
    y = [3.0 + 0.25 * v for v in x]
    assert growth(x, y) == pytest.approx(0.25)
    y[40] += 1000
    assert growth(x, y) == pytest.approx(0.25, abs=0.02)
    with pytest.raises(ValueError, match="slope"):
        growth([1.0, 1.0], [1.0, 2.0])
