from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from pipeline.camera import (
    DeviceIdentity,
    Frame,
    Source,
    SourceInfo,
    SourceOptions,
    StreamAddress,
    SyntheticSource,
    is_trusted,
    judge_source,
)
from pipeline.errors import FrameError, SourceLostError, UsageError

from .support import number_of, picture

CAMERA = DeviceIdentity(
    node="video0",
    function=0,
    card="Integrated Camera",
    bus="usb",
    driver="uvcvideo",
    vendor="046d",
    product="0825",
    serial="3F2A",
    port="1-1",
    physical=True,
    reason="it is a physical device on the usb bus",
)
LOOPBACK = replace(CAMERA, bus="virtual", physical=False, node="video9")
DEVICE = SourceInfo(
    kind="device", name="/dev/video0", live=True, trusted=True, reason=CAMERA.reason, identity=CAMERA
)
VIRTUAL = replace(DEVICE, identity=LOOPBACK, trusted=False)
STREAM = SourceInfo(
    kind="network",
    name="rtsp://cam/live",
    live=True,
    trusted=False,
    reason="a network address",
    address=StreamAddress.of("rtsp://cam/live"),
)


def test_only_a_physical_device_can_be_trusted() -> None:
    for lie in (
        {"kind": "file"},
        {"kind": "network"},
        {"kind": "synthetic"},
        {"identity": None},
        {"identity": LOOPBACK},
    ):
        with pytest.raises(UsageError, match="real bus"):
            replace(DEVICE, **lie)


def test_a_physical_device_needs_no_list_and_others_must_be_on_it() -> None:
    assert is_trusted(DEVICE)
    assert not is_trusted(VIRTUAL)
    assert is_trusted(VIRTUAL, ["virtual:video9"])
    assert not is_trusted(VIRTUAL, ["virtual:video1", "video9", "/dev/video0", ""])
    assert not is_trusted(replace(VIRTUAL, identity=None), ["/dev/video0", ""])


def test_a_camera_without_identity_is_trusted_only_by_its_spelled_out_name() -> None:
    unknown = SourceInfo("device", "camera 0", live=True, trusted=False, reason="not on Linux")
    assert unknown.id == "unknown:camera 0"
    assert not is_trusted(unknown)
    assert not is_trusted(unknown, ["camera 0", "unknown:camera 1"])
    assert is_trusted(unknown, ["unknown:camera 0"])


def test_a_stream_is_trusted_by_its_address_whatever_the_credentials() -> None:
    assert not is_trusted(STREAM)
    assert is_trusted(STREAM, ["rtsp://cam/live"])
    assert is_trusted(STREAM, ["rtsp://user:secret@cam/live"])
    assert not is_trusted(STREAM, ["rtsp://cam/other", "rtsp://cam/live/2", "http://cam/live", "rtsp://cam"])


def test_a_stream_whose_address_is_not_known_matches_nothing() -> None:
    for name in ("***", "rtsp://cam/live"):
        nameless = replace(STREAM, name=name, address=None)
        assert not is_trusted(nameless, ["***", "http://a:b/@c", "nonsense", "rtsp://cam/live"])
        assert not judge_source(nameless, ["***"], pinned="***").trusted


def test_two_streams_that_show_the_same_name_are_told_apart() -> None:
    listed = "http://cam/mjpg?id=gate&token=aaa"
    for other in ("http://cam/mjpg?id=yard&token=aaa", "http://cam/mjpg?id=gate&token=bbb"):
        address = StreamAddress.of(other)
        assert address is not None
        assert address.shown == "http://cam/mjpg?id=***&token=***"
        stream = replace(STREAM, name=address.shown, address=address)
        assert is_trusted(stream, [other])
        assert not is_trusted(stream, [listed, address.shown])
        assert judge_source(stream, [other], pinned=other).trusted
        assert not judge_source(stream, [other, listed], pinned=listed).trusted


@pytest.mark.parametrize("kind", ["file", "folder", "synthetic"])
def test_stored_frames_cannot_be_listed(kind: str) -> None:
    info = SourceInfo(kind=kind, name="clip.mp4", live=False, trusted=False, reason="stored")
    assert not is_trusted(info, ["clip.mp4", kind, "***"])


def test_a_synthetic_source_numbers_arrays_and_is_not_trusted() -> None:
    with SyntheticSource((picture(n) for n in range(3)), fps=10) as source:
        assert isinstance(source, Source)
        frames = list(source)
    assert [(frame.seq, frame.t) for frame in frames] == [(0, 0.0), (1, 0.1), (2, 0.2)]
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2]
    assert not source.info.trusted
    assert source.closed


def test_a_synthetic_source_hands_on_frames_errors_and_its_end() -> None:
    def frames() -> object:
        yield Frame(picture(1), t=5.0, seq=3)
        yield np.zeros((3, 3))
        raise AssertionError

    source = SyntheticSource(frames())
    assert next(source).t == 5.0
    with pytest.raises(FrameError):
        next(source)
    source.close()
    source.close()
    assert list(source) == []

    def lost() -> object:
        yield picture(1)
        raise SourceLostError("unplugged")

    with SyntheticSource(lost()) as source:
        next(source)
        with pytest.raises(SourceLostError, match="unplugged"):
            next(source)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_pixels": 0},
        {"open_deadline_s": float("nan")},
        {"read_deadline_s": -1.0},
        {"reconnect_deadline_s": float("inf")},
        {"backoff_start_s": 0.0},
        {"backoff_max_s": 0.0},
        {"folder_fps": 0.0},
        {"width": 0},
        {"height": -5},
        {"fps": 0.0},
        {"identical_frames_as_loss": -1},
        {"transport": "sctp"},
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        SourceOptions(**wrong)


def test_importing_the_room_loads_no_network_library() -> None:
    network = ("httpx", "httpcore", "h11", "ssl", "http")
    code = f"import sys, pipeline.camera; print([m for m in {network} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_everything_that_the_room_offers_can_be_imported() -> None:
    import pipeline.camera

    assert sorted(pipeline.camera.__all__) == sorted(set(pipeline.camera.__all__))
    for name in pipeline.camera.__all__:
        assert hasattr(pipeline.camera, name)


def test_a_verdict_has_its_reason() -> None:
    assert judge_source(DEVICE).trusted
    assert judge_source(DEVICE).reason == DEVICE.reason
    refused = judge_source(VIRTUAL)
    assert not refused.trusted
    assert refused.reason == VIRTUAL.reason
    listed = judge_source(VIRTUAL, ["virtual:video9"])
    assert listed.trusted
    assert "list" in listed.reason


def test_a_pinned_camera_is_that_one_or_none() -> None:
    assert judge_source(DEVICE, pinned=DEVICE.id).trusted
    other = judge_source(DEVICE, [DEVICE.id], pinned="usb:0000:0000:X")
    assert not other.trusted
    assert "pinned" in other.reason


def test_pinning_makes_nothing_trusted() -> None:
    assert not judge_source(VIRTUAL, pinned=VIRTUAL.id).trusted
    assert judge_source(VIRTUAL, [VIRTUAL.id], pinned=VIRTUAL.id).trusted
