from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.camera import ManualClock, Source, SourceOptions, open_source
from pipeline.camera import device as device_module
from pipeline.camera.capture import Capture
from pipeline.camera.clock import Clock
from pipeline.camera.device import device_source
from pipeline.camera.live import LiveSource
from pipeline.errors import SourceOpenError

from .support import ScriptedCapture, VideoWriter, jpeg, number_of, picture
from .test_identity import Sysfs

LINUX = pytest.mark.skipif(os.name != "posix", reason="device nodes are Linux's")


class Cameras:
    """Stands in for OpenCV's cameras: which numbers were opened, and with what."""

    def __init__(self) -> None:
        self.opened: list[int] = []
        self.captures: list[ScriptedCapture] = []
        self.on_open = lambda: None

    def __call__(self, index: int, options: SourceOptions, clock: Clock) -> Capture:
        self.opened.append(index)
        self.on_open()
        capture = ScriptedCapture(clock, picture(index))  # type: ignore[arg-type]
        self.captures.append(capture)
        return capture


@pytest.fixture
def cameras() -> Cameras:
    return Cameras()


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path / "sys")


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    folder = tmp_path / "dev"
    folder.mkdir()
    return folder


@pytest.fixture
def machine(sysfs: Sysfs, dev: Path) -> Sysfs:
    """video0 is a USB camera, video9 a loopback that calls itself a camera."""
    sysfs.usb_camera("video0", serial="A1")
    sysfs.node("video9", None, "Integrated Camera")
    (dev / "video0").touch()
    (dev / "video9").touch()
    return sysfs


def opened(
    spec: int | str | Path, machine: Sysfs, dev: Path, cameras: Cameras, monkeypatch: pytest.MonkeyPatch
) -> Source:
    monkeypatch.setattr("pipeline.camera.opening.device_source", _with(cameras))
    return open_source(spec, clock=ManualClock(), sysfs_root=machine.root, dev_root=dev)


def _with(cameras: Cameras):  # type: ignore[no-untyped-def]
    def source(*args, **kwargs):  # type: ignore[no-untyped-def]
        return device_source(*args, **kwargs, opener=cameras, linux=True)

    return source


@LINUX
def test_a_number_a_digit_string_a_node_and_a_link_to_it_are_the_same_camera(
    machine: Sysfs, dev: Path, cameras: Cameras, monkeypatch: pytest.MonkeyPatch
) -> None:
    (dev / "by-id").mkdir()
    (dev / "by-id" / "usb-cam").symlink_to("../video0")
    for spec in (0, "0", " 0 ", str(dev / "video0"), dev / "video0", dev / "by-id" / "usb-cam"):
        with opened(spec, machine, dev, cameras, monkeypatch) as source:
            assert number_of(next(source).image) == 0
            assert source.info.trusted, source.info.reason
            assert source.info.identity is not None
            assert source.info.identity.id == "usb:046d:0825:A1"
            assert source.info.live
    assert cameras.opened == [0] * 6


@LINUX
def test_a_virtual_camera_opens_and_is_not_trusted(
    machine: Sysfs, dev: Path, cameras: Cameras, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(9, machine, dev, cameras, monkeypatch) as source:
        assert not source.info.trusted
        assert "no parent device" in source.info.reason


@LINUX
def test_a_camera_that_sysfs_does_not_know_is_not_trusted(
    machine: Sysfs, dev: Path, cameras: Cameras, monkeypatch: pytest.MonkeyPatch
) -> None:
    (dev / "video3").touch()
    with opened(3, machine, dev, cameras, monkeypatch) as source:
        assert (source.info.trusted, source.info.identity) == (False, None)


def test_on_other_systems_a_camera_is_not_trusted_and_the_reason_says_why(
    cameras: Cameras, clock: ManualClock
) -> None:
    factory, info = device_source(0, SourceOptions(), clock, opener=cameras, linux=False)
    with LiveSource(factory, info, SourceOptions(), clock) as source:
        assert (source.info.trusted, source.info.identity) == (False, None)
        assert "Linux only" in source.info.reason


def replug(machine: Sysfs, dev: Path, old: str, new: str, serial: str) -> None:
    """Take a camera out and put one in, which gets another number."""
    (machine.root / "class" / "video4linux" / old).unlink()
    (dev / old).unlink()
    machine.usb_camera(new, serial=serial)
    (dev / new).touch()


@LINUX
def test_a_camera_that_comes_back_under_another_number_is_found(
    machine: Sysfs, dev: Path, cameras: Cameras, clock: ManualClock
) -> None:
    factory, _ = device_source(
        0, SourceOptions(), clock, opener=cameras, sysfs_root=machine.root, dev_root=dev, linux=True
    )
    factory()
    replug(machine, dev, "video0", "video1", serial="A1")
    factory()
    assert cameras.opened == [0, 1]


@LINUX
def test_another_camera_is_not_taken_for_the_lost_one(
    machine: Sysfs, dev: Path, cameras: Cameras, clock: ManualClock
) -> None:
    factory, _ = device_source(
        0, SourceOptions(), clock, opener=cameras, sysfs_root=machine.root, dev_root=dev, linux=True
    )
    factory()
    replug(machine, dev, "video0", "video1", serial="B2")
    with pytest.raises(SourceOpenError, match="not there any more"):
        factory()
    machine.node("video0", None, "Integrated Camera")
    with pytest.raises(SourceOpenError, match="not there any more"):
        factory()
    assert cameras.opened == [0]


@LINUX
def test_a_node_that_changes_hands_while_it_is_opened_is_given_back(
    machine: Sysfs, dev: Path, cameras: Cameras, clock: ManualClock
) -> None:
    factory, _ = device_source(
        0, SourceOptions(), clock, opener=cameras, sysfs_root=machine.root, dev_root=dev, linux=True
    )

    def swap() -> None:
        (machine.root / "class" / "video4linux" / "video0").unlink()
        machine.node("video0", None, "Integrated Camera")

    cameras.on_open = swap
    with pytest.raises(SourceOpenError, match="changed while it was opened"):
        factory()
    assert cameras.captures[0].closed.is_set()


@LINUX
@pytest.mark.parametrize("number", ["81:0", "", None])
def test_a_node_of_another_device_than_sysfs_names_is_not_trusted(
    number: str | None, machine: Sysfs, dev: Path, cameras: Cameras, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a container gets the host's loopback as its /dev/video0."""
    (dev / "video0").unlink()
    (dev / "video0").symlink_to("/dev/null")
    if number is not None:
        (machine.root / "class" / "video4linux" / "video0" / "dev").write_text(f"{number}\n")
    with opened(0, machine, dev, cameras, monkeypatch) as source:
        assert (source.info.trusted, source.info.identity) == (False, None)
        assert "another device" in source.info.reason


@LINUX
def test_a_node_of_the_device_that_sysfs_names_is_trusted_for_as_long_as_it_is(
    machine: Sysfs, dev: Path, cameras: Cameras, clock: ManualClock
) -> None:
    (dev / "video0").unlink()
    (dev / "video0").symlink_to("/dev/null")
    null = (dev / "video0").stat().st_rdev
    number = machine.root / "class" / "video4linux" / "video0" / "dev"
    number.write_text(f"{os.major(null)}:{os.minor(null)}\n")
    factory, info = device_source(
        0, SourceOptions(), clock, opener=cameras, sysfs_root=machine.root, dev_root=dev, linux=True
    )
    assert info.trusted
    factory()
    number.write_text("81:0\n")
    with pytest.raises(SourceOpenError):
        factory()
    assert [capture.closed.is_set() for capture in cameras.captures] == [False, True]


@LINUX
def test_no_such_camera_and_no_right_to_it_are_told_apart(
    machine: Sysfs, dev: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceOpenError, match="there is no camera") as caught:
        open_source(5, sysfs_root=machine.root, dev_root=dev)
    assert "doctor" in caught.value.hint
    monkeypatch.setattr(device_module.os, "access", lambda *_: False)
    with pytest.raises(SourceOpenError, match="may not use") as caught:
        open_source(0, sysfs_root=machine.root, dev_root=dev)
    assert "group `video`" in caught.value.hint


@LINUX
def test_a_node_that_is_no_camera_is_refused_with_the_way_out(machine: Sysfs, dev: Path) -> None:
    machine.usb_camera("video998")
    (dev / "video998").touch()
    with pytest.raises(SourceOpenError, match="camera 998 can't be opened") as caught:
        open_source(998, sysfs_root=machine.root, dev_root=dev)
    assert "program that holds it" in caught.value.hint


@pytest.mark.parametrize("index", [-1, 1000, "-3", "999999999"])
def test_numbers_that_no_camera_has_are_refused(index: int | str) -> None:
    with pytest.raises(SourceOpenError, match="there is no camera"):
        open_source(index)


@pytest.mark.parametrize("spec", ["ftp://host/clip.mp4", "file:///clip.mp4", "rtmp://h/x", "s3cret:pw@h://x"])
def test_other_schemes_are_refused(spec: str) -> None:
    with pytest.raises(SourceOpenError, match="not a kind of source") as caught:
        open_source(spec)
    assert "rtsp:// or http://" in caught.value.hint
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize("spec", ["http://", "rtsp:///x", "http://a b/", "http://h:port/", "https://h/\n"])
def test_malformed_urls_are_refused(spec: str) -> None:
    with pytest.raises(SourceOpenError, match="URL"):
        open_source(spec)


@pytest.mark.parametrize("spec", [True, None, 1.5, b"clip.mp4", "", "  ", "a\0b"])
def test_what_names_no_source_is_refused(spec: object) -> None:
    with pytest.raises(SourceOpenError):
        open_source(spec)  # type: ignore[arg-type]


def test_missing_empty_and_special_files_are_refused_each_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError, match=r"no file or folder gone\.mp4"):
        open_source(tmp_path / "gone.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(SourceOpenError, match=r"empty\.mp4 is empty"):
        open_source(tmp_path / "empty.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(SourceOpenError, match="neither a file nor a folder"):
        open_source(tmp_path / "pipe.mp4")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SourceOpenError):
        open_source(tmp_path / "loop")


def test_an_id_number_in_a_missing_files_name_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError) as caught:
        open_source(tmp_path / "张三_33010319900101123X.jpg")
    assert "330103" not in caught.value.message
    assert "张三" not in caught.value.message


def test_a_file_whose_name_is_a_number_is_reached_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("0").write_bytes(jpeg(7))
    with open_source("./0") as source:
        assert number_of(next(source).image) == 7


def test_every_kind_of_source_is_a_source(write_video: VideoWriter, tmp_path: Path) -> None:
    video = write_video()
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    for spec in (video, tmp_path, tmp_path / "a.jpg"):
        with open_source(spec) as source:
            assert isinstance(source, Source)
            assert next(iter(source)).seq == 0


def test_a_file_opens_no_connection(
    write_video: VideoWriter, tmp_path: Path, no_connections: list[object]
) -> None:
    with open_source(write_video("clip.mp4", fourcc="mp4v")) as source:
        assert len(list(source)) == 10
    assert no_connections == []
