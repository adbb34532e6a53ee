"""The camera between checks: newest frame only, one source for all, and a way back after each loss."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from pipeline.camera import Frame, SyntheticSource
from pipeline.camera.frame import Image
from pipeline.errors import SourceLostError, SourceOpenError
from pipeline.kiosk.feed import Feed

from .support import LIVE, Camera

WAIT_S = 20.0


def numbered(n: int) -> list[Image]:
    return [np.full((32, 32, 3), k, np.uint8) for k in range(n)]


def until(true: Callable[[], object]) -> None:
    ends = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.kiosk.feed.RETRY_S", 0.05)


@pytest.fixture
def started() -> Iterator[Callable[..., Feed]]:
    feeds: list[Feed] = []

    def start(opener: Callable[[], object], **more: object) -> Feed:
        feeds.append(Feed(opener, **more))  # type: ignore[arg-type]
        feeds[-1].start()
        return feeds[-1]

    yield start
    for feed in feeds:
        feed.close()


def test_a_stored_source_begins_anew_for_each_check_and_loses_no_frame(started: Callable[..., Feed]) -> None:
    feed = started(lambda: SyntheticSource(numbered(12), fps=200))
    until(lambda: feed.newest() is not None)
    for _ in range(2):
        with feed.tap() as tap:
            seen = []
            for frame in tap:
                seen.append(int(frame.image[0, 0, 0]))
                time.sleep(0.02)  # slower than the source
        assert seen[:11] == list(range(11))


def test_a_live_source_gives_the_newest_frame_and_none_of_before_the_check(
    started: Callable[..., Feed],
) -> None:
    feed = started(Camera(numbered(5)))
    until(lambda: feed.newest() is not None)
    before = feed.newest()
    assert before is not None
    with feed.tap() as tap:
        first = next(tap)
        assert first.seq > before[1].seq
        time.sleep(0.3)  # nothing is queued meanwhile
        assert next(tap).seq > first.seq + 3
    assert tap.size == (32, 32)


def test_a_check_s_end_leaves_the_camera_open(started: Callable[..., Feed]) -> None:
    camera = Camera(numbered(5))
    feed = started(camera)
    until(lambda: feed.newest() is not None)
    for _ in range(3):
        with feed.tap() as tap:
            next(tap)
        assert list(tap) == []
    assert (camera.opened, camera.closed) == (1, 0)
    feed.close()
    assert camera.closed == 1


def test_a_check_is_told_of_a_loss_and_the_feed_opens_again(started: Callable[..., Feed]) -> None:
    camera = Camera(numbered(5))
    feed = started(camera)
    until(lambda: feed.newest() is not None)
    tap = feed.tap()
    next(tap)
    camera.absent = True
    with pytest.raises((SourceLostError, SourceOpenError)):
        list(tap)
    until(lambda: isinstance(feed.error, SourceOpenError))
    camera.absent = False
    until(lambda: camera.opened == 2 and feed.error is None)
    with feed.tap() as again:
        assert next(again).image.shape == (32, 32, 3)


def test_a_source_that_does_not_open_is_tried_again_and_told(started: Callable[..., Feed]) -> None:
    tries = []
    camera = Camera(numbered(3))

    def opener() -> object:
        tries.append(1)
        if len(tries) < 3:
            raise SourceOpenError("not there")
        return camera()

    feed = started(opener)
    assert feed.stalled
    until(lambda: feed.error is not None or feed.newest() is not None)
    until(lambda: feed.newest() is not None)
    assert (len(tries), feed.error, feed.stalled) == (3, None, False)


def test_a_camera_put_in_another_s_place_gives_a_check_no_frame(started: Callable[..., Feed]) -> None:
    """The gate judges a source once, at the check's begin: what is opened after that must be the same."""
    first, other = Camera(numbered(3)), Camera(numbered(3), replace(LIVE, name="another camera"))
    opening, go_on = threading.Event(), threading.Event()

    def opener() -> object:
        if first.opened == 0:
            return first()
        opening.set()
        go_on.wait(WAIT_S)
        return other()

    feed = started(opener)
    until(lambda: feed.newest() is not None)
    first.absent = True
    assert opening.wait(WAIT_S)
    tap = feed.tap()
    assert tap.info.name == "test camera"
    go_on.set()
    with pytest.raises(SourceLostError):
        next(tap)
    with feed.tap() as again:
        assert again.info.name == "another camera"
        next(again)


def test_closing_frees_a_camera_that_gives_nothing(
    started: Callable[..., Feed], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(SyntheticSource):
        def __next__(self) -> Frame:
            opened.set()
            self._closed.wait(WAIT_S)
            raise StopIteration

    opened = threading.Event()
    source = Silent([], LIVE)
    feed = started(lambda: source)
    assert opened.wait(WAIT_S)
    feed.close()
    assert source.closed
    assert not feed._thread.is_alive()


def test_a_camera_that_stays_away_is_logged_once(
    started: Callable[..., Feed], caplog: pytest.LogCaptureFixture
) -> None:
    camera = Camera(numbered(3))
    camera.absent = True
    tries = []

    def opener() -> object:
        tries.append(1)
        return camera()

    started(opener)
    until(lambda: len(tries) > 3)
    assert caplog.text.count("not there") == 1


def test_a_driver_that_breaks_does_not_end_the_thread(started: Callable[..., Feed]) -> None:
    calls = []

    def opener() -> object:
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError
        return Camera(numbered(3))()

    feed = started(opener)
    until(lambda: feed.newest() is not None)


def test_a_check_can_be_ended_while_it_waits_for_a_frame(started: Callable[..., Feed]) -> None:
    camera = Camera(numbered(3))
    feed = started(camera)
    until(lambda: feed.newest() is not None)
    release = threading.Event()
    stalled = threading.Event()
    camera.scene = _Blocking(release)
    tap = feed.tap(on_stall=stalled.set)
    threading.Timer(0.2, tap.end).start()
    try:
        assert list(tap) is not None
    finally:
        release.set()


class _Blocking(list[Image]):
    """A scene whose frames don't come until they are released."""

    def __init__(self, release: threading.Event) -> None:
        super().__init__(numbered(1))
        self._release = release

    def __getitem__(self, index: object) -> Image:  # type: ignore[override]
        self._release.wait(WAIT_S)
        return super().__getitem__(0)


def test_a_stall_is_told_once_to_the_check_that_waits(
    started: Callable[..., Feed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.kiosk.feed.STALL_S", 0.2)
    camera = Camera(numbered(3))
    feed = started(camera)
    until(lambda: feed.newest() is not None)
    release = threading.Event()
    camera.scene = _Blocking(release)
    told: list[bool] = []
    tap = feed.tap(on_stall=lambda: told.append(feed.stalled))
    threading.Timer(1.0, release.set).start()
    while not told:
        next(tap)
    next(tap)
    assert told == [True]
    assert not feed.stalled


def test_the_gate_s_time_for_a_frame_is_measured(started: Callable[..., Feed]) -> None:
    feed = started(Camera(numbered(3)))
    until(lambda: feed.newest() is not None)
    assert feed.gate_times.median is None
    with feed.tap() as tap:
        for _ in range(3):
            next(tap)
            time.sleep(0.01)
    assert feed.gate_times.median is not None
    assert feed.gate_times.median >= 0.01
    assert feed.rate > 0
