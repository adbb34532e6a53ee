from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from pipeline.errors import FrameError
from pipeline.vision.crop import (
    FACENOX,
    FR_LIVENESS,
    MINIFASNET_V1SE,
    MINIFASNET_V2,
    CropKind,
    CropSpec,
    crop,
    crop_batch,
    shifted_region,
    square_box,
)

Picture = NDArray[np.uint8]


def box(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


@pytest.fixture(scope="module")
def noise() -> Picture:
    return np.random.default_rng(3).integers(0, 256, (480, 640, 3), np.uint8)


# Worked by hand from the published arithmetic, picture 640 x 480.
@pytest.mark.parametrize(
    ("face", "scale", "expected"),
    [
        pytest.param(box(300, 200, 400, 300), 2.7, (215, 115, 485, 385), id="inside"),
        pytest.param(box(10, 200, 110, 300), 2.7, (0, 115, 270, 385), id="shifted from the left"),
        pytest.param(box(300, 20, 400, 120), 2.7, (215, 0, 485, 270), id="shifted from the top"),
        pytest.param(box(540, 200, 640, 300), 2.7, (369, 115, 639, 385), id="shifted from the right"),
        pytest.param(box(300, 380, 400, 480), 2.7, (215, 209, 485, 479), id="shifted from the bottom"),
        pytest.param(box(100, 50, 500, 450), 2.7, (60, 0, 539, 479), id="scale limited by the height"),
        pytest.param(box(-20, -10, 60, 90), 4.0, (0, 0, 320, 400), id="reaches outside"),
        pytest.param(box(201, 203, 214, 220), 2.7, (189, 188, 225, 234), id="truncated to pixels"),
        pytest.param(box(0, 0, 640, 480), 2.7, (0, 0, 639, 479), id="the whole picture"),
        pytest.param(box(0, 0, 1, 240), 4.0, (0, 0, 1, 479), id="a sliver"),
    ],
)
def test_region_of_known_boxes(
    face: NDArray[np.float32], scale: float, expected: tuple[int, int, int, int]
) -> None:
    assert shifted_region(480, 640, face, scale) == expected


@given(
    height=st.integers(16, 2000),
    width=st.integers(16, 2000),
    x=st.floats(-0.4, 1.1),
    y=st.floats(-0.4, 1.1),
    w=st.floats(0.01, 1.5),
    h=st.floats(0.01, 1.5),
    scale=st.sampled_from([1.0, 2.7, 4.0]),
)
def test_region_never_leaves_the_picture_and_is_never_empty(
    height: int, width: int, x: float, y: float, w: float, h: float, scale: float
) -> None:
    face = box(x * width, y * height, (x + w) * width, (y + h) * height)
    try:
        x1, y1, x2, y2 = shifted_region(height, width, face, scale)
    except FrameError:
        assert x + w <= 1e-5 or y + h <= 1e-5 or x >= 0.999 or y >= 0.999
        return
    assert 0 <= x1 <= x2 <= width - 1
    assert 0 <= y1 <= y2 <= height - 1


@pytest.mark.parametrize(
    "face",
    [
        box(10, 10, 10, 50),
        box(50, 10, 10, 60),
        box(700, 10, 800, 50),
        box(-90, 10, 0, 50),
        box(np.nan, 0, 10, 10),
        box(0, 0, np.inf, 10),
        box(-np.inf, 0, np.inf, 10),
        box(-1e9, -1e9, 1e9, 1e9),
    ],
)
@pytest.mark.parametrize("spec", [MINIFASNET_V2, FR_LIVENESS, FACENOX])
def test_refuses_a_box_without_an_area_in_the_picture(
    noise: Picture, face: NDArray[np.float32], spec: CropSpec
) -> None:
    with pytest.raises(FrameError):
        crop(noise, face, spec)


def test_crop_takes_the_last_row_and_column_of_its_region(noise: Picture) -> None:
    spec = CropSpec(101, CropKind.SHIFTED, 1.0)
    assert_array_equal(crop(noise, box(20, 30, 120, 130), spec), noise[30:131, 20:121])


def test_square_has_the_height_of_the_box_and_is_clipped() -> None:
    assert_allclose(square_box(480, 640, box(300, 200, 360, 300)), [280, 200, 380, 300])
    assert_allclose(square_box(480, 640, box(0, 400, 40, 500)), [0, 400, 70, 479])
    assert_allclose(square_box(480, 640, box(600, -40, 640, 60)), [570, 0, 639, 60])


def test_square_crop_equals_a_shifted_crop_of_the_square(noise: Picture) -> None:
    face = box(300, 200, 360, 300)
    shifted = CropSpec(128, CropKind.SHIFTED, 2.7)
    assert_array_equal(crop(noise, face, FR_LIVENESS), crop(noise, box(280, 200, 380, 300), shifted))


@pytest.mark.parametrize(
    "face",
    [
        box(200, 150, 300, 250),
        box(-30, -20, 90, 100),
        box(560, 400, 680, 520),
        box(-200, 100, 100, 400),
        box(-900, -900, 1500, 1500),
    ],
)
def test_reflected_crop_equals_a_mirrored_border(noise: Picture, face: NDArray[np.float32]) -> None:
    x1, y1, x2, y2 = (float(v) for v in face)
    length = max(x2 - x1, y2 - y1) * 1.5
    side, x, y = int(length), int((x1 + x2) / 2 - length / 2), int((y1 + y2) / 2 - length / 2)
    spec = CropSpec(side, CropKind.REFLECTED, 1.5)
    rows = np.pad(np.arange(480), 4000, mode="reflect")[4000 + y : 4000 + y + side]
    columns = np.pad(np.arange(640), 4000, mode="reflect")[4000 + x : 4000 + x + side]
    assert_array_equal(crop(noise, face, spec), noise[rows][:, columns])


@pytest.mark.parametrize(("times", "halvings"), [(1, 0), (1.9, 0), (2, 1), (3.9, 1), (4, 2), (7, 2)])
def test_halved_crop_is_halved_while_it_has_twice_the_pixels(
    noise: Picture, times: float, halvings: int
) -> None:
    size, side = 48, int(48 * times)
    square = noise[60 : 60 + side, 100 : 100 + side]
    for _ in range(halvings):
        even = square[: square.shape[0] // 2 * 2, : square.shape[1] // 2 * 2].astype(np.float64)
        rows = even[::2] + even[1::2]
        square = np.floor((rows[:, ::2] + rows[:, 1::2] + 2) / 4).astype(np.uint8)
    expected = cv2.resize(square, (size, size))
    face = box(100, 60, 100 + side, 60 + side)
    assert_array_equal(crop(noise, face, CropSpec(size, CropKind.HALVED, 1.0)), expected)


def test_halved_crop_is_the_reflected_one_where_nothing_is_resized(noise: Picture) -> None:
    for face in (box(200, 150, 296, 246), box(-30, -20, 66, 76), box(580, 420, 676, 516)):
        square = crop(noise, face, CropSpec(96, CropKind.REFLECTED, 1.0))
        assert_array_equal(crop(noise, face, CropSpec(96, CropKind.HALVED, 1.0)), square)


def test_halved_crop_averages_what_it_shrinks(noise: Picture) -> None:
    # noise of independent pixels: the mean over 4x4 of them has a quarter of the deviation
    small = crop(noise, box(40, 40, 424, 424), CropSpec(96, CropKind.HALVED, 1.0)).astype(np.float64)
    assert small.mean() == pytest.approx(noise[40:424, 40:424].mean(), abs=0.5)
    assert small.std() == pytest.approx(noise[40:424, 40:424].std() / 4, rel=0.1)


def test_batch_keeps_the_colour_order_and_range_that_the_net_wants() -> None:
    blue = np.zeros((100, 100, 3), np.uint8)
    blue[..., 0] = 255
    face = [box(40, 40, 60, 60)]
    bgr = crop_batch(blue, face, MINIFASNET_V2)
    rgb = crop_batch(blue, face, FACENOX)
    assert bgr.dtype == rgb.dtype == np.float32
    assert bgr.shape == (1, 3, 80, 80)
    assert_allclose(bgr.mean(axis=(0, 2, 3)), [255, 0, 0])
    assert_allclose(rgb.mean(axis=(0, 2, 3)), [0, 0, 1])


@pytest.mark.parametrize("spec", [MINIFASNET_V2, MINIFASNET_V1SE, FR_LIVENESS, FACENOX])
def test_batch_equals_one_by_one_and_writes_where_it_is_told(noise: Picture, spec: CropSpec) -> None:
    faces = np.stack([box(300, 200, 400, 300), box(5, 5, 65, 85)])
    room = np.full((3, 3, spec.size, spec.size), -1, np.float32)
    batch = crop_batch(noise, faces, spec, room)
    assert np.shares_memory(batch, room)
    assert batch.shape[0] == 2
    assert (room[2] == -1).all()
    for planes, face in zip(batch, faces, strict=True):
        assert_array_equal(planes, crop_batch(noise, [face], spec)[0])
        single = crop(noise, face, spec)
        expected = cv2.cvtColor(single, cv2.COLOR_BGR2RGB) if spec.rgb else single
        assert_allclose(planes, expected.transpose(2, 0, 1) / spec.divide, rtol=1e-6)
