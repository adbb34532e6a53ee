from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.gateway.scoring import MARKS, score_of


def test_every_mark_has_its_published_score() -> None:
    assert {mark.far: mark.score for mark in MARKS if mark.far <= 0.1} == {
        1e-1: 20.0,
        1e-2: 60.0,
        1e-3: 80.0,
        1e-4: 90.0,
        1e-5: 95.0,
    }
    for mark in MARKS:
        assert score_of(mark.cosine) == mark.score


def test_just_below_a_mark_its_score_is_not_reached() -> None:
    for mark in MARKS[1:]:
        assert score_of(mark.cosine - 1e-6) < mark.score


def test_the_ends() -> None:
    assert score_of(-1.0) == 0.0
    assert score_of(1.0) == 100.0
    assert score_of(1.0000001) == 100.0


def test_rarer_means_more_similar_means_higher() -> None:
    for left, right in itertools.pairwise(MARKS):
        assert left.far > right.far
        assert left.cosine < right.cosine
        assert left.score < right.score


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_the_score_never_falls_as_the_cosine_rises(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert 0.0 <= score_of(low) <= score_of(high) <= 100.0


@pytest.mark.parametrize("far", [mark.far for mark in MARKS])
def test_scores_follow_the_law_of_the_published_points(far: float) -> None:
    """What is missing to 100 halves with each step of ten, and is 40 at 1 %."""
    score = next(mark.score for mark in MARKS if mark.far == far)
    assert score == pytest.approx(max(0.0, 100 - 160 * 2 ** math.log10(far)), abs=0.02)
