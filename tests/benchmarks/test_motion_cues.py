"""Cues over time: what each measures on known geometry, on renderings, and on clips where there are any."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.cues_motion.background import surroundings
from benchmarks.cues_motion.corners import STEADY, CornerTracker, Moved, interpolate
from benchmarks.cues_motion.eyes import BLEND_POINTS, EYE_CORNERS, IRISES, blinks, gaze, jitter
from benchmarks.cues_motion.material import MOTIONS, blinking, held_still
from benchmarks.cues_motion.planarity import Relief, ReliefEvidence, relief
from benchmarks.cues_motion.pulse import pos, skin_colour, snr_db
from benchmarks.cues_motion.render import Motion, head, render, sheet
from benchmarks.cues_motion.series import follow_relief, follow_ring
from benchmarks.cues_motion.tables import CONFIRM_TURN, GAIN, LEAST_FRAMES, confirms, denies, show_relief
from benchmarks.pad_data import read_clip
from pipeline.camera.frame import Frame
from pipeline.nets import open_store
from pipeline.vision import Face, Vision

angles = st.floats(-12, 12)


@pytest.fixture(scope="module")
def vision() -> Vision:
    return Vision(open_store())


@pytest.fixture(scope="module")
def portrait_face(vision: Vision, astronaut: np.ndarray) -> Face:
    face = vision.look(astronaut).face
    assert face is not None
    return face


def nose(start: np.ndarray) -> np.ndarray:
    """A face's depth: a shallow bowl with a nose on it, in units of the face."""
    x, y = start.T
    return 0.5 * x**2 + 0.2 * y**2 - 0.15 * np.exp(-(x**2 + 2 * y**2) / 0.02)


def moved(
    yaw: float,
    pitch: float,
    *,
    depth: np.ndarray | None = None,
    seed: int = 0,
    noise: float = 5e-4,
    distance: float = 4.0,
) -> Moved:
    """Corners of a surface before and after it turns, under perspective, told to be a face's."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(-0.4, 0.4, (90, 2))
    z = nose(start) if depth is None else depth(start)
    turn = cv2.Rodrigues(np.radians([pitch, 0.0, 0.0]))[0] @ cv2.Rodrigues(np.radians([0.0, -yaw, 0.0]))[0]
    solid = np.column_stack([start * (distance + z[:, None]) / distance, z]) @ turn.T
    end = solid[:, :2] * distance / (distance + solid[:, 2:])
    return Moved(start, end + rng.normal(0, noise, start.shape), nose(start))


def found(pair: Moved, **options: int) -> Relief:
    one = relief(pair, **options)
    assert one is not None
    return one


@given(yaw=angles, seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_a_head_that_turns_shows_the_parallax_of_its_relief(yaw: float, seed: int) -> None:
    one = found(moved(yaw, 0.0, seed=seed))
    assert one.parallax[0] == pytest.approx(-math.sin(math.radians(yaw)), rel=0.25, abs=0.02)
    assert abs(one.parallax[1]) < 0.03
    assert abs(yaw) < 3 or one.strength > 10


@given(yaw=angles, pitch=angles, bend=st.floats(-1.5, 1.5), tilt=st.floats(-1, 1), seed=st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_a_sheet_shows_none_however_it_is_bent_and_tilted(
    yaw: float, pitch: float, bend: float, tilt: float, seed: int
) -> None:
    def bowed(start: np.ndarray) -> np.ndarray:
        return tilt * 0.3 * start[:, 0] + bend * start[:, 0] ** 2 / 2

    one = found(moved(yaw, pitch, depth=bowed, seed=seed))
    assert np.linalg.norm(one.parallax) < 0.05


def test_a_plane_as_the_only_alternative_takes_a_bent_sheet_for_a_head() -> None:
    pair = moved(10.0, 0.0, depth=lambda start: 0.8 * start[:, 0] ** 2)
    gain = [found(pair, order=order).parallax[0] / -math.sin(math.radians(10)) for order in (1, 2)]
    assert gain[0] > 0.3
    assert abs(gain[1]) < 0.1


def test_some_lost_corners_do_not_tilt_the_answer() -> None:
    pair = moved(8.0, 0.0)
    pair.end[:12] += np.random.default_rng(1).normal(0, 0.1, (12, 2))
    assert found(pair).parallax[0] == pytest.approx(-math.sin(math.radians(8)), rel=0.3)


def test_too_few_corners_and_a_relief_of_second_order_say_nothing() -> None:
    pair = moved(8.0, 0.0)
    assert relief(Moved(pair.start[:20], pair.end[:20], pair.relief[:20])) is None
    assert relief(Moved(pair.start, pair.end, pair.start[:, 0] ** 2)) is None
    assert relief(Moved(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0))) is None


def test_frames_that_agree_add_up_and_nothing_seen_is_no_number() -> None:
    evidence = ReliefEvidence()
    assert math.isnan(evidence.sum.gain)
    for yaw in (2.0, -5.0, 9.0):
        evidence.add(found(moved(yaw, 0.0, seed=int(yaw) + 9)), yaw, 0.0)
    total = evidence.sum
    assert total.gain == pytest.approx(1.0, abs=0.25)
    assert total.agreement > 0.95
    assert (total.turn, total.frames) == (9.0, 3)


def test_depth_between_points_is_that_of_the_points() -> None:
    points = np.random.default_rng(0).uniform(0, 100, (300, 2))
    values = 0.3 * points[:, 0] - 0.1 * points[:, 1]
    assert interpolate(points, values, points) == pytest.approx(values, abs=0.5)
    inside = np.array([[50.0, 50.0], [30.0, 60.0]])
    assert interpolate(points, values, inside) == pytest.approx([10.0, 3.0], abs=1.5)


@pytest.mark.parametrize("kind", ["head, 10 degrees", "flat sheet, 25 degrees", "bent sheet, 25 degrees"])
def test_of_one_rendered_picture_the_head_confirms_and_sheets_do_not(
    kind: str, vision: Vision, astronaut: np.ndarray, portrait_face: Face
) -> None:
    make = head if kind.startswith("head") else sheet
    frames = render(make(astronaut, portrait_face.landmarks), MOTIONS[kind], 8, seed=3, fps=3.0)
    vision.reset()
    pairs = [(frame, vision.see(frame).face) for frame in frames]
    (window,) = follow_relief(pairs)
    assert confirms(window) == kind.startswith("head")
    assert not (denies(window) and kind.startswith("head"))
    if not kind.startswith("head"):  # what the mesh net draws into a picture is no witness
        assert window["mesh"][0] > 0.5


def test_a_picture_held_still_neither_confirms_nor_denies(vision: Vision, astronaut: np.ndarray) -> None:
    vision.reset()
    pairs = [(frame, vision.see(frame).face) for frame in held_still(astronaut, 8, 10.0)]
    (window,) = follow_relief(pairs)
    assert not confirms(window)
    assert not denies(window)


def test_the_tracker_finds_a_shifted_picture_where_it_went(
    astronaut: np.ndarray, portrait_face: Face
) -> None:
    tracker = CornerTracker(astronaut, portrait_face.landmarks)
    assert len(tracker) > 50
    shifted = cv2.warpAffine(astronaut, np.array([[1, 0, 6.0], [0, 1, -3.5]]), (512, 512))
    there = portrait_face.landmarks + np.array([6.0, -3.5, 0], np.float32)
    pair = tracker.follow(shifted, there)
    assert len(pair.start) > 0.8 * len(tracker)
    assert np.abs(pair.end - pair.start).max() < 0.01
    blank = tracker.follow(np.zeros_like(astronaut), there)
    assert relief(blank) is None


def test_a_wall_does_not_move_with_the_face_and_the_rest_of_a_sheet_does() -> None:
    start = np.random.default_rng(0).uniform(0, 300, (40, 2))
    turn = np.array([[0.99, -0.05, 12.0], [0.05, 0.99, -4.0]])
    rest = start @ turn[:, :2].T + turn[:, 2]
    wall, own = surroundings(start, start, turn), surroundings(start, rest, turn)
    assert wall is not None
    assert own is not None
    assert (wall.coupling, wall.together) == (0.0, 0.0)
    assert (own.coupling, own.together) == pytest.approx((1.0, 1.0))
    assert surroundings(start, start, np.array([[1.0, 0, 0.5], [0, 1.0, 0]])) is None


@pytest.mark.parametrize(("make", "low", "high"), [(head, -0.2, 0.3), (sheet, 0.5, 1.2)])
def test_rendered_surroundings_are_told_from_the_sheet(
    make: type[head], low: float, high: float, vision: Vision, astronaut: np.ndarray, portrait_face: Face
) -> None:
    surface = make(astronaut, portrait_face.landmarks)
    vision.reset()
    frames = render(surface, Motion(roll=3.0, shift=14.0), 8, seed=1, fps=8.0)
    rows = follow_ring([(frame, vision.see(frame).face) for frame in frames])
    assert rows
    assert all(low < coupling < high for coupling, *_ in rows)


def dip(duration: float, *, closing: float = 0.4, fps: float = 60.0) -> tuple[np.ndarray, np.ndarray]:
    """Openness with one blink at 1 s: (t, openness)."""
    t = np.arange(0, 2, 1 / fps)
    phase = (t - 1) / duration
    share = np.clip(np.abs(phase) / np.where(phase < 0, closing, 1 - closing), 0, 1)
    return t, 0.3 * (0.1 + 0.9 * share)


@pytest.mark.parametrize("duration", [0.12, 0.2, 0.35])
def test_a_blink_is_found_with_its_length_and_shape(duration: float) -> None:
    (one,) = blinks(*dip(duration, closing=0.35))
    assert one.t == pytest.approx(1.0, abs=0.02)
    assert one.duration == pytest.approx(0.78 * duration, abs=0.04)  # where it crosses 80 % of open
    assert one.depth > 0.8
    assert one.asymmetry > 0


def test_noise_long_closures_and_open_ends_are_no_blinks() -> None:
    rng = np.random.default_rng(0)
    t, openness = dip(1.6)
    assert blinks(t, openness) == []
    assert blinks(t, 0.3 + rng.normal(0, 0.01, len(t))) == []
    assert blinks(t[60:], dip(0.2)[1][60:]) == []
    assert blinks(t[:3], openness[:3]) == []


@given(st.lists(st.floats(0, 1), min_size=0, max_size=60))
@settings(deadline=None)
def test_any_openness_gives_blinks_of_sane_length(values: list[float]) -> None:
    t = np.arange(len(values)) / 30
    for one in blinks(t, np.array(values)):
        assert 0 < one.duration <= 0.5
        assert -1 <= one.asymmetry <= 1
        assert 0.4 <= one.depth <= 1


def test_drawn_lids_hide_the_eye_and_leave_the_rest(astronaut: np.ndarray, portrait_face: Face) -> None:
    cut = astronaut[20:276, 90:346]
    there = replace(portrait_face, landmarks=portrait_face.landmarks - np.array([90, 20, 0], np.float32))
    frames, still = blinking(cut, there, 200), blinking(cut, there, None)
    change = [
        np.abs(a.image.astype(int) - b.image.astype(int)).max() for a, b in zip(frames, still, strict=True)
    ]
    assert min(change[:14]) == max(change[:14]) == 0
    assert max(change[15:24]) > 60


def eyes_at(turn: float, scale: float, along: float, across: float) -> np.ndarray:
    """A mesh with nothing but eyes, irises off their middles by shares of the eyes' width."""
    points = np.zeros((478, 3), np.float32)
    for k, middle in enumerate((-40.0, 40.0)):
        points[EYE_CORNERS[k], :2] = [[middle - 15, 0], [middle + 15, 0]]
        points[IRISES[k], :2] = [middle + 30 * along, 30 * across]
    c, s = scale * math.cos(turn), scale * math.sin(turn)
    points[:, :2] = points[:, :2] @ np.array([[c, -s], [s, c]], np.float32).T + (200, 150)
    return points


@given(
    turn=st.floats(-3, 3), scale=st.floats(0.5, 5), along=st.floats(-0.3, 0.3), across=st.floats(-0.2, 0.2)
)
@settings(max_examples=40, deadline=None)
def test_gaze_is_the_eyes_own_whatever_the_head_does(
    turn: float, scale: float, along: float, across: float
) -> None:
    assert gaze(eyes_at(turn, scale, along, across)) == pytest.approx(
        np.array([[along, across]] * 2), abs=1e-3
    )


def test_jitter_takes_what_is_fast_and_leaves_what_is_slow() -> None:
    t = np.arange(0, 4, 1 / 30)
    fast, slow = (np.sin(2 * np.pi * hz * t)[:, None] for hz in (6.0, 0.5))
    assert jitter(t, 0.01 * fast) == pytest.approx(0.01 / math.sqrt(2), rel=0.05)
    assert jitter(t, slow) < 0.01
    assert math.isnan(jitter(t[:5], slow[:5]))


def test_a_pulse_is_found_at_its_rate_and_flicker_is_none() -> None:
    t = np.arange(0, 8, 1 / 30)
    rng = np.random.default_rng(0)
    beat = 0.01 * np.sin(2 * np.pi * 1.2 * t)[:, None]
    base = np.array([90.0, 110.0, 160.0])
    noise = rng.normal(0, 0.05, (len(t), 3))
    pulse, rate = snr_db(pos(t, base * (1 + beat * np.array([0.53, 0.77, 0.33])) + noise))
    assert rate == pytest.approx(1.2, abs=0.05)
    assert pulse > 6
    flicker, _ = snr_db(pos(t, base * (1 + beat) + noise))
    assert flicker < pulse - 6


def test_a_constant_colour_and_a_short_series_have_no_pulse() -> None:
    t = np.arange(0, 4, 1 / 30)
    assert math.isnan(snr_db(pos(t, np.full((len(t), 3), 100.0)))[0])
    assert not pos(t[:20], np.full((20, 3), 100.0)).any()


def test_skin_is_not_taken_from_outside_the_picture(astronaut: np.ndarray, portrait_face: Face) -> None:
    colour = skin_colour(astronaut, portrait_face.landmarks)
    assert colour is not None
    assert colour[2] > colour[1] > colour[0]  # skin is red before green before blue
    assert skin_colour(astronaut, portrait_face.landmarks + np.float32(2000)) is None


def test_the_points_of_the_blendshapes_are_those_of_the_net() -> None:
    assert len(set(BLEND_POINTS.tolist())) == 146
    assert set(IRISES) <= set(BLEND_POINTS.tolist())
    assert len(set(STEADY.tolist())) == len(STEADY)


@pytest.mark.parametrize("clip", ["live/Apfol_real2.webm", "spoof/Apfol_fake2.webm"])
def test_a_person_who_turns_confirms_and_so_does_a_replayed_video_of_one(
    clip: str, shared_data: Path, vision: Vision
) -> None:
    _, frames = read_clip(shared_data / "video" / "faces" / clip, limit=40)
    vision.reset()
    windows = follow_relief([(frame, vision.see(frame).face) for frame in frames])
    assert any(map(confirms, windows))


def test_a_photograph_turned_and_bent_in_the_hand_does_not_confirm(shared_data: Path, vision: Vision) -> None:
    paths = sorted((shared_data / "pad" / "nuaa_raw" / "spoof" / "0002").glob("0002_01_0[1-8]_02_*"))
    images = [np.ascontiguousarray(cv2.imread(str(path))) for path in paths]
    shown = [(image, vision.look(image).face) for image in images]
    windows = []
    for k in range(0, len(shown), 3):
        order = [shown[k], *shown[:k], *shown[k + 1 :]]
        windows += follow_relief([(Frame(i, t=0.1 * j, seq=j), face) for j, (i, face) in enumerate(order)])
    turned = [w for w in windows if w["sheet"][2] > CONFIRM_TURN and w["sheet"][3] >= LEAST_FRAMES]
    assert turned  # the mesh turns with the sheet
    assert any(w["mesh"][0] > GAIN for w in turned)  # and so do its points
    assert not any(map(confirms, windows))


def window(sheet: float, plane: float, turn: float = 12.0, agreement: float = 0.9) -> dict[str, list[float]]:
    return {
        kind: [gain, agreement, turn, 20]
        for kind, gain in (("sheet", sheet), ("plane", plane), ("mesh", 1.0))
    }


def test_rules_want_turn_agreement_and_both_sheets() -> None:
    assert confirms(window(0.6, 0.9))
    assert not confirms(window(0.6, 0.9, turn=2.0))
    assert not confirms(window(0.6, 0.9, agreement=0.2))
    assert not confirms(window(0.05, 0.9))
    assert denies(window(0.05, 0.05))
    assert not denies(window(0.05, 0.6))  # a bent sheet, or a head whose nose was not seen
    assert not denies(window(0.05, 0.05, turn=5.0))


def test_tables_tell_apart_the_clip_whose_label_is_not_its_face(capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"label": "spoof", "species": "replay_phone", "fps": 30.0, "relief": [window(0.0, 0.0)]}
    live = {**entry, "label": "live", "species": "none", "relief": [window(0.7, 0.9)]}
    sessions = [{"label": "spoof", "kind": "print held still", "relief": [window(0.0, 0.0, turn=1.0)]}]
    rendered = [{"kind": "head, 10 degrees", "relief": [window(0.6, 0.9)], "ring": []}]
    show_relief({"clips": [live] * 5 + [entry, dict(entry)], "sessions": sessions, "rendered": rendered})
    lines = capsys.readouterr().out.splitlines()
    assert any("holder, live" in line for line in lines)
    assert "confirmed: live clips, first window: 100.0 % (5/5; 47.8 to 100.0)" in lines
    assert any(line.startswith("denied: replays, any window: 100.0 % (1/1;") for line in lines)
