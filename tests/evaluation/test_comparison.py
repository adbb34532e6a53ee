"""Measures of comparison against a hand-worked example."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.comparison import FMR_TARGETS, match_measures, resample_pairs, unite

NAN = float("nan")
# same: .9 .6 .4 and one without a template; different: .5 .2 .1 .0 and one without
COSINES = np.array([0.9, 0.6, 0.4, NAN, 0.5, 0.2, 0.1, 0.0, NAN])
SAME = np.arange(9) < 4
SCORES = COSINES * 100


def test_error_rates_of_the_hand_worked_example() -> None:
    m = match_measures(COSINES, SCORES, SAME, (45.0, 55.0))
    assert (m.same, m.different) == (3, 4)
    low, high = m.marks
    assert (low.fmr.errors, low.fmr.n, low.fnmr.errors, low.fnmr.n) == (1, 4, 1, 3)
    assert (high.fmr.errors, high.fnmr.errors) == (0, 1)
    # a picture without a template is refused, whoever it shows
    assert (low.gfar.errors, low.gfar.n, low.gfrr.errors, low.gfrr.n) == (1, 5, 2, 4)
    assert (low.accuracy.errors, low.accuracy.n) == (5, 7)
    assert m.auc == pytest.approx(11 / 12)
    assert m.eer is not None
    assert m.eer.rate == pytest.approx(0.25)
    assert m.best_accuracy is not None
    assert (m.best_accuracy.errors, m.best_accuracy.n) == (6, 7)


def test_a_score_at_the_mark_is_accepted() -> None:
    m = match_measures(np.array([0.5, 0.5]), np.array([80.0, 79.99]), np.array([True, True]), (80.0,))
    assert m.marks[0].fnmr.errors == 1


def test_fixed_fmr_says_which_targets_so_many_pairs_can_show() -> None:
    cosines = np.concatenate([np.linspace(0.3, 0.9, 100), np.linspace(-0.2, 0.4, 3000)])
    m = match_measures(cosines, cosines * 100, np.arange(3100) < 100, ())
    assert [row.target for row in m.fixed] == list(FMR_TARGETS)
    assert [row.shown for row in m.fixed] == [True, True, False, False]
    assert [row.needed for row in m.fixed] == [299, 2995, 29956, 299572]
    assert m.fixed[0].fmr.errors == 30
    assert m.fixed[1].fmr.errors == 3
    assert m.fixed[2].fmr.errors == m.fixed[3].fmr.errors == 0
    assert [row.fnmr.errors for row in m.fixed] == sorted(row.fnmr.errors for row in m.fixed)
    assert m.provable_fmr == pytest.approx(3 / 3000, rel=0.01)


def test_one_kind_of_pair_has_no_curve() -> None:
    m = match_measures(np.array([0.9]), np.array([90.0]), np.array([True]), (80.0,))
    assert (m.auc, m.eer, m.curve, m.best_accuracy, m.fixed) == (None, None, None, None, ())
    assert m.marks[0].fmr.value is None
    assert m.provable_fmr == 1.0


@given(
    st.lists(st.tuples(st.integers(-5, 10).map(lambda v: v / 10), st.booleans()), min_size=1, max_size=50),
    st.floats(0, 100),
    st.floats(0, 100),
)
def test_a_higher_score_trades_false_matches_for_false_non_matches(
    sample: list[tuple[float, bool]], one: float, two: float
) -> None:
    cosines = np.array([c for c, _ in sample])
    marks = sorted((one, two))
    m = match_measures(cosines, np.maximum(cosines, 0) * 100, np.array([s for _, s in sample]), marks)
    loose, strict = m.marks
    assert strict.fmr.errors <= loose.fmr.errors
    assert strict.fnmr.errors >= loose.fnmr.errors
    if m.best_accuracy is not None:
        assert all(row.accuracy.errors <= m.best_accuracy.errors for row in m.marks)


def test_pictures_called_the_same_over_several_steps_are_one_person() -> None:
    people = unite(["a", "b", "c", "d", "e"], [("a", "b"), ("c", "b"), ("d", "d")])
    assert people["a"] == people["b"] == people["c"]
    assert len(set(people.values())) == 3
    assert sorted(set(people.values())) == [0, 1, 2]


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=30))
def test_uniting_is_what_a_flood_fill_finds(edges: list[tuple[int, int]]) -> None:
    names = [str(i) for i in range(16)]
    people = unite(names, [(str(a), str(b)) for a, b in edges])
    for start in range(16):
        reached = {start}
        while True:
            more = {b for a, b in edges if a in reached} | {a for a, b in edges if b in reached}
            if more <= reached:
                break
            reached |= more
        assert {int(n) for n in names if people[n] == people[str(start)]} == reached


def test_pairs_of_few_people_get_wide_intervals_by_people() -> None:
    rng = np.random.default_rng(2)
    people = 8
    person = np.repeat(np.arange(people), 10)
    base = rng.normal(size=(people, 6))
    vectors = base[person] + 0.9 * rng.normal(size=(person.size, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    left, right = np.triu_indices(person.size, 1)
    cosines = (vectors[left] * vectors[right]).sum(axis=1)
    same = person[left] == person[right]
    scores = np.maximum(cosines, 0) * 100
    found = resample_pairs(cosines, scores, same, (person[left], person[right]), (60.0,), rounds=200)
    exact = match_measures(cosines, scores, same, (60.0,)).marks[0]
    assert found is not None
    assert found.people == people
    for ours, theirs in ((found.fmr[60.0], exact.fmr), (found.fnmr[60.0], exact.fnmr)):
        assert ours is not None
        assert theirs.interval is not None
        assert theirs.value is not None
        assert ours.low <= theirs.value <= ours.high
        assert ours.high - ours.low > 1.5 * (theirs.interval.high - theirs.interval.low)


def test_too_few_people_or_one_kind_of_pair_has_no_such_interval() -> None:
    two = (np.array([0, 0]), np.array([0, 1]))
    assert (
        resample_pairs(np.array([0.9, 0.1]), np.array([90.0, 10.0]), np.array([True, False]), two, ()) is None
    )
    three = (np.array([0, 1]), np.array([0, 2]))
    both = np.array([True, True])
    assert resample_pairs(np.array([0.9, 0.1]), np.array([90.0, 10.0]), both, three, ()) is None
