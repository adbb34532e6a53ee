"""Which frames the nets are asked about: what is skipped could not have decided, and little is lost."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import FrameError, SettingsError
from pipeline.liveness.decision import DecisionLimits, SequentialDecision
from pipeline.liveness.evidence import Verdict
from pipeline.liveness.judge import Judge, JudgeSettings
from pipeline.liveness.pace import gap_s, soonest_s
from pipeline.reasons import Reason

from .support import FakeScorer, NoStore, calibration, evidence, frame, sealed, view

BOUND = 4.4
FRAME = sealed()
rhos, taus = st.floats(0.05, 1), st.floats(0.05, 3)


def limits(rho: float, tau_s: float, max_loss: float = 0.01) -> DecisionLimits:
    return DecisionLimits(rho=rho, tau_s=tau_s, bound=BOUND, max_loss=max_loss)


def decision(wanted: DecisionLimits) -> SequentialDecision:
    return SequentialDecision(wanted, session_id="s", wall_clock=lambda: 0.0)


def run(llr: float, wanted: DecisionLimits, frames: int = 125) -> Verdict:
    d = decision(wanted)
    for k in range(frames):
        if d.due(k / 30, pending=False, candidate=k == 0):
            d.judge(evidence(k, llr, quality=1.0 if k == 0 else 0.0), FRAME if k == 0 else None)
        else:
            d.skip(k / 30)
    return d.finish()


@given(tau=taus, loss=st.floats(1e-4, 0.1), stretch=st.floats(0.1, 10))
def test_the_gap_loses_no_more_information_than_it_may(tau: float, loss: float, stretch: float) -> None:
    gap = gap_s(tau, loss)
    rate = math.tanh(gap / (2 * tau)) / gap
    finer = math.tanh(gap * 1e-3 / (2 * tau)) / (gap * 1e-3)
    assert rate >= (1 - loss) * finer - 1e-9
    assert gap_s(tau * stretch, loss) == pytest.approx(stretch * gap)


@given(
    rho=rhos,
    tau=taus,
    said=st.lists(st.tuples(st.floats(-BOUND, BOUND), st.floats(0.005, 0.3), st.booleans()), max_size=40),
)
def test_a_frame_that_is_skipped_could_not_have_ended_the_check(
    rho: float, tau: float, said: list[tuple[float, float, bool]]
) -> None:
    d, t = decision(limits(rho, tau)), 0.0
    for k, (llr, dt, pending) in enumerate(said):
        t += dt
        waits = ("cue",) if pending else ()
        if d.due(t, pending=pending, candidate=k == 0):
            d.judge(evidence(1, llr, fps=1 / t, pending=waits, quality=1.0 - 0.01 * k), FRAME)
            continue
        for extreme in (BOUND, -BOUND):
            other = copy.copy(d)
            other._votes = d._votes.copy()
            item = evidence(1, extreme, fps=1 / t, pending=waits)
            verdict = other.judge(item, None)
            assert verdict is None or verdict.state == "undecided"
        d.skip(t)


@given(rho=rhos, tau=taus, llr=st.floats(-BOUND, BOUND))
def test_a_steady_face_gets_the_verdict_that_every_frame_would_give(
    rho: float, tau: float, llr: float
) -> None:
    every, paced = run(llr, limits(rho, tau, 0.0)), run(llr, limits(rho, tau))
    assert paced.frames <= every.frames
    if every.state == "undecided":
        assert (paced.state, paced.reason) == ("undecided", Reason.UNDECIDED)
    elif every.elapsed_ms < 3800:
        assert paced.state == every.state
        assert paced.elapsed_ms <= 1.011 * every.elapsed_ms + 2e3 / 30


def test_a_clear_face_is_decided_at_the_floor_by_three_looks() -> None:
    verdict = run(BOUND, DecisionLimits(rho=0.5, tau_s=0.2, bound=BOUND, max_loss=0.01))
    assert (verdict.state, verdict.frames) == ("live", 3)
    assert verdict.elapsed_ms == pytest.approx(100)


def test_while_nothing_can_be_decided_only_some_frames_are_judged() -> None:
    verdict = run(0.3, limits(0.8, 0.5))
    assert verdict.state == "undecided"
    assert 20 <= verdict.frames <= 30


def test_an_unknown_bound_or_no_loss_judges_every_frame() -> None:
    for wanted in (limits(0.8, 0.5, 0.0), DecisionLimits(rho=0.8, tau_s=0.5, max_loss=0.01)):
        verdict = run(0.3, wanted, frames=60)
        assert verdict.frames >= 57


def test_a_missing_number_asks_again_at_once() -> None:
    d = decision(limits(0.8, 0.5))
    for k in range(5):
        assert d.due(k / 30, pending=False, candidate=False)
        d.judge(evidence(k, math.nan), None)


def test_a_better_frame_for_the_pass_is_always_judged() -> None:
    d = decision(limits(0.8, 0.5))
    d.judge(evidence(0, 1.0), FRAME)
    assert not d.due(0.01, pending=False, candidate=False)
    assert d.due(0.01, pending=False, candidate=True)


def test_a_cue_that_confirms_late_ends_the_check_with_that_frame() -> None:
    d = decision(DecisionLimits(rho=0.5, tau_s=0.2, bound=BOUND, max_loss=0.01))
    for k in range(30):
        if d.due(k / 30, pending=True, candidate=k == 0):
            d.judge(evidence(k, BOUND, pending=("motion",)), FRAME)
    assert d.verdict is None
    assert d.due(1.0, pending=False, candidate=False)
    verdict = d.judge(evidence(30, BOUND), None)
    assert verdict is not None
    assert verdict.state == "live"


def test_skipped_frames_count_towards_deadline_and_reason() -> None:
    d = decision(limits(0.8, 0.5))
    d.judge(evidence(0, 0.1), FRAME)
    d.guide(0.01, Reason.TOO_DARK)
    d.guide(0.02, Reason.TOO_DARK)
    for k in range(1, 120):
        d.skip(k / 30)
    verdict = d.skip(4.0)
    assert verdict is not None
    assert (verdict.state, verdict.reason) == ("undecided", Reason.UNDECIDED)


def test_a_time_that_is_no_number_is_refused_also_where_a_frame_is_skipped() -> None:
    d = decision(limits(0.8, 0.5))
    d.judge(evidence(0, 0.1), FRAME)
    assert not d.due(math.nan, pending=False, candidate=False)
    with pytest.raises(FrameError):
        d.skip(math.nan)


@pytest.mark.parametrize("loss", [-0.01, 0.2, math.nan])
def test_a_bad_loss_refuses_to_start(loss: float) -> None:
    with pytest.raises(SettingsError, match="max_loss"):
        limits(0.8, 0.5, loss)


@given(
    total=st.floats(-5, 5),
    weight=st.floats(1, 5),
    goal=st.floats(0.1, 6),
    rho=rhos,
    tau=taus,
)
def test_no_frame_reaches_the_goal_before_the_soonest_time(
    total: float, weight: float, goal: float, rho: float, tau: float
) -> None:
    soonest = soonest_s(total, weight, goal, rho=rho, tau_s=tau, bound=BOUND)
    dt = min(soonest, 100.0) * 0.999
    w = math.tanh(dt / (2 * tau))
    if dt > 0:
        assert (total + w * BOUND) / (1 + (weight - 1 + w) * rho) < goal + 1e-9
    else:
        assert total / (1 + (weight - 1) * rho) >= goal - 1e-9


def test_the_nets_are_asked_less_often_than_frames_come() -> None:
    scorer = FakeScorer(0.1, calibration_=calibration(bound=BOUND, rho=0.8, tau_s=0.5))
    session = Judge(NoStore(), JudgeSettings(), scorer=scorer).begin("s", live=True)  # type: ignore[arg-type]
    base = np.tile(np.arange(64, dtype=np.uint8) * 3, (48, 1))[..., None].repeat(3, axis=2)
    noisy = [base + np.random.default_rng(k).integers(0, 9, base.shape, np.uint8) for k in range(60)]
    steps = [
        session.observe(frame(k, image=image), view(detected=k % 5 == 0)) for k, image in enumerate(noisy)
    ]
    judged = [k for k, step in enumerate(steps) if step.evidence is not None]
    assert judged[:3] == [0, 2, 3]
    assert len(scorer.seen) == len(judged) <= 16
    assert max(b - a for a, b in itertools.pairwise(judged)) <= 9
