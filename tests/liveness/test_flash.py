"""Flash reflection in simulation: a head proves itself, what is none or answers to other colours does not.

The scenes are made up (`benchmarks.flash_scene`); they show that the code does what it says, not how real
people and screens behave.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.flash_scene import Setting, SimCamera, SimDisplay
from benchmarks.flash_sim import simulate, view_of
from pipeline.camera.frame import Image
from pipeline.liveness.cues import CueContext, CueRole, CueSet
from pipeline.liveness.flash import FlashChallenge, FlashSession, FlashVerdict, fit_response, judge_response
from pipeline.liveness.flash.challenge import codes_of
from pipeline.liveness.flash.geometry import relief
from pipeline.liveness.flash.regions import POINTS, RegionMeter, RegionSample, neighbours, point_normals
from pipeline.liveness.flash.response import LEAST_FRAMES, SETTLE_S
from pipeline.liveness.flash.session import RESTING
from pipeline.nets import open_store
from pipeline.reasons import Reason
from pipeline.vision import Vision
from pipeline.vision.types import F32

from .support import NO_FACE, frame

SETTING = Setting(ambient=200.0, seed=3)


@pytest.fixture(scope="module")
def mesh(astronaut: Image) -> F32:
    face = Vision(open_store()).look(astronaut).face
    assert face is not None
    return face.landmarks


def test_a_head_that_answers_is_proved(astronaut: Image, mesh: F32) -> None:
    verdict = simulate(astronaut, mesh, SETTING)
    assert verdict.state == "proved", verdict
    assert verdict.p <= 0.001
    assert verdict.size > 0.1
    assert abs(verdict.delay_s - SETTING.delay_s) < 0.06


@pytest.mark.parametrize("kind", ["photo", "photo_cut", "photo_bent", "replay_full", "injected"])
def test_sheets_screens_and_injected_video_are_not_proved(kind: str, astronaut: Image, mesh: F32) -> None:
    verdict = simulate(astronaut, mesh, replace(SETTING, kind=kind))  # type: ignore[arg-type]
    assert verdict.state != "proved", verdict


def test_an_answer_to_another_sequence_is_a_contradiction(astronaut: Image, mesh: F32) -> None:
    assert simulate(astronaut, mesh, SETTING, wrong=True).state == "contradicted"


def test_a_late_answer_is_not_proved(astronaut: Image, mesh: F32) -> None:
    assert simulate(astronaut, mesh, replace(SETTING, delay_s=1.0)).state != "proved"


def course(codes: np.ndarray, noise: float, rng: np.random.Generator) -> list[RegionSample]:
    """What the camera sees: a steady background and a face that holds light of its own and noise."""
    from pipeline.liveness.flash.challenge import weights_at

    t = np.arange(110) / 30
    light = 0.2 + 0.02 * (weights_at(t - 0.1) @ codes.T.astype(float))[:, [0, 2, 1]]
    out = []
    for k, now in enumerate(t):
        face = light[k] * np.ones((len(POINTS), 1)) * np.exp(rng.normal(0, noise, (1, 3)))
        ring = 0.1 * np.exp(rng.normal(0, 0.001, (39, 3)))
        out.append(
            RegionSample(float(now), face, ring, np.zeros((len(POINTS), 2)), np.zeros((len(POINTS), 3)))
        )
    return out


def test_the_p_value_of_what_does_not_depend_on_the_nonce_is_uniform() -> None:
    """An answer to some code, right in form, judged against fresh nonces: the null is exact."""
    rng = np.random.default_rng(5)
    samples = course(codes_of(rng.integers(0, 2**32, (1, 26), dtype=np.uint32))[0], 0.01, rng)
    shown = [s.t for s in samples]
    p = []
    for _ in range(25):
        response = fit_response(samples, shown, FlashChallenge(rng.bytes(32)).codes, 0.6, rng)
        assert response is not None
        p.append(response.p)
    ordered = np.sort(p)
    distance = np.max(np.abs(ordered - (np.arange(25) + 0.5) / 25))
    assert distance < 1.63 / math.sqrt(25)  # Kolmogorov's bound at 1 %


def test_the_right_code_is_found_in_noise() -> None:
    rng = np.random.default_rng(6)
    challenge = FlashChallenge(rng.bytes(32))
    samples = course(challenge.codes, 0.01, rng)
    response = fit_response(samples, [s.t for s in samples], challenge.codes, 0.6, rng)
    assert response is not None
    assert response.p <= 0.001


def test_exposure_and_white_balance_do_not_hide_or_make_an_answer() -> None:
    """One gain a frame and channel falls on face and background alike."""
    rng = np.random.default_rng(7)
    challenge = FlashChallenge(rng.bytes(32))
    plain = course(challenge.codes, 0.002, rng)
    gains = np.exp(np.cumsum(rng.normal(0, 0.05, (len(plain), 3)), axis=0))
    gained = [replace(s, face=s.face * g, ring=s.ring * g) for s, g in zip(plain, gains, strict=True)]
    shown = [s.t for s in plain]
    one, other = (
        fit_response(s, shown, challenge.codes, 0.6, np.random.default_rng(1)) for s in (plain, gained)
    )
    assert one is not None
    assert other is not None
    assert other.p <= 0.001
    assert other.size == pytest.approx(one.size, rel=1e-6)


def test_too_little_to_look_at_proves_nothing() -> None:
    rng = np.random.default_rng(8)
    challenge = FlashChallenge(rng.bytes(32))
    samples = course(challenge.codes, 0.002, rng)
    shown = [s.t for s in samples]
    assert fit_response(samples[: LEAST_FRAMES - 1], shown, challenge.codes, 0.6, rng) is None
    assert fit_response(samples, [], challenge.codes, 0.6, rng) is None
    dark = [replace(s, ring=np.full_like(s.ring, np.nan)) for s in samples]
    assert fit_response(dark, shown, challenge.codes, 0.6, rng) is None
    assert judge_response(None).state == "unproved"


def test_relief_is_found_where_light_follows_the_normals_and_only_there(mesh: F32) -> None:
    rng = np.random.default_rng(9)
    places, normals = mesh[POINTS, :2].astype(float) / 50, point_normals(mesh, neighbours(mesh))
    shade = rng.uniform(0.1, 0.4, len(POINTS))
    noise = np.exp(rng.normal(0, 0.03, len(POINTS)))
    head = 0.2 * (1 - 0.3 * normals[:, 2] + 0.2 * normals[:, 1]) * noise
    sheet = 0.2 * (1 + 0.2 * places[:, 1] + 0.1 * places[:, 0] ** 2) * noise
    glass = 0.02 / shade * noise
    assert relief(head, places, normals, shade).ratio > 5
    assert abs(relief(head, places, normals, shade).gloss) < 0.2
    assert relief(sheet, places, normals, shade).ratio < 5
    assert relief(glass, places, normals, shade).gloss > 0.7
    nothing = np.full(len(POINTS), np.nan)
    assert math.isnan(relief(nothing, places, normals, shade).ratio)
    assert math.isnan(relief(-head, places, normals, shade).ratio)


def test_normals_of_a_face_look_at_the_camera(mesh: F32) -> None:
    normals = point_normals(mesh, neighbours(mesh))
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    assert np.all(normals[:, 2] < 0)


def test_what_lies_outside_or_is_saturated_is_left_out(mesh: F32) -> None:
    white = np.full((512, 512, 3), 255, np.uint8)
    sample = RegionMeter(mesh).measure(white, mesh, 0.0)
    assert np.isnan(sample.face).all()
    away = mesh + np.float32([5000, 0, 0])
    assert np.isnan(RegionMeter(away).measure(white // 2, away, 0.0).face).all()


def run_session(
    session: FlashSession, astronaut: Image, mesh: F32, screen: SimDisplay, frames: int
) -> object:
    camera = SimCamera(astronaut, mesh, SETTING)
    reading = None
    for k in range(frames):
        screen.now = k / SETTING.fps
        shot, seen = camera.frame(screen.now, screen)
        reading = session.update(shot, view_of(seen))
    return reading


def test_a_declining_display_ends_it_unused(astronaut: Image, mesh: F32) -> None:
    screen = SimDisplay(refuse_after=5)
    session = FlashSession(screen)
    reading = run_session(session, astronaut, mesh, screen, 8)
    assert session.verdict is not None
    assert session.verdict.state == "not_used"
    assert reading is not None
    assert reading.veto is Reason.NO_FLASH_PROOF  # type: ignore[attr-defined]
    assert not reading.confirmed  # type: ignore[attr-defined]


def test_cancelling_stops_the_colours_at_once(astronaut: Image, mesh: F32) -> None:
    screen = SimDisplay()
    session = FlashSession(screen)
    run_session(session, astronaut, mesh, screen, 6)
    session.cancel()
    run_session(session, astronaut, mesh, screen, 3)
    assert session.verdict is not None
    assert session.verdict.state == "not_used"
    assert screen.log[-1][1] == RESTING


@pytest.mark.parametrize("how", ["lost", "changed"])
def test_a_face_that_goes_or_changes_proves_nothing(how: str, astronaut: Image, mesh: F32) -> None:
    screen = SimDisplay()
    session = FlashSession(screen)
    run_session(session, astronaut, mesh, screen, 4)
    view = view_of(mesh)
    assert view.face is not None
    other = NO_FACE if how == "lost" else replace(view, face=replace(view.face, track_id=2))
    for k in range(4, 14):
        session.update(frame(k, fps=SETTING.fps, size=(176, 176)), other)
    assert session.verdict is not None
    assert session.verdict.state == "unproved"
    assert screen.log[-1][1] == RESTING


def test_a_proof_says_nothing_for_the_next_face(astronaut: Image, mesh: F32) -> None:
    screen = SimDisplay()
    session = FlashSession(screen)
    session.forget()
    assert session.verdict is None
    run_session(session, astronaut, mesh, screen, 2)
    session._verdict = FlashVerdict.without("proved", "made up")
    session.forget()
    reading = session.update(frame(3), NO_FACE)
    assert not reading.confirmed
    assert reading.veto is Reason.NO_FLASH_PROOF


def test_closing_gives_the_screen_its_grey_back(astronaut: Image, mesh: F32) -> None:
    screen = SimDisplay()
    session = FlashSession(screen)
    run_session(session, astronaut, mesh, screen, 5)
    session.close()
    session.close()
    assert screen.log[-1][1] == RESTING
    assert session.verdict is not None
    assert session.verdict.state == "unproved"


def test_frames_are_tinted_from_the_second_one_until_the_screen_has_rested(
    astronaut: Image, mesh: F32
) -> None:
    screen = SimDisplay()
    session = FlashSession(screen)
    camera = SimCamera(astronaut, mesh, SETTING)
    tinted, shown = [], []
    while session.verdict is None:
        screen.now = len(tinted) / SETTING.fps
        shot, seen = camera.frame(screen.now, screen)
        tinted.append(session.update(shot, view_of(seen)).tinted)
        shown.append(screen.log[-1][1])
    assert tinted == [False, *[True] * (len(tinted) - 2), False]
    coloured = [k for k, colour in enumerate(shown) if colour != RESTING]
    assert len(tinted) - 1 > max(coloured) + SETTLE_S * SETTING.fps - 1
    assert not session.update(frame(len(tinted), size=(176, 176)), NO_FACE).tinted


def test_nothing_is_shown_before_a_face_is_there() -> None:
    screen = SimDisplay()
    session = FlashSession(screen)
    for k in range(5):
        assert not session.update(frame(k), NO_FACE).confirmed
    assert screen.log == []


def test_the_flash_is_pending_in_a_set_of_cues_until_it_is_proved() -> None:
    session = FlashSession(SimDisplay())
    assert session.role is CueRole.CONFIRM
    state = CueSet((), CueContext(live=True), extra=[session]).update(frame(0), NO_FACE)
    assert state.pending == ("flash",)


def test_only_a_proof_confirms() -> None:
    for state in ("unproved", "contradicted", "not_used"):
        session = FlashSession(SimDisplay())
        session._verdict = FlashVerdict.without(state, "made up")  # type: ignore[arg-type]
        reading = session.update(frame(0), NO_FACE)
        assert not reading.confirmed
        injected = state == "contradicted"
        assert reading.veto is (Reason.INJECTED_SOURCE if injected else Reason.NO_FLASH_PROOF)
