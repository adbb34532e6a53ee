"""Curves against hand-worked and published numbers, and the identities they must keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.evaluation.curve import (
    Sweep,
    area,
    auc,
    equal_error,
    error_curve,
    first_at_most,
    reject_at,
)

NOTHING = float("-inf")
scores = st.one_of(st.integers(0, 6).map(float), st.floats(0, 1, width=32), st.just(NOTHING))
samples = (
    st.lists(st.tuples(scores, st.booleans()), min_size=2, max_size=40)
    .filter(lambda rows: len({genuine for _, genuine in rows}) == 2)
    .map(lambda rows: (np.array([s for s, _ in rows], np.float64), np.array([g for _, g in rows])))
)


def test_curve_of_a_hand_worked_example() -> None:
    # genuine 0.9 0.8 0.4, impostors 0.5 0.3 0.2 0.1
    curve = error_curve(
        np.array([0.9, 0.8, 0.4, 0.5, 0.3, 0.2, 0.1]), np.array([1, 1, 1, 0, 0, 0, 0], dtype=bool)
    )
    assert curve.thresholds.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.8, 0.9, np.inf]
    assert curve.false_accept.tolist() == pytest.approx([1, 0.75, 0.5, 0.25, 0.25, 0, 0, 0])
    assert curve.false_reject.tolist() == pytest.approx([0, 0, 0, 0, 1 / 3, 1 / 3, 2 / 3, 1])
    # between 0.4 and 0.5 false accepts stand at 1/4 while false rejects pass from 0 to 1/3
    assert equal_error(curve).rate == pytest.approx(0.25)
    assert equal_error(curve).threshold == 0.5


def test_auc_of_hanley_and_mcneil() -> None:
    # Radiology 143(1), 1982: 58 normal and 51 abnormal tomograms rated 1..5; W = 0.893
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    rated = np.repeat(np.tile(np.arange(1.0, 6.0), 2), normal + abnormal)
    ill = np.arange(rated.size) >= sum(normal)
    assert round(auc(rated, ill), 3) == 0.893


def test_equal_error_across_a_tie_breaks_it_by_lot() -> None:
    one = equal_error(error_curve(np.zeros(4), np.array([True, True, False, False])))
    assert one.rate == pytest.approx(0.5)
    # half of each class is certain, half ties: the lot puts a quarter of each on the wrong side
    scores = np.array([2.0, 1.0, 1.0, 0.0])
    two = equal_error(error_curve(scores, np.array([True, True, False, False])))
    assert two.rate == pytest.approx(0.25)


def test_separate_classes_have_no_error_and_swapped_ones_all() -> None:
    good, bad = np.array([0.6, 0.9]), np.array([0.1, 0.5])
    live = np.array([True, True, False, False])
    assert auc(np.concatenate([good, bad]), live) == 1.0
    assert equal_error(error_curve(np.concatenate([good, bad]), live)).rate == 0.0
    assert auc(np.concatenate([bad, good]), live) == 0.0
    assert equal_error(error_curve(np.concatenate([bad, good]), live)).rate == 1.0


def test_what_gave_no_score_is_never_accepted_at_a_score() -> None:
    curve = error_curve(np.array([NOTHING, 0.5, NOTHING, 0.1]), np.array([True, True, False, False]))
    real = np.isfinite(curve.thresholds)
    assert curve.false_reject[real].min() == 0.5
    assert curve.false_accept[real].max() == 0.5


@given(samples)
def test_rates_are_monotone_and_run_from_end_to_end(sample: tuple[np.ndarray, np.ndarray]) -> None:
    curve = error_curve(*sample)
    assert (np.diff(curve.false_accept) <= 1e-12).all()
    assert (np.diff(curve.false_reject) >= -1e-12).all()
    assert (np.diff(curve.thresholds) > 0).all()
    assert (curve.false_accept[0], curve.false_reject[0]) == (1.0, 0.0)
    assert (curve.false_accept[-1], curve.false_reject[-1]) == (0.0, 1.0)


@given(samples)
def test_rates_are_the_counts(sample: tuple[np.ndarray, np.ndarray]) -> None:
    values, genuine = sample
    curve = error_curve(values, genuine)
    for t, accept, reject in zip(curve.thresholds, curve.false_accept, curve.false_reject, strict=True):
        assert accept == pytest.approx((values[~genuine] >= t).mean(), abs=1e-12)
        assert reject == pytest.approx((values[genuine] < t).mean(), abs=1e-12)


@given(samples)
def test_area_under_the_curve_is_the_rank_statistic(sample: tuple[np.ndarray, np.ndarray]) -> None:
    curve = error_curve(*sample)
    assert area(curve.false_accept, curve.false_reject) == pytest.approx(auc(*sample), abs=1e-12)


@given(samples)
def test_turning_scores_and_labels_round_changes_neither_eer_nor_auc(
    sample: tuple[np.ndarray, np.ndarray],
) -> None:
    values, genuine = sample
    turned = -np.where(np.isinf(values), -1e9, values)
    assert auc(turned, ~genuine) == pytest.approx(auc(values, genuine), abs=1e-12)
    one, two = equal_error(error_curve(values, genuine)), equal_error(error_curve(turned, ~genuine))
    assert one.rate == pytest.approx(two.rate, abs=1e-9)


@given(samples)
def test_only_the_order_of_scores_matters(sample: tuple[np.ndarray, np.ndarray]) -> None:
    values, genuine = sample
    ranks = np.unique(values, return_inverse=True)[1].astype(np.float64)
    stretched = np.exp(ranks / 3)
    assert auc(stretched, genuine) == pytest.approx(auc(values, genuine), abs=1e-12)
    assert equal_error(error_curve(stretched, genuine)).rate == pytest.approx(
        equal_error(error_curve(values, genuine)).rate, abs=1e-12
    )


@given(samples)
def test_equal_error_lies_on_the_curve(sample: tuple[np.ndarray, np.ndarray]) -> None:
    curve = error_curve(*sample)
    rate = equal_error(curve).rate
    assert 0 <= rate <= 1
    # no point of the curve is better in both errors, none worse in both
    better = (curve.false_accept < rate - 1e-9) & (curve.false_reject < rate - 1e-9)
    worse = (curve.false_accept > rate + 1e-9) & (curve.false_reject > rate + 1e-9)
    assert not better.any()
    assert not worse.any()


@given(samples, st.sampled_from([0.01, 0.05, 0.1, 0.25, 0.5]))
def test_fixed_point_keeps_its_limit_and_is_the_best_that_does(
    sample: tuple[np.ndarray, np.ndarray], limit: float
) -> None:
    curve = error_curve(*sample)
    index = int(first_at_most(curve.false_accept, limit))
    assert curve.false_accept[index] <= limit + 1e-9
    assert (curve.false_reject[curve.false_accept <= limit] >= curve.false_reject[index]).all()
    assert reject_at(curve.false_accept, curve.false_reject, limit) == curve.false_reject[index]


def test_a_share_that_equals_the_limit_is_within_it() -> None:
    # 3 of 60 is 5 % on paper
    values = np.concatenate([np.linspace(0.6, 0.9, 10), np.linspace(0.0, 0.5, 57), [0.95, 0.96, 0.97]])
    curve = error_curve(values, np.arange(70) < 10)
    assert reject_at(curve.false_accept, curve.false_reject, 0.05) == 0.0


@given(samples, st.data())
def test_a_weight_counts_as_so_many_repeats(
    sample: tuple[np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    values, genuine = sample
    weights = np.array(
        data.draw(st.lists(st.integers(0, 3), min_size=values.size, max_size=values.size)), np.float64
    )
    accept, reject = Sweep(values, genuine).errors(weights[None])
    times = weights.astype(int)
    more, labels = np.repeat(values, times), np.repeat(genuine, times)
    if not labels.any() or labels.all():
        assert np.isnan(area(accept, reject)).all()
        return
    assert area(accept, reject)[0] == pytest.approx(auc(more, labels), abs=1e-12)


@pytest.mark.parametrize(
    ("values", "genuine"),
    [
        ([0.1, float("nan")], [True, False]),
        ([0.1, 0.2], [True, True]),
        ([0.1, 0.2], [False, False]),
        ([0.1, 0.2, 0.3], [True, False]),
        ([], []),
    ],
)
def test_what_no_curve_can_be_made_of_is_refused(values: list[float], genuine: list[bool]) -> None:
    with pytest.raises(UsageError):
        error_curve(np.array(values, np.float64), np.array(genuine, np.bool_))
