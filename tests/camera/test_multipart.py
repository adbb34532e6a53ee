from __future__ import annotations

from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.camera.multipart import PartReader, boundary_of
from pipeline.errors import FrameError

BODIES = st.lists(
    st.binary(max_size=60).filter(lambda body: b"--b" not in body and not body.endswith((b"-", b"--"))),
    min_size=1,
    max_size=6,
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(
    bodies=BODIES,
    places=st.lists(st.integers(0, 10_000), max_size=12),
    length=st.booleans(),
    end=st.sampled_from([b"\r\n", b"\n"]),
    preamble=st.sampled_from([b"", b"\r\n", b"read me\r\n\r\n"]),
)
def test_parts_come_whole_however_the_stream_is_sliced(
    bodies: list[bytes], places: list[int], length: bool, end: bytes, preamble: bytes
) -> None:
    stream = preamble
    for body in bodies:
        stream += b"--b" + end + b"Content-Type: image/jpeg" + end
        if length:
            stream += b"content-LENGTH:  %d" % len(body) + end
        stream += end + body + end
    stream += b"--b--"
    reader = PartReader(b"--b", 1000)
    parts = [part for piece in cut(stream, places) for part in reader.feed(piece)]
    assert parts == (bodies if length else [body + end for body in bodies])


@given(st.lists(st.binary(max_size=400), max_size=30))
def test_hostile_bytes_end_in_parts_or_a_frame_error_and_are_not_piled_up(pieces: list[bytes]) -> None:
    reader = PartReader(b"--b", 500)
    for piece in pieces:
        try:
            parts = reader.feed(piece + b"--b\r\nx\r\n\r\n")
        except FrameError:
            return
        assert all(len(part) <= 500 + 400 + 9 for part in parts)
        assert len(reader._held) <= 500 + 409 + 8192


@pytest.mark.parametrize("declared", [b"501", b"999999999999", b"99999999999999999999"])
def test_a_part_that_is_declared_too_large_is_refused_before_it_comes(declared: bytes) -> None:
    reader = PartReader(b"--b", 500)
    with pytest.raises(FrameError, match="larger than 500"):
        reader.feed(b"--b\r\nContent-Length: " + declared + b"\r\n\r\n")


def test_a_part_without_end_header_without_end_and_stream_without_boundary_are_refused() -> None:
    for start, match in (
        (b"--b\r\n\r\n", "larger than 500"),
        (b"--b\r\nX: ", "header of a part"),
        (b"", "no boundary"),
    ):
        reader = PartReader(b"--b", 500)
        with pytest.raises(FrameError, match=match):
            deque((reader.feed(piece) for piece in [start, *[b"x" * 100] * 200]), maxlen=0)


def test_parts_before_a_broken_one_are_not_lost() -> None:
    reader = PartReader(b"--b", 500)
    good = b"--b\r\nContent-Length: 3\r\n\r\nabc\r\n"
    assert reader.feed(good + good + b"--b\r\nContent-Length: 501\r\n\r\n") == [b"abc", b"abc"]
    with pytest.raises(FrameError, match="larger than 500"):
        reader.feed(b"")


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/x-mixed-replace; boundary=frame", b"--frame"),
        ("multipart/x-mixed-replace;boundary=--frame", b"--frame"),
        ('Multipart/x-mixed-replace; charset=x; Boundary="a b"', b"--a b"),
        ("multipart/x-mixed-replace", None),
        ("multipart/x-mixed-replace; boundary=", None),
        ("text/html; boundary=frame", None),
        ("image/jpeg", None),
        ("", None),
    ],
)
def test_the_boundary_is_read_from_the_content_type(content_type: str, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary


@given(st.text(max_size=100))
def test_any_content_type_gives_a_boundary_or_none(text: str) -> None:
    found = boundary_of("multipart/x; boundary=" + text)
    assert found is None or found.startswith(b"--")
