"""Error rates against cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.training import metrics

LIVE = np.array([True, True, True, True, False, False, False, False])


def test_perfect_order_has_no_error():
    score = np.array([5.0, 6, 7, 8, 1, 2, 3, 4])
    assert metrics.auc(score, LIVE) == 1
    assert metrics.eer(score, LIVE)[0] == 0
    assert metrics.apcer_at(score, LIVE) == 0


def test_one_swap_of_four_is_an_eer_of_a_quarter():
    score = np.array([3.5, 6, 7, 8, 1, 2, 3, 4.0])
    rate, threshold = metrics.eer(score, LIVE)
    assert rate == pytest.approx(0.25)
    assert threshold == 4.0
    assert metrics.auc(score, LIVE) == pytest.approx(15 / 16)
    assert metrics.apcer_at(score, LIVE, 0.0) == pytest.approx(0.25)


def test_ties_count_half_and_are_never_split():
    score = np.ones(8)
    assert metrics.auc(score, LIVE) == pytest.approx(0.5)
    assert metrics.apcer_at(score, LIVE) == 1


@given(st.lists(st.integers(-5, 5), min_size=8, max_size=8))
def test_rates_do_not_depend_on_the_scale_of_the_score(values):
    score = np.array(values, np.float64)
    assert metrics.eer(score, LIVE)[0] == metrics.eer(3 * score + 1, LIVE)[0]
    assert metrics.auc(score, LIVE) == pytest.approx(1 - metrics.auc(-score, LIVE))


def test_interval_draws_whole_subjects():
    score = np.array([5.0, 6, 7, 8, 1, 2, 3, 9])
    one = np.array(["a"] * 8)
    low, high = metrics.interval(score, LIVE, one)
    assert low == high == metrics.eer(score, LIVE)[0]
    low, high = metrics.interval(score, LIVE, np.array(list("abcdefgh")))
    assert low < high
