"""Intervals against published tables, and the identities they must keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.evaluation.intervals import (
    Rate,
    bootstrap,
    clopper_pearson,
    draw_clusters,
    follows_rule_of_30,
    least_trials,
    number,
    percentile_interval,
    zero_error_bound,
)

counts = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("errors", "n", "low", "high"),
    [
        # standard tables of exact binomial limits, 95 % two-sided, in percent
        (0, 10, 0.0, 30.85),
        (1, 10, 0.25, 44.50),
        (5, 10, 18.71, 81.29),
        (10, 10, 69.15, 100.0),
        (0, 100, 0.0, 3.62),
        (1, 100, 0.03, 5.45),
        (5, 100, 1.64, 11.28),
        (10, 100, 4.90, 17.62),
        (0, 1000, 0.0, 0.37),
        (10, 1000, 0.48, 1.83),
    ],
)
def test_exact_interval_is_the_published_one(errors: int, n: int, low: float, high: float) -> None:
    interval = clopper_pearson(errors, n)
    assert (round(interval.low * 100, 2), round(interval.high * 100, 2)) == (low, high)


def test_without_an_error_the_upper_end_has_its_closed_form() -> None:
    for n in (1, 7, 100, 12345):
        assert clopper_pearson(0, n).high == pytest.approx(1 - 0.025 ** (1 / n), rel=1e-9)


@given(counts)
def test_interval_holds_the_rate_and_mirrors(count: tuple[int, int]) -> None:
    errors, n = count
    interval = clopper_pearson(errors, n)
    assert 0 <= interval.low <= errors / n <= interval.high <= 1
    mirror = clopper_pearson(n - errors, n)
    assert mirror.low == pytest.approx(1 - interval.high, abs=1e-12)
    assert mirror.high == pytest.approx(1 - interval.low, abs=1e-12)


@given(counts)
def test_one_error_more_moves_both_ends_up(count: tuple[int, int]) -> None:
    errors, n = count
    before, after = clopper_pearson(errors, n + 1), clopper_pearson(errors + 1, n + 1)
    assert after.low > before.low or errors == 0
    assert after.high > before.high or errors == n


@given(counts)
def test_interval_covers_at_least_what_it_says(count: tuple[int, int]) -> None:
    """At its ends each tail of the binomial is 2.5 %: the definition of the interval."""
    from scipy.stats import binom

    errors, n = count
    interval = clopper_pearson(errors, n)
    if errors:
        assert binom.sf(errors - 1, n, interval.low) == pytest.approx(0.025, rel=1e-6)
    if errors < n:
        assert binom.cdf(errors, n, interval.high) == pytest.approx(0.025, rel=1e-6)


@pytest.mark.parametrize(("errors", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_counts_that_are_none_are_refused(errors: int, n: int) -> None:
    with pytest.raises(UsageError):
        clopper_pearson(errors, n)


def test_a_rate_over_nothing_is_none_and_not_zero() -> None:
    assert Rate(0, 0).value is None
    assert Rate(0, 0).interval is None
    with pytest.raises(UsageError):
        Rate(2, 1)


def test_rule_of_3_is_the_published_one() -> None:
    # Mansfield and Wayman 2002: no error in 300 independent trials shows 1 % or less
    assert zero_error_bound(300) == pytest.approx(0.01, abs=1e-4)
    assert least_trials(0.01) == 299
    assert least_trials(1e-3) == 2995
    assert zero_error_bound(0) == 1.0


@given(st.floats(1e-6, 0.5))
def test_least_trials_are_enough_and_one_fewer_is_not(target: float) -> None:
    n = least_trials(target)
    assert zero_error_bound(n) <= target * (1 + 1e-6)
    assert n == 1 or zero_error_bound(n - 1) > target


def test_rule_of_30_is_the_published_one() -> None:
    # 30 errors in 3,000 trials put the true rate between 0.7 and 1.3 % at 90 %, by the normal law;
    # the exact interval lies half a tenth higher
    interval = clopper_pearson(30, 3000, confidence=0.90)
    assert interval.low == pytest.approx(0.007, abs=0.0003)
    assert interval.high == pytest.approx(0.013, abs=0.0007)
    assert follows_rule_of_30(30)
    assert not follows_rule_of_30(29)


def test_rows_of_one_cluster_are_drawn_together_and_as_many_clusters_as_there_are() -> None:
    clusters = number(np.array(["b", "a", "b", "c"]))
    weights = draw_clusters(clusters, 200, np.random.default_rng(1))
    assert weights.shape == (200, 4)
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert np.array_equal(weights[:, 0] + weights[:, 1] + weights[:, 3], np.full(200, 3.0))
    assert weights.min() == 0.0


def test_bootstrap_of_a_share_agrees_with_its_standard_error() -> None:
    hits = np.arange(400) < 100
    rng = np.random.default_rng(3)
    values = bootstrap(
        400, lambda b: draw_clusters(np.arange(400), b, rng), lambda w: w @ hits[:, None] / 400
    )
    assert values.shape == (1000, 1)
    assert values.mean() == pytest.approx(0.25, abs=0.005)
    assert values.std() == pytest.approx((0.25 * 0.75 / 400) ** 0.5, rel=0.1)


def test_a_measure_that_did_not_vary_has_no_interval() -> None:
    assert percentile_interval(np.zeros(100)) is None
    assert percentile_interval(np.full(100, np.nan)) is None
    found = percentile_interval(np.arange(1001) / 1000)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.025, 0.975))
