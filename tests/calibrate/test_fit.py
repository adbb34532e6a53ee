"""The pure parts: line, split, and the decision on log-odds, by analytic cases and the decision itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.calibrate.correlation import Series, autocorrelation, between_share, correlation_time
from pipeline.calibrate.fit import clip_verdict, fit_line, lasting_verdict, split, sums
from pipeline.camera.frame import Frame
from pipeline.liveness.decision import DecisionLimits, SequentialDecision
from pipeline.liveness.evidence import Evidence
from pipeline.liveness.livepass import seal


def normals(n: int, mean: float, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    live = np.arange(2 * n) < n
    return rng.normal(np.where(live, mean, -mean), spread), live


@pytest.mark.parametrize(("mean", "spread"), [(1.0, 1.0), (2.0, 2.0), (0.5, 1.5)])
def test_line_of_two_normals_is_the_analytic_one(mean: float, spread: float) -> None:
    x, live = normals(40_000, mean, spread)
    slope, intercept = fit_line(x, live, np.ones(x.size))
    assert slope == pytest.approx(2 * mean / spread**2, rel=0.04)
    assert intercept == pytest.approx(0.0, abs=0.03)


def test_line_does_not_know_how_common_attacks_were() -> None:
    x, live = normals(20_000, 1.0, 1.0)
    few = live | (np.arange(x.size) % 10 == 0)
    both, rare = fit_line(x, live, np.ones(x.size)), fit_line(x[few], live[few], np.ones(int(few.sum())))
    assert rare == pytest.approx(both, abs=0.1)


def test_line_counts_a_long_video_no_more_than_its_weight() -> None:
    x, live = normals(3000, 1.0, 1.0)
    again = np.concatenate([x, np.repeat(x[:1], 500)])
    weights = np.concatenate([np.ones(x.size), np.full(500, 1 / 500)])
    found = fit_line(again, np.concatenate([live, np.ones(500, bool)]), weights)
    assert found == pytest.approx(fit_line(x, live, np.ones(x.size)), abs=0.01)


PEOPLE = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4), st.sampled_from([(True, False), (False, True), (True, True)])
)


@given(PEOPLE, st.integers(0, 5))
def test_split_deals_every_kind_of_people_to_both_parts(
    people: dict[str, tuple[bool, bool]], seed: int
) -> None:
    rows = [(name, *kind) for name, kind in people.items()]
    chosen = split(rows, seed)
    assert chosen == split(reversed(rows), seed)
    for kind in set(people.values()):
        mine = {name for name, k in people.items() if k == kind}
        assert abs(len(mine & chosen) - len(mine - chosen)) <= 1


def frames(n: int) -> list[Frame]:
    return [seal(Frame(np.zeros((64, 64, 3), np.uint8), t=0.0, seq=i)) for i in range(n)]


TRACKS = st.lists(
    st.tuples(st.floats(0.0, 0.4, allow_nan=False), st.floats(-6, 6, allow_nan=False)),
    min_size=1,
    max_size=40,
)


@settings(deadline=None)
@given(TRACKS, st.floats(0.0, 3.9), st.floats(0.05, 1.0), st.floats(0.05, 2.0))
def test_clip_verdict_is_the_sequential_decision_s(
    track: list[tuple[float, float]], wait: float, rho: float, tau: float
) -> None:
    limits = DecisionLimits(rho=rho, tau_s=tau)
    t = wait + np.cumsum([dt for dt, _ in track])
    llr = np.array([x for _, x in track])
    decision = SequentialDecision(limits, session_id="s", wall_clock=lambda: 0.0)
    decision.wait(0.0)
    totals = []
    for i, frame in enumerate(frames(len(track))):
        evidence = Evidence(seq=i, t=float(t[i]), llr=float(llr[i]))
        if decision.judge(evidence, frame) is not None:
            totals.append(decision.total)
            break
        totals.append(decision.total)
    assert sums(t, llr, limits)[: len(totals)] == pytest.approx(totals)
    assert clip_verdict(t, llr, 0.0, limits) == decision.finish().state


def test_lasting_verdict_is_where_the_sum_of_ever_more_frames_goes() -> None:
    limits = DecisionLimits(rho=0.8, tau_s=0.2)
    t = np.arange(4000) * 0.5
    for value in (0.9 * limits.upper * 0.8, 1.1 * limits.upper * 0.8, 1.1 * limits.lower * 0.8):
        total = sums(t, np.full(t.size, value), limits)[-1]
        assert total == pytest.approx(value / 0.8, rel=1e-2)
        state = "live" if total >= limits.upper else "spoof" if total <= limits.lower else "undecided"
        assert lasting_verdict(np.array([value]), limits) == state
    assert (
        lasting_verdict(np.empty(0), limits)
        == clip_verdict(np.empty(0), np.empty(0), 0, limits)
        == "undecided"
    )


def ar1(seed: int, tau: float, seconds: float = 60.0) -> Series:
    rng = np.random.default_rng(seed)
    n, phi = int(seconds * 30), np.exp(-1 / 30 / tau)
    x = np.empty(n)
    x[0] = rng.standard_normal()
    for i in range(1, n):
        x[i] = phi * x[i - 1] + np.sqrt(1 - phi**2) * rng.standard_normal()
    return Series("live", np.arange(n) / 30, x)


@pytest.mark.parametrize("tau", [0.1, 0.3])
def test_correlation_time_of_a_first_order_process_is_its_own(tau: float) -> None:
    found = correlation_time([ar1(seed, tau) for seed in range(8)])
    assert found == pytest.approx(tau, rel=0.15)


def test_share_between_videos_is_the_intraclass_correlation() -> None:
    rng = np.random.default_rng(1)
    kinds = ["live", "attack"] * 300
    values = [
        rng.normal(5.0 if k == "live" else -5.0, 2.0) + rng.normal(0, 1.0, 200) for k in kinds
    ]  # 4 between, 1 within; the distance of the classes is not in it
    assert between_share(kinds, values) == pytest.approx(0.8, abs=0.03)


def test_what_never_varies_has_no_correlation_time_and_full_share() -> None:
    still = Series("live", np.arange(40) / 30, np.full(40, 2.0))
    assert correlation_time([still, still]) is None
    assert between_share(["live", "live"], [np.array([1.0, 1.0])] * 2) == 1.0
    assert between_share(["live"], [np.array([1.0, 2.0])]) == 1.0
    assert np.isnan(autocorrelation(still.t, still.log_odds, np.array([0.0]))).all()
