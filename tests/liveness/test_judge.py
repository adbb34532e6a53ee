"""The judge from frames to verdict: with fakes for every path, with real nets on real pictures."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.camera.frame import Frame, Image
from pipeline.demo.scene import render_person
from pipeline.errors import ModelError, SettingsError
from pipeline.liveness.cues import CueNeed, CueReading, CueRole
from pipeline.liveness.evidence import Step
from pipeline.liveness.judge import Judge, JudgeSettings
from pipeline.liveness.motion import BOUND
from pipeline.liveness.session import Session, rank
from pipeline.nets import open_store
from pipeline.reasons import Reason
from pipeline.settings import Settings
from pipeline.vision import Vision
from pipeline.vision.types import View

from . import support
from .support import GOOD, NO_FACE, FakeScorer, NoStore, frame

SIZE = (160, 120)


def smooth(seed: int) -> Image:
    """A relief of light and dark as a face has, uint8 (120, 160, 3)."""
    coarse = np.random.default_rng(seed).uniform(30, 220, (9, 12, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


BASE = smooth(3)


def view(**changes: object) -> View:
    return support.view(box=(30.0, 10.0, 130.0, 110.0), **changes)  # type: ignore[arg-type]


def moving(k: int, base: Image = BASE) -> Frame:
    """A frame of one face that sways by some pixels, never twice in the same way, with noise."""
    phase = k + 0.01 * k * k
    matrix = np.array([[1, 0, 3 * math.sin(phase / 2)], [0, 1, 2 * math.sin(phase / 3)]], np.float32)
    moved = cv2.warpAffine(base, matrix, SIZE, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    noise = np.random.default_rng(1000 + k).normal(0, 1.0, moved.shape)
    return frame(k, image=np.clip(moved + noise, 0, 255).astype(np.uint8))


def noisy(image: Image, seed: int) -> Image:
    noise = np.random.default_rng(seed).normal(0, 1.0, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def judge(*log_odds: float, **settings: object) -> Judge:
    return Judge(NoStore(), JudgeSettings(**settings), scorer=FakeScorer(*log_odds))  # type: ignore[arg-type]


def observe(session: Session, count: int, seen: View | None = None, start: int = 0) -> list[Step]:
    return [session.observe(moving(k), seen or view()) for k in range(start, start + count)]


def test_a_clear_live_face_passes_on_the_fourth_frame() -> None:
    session = judge(8.0).begin("s7", live=True)
    steps = observe(session, 4)
    assert [s.verdict for s in steps[:3]] == [None, None, None]
    verdict = steps[3].verdict
    assert verdict is not None
    assert (verdict.state, verdict.reason, verdict.frames) == ("live", None, 3)
    assert verdict.live_pass is not None
    assert verdict.live_pass.session_id == "s7"
    verdict.live_pass.check()
    assert session.finish() is verdict


def test_the_pass_holds_the_very_pixels_that_were_scored() -> None:
    scorer = FakeScorer(8.0)
    session = Judge(NoStore(), scorer=scorer).begin("s", live=True)  # type: ignore[arg-type]
    verdict = observe(session, 4)[-1].verdict
    assert verdict is not None
    assert verdict.live_pass is not None
    assert any(image is verdict.live_pass.frame.image for image in scorer.seen)


def test_a_source_that_reuses_its_buffer_can_not_alter_the_judged_pixels() -> None:
    session = judge(8.0).begin("s", live=True)
    buffer = np.empty_like(BASE)
    digests = []
    for k in range(4):
        buffer.setflags(write=True)
        buffer[:] = moving(k).image
        shown = Frame(buffer.view(), t=k / 30, seq=k)
        digests.append(shown.sha256())
        step = session.observe(shown, view())
    buffer.setflags(write=True)
    buffer[:] = 0
    assert step.verdict is not None
    live_pass = step.verdict.live_pass
    assert live_pass is not None
    live_pass.check()
    assert live_pass.sha256 in digests


def test_a_clear_spoof_is_rejected() -> None:
    verdict = observe(judge(-8.0).begin("s", live=True), 4)[-1].verdict
    assert verdict is not None
    assert (verdict.state, verdict.reason, verdict.live_pass) == ("spoof", Reason.SPOOF, None)


def test_nothing_clear_is_undecided_at_the_deadline() -> None:
    steps = observe(judge(0.2).begin("s", live=True), 121)
    assert steps[119].verdict is None
    verdict = steps[120].verdict
    assert verdict is not None
    assert (verdict.state, verdict.reason) == ("undecided", Reason.UNDECIDED)


@pytest.mark.parametrize("live", [True, False])
def test_a_single_picture_ends_undecided(live: bool) -> None:
    session = judge(8.0).begin("s", live=live)
    assert session.observe(moving(0), view()).verdict is None
    verdict = session.finish()
    assert (verdict.state, verdict.frames) == ("undecided", 1)


def test_copies_of_one_picture_are_one_frame_and_then_a_frozen_source() -> None:
    session = judge(8.0).begin("s", live=False)
    steps = [session.observe(frame(k, image=BASE), view()) for k in range(12)]
    assert all(s.evidence is None for s in steps[1:])
    verdict = session.finish()
    assert (verdict.state, verdict.reason) == ("undecided", Reason.FROZEN_SOURCE)
    assert verdict.frames == 1


@pytest.mark.parametrize("fps", [10.0, 30.0])
def test_two_pictures_by_turns_are_two_frames_of_evidence_and_no_more(fps: float) -> None:
    session = judge(8.0, max_loss=0.0).begin("s", live=True)
    pictures = [moving(k).image for k in (0, 1)]
    steps = [session.observe(frame(k, image=pictures[k % 2], fps=fps), view()) for k in range(30)]
    assert sum(step.evidence is not None for step in steps) == 2
    assert session.finish().state != "live"


def test_what_another_face_confirmed_before_the_first_judged_frame_counts_for_nothing() -> None:
    session = judge(8.0).begin("s", live=True)
    turned_away = view(quality=replace(GOOD, yaw=60.0))
    observe(session, 5, turned_away)
    other = [frame(k, image=noisy(smooth(11), k)) for k in range(5, 60)]
    verdicts = [session.observe(still, view()).verdict for still in other]
    assert verdicts == [None] * len(other)
    assert session.finish().state == "undecided"


def test_what_the_same_face_confirmed_before_the_first_judged_frame_counts() -> None:
    session = judge(8.0).begin("s", live=True)
    observe(session, 5, view(quality=replace(GOOD, yaw=60.0)))
    last = moving(4).image
    steps = [session.observe(frame(k, image=noisy(last, k)), view()) for k in range(5, 20)]
    assert steps[-1].verdict is not None
    assert steps[-1].verdict.state == "live"


class Tint:
    """Colours the light in the frames that it is told, and confirms in the first one after them."""

    name, role, need = "tint", CueRole.CONFIRM, CueNeed.EVERY

    def __init__(self, frames: range) -> None:
        self._frames = frames

    def update(self, frame: Frame, view: View) -> CueReading:
        return CueReading(
            math.nan, confirmed=frame.seq >= self._frames.stop, tinted=frame.seq in self._frames
        )

    def forget(self) -> None:
        pass


def test_a_frame_in_coloured_light_is_neither_judged_nor_in_the_pass() -> None:
    scorer = FakeScorer(8.0)
    session = Judge(NoStore(), scorer=scorer).begin("s", live=True, extra=[Tint(range(1, 30))])  # type: ignore[arg-type]
    best = view(quality=replace(GOOD, sharpness=900.0))
    steps = [session.observe(moving(k), best if 0 < k < 30 else view()) for k in range(36)]
    assert [k for k, step in enumerate(steps) if step.evidence is not None][:3] == [0, 30, 31]
    verdict = steps[-1].verdict
    assert verdict is not None
    assert verdict.live_pass is not None
    assert verdict.live_pass.frame.seq not in range(1, 30)
    assert len(scorer.seen) == verdict.frames


def test_a_face_on_a_stand_is_never_passed() -> None:
    session = judge(8.0).begin("s", live=True)
    for k in range(125):
        noise = np.random.default_rng(k).normal(0, 1.5, BASE.shape)
        step = session.observe(frame(k, image=np.clip(BASE + noise, 0, 255).astype(np.uint8)), view())
    assert step.verdict is not None
    assert step.verdict.state == "undecided"
    assert step.verdict.frames > 30
    assert step.verdict.cues["motion"] < BOUND


def test_a_missing_number_never_passes() -> None:
    verdict = observe(judge(math.nan).begin("s", live=True), 121)[-1].verdict
    assert verdict is not None
    assert (verdict.state, verdict.frames) == ("undecided", 0)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (NO_FACE, Reason.NO_FACE),
        (view(faces=2), Reason.SEVERAL_FACES),
    ],
)
def test_before_judging_a_problem_is_guidance(seen: View, reason: Reason) -> None:
    session = judge(8.0).begin("s", live=True)
    steps = observe(session, 30, seen)
    assert {s.guidance for s in steps} == {reason}
    assert {s.verdict for s in steps} == {None}
    assert observe(session, 4, start=30)[-1].verdict is not None


@pytest.mark.parametrize("bad", [{"brightness": 3.0, "contrast": 1.0}, {"noise": 9.0}, {"noise": math.nan}])
def test_a_frame_of_poor_quality_is_guided_and_not_judged(bad: dict[str, float]) -> None:
    dark = view(quality=replace(GOOD, **bad))  # type: ignore[arg-type]
    session = judge(8.0).begin("s", live=True)
    steps = observe(session, 121, dark)
    assert all(s.evidence is None for s in steps)
    assert steps[0].guidance is not None
    verdict = steps[-1].verdict
    assert verdict is not None
    assert (verdict.state, verdict.reason, verdict.frames) == ("undecided", steps[0].guidance, 0)


def test_a_second_face_after_judging_began_ends_the_check() -> None:
    session = judge(8.0).begin("s", live=True)
    observe(session, 2)
    verdict = session.observe(moving(2), view(faces=2)).verdict
    assert verdict is not None
    assert (verdict.state, verdict.reason) == ("undecided", Reason.SEVERAL_FACES)


def test_a_swapped_face_ends_the_check() -> None:
    session = judge(8.0).begin("s", live=True)
    observe(session, 2)
    other = smooth(50)
    verdict = session.observe(moving(2, other), view(track_id=2)).verdict
    assert verdict is not None
    assert (verdict.state, verdict.reason) == ("undecided", Reason.FACE_CHANGED)


def test_after_the_verdict_nothing_changes_it() -> None:
    session = judge(8.0, 8.0, 8.0, 8.0, -8.0).begin("s", live=True)
    verdict = observe(session, 4)[-1].verdict
    for seen in (view(), NO_FACE, view(faces=3), view(track_id=9)):
        for step in observe(session, 3, seen, start=4):
            assert step.verdict is verdict
            assert step.evidence is None
    assert session.finish() is verdict


def test_only_a_frame_that_the_detector_itself_confirmed_is_in_the_pass() -> None:
    session = judge(8.0).begin("s", live=True)
    for step in observe(session, 10, view(detected=False)):
        assert step.verdict is None
    verdict = session.observe(moving(10), view(detected=True)).verdict
    assert verdict is not None
    assert verdict.live_pass is not None
    assert verdict.live_pass.frame.seq == 10


def test_the_best_of_the_judged_frames_is_in_the_pass() -> None:
    session = judge(8.0).begin("s", live=True)
    for k in range(4):
        sharp = 900.0 if k == 2 else 60.0
        step = session.observe(moving(k), view(quality=replace(GOOD, sharpness=sharp)))
    assert step.verdict is not None
    assert step.verdict.live_pass is not None
    assert step.verdict.live_pass.frame.seq == 2


class FakeEmbedder:
    """One embedding for the first face, another for every later one."""

    def __init__(self) -> None:
        self.calls = 0

    def embed(self, image: Image, five: object) -> np.ndarray:
        self.calls += 1
        return np.array([1.0, 0.0] if self.calls == 1 else [0.0, 1.0], np.float32)


def test_a_candidate_with_another_embedding_ends_the_check() -> None:
    session = Judge(NoStore(), scorer=FakeScorer(8.0), embedder=FakeEmbedder()).begin("s", live=True)  # type: ignore[arg-type]
    for k in range(4):
        step = session.observe(moving(k), view())
        if step.verdict is not None:
            break
    assert step.verdict is not None
    assert (step.verdict.state, step.verdict.reason) == ("undecided", Reason.FACE_CHANGED)


@pytest.mark.parametrize(
    "settings",
    [
        {"target_apcer": 0.2},
        {"target_bpcer": 0.6},
        {"min_frames": 1},
        {"cues": ("nobody",)},
        {"deadline_s": 0.0},
    ],
)
def test_bad_settings_refuse_to_start(settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        judge(8.0, **settings)


def test_unknown_nets_and_missing_files_refuse_to_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        Judge(open_store(), JudgeSettings(nets=("nobody",)))
    with pytest.raises(ModelError):
        Judge(open_store(tmp_path, offline=True))


def test_the_gates_settings_are_taken_over() -> None:
    mine = JudgeSettings.of(Settings(target_apcer=0.02, target_bpcer=0.1, deadline_s=6.0))
    assert (mine.target_apcer, mine.target_bpcer, mine.deadline_s) == (0.02, 0.1, 6.0)
    assert mine.nets == ("fr_liveness", "livegate_pad")


@given(
    st.builds(
        replace,
        st.just(GOOD),
        face_size=st.floats(0, 4000),
        yaw=st.floats(-180, 180),
        sharpness=st.floats(0, 1e6),
        eyes_open=st.floats(0, 2),
    )
)
def test_the_rank_is_a_share_and_falls_when_the_head_turns(quality: object) -> None:
    value = rank(quality)  # type: ignore[arg-type]
    assert 0 <= value <= 1
    assert rank(replace(quality, yaw=abs(quality.yaw) + 10)) <= value  # type: ignore[type-var, attr-defined]
    assert rank(replace(quality, sharpness=math.nan)) == 0  # type: ignore[type-var]


@pytest.fixture(scope="module")
def real() -> tuple[Judge, Vision]:
    store = open_store()
    return Judge(store), Vision(store)


def run(
    real: tuple[Judge, Vision], images: list[Image], *, live: bool = True, fps: float = 30.0
) -> list[Step]:
    judged, vision = real
    vision.reset()
    session = judged.begin("real", live=live)
    steps = []
    for k, image in enumerate(images):
        picture = Frame(np.ascontiguousarray(image), t=k / fps, seq=k)
        steps.append(session.observe(picture, vision.see(picture)))
        if steps[-1].verdict is not None:
            return steps
    return [*steps, replace(steps[-1], verdict=session.finish())]


def test_a_drifting_portrait_passes_soon_with_the_real_nets(
    real: tuple[Judge, Vision], astronaut: np.ndarray
) -> None:
    """A rendering that stands in for a live person; the net takes it for one."""
    verdict = run(real, list(render_person(np.ascontiguousarray(astronaut), 60)))[-1].verdict
    assert verdict is not None
    assert verdict.state == "live"
    assert verdict.elapsed_ms <= 1500
    assert verdict.live_pass is not None
    verdict.live_pass.check()


def test_a_still_portrait_with_noise_does_not_pass_with_the_real_nets(
    real: tuple[Judge, Vision], astronaut: np.ndarray
) -> None:
    picture = cv2.resize(astronaut[:400, 40:440], (480, 480)).astype(np.float32)
    rng = np.random.default_rng(0)
    images = [np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8) for _ in range(45)]
    verdict = run(real, images)[-1].verdict
    assert verdict is not None
    assert verdict.state == "undecided"


def labelled(folder: Path, label: str) -> list[str]:
    """Paths of the labelled clips."""
    with (folder / "video_all.tsv").open(encoding="utf-8", newline="") as file:
        return [row["path"] for row in csv.DictReader(file, delimiter="\t") if row["label"] == label]


def read(path: Path, count: int) -> tuple[float, list[Image]]:
    """Frames per second and the first frames of a clip."""
    capture = cv2.VideoCapture(str(path))
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    images = []
    while len(images) < count:
        ok, image = capture.read()
        if not ok:
            break
        images.append(np.asarray(image, np.uint8))
    return fps, images


def test_no_attack_clip_passes(real: tuple[Judge, Vision], shared_data: Path) -> None:
    """Three clips prove no rate; that one of them passes would be a fault all the same."""
    for path in labelled(shared_data, "spoof"):
        fps, images = read(shared_data / path, 60)
        verdict = run(real, images, live=False, fps=fps)[-1].verdict
        assert verdict is not None
        assert verdict.state != "live"


def test_a_file_has_one_verdict(real: tuple[Judge, Vision], shared_data: Path) -> None:
    fps, images = read(shared_data / labelled(shared_data, "live")[1], 20)
    first, second = (run(real, images, live=False, fps=fps)[-1].verdict for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first.state, first.score, first.frames) == (second.state, second.score, second.frames)
    assert first.frames > 0


def test_two_people_spliced_into_one_stream_do_not_pass_as_one(
    real: tuple[Judge, Vision], shared_data: Path
) -> None:
    paths = labelled(shared_data, "live")
    one, other = (
        [cv2.resize(image, (640, 480)) for image in read(shared_data / path, 15)[1]]
        for path in (paths[1], paths[3])
    )
    _, vision = real
    vision.reset()
    # A target that 15 frames can't reach, so that the second person comes while the check is open.
    session = Judge(open_store(), JudgeSettings(target_apcer=1e-6)).begin("splice", live=True)
    judged, ended, verdict = 0, -1, None
    for k, image in enumerate([*one, *other]):
        picture = Frame(np.ascontiguousarray(image), t=k / 30, seq=k)
        step = session.observe(picture, vision.see(picture))
        judged += step.evidence is not None
        if step.verdict is not None:
            ended, verdict = k, step.verdict
            break
    assert judged > 0
    assert ended >= 15
    assert verdict is not None
    assert (verdict.state, verdict.reason) == ("undecided", Reason.FACE_CHANGED)
