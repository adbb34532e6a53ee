"""Calibration measures against worked numbers, analytic cases and their own laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from pipeline.errors import UsageError
from pipeline.evaluation.intervals import clopper_pearson
from pipeline.evaluation.reliability import (
    balanced,
    cllr,
    cllr_min,
    log_ratios,
    pool,
    reliability,
    reliability_bins,
)


def flags(text: str) -> np.ndarray:
    return np.array([c == "1" for c in text])


@pytest.mark.parametrize(
    ("ratios", "truth", "value"),
    [
        ([1, 1], "01", 1.0),  # says nothing: one bit, the reference point of the measure
        ([1 / 3, 3], "01", math.log2(4 / 3)),  # 0.4150375
        ([3, 1 / 3], "01", 2.0),  # as sure and wrong
        ([1 / 3, 1], "01", (math.log2(4 / 3) + 1) / 2),  # 0.7075188
        ([1 / 3, 1 / 3, 1 / 3, 3], "0001", math.log2(4 / 3)),  # how common a class is does not count
        ([1e-300, 1e300], "01", 0.0),
    ],
)
def test_cllr_of_worked_cases(ratios: list[float], truth: str, value: float) -> None:
    assert cllr(np.log(np.array(ratios, np.float64)), flags(truth)) == pytest.approx(value, abs=1e-12)


def test_cllr_is_infinite_where_certainty_is_wrong_and_refuses_nan() -> None:
    assert cllr(np.array([-np.inf, -1.0]), flags("10")) == np.inf
    assert cllr(np.array([np.inf, -np.inf]), flags("10")) == 0.0
    with pytest.raises(UsageError):
        cllr(np.array([np.nan, 0.0]), flags("10"))
    with pytest.raises(UsageError):
        cllr(np.array([1.0, 0.0]), flags("11"))


@pytest.mark.parametrize("spread", [0.5, 2.0, 4.0])
def test_cllr_of_perfectly_calibrated_normals_is_the_integral(spread: float) -> None:
    """A calibrated ratio that is normal has mean +- s^2 / 2 (Good; van Leeuwen and Bruemmer, 2013)."""
    mean = spread**2 / 2
    exact = quad(lambda x: norm.pdf(x, mean, spread) * np.logaddexp(0, -x) / np.log(2), -40, 60)[0]
    rng = np.random.default_rng(0)
    live = np.arange(200_000) < 100_000
    ratios = rng.normal(np.where(live, mean, -mean), spread)
    assert cllr(ratios, live) == pytest.approx(exact, abs=0.01)
    assert cllr_min(ratios, live) == pytest.approx(exact, abs=0.01)


def test_pool_of_a_worked_case() -> None:
    x = np.arange(6.0)
    y = np.array([1.0, 3.0, 2.0, 4.0, 3.5, 6.0])
    assert pool(x, y, np.ones(6)) == pytest.approx([1, 2.5, 2.5, 3.75, 3.75, 6])
    assert pool(x, y, np.array([1, 1, 3, 1, 1, 1])) == pytest.approx([1, 2.25, 2.25, 3.75, 3.75, 6])
    assert pool(np.zeros(2), np.array([0.0, 1.0]), np.ones(2)) == pytest.approx([0.5, 0.5])
    assert pool(-x, y, np.ones(6)) == pytest.approx([3.25] * 6)


def test_cllr_min_of_worked_cases() -> None:
    assert cllr_min(np.array([0.1, 0.2, 0.3]), flags("001")) == 0.0
    assert cllr_min(np.array([0.3, 0.2]), flags("01")) == pytest.approx(1.0)
    # one of two attacks above one of two live: the middle two pool to 1:1 and cost a bit each
    assert cllr_min(np.array([0.1, 0.2, 0.3, 0.4]), flags("0101")) == pytest.approx(0.5)


SCORES = st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({live for _, live in rows}) == 2
)


@given(SCORES)
def test_cllr_min_is_no_more_than_cllr_or_one_bit_and_knows_only_the_order(
    rows: list[tuple[int, bool]],
) -> None:
    scores = np.array([s for s, _ in rows]) / 100
    live = np.array([side for _, side in rows])
    least = cllr_min(scores, live)
    assert -1e-12 <= least <= min(cllr(log_ratios(scores), live), 1.0) + 1e-9
    assert cllr_min(np.exp(3 * scores), live) == pytest.approx(least, abs=1e-9)
    assert cllr_min(-scores, ~live) == pytest.approx(least, abs=1e-9)


@given(SCORES)
def test_bins_hold_everything_once_and_their_intervals_hold_what_was_seen(
    rows: list[tuple[int, bool]],
) -> None:
    scores = np.array([s for s, _ in rows]) / 100
    live = np.array([side for _, side in rows])
    bins = reliability_bins(scores, live)
    assert sum(b.live for b in bins) == live.sum()
    assert sum(b.attacks for b in bins) == (~live).sum()
    for b in bins:
        assert b.low - 1e-12 <= b.score <= b.high + 1e-12
        assert b.interval is not None
        assert b.interval.low - 1e-9 <= b.observed <= b.interval.high + 1e-9


def test_ece_and_brier_of_a_worked_case() -> None:
    """Two bins. 0.85: four live, none an attack, gap 0.15; 0.25: one live of five, one attack of five.

    Weights: live 0.1 each (five), attacks 0.5 (one). Bin 0.25: live 0.1 and attack 0.5, observed 1/6.
    """
    scores = np.array([0.85, 0.85, 0.85, 0.85, 0.25, 0.25])
    live = flags("111110")
    found = reliability(scores, live)
    assert found is not None
    low, high = found.bins
    assert low.observed == pytest.approx(1 / 6)
    assert high.observed == pytest.approx(1.0)
    assert found.ece == pytest.approx(0.6 * (0.25 - 1 / 6) + 0.4 * 0.15)
    assert found.mce == pytest.approx(0.15)
    assert found.brier == pytest.approx(0.4 * 0.15**2 + 0.1 * 0.75**2 + 0.5 * 0.25**2)


def test_a_bin_s_interval_is_the_exact_one_where_classes_are_alike_in_number() -> None:
    live = flags("1" * 10 + "0" * 10)
    scores = np.concatenate([np.full(7, 0.65), np.full(3, 0.15), np.full(3, 0.65), np.full(7, 0.15)])
    exact = clopper_pearson(7, 10)
    upper = reliability_bins(scores, live)[1]
    assert upper.observed == pytest.approx(0.7)
    assert upper.interval is not None
    assert (upper.interval.low, upper.interval.high) == pytest.approx((exact.low, exact.high))


def test_a_calibrated_score_has_little_error_and_a_bent_one_has_it_as_loss() -> None:
    rng = np.random.default_rng(3)
    live = np.arange(20_000) < 10_000
    ratios = rng.normal(np.where(live, 2.0, -2.0), 2.0)
    good = reliability(1 / (1 + np.exp(-ratios)), live)
    bent = reliability(1 / (1 + np.exp(-3 * ratios)), live)
    assert good is not None
    assert bent is not None
    assert good.ece < 0.02
    assert good.loss < 0.01
    assert bent.ece > 0.05
    assert bent.loss > 0.1
    assert bent.cllr_min == pytest.approx(good.cllr_min, abs=1e-3)


def test_interval_widens_as_people_get_fewer_and_is_none_for_one() -> None:
    rng = np.random.default_rng(4)
    live = np.arange(400) < 200
    person = rng.normal(0, 1.0, 8)[np.arange(400) % 8]
    scores = 1 / (1 + np.exp(-(np.where(live, 1.5, -1.5) + person + rng.normal(0, 0.2, 400))))
    each = reliability(scores, live, np.array([f"f{i}" for i in range(400)]))
    people = reliability(scores, live, np.array([f"s{i % 8}" for i in range(400)]))
    assert each is not None
    assert people is not None
    assert each.cllr_interval is not None
    assert people.cllr_interval is not None
    width = people.cllr_interval.high - people.cllr_interval.low
    assert width > 1.5 * (each.cllr_interval.high - each.cllr_interval.low)
    assert people.cllr_interval.low < people.cllr < people.cllr_interval.high
    lone = reliability(scores, live, np.full(400, "s"))
    assert lone is not None
    assert lone.cllr_interval is None


def test_missing_scores_are_left_out_and_one_class_has_no_measure() -> None:
    scores = np.array([0.9, np.nan, 0.2, 0.0])
    found = reliability(scores, flags("1100"))
    assert found is not None
    assert (found.n_live, found.n_spoof, found.certain) == (1, 2, 1)
    assert reliability(np.array([0.9, np.nan]), flags("10")) is None
    assert balanced(flags("1110")).sum() == pytest.approx(1.0)
