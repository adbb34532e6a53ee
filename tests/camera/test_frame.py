from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pipeline.camera import MIN_SIDE, Frame, normalise_image, pixel_sha256
from pipeline.errors import FrameError

from .support import picture

ANY_DTYPE = st.one_of(
    hnp.scalar_dtypes(),
    hnp.unicode_string_dtypes(),
    hnp.byte_string_dtypes(),
    st.just(np.dtype([("a", "u1"), ("b", "u2")])),
    st.just(np.dtype(object)),
    st.sampled_from(["u1", "<u2", ">u2"]).map(np.dtype),
)
ANY_SHAPE = st.one_of(
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=40),
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5)),
)


def strided(dtype: np.dtype[np.generic], shape: tuple[int, ...], way: int) -> NDArray[np.generic]:
    """An array of that type and shape: plain, reversed, transposed, a slice, or all one element."""
    count = int(np.prod(shape))
    if dtype.kind == "u":
        plain = (np.arange(count) * 37 % 65521).astype(dtype).reshape(shape)
    else:
        plain = np.zeros(shape, dtype)
    if way == 1 and shape:
        return plain[::-1]
    if way == 2:
        return np.asarray(plain.T.copy().T)
    if way == 3:
        return np.concatenate([plain, plain])[: len(plain)] if plain.ndim else plain
    if way == 4 and count:
        return np.broadcast_to(plain.reshape(-1)[0], shape)
    return plain


@given(dtype=ANY_DTYPE, shape=ANY_SHAPE, way=st.integers(0, 4))
def test_any_array_becomes_a_frame_image_or_a_frame_error(
    dtype: np.dtype[np.generic], shape: tuple[int, ...], way: int
) -> None:
    array = strided(dtype, shape, way)
    good = (
        array.dtype.kind == "u"
        and array.dtype.itemsize <= 2
        and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4)))
        and min(array.shape[:2]) >= MIN_SIDE
    )
    try:
        image = normalise_image(array)
    except FrameError:
        assert not good
        return
    assert good
    assert image.dtype == np.uint8
    assert image.shape == (*array.shape[:2], 3)
    assert image.flags.c_contiguous
    assert not image.flags.writeable


@given(st.one_of(st.none(), st.binary(), st.lists(st.integers()), st.text()))
def test_what_is_no_array_is_a_frame_error(thing: object) -> None:
    with pytest.raises(FrameError, match="must be an array"):
        normalise_image(thing)


def test_a_fresh_bgr_array_is_taken_without_a_copy_and_becomes_read_only() -> None:
    array = picture(3)
    image = normalise_image(array)
    assert image is array
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0, 0] = 1


def test_a_view_is_copied_so_that_its_owner_cannot_change_the_frame() -> None:
    owner = picture(3)
    image = normalise_image(owner[:])
    owner[:] = 0
    assert image.max() == 255


def test_a_mirrored_view_keeps_its_pixels() -> None:
    array = np.arange(20 * 24 * 3, dtype=np.uint8).reshape(20, 24, 3)
    assert np.array_equal(normalise_image(array[:, ::-1]), array[:, ::-1])


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 1)])
def test_grey_is_spread_over_three_channels(shape: tuple[int, ...]) -> None:
    grey = np.arange(20 * 24).astype(np.uint8).reshape(shape)
    image = normalise_image(grey)
    for channel in range(3):
        assert np.array_equal(image[..., channel], grey.reshape(20, 24))


def test_alpha_is_dropped_and_the_colour_order_stays() -> None:
    bgra = np.zeros((20, 24, 4), np.uint8)
    bgra[:] = (1, 2, 3, 0)
    assert np.array_equal(normalise_image(bgra)[5, 5], (1, 2, 3))


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_of_sixteen_bits_the_upper_eight_are_kept(order: str) -> None:
    deep = np.full((20, 24, 3), 0xAB12, dtype=order)
    assert np.all(normalise_image(deep) == 0xAB)


def test_size_limits_are_named_and_nothing_is_copied_before_they_are_checked() -> None:
    with pytest.raises(FrameError, match="16x16"):
        normalise_image(np.zeros((15, 400, 3), np.uint8))
    huge = np.broadcast_to(np.uint8(0), (10**6, 10**6, 3))
    with pytest.raises(FrameError, match="25000000 pixels"):
        normalise_image(huge)
    with pytest.raises(FrameError, match="limit of 399"):
        normalise_image(np.zeros((20, 20, 3), np.uint8), max_pixels=399)
    assert normalise_image(np.zeros((16, 25, 3), np.uint8), max_pixels=400).shape == (16, 25, 3)


def test_a_frame_cannot_be_written_to_and_shows_no_pixels() -> None:
    frame = Frame(picture(1), t=0.5, seq=7)
    with pytest.raises(ValueError, match="read-only"):
        frame.image[:] = 0
    assert (frame.height, frame.width) == (48, 64)
    assert repr(frame) == "Frame(seq=7, t=0.500, 64x48)"


def test_the_digest_covers_size_and_pixels_in_row_order() -> None:
    image = np.arange(20 * 30 * 3).astype(np.uint8).reshape(20, 30, 3)
    expected = hashlib.sha256(b"20x30:bgr8:" + image.tobytes()).hexdigest()
    assert pixel_sha256(image) == expected
    assert Frame(image, 0.0, 0).sha256() == expected
    mirrored = image[:, ::-1]
    assert pixel_sha256(mirrored) == hashlib.sha256(b"20x30:bgr8:" + mirrored.tobytes()).hexdigest()
    assert pixel_sha256(image.reshape(30, 20, 3)) != expected


def test_a_frame_owns_what_no_one_else_can_write_to() -> None:
    buffer = np.zeros((16, 20, 3), np.uint8)
    assert not Frame(buffer[:], t=0.0, seq=0).owned
    assert Frame(buffer, t=0.0, seq=0).owned
    with pytest.raises(ValueError, match="read-only"):
        buffer[0] = 1
