from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.camera import SourceOptions, decode_picture, load_picture, open_source
from pipeline.camera.picture import natural_key
from pipeline.errors import FrameError, SourceOpenError

from .support import jpeg, number_of, picture


def png_bomb(width: int, height: int) -> bytes:
    """A small PNG that claims a huge size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(10_000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("ending", [".png", ".jpg", ".bmp", ".webp"])
def test_the_known_formats_are_decoded(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending}"
    cv2.imwrite(str(path), picture(5))
    image = load_picture(path)
    assert image.shape == (48, 64, 3)
    assert number_of(image) == 5
    assert not image.flags.writeable


def test_grey_alpha_and_sixteen_bit_pictures_become_bgr(tmp_path: Path) -> None:
    forms = {
        "grey": np.full((20, 24), 77, np.uint8),
        "alpha": np.full((20, 24, 4), 77, np.uint8),
        "deep": np.full((20, 24, 3), 77 * 257, np.uint16),
        "deep_grey": np.full((20, 24), 77 * 257, np.uint16),
    }
    for name, array in forms.items():
        path = tmp_path / f"{name}.png"
        cv2.imwrite(str(path), array)
        image = load_picture(path)
        assert image.shape == (20, 24, 3)
        assert np.all(image == 77), name


def test_a_picture_is_turned_upright_as_its_exif_says() -> None:
    exif = b"Exif\0\0" + struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    data = jpeg(3)
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    image = decode_picture(turned)
    assert image.shape == (64, 48, 3)
    assert image[:8, -8:].mean() > 240


@pytest.mark.parametrize(("width", "height"), [(100_000, 100_000), (5001, 5000)])
def test_a_decompression_bomb_is_refused_by_its_header(
    width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the bomb was unpacked")

    monkeypatch.setattr(cv2, "imdecode", never)
    with pytest.raises(FrameError, match="above the limit of 25000000 pixels"):
        decode_picture(png_bomb(width, height))


@pytest.mark.parametrize("ending", [".png", ".jpg", ".bmp", ".webp"])
def test_a_cut_off_picture_is_refused(ending: str) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = cv2.imencode(ending, noise)[1].tobytes()
    with pytest.raises(FrameError, match=r"cut off|damaged") as caught:
        decode_picture(data[: len(data) * 2 // 3])
    assert "whole PNG, JPEG, BMP or WebP pictures" in caught.value.hint


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_the_hint_for_what_is_no_picture_names_the_formats(data: bytes) -> None:
    with pytest.raises(FrameError) as caught:
        decode_picture(data)
    assert "whole PNG, JPEG, BMP or WebP pictures" in caught.value.hint


@given(data=st.binary(max_size=200), at=st.integers(0, 2000))
def test_damaged_bytes_end_in_a_picture_or_a_frame_error(data: bytes, at: int) -> None:
    whole = jpeg(1)
    try:
        image = decode_picture(whole[:at] + data + whole[at + len(data) :])
    except FrameError:
        return
    assert image.dtype == np.uint8
    assert image.shape[2] == 3


def test_a_missing_file_is_named_and_a_pipe_does_not_block(tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError, match=r"no file gone\.png"):
        load_picture(tmp_path / "gone.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(SourceOpenError, match="not a regular file"):
        load_picture(tmp_path / "pipe.png")
    with pytest.raises(SourceOpenError, match="not a regular file"):
        load_picture(tmp_path)


def test_a_folder_gives_its_pictures_in_natural_order_with_nominal_times(tmp_path: Path) -> None:
    for number in (10, 2, 1, 9):
        cv2.imwrite(str(tmp_path / f"f{number}.png"), picture(number))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "sub.png").mkdir()
    with open_source(tmp_path, options=SourceOptions(folder_fps=10)) as source:
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == [1, 2, 9, 10]
    assert [frame.t for frame in frames] == [0.0, 0.1, 0.2, 0.3]
    assert (source.info.kind, source.info.live, source.info.trusted) == ("folder", False, False)
    assert source.info.timing == "nominal"


def test_unreadable_pictures_are_skipped_counted_and_leave_a_gap(tmp_path: Path) -> None:
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), picture(number))
    (tmp_path / "0.jpg").write_bytes(b"no picture at all")
    whole = (tmp_path / "3.jpg").read_bytes()
    (tmp_path / "3.jpg").write_bytes(whole[: len(whole) // 2])
    with open_source(tmp_path) as source:
        frames = list(source)
    assert [frame.seq for frame in frames] == [1, 2, 4]
    assert [number_of(frame.image) for frame in frames] == [1, 2, 4]
    assert source.skipped == 2


def test_a_folder_without_a_usable_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(SourceOpenError, match="holds no picture"):
        open_source(tmp_path)
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"broken")
    with pytest.raises(SourceOpenError, match="none of 3 pictures"):
        open_source(tmp_path)


def test_one_picture_is_a_source_of_one_frame_whatever_its_ending(tmp_path: Path) -> None:
    path = tmp_path / "photo.mp4"
    path.write_bytes(jpeg(4))
    with open_source(path) as source:
        (frame,) = source
    assert number_of(frame.image) == 4
    assert (source.info.kind, source.info.name, source.info.live) == ("file", "photo.mp4", False)


def test_one_damaged_picture_is_refused_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(png_bomb(100_000, 100_000))
    with pytest.raises(SourceOpenError, match="100000x100000 is above the limit"):
        open_source(path)


def test_closing_ends_a_folder_early(tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture(number))
    source = open_source(tmp_path)
    next(source)
    source.close()
    source.close()
    assert list(source) == []


@given(st.lists(st.text(max_size=12), max_size=8), st.randoms())
def test_natural_order_takes_any_names_and_does_not_depend_on_their_first_order(
    names: list[str], random: Random
) -> None:
    shuffled = list(names)
    random.shuffle(shuffled)
    in_order = [natural_key(name) for name in sorted(shuffled, key=natural_key)]
    assert in_order == [natural_key(name) for name in sorted(names, key=natural_key)]


def test_natural_order_counts_numbers() -> None:
    assert sorted(["a10", "B2", "a2", "a1b10", "a1b9"], key=natural_key) == [
        "a1b9",
        "a1b10",
        "a2",
        "a10",
        "B2",
    ]
