"""The same-face guard: one person stays, a second face or a swap ends the check."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.camera.frame import Frame, Image
from pipeline.demo.scene import render_person
from pipeline.errors import SettingsError
from pipeline.liveness.continuity import ContinuityLimits, FaceGuard, correlation, face_patch
from pipeline.nets import open_store
from pipeline.reasons import Reason
from pipeline.vision import FaceEmbedder, Vision
from pipeline.vision.types import F32

from .support import NO_FACE, frame, view

SMOOTH = cv2.GaussianBlur(frame(1).image, (0, 0), 3)
OTHER = cv2.GaussianBlur(frame(2).image, (0, 0), 3)


class FakeEmbedder:
    """Tells faces apart by their mean grey level."""

    def __init__(self) -> None:
        self.calls = 0

    def embed(self, image: Image, five: F32) -> F32:
        self.calls += 1
        angle = float(image.mean()) / 255 * np.pi / 2
        return np.array([np.cos(angle), np.sin(angle)], np.float32)


def guard(image: Image = SMOOTH, **limits: float) -> FaceGuard:
    g = FaceGuard(ContinuityLimits(**limits))
    g.start(frame(0, image=image), view())
    return g


@pytest.mark.parametrize(
    "limits",
    [
        {"min_correlation": 0.0},
        {"min_correlation": 0.9},
        {"min_correlation_new_track": 1.0},
        {"max_gap_s": 0.0},
        {"max_gap_s": float("inf")},
        {"min_cosine": 0.0},
        {"min_correlation": float("nan")},
    ],
)
def test_bad_limits_refuse_to_start(limits: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        ContinuityLimits(**limits)


@given(st.integers(0, 99), st.floats(0.1, 4), st.floats(-60, 60))
def test_correlation_does_not_see_gain_nor_offset(seed: int, gain: float, offset: float) -> None:
    a = np.random.default_rng(seed).uniform(0, 255, (32, 32)).astype(np.float32)
    assert correlation(a, gain * a + np.float32(offset)) == pytest.approx(1, abs=1e-3)
    assert correlation(a, -a) == pytest.approx(-1, abs=1e-3)


def test_a_flat_or_broken_patch_is_like_nothing() -> None:
    flat = np.full((32, 32), 7, np.float32)
    broken = np.full((32, 32), np.nan, np.float32)
    noise = np.random.default_rng(0).uniform(0, 255, (32, 32)).astype(np.float32)
    assert correlation(flat, flat) == 0
    assert correlation(noise, flat) == 0
    assert correlation(noise, broken) == 0


def test_before_the_first_judged_frame_nothing_is_held_against_anybody() -> None:
    g = FaceGuard()
    assert g.watch(frame(0), view(faces=3)) is None
    assert g.watch(frame(1), NO_FACE) is None
    assert not g.started


def test_the_same_face_goes_on() -> None:
    g = guard()
    for k in range(1, 20):
        assert g.watch(frame(k, image=SMOOTH), view()) is None


def test_a_second_face_ends_it() -> None:
    assert guard().watch(frame(1, image=SMOOTH), view(faces=2)) is Reason.SEVERAL_FACES


def test_another_face_under_the_same_track_number_ends_it() -> None:
    assert guard().watch(frame(1, image=OTHER), view()) is Reason.FACE_CHANGED


def test_another_face_under_a_new_track_number_ends_it() -> None:
    assert guard().watch(frame(1, image=OTHER), view(track_id=2)) is Reason.FACE_CHANGED


def test_a_broken_track_goes_on_only_with_a_face_that_is_clearly_the_same() -> None:
    mixed = cv2.addWeighted(SMOOTH, 0.62, OTHER, 0.38, 0)
    alike = correlation(face_patch(SMOOTH, view().face.five), face_patch(mixed, view().face.five))  # type: ignore[union-attr]
    assert 0.55 < alike < 0.95
    limits = {"min_correlation": alike - 0.02, "min_correlation_new_track": alike + 0.02}
    assert guard(**limits).watch(frame(1, image=mixed), view()) is None
    assert guard(**limits).watch(frame(1, image=mixed), view(track_id=2)) is Reason.FACE_CHANGED
    assert guard(**limits).watch(frame(1, image=SMOOTH), view(track_id=2)) is None


def test_a_face_that_was_gone_too_long_is_another_one() -> None:
    g = guard()
    assert g.watch(frame(10, image=SMOOTH), NO_FACE) is None
    assert g.watch(frame(14, image=SMOOTH), view(track_id=2)) is None
    assert g.watch(frame(40, image=SMOOTH), NO_FACE) is Reason.FACE_CHANGED
    assert guard().watch(frame(40, image=SMOOTH), view()) is Reason.FACE_CHANGED


def test_a_time_that_is_no_number_ends_it() -> None:
    broken = Frame(SMOOTH.copy(), t=float("nan"), seq=1)
    assert guard().watch(broken, view()) is Reason.FACE_CHANGED


def test_an_embedder_has_the_last_word_on_a_low_correlation() -> None:
    turned = np.ascontiguousarray(SMOOTH[::-1])  # another patch with the same mean grey level
    assert guard().watch(frame(1, image=turned), view()) is Reason.FACE_CHANGED
    embedder = FakeEmbedder()
    g = FaceGuard(embedder=embedder)
    g.start(frame(0, image=SMOOTH), view())
    assert g.watch(frame(1, image=SMOOTH), view()) is None
    assert embedder.calls == 1
    assert g.watch(frame(2, image=turned), view()) is None
    assert embedder.calls == 2


def test_an_embedding_of_another_person_is_not_the_first_face() -> None:
    g = FaceGuard(ContinuityLimits(min_cosine=0.99), embedder=FakeEmbedder())
    g.start(frame(0, image=SMOOTH), view())
    assert g.is_first_face(frame(1, image=SMOOTH), view())
    assert not g.is_first_face(frame(1, image=SMOOTH // 8), view())
    assert not g.is_first_face(frame(1, image=SMOOTH), NO_FACE)


def portraits_of_two_people(folder: Path) -> tuple[Image, Image]:
    """A live webcam frame of each of two people of the labelled data."""
    with (folder / "pad_all.tsv").open(encoding="utf-8", newline="") as file:
        rows = [
            r
            for r in csv.DictReader(file, delimiter="\t")
            if r["group"] == "nuaa_raw" and r["label"] == "live"
        ]
    found = []
    for subject in ("nuaa_0001", "nuaa_0002"):
        path = folder / next(r["path"] for r in rows if r["subject"] == subject)
        found.append(np.asarray(cv2.imread(str(path)), np.uint8))
    return found[0], found[1]


def shaken(image: Image, k: int) -> Image:
    """The picture moved by some pixels, as a head before a camera."""
    matrix = np.array([[1, 0, 4 * np.sin(k / 3)], [0, 1, 3 * np.cos(k / 4)]], np.float32)
    moved = cv2.warpAffine(image, matrix, (image.shape[1], image.shape[0]), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


@pytest.mark.parametrize("with_embedder", [False, True])
def test_real_people_stay_themselves_and_a_splice_of_two_ends_it(
    shared_data: Path, with_embedder: bool
) -> None:
    store = open_store()
    vision = Vision(store)
    embedder = FaceEmbedder(store.path("fr_feature")) if with_embedder else None
    one, other = portraits_of_two_people(shared_data)
    g = FaceGuard(embedder=embedder)
    found = None
    for k in range(24):
        picture = frame(k, image=shaken(one if k < 16 else other, k))
        seen = vision.see(picture)
        found = g.watch(picture, seen)
        if k < 16:
            assert found is None
            g.start(picture, seen)
        elif found is not None:
            break
    assert found in (Reason.FACE_CHANGED, Reason.SEVERAL_FACES)


def test_a_drifting_portrait_is_one_face(astronaut: np.ndarray) -> None:
    vision = Vision(open_store())
    g = FaceGuard()
    for k, image in enumerate(render_person(np.ascontiguousarray(astronaut), 30)):
        picture = frame(k, image=image)
        seen = vision.see(picture)
        assert g.watch(picture, seen) is None
        g.start(picture, seen)
    assert g.started
