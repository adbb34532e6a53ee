from __future__ import annotations

import os

import pytest

from pipeline.camera import SourceOptions, open_source
from pipeline.camera.capture import _transport
from pipeline.errors import SourceOpenError

from .support import RtspServer, number_of

PATIENT = SourceOptions(open_deadline_s=30, read_deadline_s=30, reconnect_deadline_s=60, backoff_start_s=0.01)


def test_frames_of_an_rtsp_stream_come_over_tcp_in_order(rtsp_server: RtspServer) -> None:
    with open_source(rtsp_server.url(), options=PATIENT) as source:
        frames = [next(source) for _ in range(8)]
    assert all(frame.image.shape == (48, 64, 3) for frame in frames)
    assert [frame.seq for frame in frames] == sorted({frame.seq for frame in frames})
    assert [frame.t for frame in frames] == sorted({frame.t for frame in frames})
    steps = [(number_of(frame.image) - frame.seq) % 20 for frame in frames]
    assert len(set(steps)) == 1
    (setup,) = [fields for method, fields in rtsp_server.asked if method == "SETUP"]
    assert setup["transport"].startswith("RTP/AVP/TCP")
    assert (source.info.kind, source.info.live, source.info.trusted) == ("network", True, False)


def test_an_rtsp_stream_that_stops_is_reconnected(rtsp_server: RtspServer) -> None:
    rtsp_server.frames = 40
    options = SourceOptions(
        open_deadline_s=30, read_deadline_s=0.5, reconnect_deadline_s=60, backoff_start_s=0.01
    )
    with open_source(rtsp_server.url(), options=options) as source:
        while source.stats.reconnects < 1 or source.stats.losses < 1:
            next(source)
        next(source)
    assert len([method for method, _ in rtsp_server.asked if method == "PLAY"]) >= 2


def test_an_rtsp_server_that_says_nothing_is_a_deadline_and_shows_no_password(
    rtsp_server: RtspServer, capfd: pytest.CaptureFixture[str]
) -> None:
    rtsp_server.mode = "silent"
    with pytest.raises(SourceOpenError) as caught:
        open_source(rtsp_server.url("me:s3cretWord@"), options=SourceOptions(open_deadline_s=0.5))
    for text in (caught.value.message, caught.value.hint, *capfd.readouterr()):
        assert "s3cretWord" not in text


def test_a_port_where_no_rtsp_server_listens_is_refused(
    rtsp_server: RtspServer, capfd: pytest.CaptureFixture[str]
) -> None:
    rtsp_server.server_close()
    with pytest.raises(SourceOpenError, match=r"rtsp://127\.0\.0\.1:\d+/stream can't be opened") as caught:
        open_source(rtsp_server.url("me:s3cretWord@"))
    for text in (caught.value.message, caught.value.hint, *capfd.readouterr()):
        assert "s3cretWord" not in text


def test_udp_is_asked_of_ffmpeg_only_while_a_stream_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
    monkeypatch.delenv(name, raising=False)
    with _transport("udp"):
        assert os.environ[name] == "rtsp_transport;udp"
    assert name not in os.environ
    with _transport("tcp"):
        assert name not in os.environ
    monkeypatch.setenv(name, "rtsp_transport;http")
    with _transport("udp"):
        assert os.environ[name] == "rtsp_transport;http"
    assert os.environ[name] == "rtsp_transport;http"
