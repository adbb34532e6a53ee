"""Measures of attack detection against a hand-worked example."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.evaluation.metrics import PadMeasures, pad_measures, resample

NAN = float("nan")

# 5 live: accepted at .9 .8 .7, refused at .3, no response
# print, 4: accepted at .6, refused at .2 .1, no response; replay, 2: accepted at .75, refused at .4
SCORES = np.array([0.9, 0.8, 0.7, 0.3, NAN, 0.6, 0.2, 0.1, NAN, 0.75, 0.4])
LIVE = np.arange(11) < 5
ACCEPTED = np.array([1, 1, 1, 0, 0, 1, 0, 0, 0, 1, 0], dtype=bool)
SPECIES = np.array(["none"] * 5 + ["print"] * 4 + ["replay"] * 2)


def measured() -> PadMeasures:
    return pad_measures(SCORES, LIVE, ACCEPTED, SPECIES)


def test_error_rates_of_the_hand_worked_example() -> None:
    m = measured()
    assert (m.n_live, m.n_spoof, m.n_no_response) == (5, 6, 2)
    assert (m.bpcer.errors, m.bpcer.n) == (2, 5)
    assert (m.bpcer_of_responses.errors, m.bpcer_of_responses.n) == (1, 4)
    assert m.bpnrr.value == 0.2
    replay, printed = m.species
    assert (replay.species, replay.apcer.value) == ("replay", 0.5)
    assert (printed.species, printed.apcer.value) == ("print", 0.25)
    assert (printed.of_responses.errors, printed.of_responses.n) == (1, 3)
    assert printed.no_response.value == 0.25
    assert m.apcer_max == 0.5
    assert m.acer == pytest.approx((0.5 + 0.4) / 2)


def test_ranking_of_the_hand_worked_example() -> None:
    ranking = measured().ranking
    assert ranking is not None
    # wins of .9 6, .8 6, .7 5, .3 3, and the silent live one ties the silent attack: 20.5 of 30
    assert ranking.auc == pytest.approx(20.5 / 30)
    # at .4 two live are below of 5; attacks at or above: .6 .75 .4; at .6: 2 of 6, live below 2 of 5
    assert ranking.eer.rate == pytest.approx(0.4)
    responses = measured().ranking_of_responses
    assert responses is not None
    assert responses.auc == pytest.approx((5 + 5 + 4 + 2) / 20)


def test_fixed_points_of_the_hand_worked_example() -> None:
    ranking = measured().ranking
    assert ranking is not None
    # with 6 attacks every limit below 1/6 means none accepted: threshold just above .75
    for point in ranking.pooled:
        assert point.threshold == 0.8
        assert (point.apcer.errors, point.bpcer.errors) == (0, 3)


def test_holding_every_species_is_stricter_than_holding_the_pool() -> None:
    live = np.arange(120) < 20
    scores = np.concatenate([np.linspace(0.5, 0.9, 20), np.linspace(0.0, 0.3, 95), [0.1, 0.2, 0.3, 0.6, 0.7]])
    species = np.array(["none"] * 20 + ["print"] * 95 + ["replay"] * 5)
    ranking = pad_measures(scores, live, scores >= 0.5, species).ranking
    assert ranking is not None
    pooled, worst = ranking.pooled[1], ranking.worst[1]
    assert (pooled.limit, worst.limit) == (0.05, 0.05)
    assert pooled.bpcer.errors == 0
    assert pooled.apcer.value == 0.05
    assert worst.apcer.errors == 0
    assert worst.bpcer.errors == int((scores[live] < 0.7).sum()) > 0


def test_species_with_equal_rates_are_ordered_by_what_they_leave_open() -> None:
    scores, live = np.full(13, 0.1), np.zeros(13, dtype=bool)
    species = np.array(["many"] * 10 + ["few"] * 3)
    m = pad_measures(scores, live, live, species)
    assert [s.species for s in m.species] == ["few", "many"]
    assert m.ranking is None
    assert m.bpcer.value is None
    assert m.acer is None


def test_only_live_presentations_have_no_apcer() -> None:
    m = pad_measures(np.array([0.9]), np.array([True]), np.array([True]), np.array(["none"]))
    assert (m.species, m.apcer_max, m.acer, m.bpcer.value) == ((), None, None, 0.0)


def test_species_written_beside_live_ones_is_ignored() -> None:
    named = np.where(LIVE, "print", SPECIES)
    assert pad_measures(SCORES, LIVE, ACCEPTED, named).species == measured().species


def test_accepting_without_a_response_is_refused() -> None:
    with pytest.raises(UsageError, match="without a response"):
        pad_measures(np.array([NAN]), np.array([True]), np.array([True]), np.array(["none"]))
    with pytest.raises(UsageError, match="one length"):
        pad_measures(np.zeros(2), LIVE, ACCEPTED, SPECIES)


rows = st.lists(
    st.tuples(
        st.one_of(st.just(NAN), st.integers(0, 10).map(lambda v: v / 10)),
        st.booleans(),
        st.sampled_from(["print", "replay", "mask"]),
    ),
    min_size=1,
    max_size=60,
)


def measure(sample: list[tuple[float, bool, str]], threshold: float) -> PadMeasures:
    scores = np.array([s for s, _, _ in sample])
    return pad_measures(
        scores,
        np.array([live for _, live, _ in sample]),
        np.nan_to_num(scores, nan=-1.0) >= threshold,
        np.array([k for _, _, k in sample]),
    )


@given(rows, st.floats(0, 1), st.floats(0, 1))
def test_a_stricter_threshold_trades_one_error_for_the_other(
    sample: list[tuple[float, bool, str]], one: float, two: float
) -> None:
    loose, strict = measure(sample, min(one, two)), measure(sample, max(one, two))
    assert strict.bpcer.errors >= loose.bpcer.errors
    before = {s.species: s.apcer.errors for s in loose.species}
    assert all(s.apcer.errors <= before[s.species] for s in strict.species)


@given(rows, st.floats(0, 1))
def test_counts_add_up_and_the_worst_species_bounds_the_pool(
    sample: list[tuple[float, bool, str]], threshold: float
) -> None:
    m = measure(sample, threshold)
    assert m.n_live + m.n_spoof == len(sample)
    assert sum(s.apcer.n for s in m.species) == m.n_spoof
    assert m.bpnrr.errors + sum(s.no_response.errors for s in m.species) == m.n_no_response
    assert m.bpcer.errors == m.bpcer_of_responses.errors + m.bpnrr.errors
    if m.n_spoof:
        pooled = sum(s.apcer.errors for s in m.species) / m.n_spoof
        assert m.apcer_max is not None
        assert m.apcer_max >= pooled - 1e-12
        assert m.apcer_max == max(s.apcer.value or 0.0 for s in m.species)


@given(rows, st.floats(0, 1))
def test_silence_never_helps_a_live_person_and_never_hurts_against_an_attack(
    sample: list[tuple[float, bool, str]], threshold: float
) -> None:
    silent = [(NAN, live, kind) for _, live, kind in sample]
    m = measure(silent, threshold)
    assert m.bpcer.errors == m.n_live
    assert all(s.apcer.errors == 0 and s.of_responses.value is None for s in m.species)
    assert m.ranking_of_responses is None


@given(rows)
def test_fixed_points_keep_their_limits(sample: list[tuple[float, bool, str]]) -> None:
    ranking = measure(sample, 0.5).ranking
    if ranking is None:
        return
    for point, strict in zip(ranking.pooled, ranking.worst, strict=True):
        assert (point.apcer.value or 0.0) <= point.limit
        assert strict.bpcer.errors >= point.bpcer.errors
        at = measure(sample, strict.threshold)
        assert (at.apcer_max or 0.0) <= strict.limit
        assert at.bpcer.errors == strict.bpcer.errors


def test_resampling_whole_subjects_widens_the_interval_of_repeated_frames() -> None:
    rng = np.random.default_rng(5)
    subjects, frames = 12, 20
    hard = np.repeat(rng.uniform(0.2, 0.9, subjects), frames)
    live = np.repeat(np.arange(subjects) % 2 == 0, frames)
    scores = np.clip(np.where(live, hard + 0.15, hard - 0.15), 0, 1)
    species = np.array(["print"] * scores.size)
    accepted = scores >= 0.5
    by_subject = np.array([f"s{i}" for i in range(subjects) for _ in range(frames)])
    by_file = np.array([f"f{i}" for i in range(scores.size)])
    wide = resample(scores, live, accepted, species, by_subject, rounds=300)
    narrow = resample(scores, live, accepted, species, by_file, rounds=300)
    assert wide is not None
    assert narrow is not None
    assert (wide.live_units, wide.attack_units) == (6, 6)
    for one, two in ((wide.auc, narrow.auc), (wide.eer, narrow.eer), (wide.bpcer, narrow.bpcer)):
        assert one is not None
        assert two is not None
        assert one.high - one.low > 2 * (two.high - two.low)


def test_resampling_repeats_to_the_digit_and_needs_two_units_of_each() -> None:
    units = np.array([f"u{i}" for i in range(11)])
    arguments = (SCORES, LIVE, ACCEPTED, SPECIES, units)
    assert resample(*arguments, rounds=50) == resample(*arguments, rounds=50)
    assert resample(SCORES, LIVE, ACCEPTED, SPECIES, np.where(LIVE, "one", units), rounds=50) is None
    assert resample(SCORES[LIVE], LIVE[LIVE], ACCEPTED[LIVE], SPECIES[LIVE], units[LIVE], rounds=50) is None
