"""The sequential decision: floors, bounds, vetoes, the deadline, and what can never happen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.errors import FrameError, SettingsError
from pipeline.liveness.decision import (
    APCER_CEILING,
    FRAMES_FLOOR,
    STANDSTILL,
    TIME_FLOOR_S,
    DecisionLimits,
    SequentialDecision,
)
from pipeline.liveness.evidence import REJECTING, Verdict
from pipeline.reasons import Reason

from .support import evidence, sealed

LIMITS = DecisionLimits(rho=0.5, tau_s=0.2)
FRAME = sealed()
ratios = st.floats(-8, 8, allow_nan=False)


def decision(limits: DecisionLimits = LIMITS) -> SequentialDecision:
    return SequentialDecision(limits, session_id="s", wall_clock=lambda: 1234.5)


def run(llrs: list[float], limits: DecisionLimits = LIMITS, fps: float = 30.0) -> Verdict | None:
    d = decision(limits)
    for k, llr in enumerate(llrs):
        d.judge(evidence(k, llr, fps=fps), FRAME)
    return d.verdict


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("target_apcer", 0.0),
        ("target_apcer", -0.1),
        ("target_apcer", 0.5),
        ("target_apcer", APCER_CEILING * 1.01),
        ("target_apcer", math.nan),
        ("target_bpcer", 0.0),
        ("target_bpcer", 0.5),
        ("target_bpcer", math.nan),
        ("min_frames", FRAMES_FLOOR - 1),
        ("min_time_s", TIME_FLOOR_S / 2),
        ("min_time_s", math.nan),
        ("min_time_s", math.inf),
        ("deadline_s", 0.0),
        ("deadline_s", TIME_FLOOR_S),
        ("deadline_s", math.inf),
        ("deadline_s", math.nan),
        ("rho", 0.0),
        ("rho", 1.01),
        ("rho", math.nan),
        ("tau_s", 0.0),
        ("tau_s", math.inf),
    ],
)
def test_a_bad_limit_refuses_to_start_and_is_named(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=name):
        replace(LIMITS, **{name: value})


@given(alpha=st.floats(1e-9, APCER_CEILING), beta=st.floats(1e-9, 0.4999))
def test_the_bounds_lie_on_both_sides_of_zero(alpha: float, beta: float) -> None:
    limits = DecisionLimits(target_apcer=alpha, target_bpcer=beta)
    assert limits.lower < 0 < limits.upper


def test_the_bounds_are_walds() -> None:
    limits = DecisionLimits(target_apcer=0.01, target_bpcer=0.05)
    assert math.exp(limits.upper) == pytest.approx(95)
    assert math.exp(limits.lower) == pytest.approx(0.05 / 0.99)


def test_clear_evidence_passes_on_the_fourth_frame_at_30_fps_with_the_judged_pixels() -> None:
    d = decision()
    verdicts = [d.judge(evidence(k, 8.0), FRAME) for k in range(4)]
    assert verdicts[:3] == [None, None, None]
    verdict = verdicts[3]
    assert verdict is not None
    assert (verdict.state, verdict.reason, verdict.frames) == ("live", None, 4)
    assert verdict.elapsed_ms == pytest.approx(100)
    assert verdict.live_pass is not None
    verdict.live_pass.check()
    assert verdict.live_pass.frame is FRAME
    assert (verdict.live_pass.session_id, verdict.live_pass.minted_at) == ("s", 1234.5)
    assert verdict.live_pass.score == verdict.score > 0.98


def test_clear_evidence_of_a_spoof_rejects() -> None:
    verdict = run([-8.0] * 4)
    assert verdict is not None
    assert (verdict.state, verdict.reason, verdict.live_pass) == ("spoof", Reason.SPOOF, None)
    assert verdict.score < 0.05


@pytest.mark.parametrize("llr", [8.0, -8.0])
def test_one_frame_proves_nothing(llr: float) -> None:
    d = decision()
    d.judge(evidence(0, llr), FRAME)
    assert d.verdict is None
    assert d.finish().state == "undecided"
    assert d.finish().reason is Reason.UNDECIDED


def test_frames_without_time_between_them_do_not_pass() -> None:
    d = decision()
    for _ in range(50):
        assert d.judge(replace(evidence(0, 8.0), t=1.0), FRAME) is None
    assert d.total == pytest.approx(8.0)


def test_time_that_runs_backwards_adds_nothing() -> None:
    d = decision()
    for t in (5.0, 4.0, 3.0, 2.0):
        assert d.judge(replace(evidence(0, 8.0), t=t), FRAME) is None


def test_time_that_swings_counts_once() -> None:
    d = decision(DecisionLimits(rho=0.5, tau_s=0.2, target_apcer=1e-9))
    totals = []
    for t in (0.0, 0.2, 0.0, 0.2, 0.1, 0.2):
        d.judge(replace(evidence(0, 2.0), t=t), FRAME)
        totals.append(d.total)
    assert totals[1:] == pytest.approx([totals[1]] * 5)


@pytest.mark.parametrize(
    "times", [lambda k: 1.0, lambda k: 100.0 - k, lambda k: 1e6 if k == 0 else k % 50 / 30]
)
def test_a_check_ends_also_where_time_does_not_go_on(times: Callable[[int], float]) -> None:
    for take in ("wait", "guide", "judge"):
        d = decision()
        for k in range(STANDSTILL + 60):
            if take == "wait":
                d.wait(times(k))
            elif take == "guide":
                d.guide(times(k), Reason.NO_FACE)
            else:
                d.judge(replace(evidence(k, 8.0), t=times(k)), FRAME)
        assert d.verdict is not None
        assert (d.verdict.state, d.verdict.live_pass) == ("undecided", None)


def test_time_that_stands_still_for_a_while_ends_nothing() -> None:
    d = decision()
    for k in range(STANDSTILL + 20):
        d.guide(0.0 if k < 60 else (k - 60) / 1000, Reason.NO_FACE)
    assert d.verdict is None


def test_two_frames_far_apart_do_not_pass() -> None:
    d = decision()
    for t in (0.0, 2.0):
        assert d.judge(replace(evidence(0, 8.0), t=t), FRAME) is None
    assert d.judge(replace(evidence(0, 8.0), t=2.1), FRAME) is not None


@pytest.mark.parametrize("t", [math.nan, math.inf])
def test_a_time_that_is_no_number_is_refused(t: float) -> None:
    with pytest.raises(FrameError):
        decision().judge(replace(evidence(0, 1.0), t=t), FRAME)
    with pytest.raises(FrameError):
        decision().guide(t, Reason.NO_FACE)


def test_weak_evidence_never_adds_up_to_a_pass() -> None:
    """An attack that looks a little live on every frame: the plain sum would pass after six frames."""
    llr = 0.99 * LIMITS.upper * LIMITS.rho
    verdict = run([llr] * 121)
    assert verdict is not None
    assert verdict.state == "undecided"
    assert verdict.elapsed_ms == pytest.approx(4000)


@given(
    st.lists(st.tuples(st.floats(-4, 4), st.floats(0.01, 1.0)), min_size=2, max_size=12),
    st.floats(0.05, 1),
    st.floats(0.05, 2),
)
def test_the_total_is_the_least_squares_mean_of_fading_noise_times_its_effective_size(
    said: list[tuple[float, float]], rho: float, tau: float
) -> None:
    d = decision(DecisionLimits(rho=rho, tau_s=tau, target_apcer=1e-12, target_bpcer=1e-12, deadline_s=1e3))
    times, values = np.cumsum([dt for _, dt in said]), np.array([llr for llr, _ in said])
    for t, llr in zip(times, values, strict=True):
        d.judge(replace(evidence(0, float(llr)), t=float(t)), FRAME)
    inverse = np.linalg.inv(np.exp(-np.abs(times[:, None] - times) / tau))
    size = inverse.sum()
    mean = inverse.sum(axis=0) @ values / size
    assert d.total == pytest.approx(mean * size / (1 + (size - 1) * rho), rel=1e-6, abs=1e-6)


def test_a_weak_first_frame_holds_a_clear_face_back_no_longer_than_a_weak_last_one() -> None:
    ends = []
    for weak in (0, 3):
        d = decision(DecisionLimits(rho=0.867, tau_s=0.441, bound=4.4))
        for k in range(120):
            d.judge(evidence(k, 4.0 if k == weak else 4.4), FRAME)
        verdict = d.verdict
        assert verdict is not None
        assert verdict.state == "live"
        ends.append(verdict.elapsed_ms)
    assert ends[0] <= 600  # nine tenths of a second where the first frame has a weight of 1
    assert ends[1] <= ends[0]


def test_evidence_gains_with_time_towards_its_mean_over_rho() -> None:
    d = decision(DecisionLimits(rho=0.5, tau_s=0.2, deadline_s=1e6, target_apcer=1e-9))
    for k in range(3000):
        d.judge(evidence(k, 2.0), FRAME)
    assert d.total == pytest.approx(2.0 / 0.5, rel=0.01)


def test_the_discount_does_not_depend_on_the_frame_rate() -> None:
    limits = DecisionLimits(rho=0.5, tau_s=0.5, target_apcer=1e-9)
    totals = []
    for fps in (15, 30, 60):
        d = decision(limits)
        for k in range(fps + 1):
            d.judge(evidence(k, 2.0, fps=fps), FRAME)
        totals.append(d.total)
    assert max(totals) - min(totals) < 0.01


def test_a_veto_ends_at_once_and_is_never_outvoted() -> None:
    for veto in (Reason.SPOOF_SCREEN, Reason.FROZEN_SOURCE):
        d = decision()
        for k in range(3):
            d.judge(evidence(k, 8.0), FRAME)
        verdict = d.judge(evidence(3, 8.0, veto=veto), FRAME)
        assert verdict is not None
        assert verdict.reason is veto
        assert verdict.state == ("spoof" if veto in REJECTING else "undecided")
        assert verdict.score <= (0.0 if veto in REJECTING else 0.5)
        for k in range(4, 50):
            assert d.judge(evidence(k, 8.0), FRAME) is verdict
        assert d.finish() is verdict


def test_a_confirming_cue_that_has_not_spoken_holds_the_pass_back() -> None:
    d = decision()
    for k in range(10):
        assert d.judge(evidence(k, 8.0, pending=("motion",)), FRAME) is None
    verdict = d.judge(evidence(10, 8.0), FRAME)
    assert verdict is not None
    assert verdict.state == "live"


@pytest.mark.parametrize("llr", [math.nan, math.inf, -math.inf])
def test_a_net_without_a_number_never_passes(llr: float) -> None:
    verdict = run([llr] * 200)
    assert verdict is not None
    assert (verdict.state, verdict.frames, verdict.score) == ("undecided", 0, 0.5)


def test_without_a_frame_that_may_be_passed_nothing_passes() -> None:
    d = decision()
    for k in range(30):
        assert d.judge(evidence(k, 8.0), None) is None
    verdict = d.judge(evidence(30, 8.0), FRAME)
    assert verdict is not None
    assert verdict.state == "live"


def test_the_frame_in_the_pass_is_the_best_one_that_itself_looks_live() -> None:
    frames = [sealed(k) for k in range(4)]
    d = decision()
    for k, (llr, quality) in enumerate([(8.0, 0.2), (8.0, 0.7), (-1.0, 0.9), (8.0, 0.4)]):
        d.judge(evidence(k, llr, quality=quality), frames[k])
    for k in range(4, 20):
        d.judge(evidence(k, 8.0, quality=0.1), frames[0])
    assert d.verdict is not None
    assert d.verdict.live_pass is not None
    assert d.verdict.live_pass.frame is frames[1]


def test_at_the_deadline_it_is_undecided_with_the_most_frequent_guidance() -> None:
    d = decision()
    words = [Reason.NO_FACE] * 20 + [Reason.TOO_DARK] * 60 + [Reason.BLURRED] * 41
    verdict = None
    for k, reason in enumerate(words):
        verdict = d.guide(k / 30, reason)
    assert verdict is not None
    assert (verdict.state, verdict.reason) == ("undecided", Reason.TOO_DARK)
    assert verdict.elapsed_ms == pytest.approx(4000)


def test_what_becomes_clear_on_the_deadline_does_not_pass() -> None:
    d = decision()
    d.guide(0.0, Reason.NO_FACE)
    for k in range(117, 121):
        d.judge(evidence(k, 8.0), FRAME)
    assert d.verdict is not None
    assert d.verdict.state == "undecided"


def test_waiting_lets_time_pass_and_nothing_else() -> None:
    d = decision()
    d.judge(evidence(0, 8.0), FRAME)
    for k in range(1, 120):
        assert d.wait(k / 30) is None
    verdict = d.wait(4.0)
    assert verdict is not None
    assert (verdict.state, verdict.frames) == ("undecided", 1)


def test_a_source_that_never_gave_a_frame_ends_undecided() -> None:
    verdict = decision().finish()
    assert (verdict.state, verdict.reason, verdict.frames, verdict.elapsed_ms) == (
        "undecided",
        Reason.UNDECIDED,
        0,
        0,
    )


def test_progress_grows_to_the_pass() -> None:
    d = decision()
    seen = [d.progress]
    for k in range(4):
        d.judge(evidence(k, 8.0), FRAME)
        seen.append(d.progress)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)


@given(llrs=st.lists(ratios, min_size=1, max_size=40), data=st.data())
@settings(max_examples=150, deadline=None)
def test_more_evidence_of_a_spoof_never_turns_a_spoof_live(llrs: list[float], data: st.DataObject) -> None:
    lowered = [llr - data.draw(st.floats(0, 8), label="less") for llr in llrs]
    before, after = run(llrs, fps=10), run(lowered, fps=10)
    rank = {"spoof": 0, None: 1, "undecided": 1, "live": 2}
    assert rank[after.state if after else None] <= rank[before.state if before else None]


@given(llrs=st.lists(ratios, min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_the_total_stays_within_the_extremes_over_rho(llrs: list[float]) -> None:
    d = decision(DecisionLimits(rho=0.5, tau_s=0.2, target_apcer=1e-12, target_bpcer=1e-12, deadline_s=1e3))
    for k, llr in enumerate(llrs):
        d.judge(evidence(k, llr), FRAME)
    assert min(0.0, min(llrs)) / 0.5 - 1e-9 <= d.total <= max(0.0, max(llrs)) / 0.5 + 1e-9


class Machine(RuleBasedStateMachine):
    """Anything may be fed in any order; what can never happen is checked after each step."""

    @initialize(rho=st.floats(0.05, 1), tau=st.floats(0.01, 5), alpha=st.floats(1e-4, APCER_CEILING))
    def begin(self, rho: float, tau: float, alpha: float) -> None:
        self.limits = DecisionLimits(rho=rho, tau_s=tau, target_apcer=alpha)
        self.d = SequentialDecision(self.limits, session_id="s", wall_clock=lambda: 0.0)
        self.t = 0.0
        self.start: float | None = None
        self.good: list[float] = []
        self.vetoed = False
        self.pending = False
        self.first: Verdict | None = None

    def _step(self, dt: float) -> bool:
        """Moves time on; True while the check is open."""
        self.t += dt
        self.start = self.t if self.start is None else self.start
        return self.d.verdict is None

    @rule(
        llr=st.one_of(ratios, st.just(8.0), st.just(math.nan)),
        dt=st.floats(0, 0.5),
        pending=st.booleans(),
        may=st.booleans(),
    )
    def judge(self, llr: float, dt: float, pending: bool, may: bool) -> None:
        if self._step(dt):
            self.pending = pending
            if math.isfinite(llr):
                self.good.append(self.t)
        item = evidence(0, llr, pending=("cue",) if pending else ())
        self.d.judge(replace(item, t=self.t), FRAME if may else None)

    @rule(reason=st.sampled_from(sorted(REJECTING | {Reason.FACE_CHANGED, Reason.FROZEN_SOURCE})))
    def veto(self, reason: Reason) -> None:
        self.vetoed |= self._step(0.01)
        self.d.veto(self.t, reason)

    @rule(dt=st.floats(0, 0.5))
    def guide(self, dt: float) -> None:
        self._step(dt)
        self.d.guide(self.t, Reason.TOO_DARK)

    @rule(dt=st.floats(0, 0.5))
    def wait(self, dt: float) -> None:
        self._step(dt)
        self.d.wait(self.t)

    @rule()
    @precondition(lambda self: self.start is not None)
    def finish_of_a_decided_check_changes_nothing(self) -> None:
        if self.d.verdict is not None:
            assert self.d.finish() is self.d.verdict

    @invariant()
    def a_verdict_never_changes(self) -> None:
        if hasattr(self, "d"):
            self.first = self.first or self.d.verdict
            assert self.d.verdict is self.first

    @invariant()
    def a_pass_has_everything_it_needs(self) -> None:
        verdict = self.d.verdict if hasattr(self, "d") else None
        if verdict is None:
            return
        assert (verdict.state == "live") == (verdict.live_pass is not None)
        assert 0 <= verdict.score <= 1
        if verdict.live_pass is not None:
            assert not self.vetoed
            assert not self.pending
            assert verdict.frames >= FRAMES_FLOOR
            assert self.good[-1] - self.good[0] >= TIME_FLOOR_S - 1e-5
            assert verdict.elapsed_ms < 1e3 * self.limits.deadline_s
            verdict.live_pass.check()

    @invariant()
    def nothing_stays_open_past_the_deadline(self) -> None:
        if hasattr(self, "d") and self.start is not None and self.t - self.start >= self.limits.deadline_s:
            assert self.d.verdict is not None


Machine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestMachine = Machine.TestCase
