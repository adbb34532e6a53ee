"""Which frames a face is looked for in: as few as the decision can do with, never at the cost of a veto."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.camera.frame import Frame, Image
from pipeline.errors import SettingsError
from pipeline.liveness.cues import CueNeed, CueReading, CueRole
from pipeline.liveness.evidence import Step
from pipeline.liveness.judge import Judge, JudgeSettings
from pipeline.liveness.look import CEILING_S, EMPTY_S
from pipeline.liveness.session import Session
from pipeline.reasons import Reason
from pipeline.vision.types import View

from .support import GOOD, NO_FACE, FakeScorer, NoStore, calibration, frame, view

PICTURE = np.tile(np.arange(64, dtype=np.uint8) * 3, (48, 1))[..., None].repeat(3, axis=2)


def noisy(k: int) -> Image:
    return PICTURE + np.random.default_rng(k).integers(0, 9, PICTURE.shape, np.uint8)


class Eyes:
    """Vision that counts what it is shown and says what it was told."""

    def __init__(self, seen: View | None = None) -> None:
        self.frames: list[Frame] = []
        self.asked: list[bool | None] = []
        self._seen = seen

    def __call__(self, frame: Frame, *, detect: bool | None = None) -> View:
        self.frames.append(frame)
        self.asked.append(detect)
        return self._seen or view(detected=bool(detect) or len(self.frames) % 5 == 1)


class Every:
    """Wants every frame, as a flash does."""

    name, role, need = "every", CueRole.DENY, CueNeed.EVERY

    def update(self, frame: Frame, view: View) -> CueReading:
        return CueReading(0.0)

    def forget(self) -> None:
        pass


class Waiting(Every):
    """Never confirms."""

    name, role, need = "waiting", CueRole.CONFIRM, CueNeed.FACE


def begin(
    *log_odds: float,
    extra: tuple[Every, ...] = (),
    cues: tuple[str, ...] = ("frozen", "repeat"),
    **settings: object,
) -> Session:
    scorer = FakeScorer(*(log_odds or (0.1,)), calibration_=calibration(bound=4.4, rho=0.8, tau_s=0.5))
    judge = Judge(NoStore(), JudgeSettings(cues=cues, **settings), scorer=scorer)  # type: ignore[arg-type]
    return judge.begin("s", live=True, extra=extra)


def take(session: Session, eyes: Eyes, count: int, fps: float = 30.0) -> list[Step]:
    return [session.take(frame(k, image=noisy(k), fps=fps), eyes) for k in range(count)]


@given(st.sampled_from([5.0, 10.0, 15.0, 25.0, 30.0, 60.0, 120.0]), st.sampled_from([0.0, 0.03, 0.08, 0.1]))
def test_looks_are_never_further_apart_than_look_s_or_a_frame(fps: float, look_s: float) -> None:
    eyes = Eyes()
    take(begin(look_s=look_s, deadline_s=60.0), eyes, 40, fps)
    times = [f.t for f in eyes.frames]
    assert times[0] == 0
    assert max(b - a for a, b in itertools.pairwise(times)) <= max(look_s + 2e-3, 1 / fps + 1e-9)
    if look_s == 0:
        assert len(times) == 40


def test_frames_that_come_late_at_times_are_all_looked_at() -> None:
    session, eyes, t, times = begin(deadline_s=60.0), Eyes(), 0.0, []
    for k in range(60):
        t += 0.1 if k % 6 == 5 else 1 / 30
        session.take(Frame(noisy(k), t=t, seq=k), eyes)
        times.append(t)
    late = [f.t for f in eyes.frames if f.t > times[6]]
    assert max(b - a for a, b in itertools.pairwise(late)) <= 0.1 + 1e-9


def test_an_open_check_at_30_fps_looks_at_every_third_frame_and_those_that_are_due() -> None:
    eyes = Eyes()
    steps = take(begin(), eyes, 100)
    assert all(step.verdict is None for step in steps)
    assert 33 <= len(eyes.frames) <= 45
    assert sum(step.evidence is not None for step in steps) >= 10


def test_frames_that_are_due_are_looked_at_and_no_others_are_judged() -> None:
    close, every = Eyes(), Eyes()
    some = [k for k, step in enumerate(take(begin(), close, 60)) if step.evidence is not None]
    all_of_them = [
        k for k, step in enumerate(take(begin(look_s=0.0), every, 60)) if step.evidence is not None
    ]
    assert some[:4] == all_of_them[:4]
    assert max(b - a for a, b in itertools.pairwise(some)) <= max(
        b - a for a, b in itertools.pairwise(all_of_them)
    )
    assert set(some) <= {f.seq for f in close.frames}


@pytest.mark.parametrize("odds", [8.0, -8.0])
def test_a_clear_face_gets_its_verdict_at_the_same_frame(odds: float) -> None:
    ends = []
    for look_s in (0.0, CEILING_S):
        steps = take(begin(odds, look_s=look_s), Eyes(), 20)
        ends.append(next(k for k, step in enumerate(steps) if step.verdict is not None))
        verdict = steps[-1].verdict
        assert verdict is not None
        assert verdict.state == ("live" if odds > 0 else "spoof")
    assert ends[0] == ends[1]


def test_the_detector_is_asked_for_where_no_judged_frame_may_be_in_a_pass() -> None:
    session, eyes = begin(8.0), Eyes()
    turned_away = view(quality=replace(GOOD, yaw=60.0))
    session.take(frame(0, image=noisy(0)), lambda _, **__: turned_away)
    eyes.frames = [frame(0)]  # the detector has run on a frame that could not be judged
    verdicts = [session.take(frame(k, image=noisy(k)), eyes).verdict for k in range(1, 12)]
    assert eyes.asked[:3] == [None, True, None]
    ends = next(k for k, verdict in enumerate(verdicts, 1) if verdict is not None)
    assert ends <= 8
    last = verdicts[-1]
    assert last is not None
    assert last.state == "live"


def test_the_frame_of_the_pass_was_looked_at() -> None:
    eyes = Eyes()
    verdict = take(begin(8.0), eyes, 20)[-1].verdict
    assert verdict is not None
    assert verdict.live_pass is not None
    assert any(f is verdict.live_pass.frame for f in eyes.frames)


def test_cues_of_the_stream_see_the_frames_that_are_passed_over() -> None:
    session, eyes = begin(), Eyes()
    still = noisy(0)
    verdicts = [session.take(frame(k, image=still.copy()), eyes).verdict for k in range(11)]
    assert len(eyes.frames) < 11
    last = verdicts[-1]
    assert last is not None
    assert last.reason is Reason.FROZEN_SOURCE


def test_a_source_that_reuses_its_buffer_is_not_taken_for_a_frozen_one() -> None:
    session, eyes = begin(), Eyes()
    buffer = np.empty_like(PICTURE)
    for k in range(30):
        buffer[:] = noisy(k)
        verdict = session.take(Frame(buffer.view(), t=k / 30, seq=k), eyes).verdict
        assert verdict is None
    assert len(eyes.frames) < 30


def test_a_loop_is_seen_at_its_third_turn_whatever_frames_are_looked_at() -> None:
    session, eyes = begin(deadline_s=60.0), Eyes()
    reasons = []
    for k in range(60):
        step = session.take(frame(k, image=noisy(k % 17)), eyes)
        if step.verdict is not None:
            reasons.append(step.verdict.reason)
            break
    assert reasons == [Reason.INJECTED_SOURCE]
    assert len(eyes.frames) < step.verdict.elapsed_ms * 30 / 1000  # type: ignore[union-attr]


def test_nothing_is_passed_over_where_a_cue_wants_every_frame_or_waits_for_the_face() -> None:
    for cue in (Every(), Waiting()):
        eyes = Eyes()
        take(begin(extra=(cue,)), eyes, 30)
        assert len(eyes.frames) == 30


def empty_room(k: int, sigma: float = 4.0) -> Image:
    room = np.full((96, 128, 3), 120, np.uint8) + np.arange(128, dtype=np.uint8)[None, :, None] // 2
    noise = np.random.default_rng(k).normal(0, sigma, room.shape)
    return np.clip(room + noise, 0, 255).astype(np.uint8)


def test_where_nobody_is_and_nothing_moves_guidance_stays_and_looks_are_rare() -> None:
    session, eyes = begin(), Eyes(NO_FACE)
    steps = [session.take(frame(k, image=empty_room(k)), eyes) for k in range(121)]
    assert {step.guidance for step in steps} == {Reason.NO_FACE}
    times = [f.t for f in eyes.frames]
    assert len(times) <= 10
    assert max(b - a for a, b in itertools.pairwise(times)) <= EMPTY_S + 2e-3
    verdict = steps[-1].verdict
    assert verdict is not None
    assert (verdict.state, verdict.reason) == ("undecided", Reason.NO_FACE)


@given(st.integers(0, 13), st.integers(0, 13), st.integers(12, 120))
def test_somebody_who_comes_in_is_looked_for_at_once(column: int, row: int, level: int) -> None:
    session, eyes = begin(), Eyes(NO_FACE)
    for k in range(20):
        session.take(frame(k, image=empty_room(k)), eyes)
    entered = empty_room(20)
    entered[6 * row : 6 * row + 16, 8 * column : 8 * column + 16] -= np.uint8(level)
    looks = len(eyes.frames)
    for k in range(20, 24):  # within look_s of a look that happened to be due
        session.take(frame(k, image=entered), eyes)
    assert len(eyes.frames) > looks


def test_a_face_that_can_not_be_judged_is_looked_at_again_soon() -> None:
    session, eyes = begin(), Eyes(view(faces=2))
    steps = take(session, eyes, 60)
    assert {step.guidance for step in steps} == {Reason.SEVERAL_FACES}
    assert 18 <= len(eyes.frames) <= 22


def test_no_look_waits_while_the_face_moves_fast() -> None:
    session, eyes = begin(), Eyes(view(quality=replace(GOOD, yaw=60.0)))
    take(session, eyes, 12)
    assert len(eyes.frames) <= 6
    other = [np.random.default_rng(k).integers(0, 256, PICTURE.shape, np.uint8) for k in range(40)]
    before = len(eyes.frames)
    for k, image in enumerate(other, 12):
        session.take(frame(k, image=image), eyes)
    assert len(eyes.frames) - before >= len(other) - 3


@given(st.integers(4, 40))
def test_another_face_that_takes_the_place_between_two_looks_ends_the_check(at: int) -> None:
    session, eyes = begin(), Eyes()
    other = np.ascontiguousarray(255 - PICTURE)
    for k in range(at + 4):
        image = (
            noisy(k)
            if k < at
            else other + np.random.default_rng(k).integers(-8, 1, other.shape).astype(np.uint8)
        )
        verdict = session.take(frame(k, image=image), eyes).verdict
        if verdict is not None:
            break
    assert verdict is not None
    assert (verdict.state, verdict.reason) == ("undecided", Reason.FACE_CHANGED)
    assert k - at <= 3


def test_time_that_runs_backwards_is_looked_at() -> None:
    session, eyes = begin(), Eyes()
    session.take(frame(9, image=noisy(9)), eyes)
    session.take(frame(3, image=noisy(3)), eyes)
    assert len(eyes.frames) == 2


@pytest.mark.parametrize("look_s", [-0.01, CEILING_S + 0.01, math.nan, math.inf])
def test_looking_less_often_than_the_guard_was_measured_for_is_refused(look_s: float) -> None:
    with pytest.raises(SettingsError, match="look_s"):
        begin(look_s=look_s)
