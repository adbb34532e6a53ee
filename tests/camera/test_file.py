from __future__ import annotations

import logging
import math
import socket
import struct
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.camera import SourceOptions, open_source
from pipeline.camera.file import Timeline
from pipeline.errors import FrameError, SourceError, SourceOpenError

from .support import VideoWriter, jpeg, number_of


def element(name: int, body: bytes) -> bytes:
    """One EBML element (RFC 8794) with an eight-byte size."""
    code = name.to_bytes((name.bit_length() + 7) // 8, "big")
    return code + b"\x01" + len(body).to_bytes(7, "big") + body


def number(name: int, value: int) -> bytes:
    return element(name, value.to_bytes(8, "big"))


def matroska(times_ms: list[int], *, tail: bytes = b"") -> bytes:
    """A Matroska file of JPEG pictures with the given timestamps."""
    head = element(0x4282, b"matroska") + number(0x4287, 4) + number(0x4285, 2)
    video = element(0xE0, number(0xB0, 64) + number(0xBA, 48))
    track = element(
        0xAE, number(0xD7, 1) + number(0x73C5, 1) + number(0x83, 1) + element(0x86, b"V_MJPEG") + video
    )
    info = element(0x1549A966, number(0x2AD7B1, 1_000_000))
    clusters = b"".join(
        element(
            0x1F43B675, number(0xE7, t) + element(0xA3, b"\x81" + struct.pack(">hB", 0, 0x80) + jpeg(index))
        )
        for index, t in enumerate(times_ms)
    )
    return (
        element(0x1A45DFA3, head) + element(0x18538067, info + element(0x1654AE6B, track) + clusters) + tail
    )


@pytest.mark.parametrize(
    ("name", "fourcc"),
    [("a.avi", "MJPG"), ("a.mp4", "mp4v"), ("a.mov", "mp4v"), ("a.webm", "VP80"), ("a.mkv", "MJPG")],
)
def test_every_frame_comes_once_in_order_with_the_files_own_time(
    name: str, fourcc: str, write_video: VideoWriter
) -> None:
    path = write_video(name, fourcc=fourcc, frames=12, fps=20.0)
    with open_source(path) as source:
        frames = list(source)
    assert [frame.seq for frame in frames] == list(range(12))
    assert [number_of(frame.image) for frame in frames] == list(range(12))
    assert [frame.t for frame in frames] == pytest.approx([index / 20.0 for index in range(12)], abs=0.002)
    assert (source.info.kind, source.info.live, source.info.trusted) == ("file", False, False)
    assert source.info.timing == "container"


def test_frames_are_contiguous_and_read_only(write_video: VideoWriter) -> None:
    with open_source(str(write_video())) as source:
        frame = next(source)
    assert frame.image.flags.c_contiguous
    assert not frame.image.flags.writeable


def test_uneven_timestamps_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "uneven.webm"
    path.write_bytes(matroska([500, 540, 700, 1700, 1710]))
    with open_source(path) as source:
        times = [frame.t for frame in source]
    assert times == pytest.approx([0.0, 0.04, 0.2, 1.2, 1.21], abs=0.0015)
    assert source.info.timing == "container"


def test_timestamps_that_run_backwards_are_rebuilt_and_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "back.mkv"
    path.write_bytes(matroska([0, 100, 60, 20, 300]))
    with open_source(path) as source:
        assert source.info.timing == "container"
        times = [frame.t for frame in source]
    assert all(after > before for before, after in pairwise(times))
    assert source.info.timing == "rebuilt"


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=30), st.floats())
def test_times_start_at_zero_and_always_grow(stamps: list[float], fps: float) -> None:
    timeline = Timeline(fps, 30.0)
    times = [timeline.next(stamp) for stamp in stamps]
    assert times[0] == 0.0
    assert all(math.isfinite(t) for t in times)
    assert all(after > before for before, after in pairwise(times))


def test_a_backend_without_timestamps_gives_the_nominal_rate() -> None:
    timeline = Timeline(25.0, 30.0)
    assert [timeline.next(0.0) for _ in range(4)] == pytest.approx([0.0, 0.04, 0.08, 0.12])
    assert timeline.rebuilt == 3
    unknown_rate = Timeline(0.0, 10.0)
    assert [unknown_rate.next(math.nan) for _ in range(3)] == pytest.approx([0.0, 0.1, 0.2])


def test_a_grey_video_becomes_bgr(write_video: VideoWriter) -> None:
    with open_source(write_video("grey.avi", colour=False)) as source:
        frame = next(source)
    assert frame.image.shape == (48, 64, 3)
    assert np.array_equal(frame.image[..., 0], frame.image[..., 2])


@pytest.mark.parametrize("size", [(47, 63), (16, 16), (18, 334)])
def test_odd_sizes_are_read(size: tuple[int, int], write_video: VideoWriter) -> None:
    with open_source(write_video("odd.mp4", fourcc="mp4v", size=size)) as source:
        frames = list(source)
    assert len(frames) == 10
    assert abs(frames[0].height - size[0]) <= 1
    assert abs(frames[0].width - size[1]) <= 1


def test_rotation_metadata_is_honoured(write_video: VideoWriter) -> None:
    path = write_video("turned.mp4", fourcc="mp4v")
    data = bytearray(path.read_bytes())
    # ISO/IEC 14496-12, 8.3.2: the matrix of a version 0 track header begins 44 bytes behind its name
    matrix = data.index(b"tkhd") + 44
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    with open_source(path) as source:
        frame = next(source)
    assert (frame.height, frame.width) == (64, 48)
    assert frame.image[:8, -8:].mean() > 200
    assert frame.image[:8, :8].mean() < 100


@pytest.mark.parametrize(("name", "fourcc"), [("a.avi", "MJPG"), ("a.webm", "VP80"), ("a.mkv", "MJPG")])
def test_a_cut_off_video_gives_what_it_has_and_ends(
    name: str, fourcc: str, write_video: VideoWriter, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(name, fourcc=fourcc, frames=40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    with caplog.at_level(logging.WARNING), open_source(path) as source:
        frames = list(source)
    assert 1 < len(frames) < 40
    assert number_of(frames[1].image) == 1
    assert list(source) == []


def test_a_video_whose_index_is_cut_off_is_refused_with_the_way_out(write_video: VideoWriter) -> None:
    path = write_video("a.mp4", fourcc="mp4v")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceOpenError, match=r"a\.mp4 can't be opened as a video") as caught:
        open_source(path)
    assert "whole MP4" in caught.value.hint


def test_a_video_without_a_frame_is_refused(tmp_path: Path, write_video: VideoWriter) -> None:
    empty = tmp_path / "empty.mkv"
    empty.write_bytes(matroska([]))
    with pytest.raises(SourceOpenError):
        open_source(empty)
    avi = write_video("holes.avi", frames=5)
    data = bytearray(avi.read_bytes())
    at = 0
    while (at := data.find(b"00dc", at + 8, data.index(b"idx1"))) > 0:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        data[at + 8 : at + 8 + size] = bytes(size)
    avi.write_bytes(data)
    with pytest.raises(SourceOpenError, match="no frame that can be decoded"):
        open_source(avi)


@given(data=st.binary(min_size=1, max_size=60), at=st.integers(0, 1200), start=st.booleans())
def test_damaged_videos_end_cleanly(
    data: bytes, at: int, start: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "clip.mkv"
    whole = matroska([0, 40, 80])
    path.write_bytes((whole[:40] if start else whole[:at]) + data + whole[at + len(data) :])
    try:
        with open_source(path) as source:
            frames = list(source)
    except SourceError:
        return
    assert 1 <= len(frames) <= 3


def test_a_huge_video_is_refused_by_its_header(
    write_video: VideoWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video("big.avi", size=(480, 640))

    def never(*_: object) -> None:
        raise AssertionError("a frame was decoded")

    monkeypatch.setattr("pipeline.camera.file.CvCapture.read", never)
    with pytest.raises(FrameError, match="640x480 is above the limit of 300000 pixels"):
        open_source(path, options=SourceOptions(max_pixels=300_000))


def test_a_tiny_video_is_refused(write_video: VideoWriter) -> None:
    with pytest.raises(FrameError, match="16x16"):
        open_source(write_video("tiny.mkv", size=(8, 8)))


@pytest.mark.parametrize(
    "text", ["this is text\n" * 50, "G is where it starts, but it is no transport stream\n" * 9]
)
def test_a_text_file_that_is_called_mp4_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_text(text)
    with pytest.raises(SourceOpenError, match="neither a video nor a picture"):
        open_source(path)


@pytest.mark.parametrize("form", ["play-list", "session", "transport"])
def test_no_file_makes_the_decoder_open_a_connection(form: str, tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)
    port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}/segment.ts"
    session = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    texts = {
        "play-list": f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}\n",
        "session": f"{session}m=video {port} RTP/AVP 26\n",
        "transport": "G" + " " * 187 + f"G\n#EXTM3U\n#EXTINF:2,\n{url}\n",
    }
    path = tmp_path / "clip.mp4"
    path.write_text(texts[form])
    with pytest.raises(SourceOpenError):
        open_source(path)
    with pytest.raises(TimeoutError):
        listener.accept()
    listener.close()


def test_closing_from_another_thread_ends_a_file(write_video: VideoWriter) -> None:
    source = open_source(write_video(frames=200))
    next(source)
    threads = [threading.Thread(target=source.close) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert len(list(source)) <= 199
    for thread in threads:
        thread.join()
    assert list(source) == []


def test_the_files_name_is_shown_without_its_folder(write_video: VideoWriter) -> None:
    with open_source(write_video("clip.avi")) as source:
        assert source.info.name == "clip.avi"
        assert "/" not in repr(source)
