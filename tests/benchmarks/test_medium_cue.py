"""A medium around the face is found, on paper and on screens; a door behind a person is none."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.cues.medium import BOUND, find_medium
from pipeline.camera.frame import Image
from pipeline.nets import open_store
from pipeline.vision import Vision
from pipeline.vision.types import F32

SIZE = (640, 480)


def room(seed: int = 0) -> Image:
    """An out-of-focus room with noise, uint8 (480, 640, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(60, 190, (6, 8, 3)).astype(np.float32)
    soft = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(soft + rng.normal(0, 3, soft.shape), 0, 255), np.uint8)


@pytest.fixture(scope="module")
def portrait(astronaut: Image) -> tuple[Image, F32]:
    """The shipped portrait's face and shoulders, and its face box in there."""
    face = Vision(open_store()).look(astronaut).face
    assert face is not None
    part = astronaut[0:330, 90:370]
    return np.ascontiguousarray(part), face.box - np.array([90, 0, 90, 0], np.float32)


def shown(
    portrait: tuple[Image, F32],
    *,
    border: int,
    colour: int,
    angle: float = 0.0,
    scale: float = 0.9,
    shift: tuple[float, float] = (0.0, 0.0),
    seed: int = 0,
) -> tuple[Image, F32, F32]:
    """The portrait on a medium in a room: the picture, the face box, and the medium's corners."""
    picture, box = portrait
    medium = cv2.copyMakeBorder(picture, *(border,) * 4, cv2.BORDER_CONSTANT, value=(colour,) * 3)
    h, w = medium.shape[:2]
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), angle, scale)
    matrix[:, 2] += np.array(SIZE) / 2 - (w / 2, h / 2) + shift
    scene = room(seed)
    laid = cv2.warpAffine(medium, matrix, SIZE, flags=cv2.INTER_AREA)
    mask = cv2.warpAffine(np.full((h, w), 1.0, np.float32), matrix, SIZE)[..., None]
    blend = scene * (1 - mask) + laid * mask
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32) @ matrix[:, :2].T + matrix[:, 2]
    middle = (box[:2] + box[2:]) / 2 + border
    centre = matrix[:, :2] @ middle + matrix[:, 2]
    half = (box[2:] - box[:2]) / 2 * scale
    return (
        np.asarray(blend, np.uint8),
        np.concatenate([centre - half, centre + half]).astype(np.float32),
        corners,
    )


@given(
    angle=st.floats(-12, 12),
    scale=st.floats(0.7, 1.1),
    colour=st.sampled_from([10, 245]),
    border=st.integers(4, 16),
    seed=st.integers(0, 50),
)
@settings(max_examples=20, deadline=None)
def test_a_sheet_and_a_bezel_around_the_face_are_a_medium(
    portrait: tuple[Image, F32], angle: float, scale: float, colour: int, border: int, seed: int
) -> None:
    image, box, _ = shown(portrait, border=border, colour=colour, angle=angle, scale=scale, seed=seed)
    assert find_medium(image, box).score >= BOUND


def test_the_corners_are_where_the_medium_is(portrait: tuple[Image, F32]) -> None:
    image, box, corners = shown(portrait, border=8, colour=245, angle=5.0)
    found = find_medium(image, box)
    side = float(box[2] - box[0])
    assert np.abs(found.corners - corners).max() < 0.2 * side


def test_a_side_out_of_view_is_no_help_to_the_attacker(portrait: tuple[Image, F32]) -> None:
    image, box, _ = shown(portrait, border=8, colour=10, scale=1.1, shift=(0, -110))
    assert find_medium(image, box).score >= BOUND


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_the_size_of_the_picture_does_not_matter(portrait: tuple[Image, F32], factor: float) -> None:
    image, box, _ = shown(portrait, border=10, colour=245, angle=3.0)
    resized = np.asarray(
        cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8
    )
    assert find_medium(resized, box * np.float32(factor)).score >= BOUND


def test_a_living_portrait_is_no_medium(astronaut: Image, portrait: tuple[Image, F32]) -> None:
    box = portrait[1] + np.array([90, 0, 90, 0], np.float32)
    assert find_medium(astronaut, box).score < BOUND
    assert find_medium(*portrait).score < BOUND


def person_before(scene: Image, width: int = 110) -> tuple[Image, F32]:
    """A head and shoulders that stand before whatever the scene shows."""
    out = scene.copy()
    cv2.ellipse(out, (320, 640), (230, 300), 0, 0, 360, (70, 60, 90), -1)
    neck = np.array([[285, 260], [355, 260], [360, 345], [320, 410], [280, 345]], np.int32)
    cv2.fillConvexPoly(out, neck, (110, 140, 190))
    cv2.ellipse(out, (320, 230), (width // 2 + 5, 75), 0, 0, 360, (120, 150, 205), -1)
    for x in (297, 343):
        cv2.circle(out, (x, 220), 6, (40, 40, 40), -1)
    cv2.line(out, (300, 270), (340, 270), (90, 90, 160), 4)
    noise = np.random.default_rng(1).normal(0, 2, out.shape)
    box = np.array([320 - width / 2, 175, 320 + width / 2, 285], np.float32)
    return np.asarray(np.clip(out + noise, 0, 255), np.uint8), box


@pytest.mark.parametrize(
    ("left", "right", "top", "bottom"),
    [(180, 460, 40, 480), (230, 410, 30, 480), (120, 540, 60, 440), (240, 400, 110, 360), (20, 620, 20, 470)],
    ids=["door", "narrow door", "window", "picture behind the head", "whiteboard"],
)
def test_frames_behind_a_person_are_no_medium(left: int, right: int, top: int, bottom: int) -> None:
    for colour, thick in (((230, 230, 230), -1), ((20, 20, 20), -1), ((240, 240, 240), 8), ((15, 15, 15), 8)):
        scene = cv2.rectangle(room(2), (left, top), (right, bottom), colour, thick)
        image, box = person_before(np.asarray(scene, np.uint8))
        assert find_medium(image, box).score < BOUND


def test_a_telephone_beside_the_face_is_no_medium(astronaut: Image, portrait: tuple[Image, F32]) -> None:
    box = portrait[1] + np.array([90, 0, 90, 0], np.float32)
    held = astronaut.copy()
    held[150:330, 350:450] = 15
    held[160:320, 358:442] = 200
    assert find_medium(held, box).score < BOUND


@pytest.mark.parametrize(
    "box",
    [
        (math.nan, 0, 10, 10),
        (0, 0, math.inf, 10),
        (900, 900, 990, 990),
        (-90, -90, -10, -10),
        (50, 50, 50, 50),
        (60, 60, 40, 40),
        (0, 0, 0.5, 0.5),
    ],
)
def test_a_box_that_is_none_finds_nothing(box: tuple[float, ...]) -> None:
    assert find_medium(room(), np.array(box, np.float32)).score == 0


@given(
    size=st.tuples(st.integers(16, 90), st.integers(16, 90)),
    box=st.tuples(*(st.floats(-200, 300, width=32) for _ in range(4))),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_any_picture_and_box_gives_a_finite_score(
    size: tuple[int, int], box: tuple[float, ...], seed: int
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    score = find_medium(image, np.array(box, np.float32)).score
    assert 0 <= score <= 1.04


def test_flat_pictures_have_no_lines() -> None:
    flat = np.full((480, 640, 3), 90, np.uint8)
    assert find_medium(flat, np.array([250, 150, 390, 290], np.float32)).score == 0


def test_real_prints_and_telephones_are_found_and_no_real_person_is(shared_data: Path) -> None:
    with (shared_data / "pad_all.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    vision = Vision(open_store())
    for group, least in (("nuaa_raw", 0.3), ("sankalita_webcam", 0.15)):
        denied: dict[str, list[bool]] = {"live": [], "spoof": []}
        for row in [r for r in rows if r["group"] == group][:: 7 if group == "nuaa_raw" else 3]:
            image = np.asarray(cv2.imread(str(shared_data / row["path"]), cv2.IMREAD_COLOR), np.uint8)
            face = vision.look(image).face
            if face is not None:
                denied[row["label"]].append(find_medium(image, face.box).score >= BOUND)
        assert not any(denied["live"])
        assert np.mean(denied["spoof"]) >= least
