from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from pipeline.camera import (
    Capture,
    CvCapture,
    Frame,
    LiveSource,
    Loss,
    ManualClock,
    Source,
    SourceInfo,
    SourceOptions,
)
from pipeline.camera.capture import capture_time
from pipeline.errors import ClientCode, FrameError, SourceFrozenError, SourceLostError, SourceOpenError

from .support import ScriptedCapture, number_of, picture, wait_until

INFO = SourceInfo(kind="device", name="camera 0", live=True, trusted=False, reason="a test")
PATIENT = SourceOptions(read_deadline_s=1e6, open_deadline_s=1e6, reconnect_deadline_s=1e7)
"""Deadlines that a ticking clock does not reach: for tests in which nothing but the script ends a read."""


class Factory:
    """Hands out one capture after the other; an exception is raised; a callable is called. Then it fails."""

    def __init__(self, *items: Any) -> None:
        self.items = list(items)
        self.calls = 0

    def __call__(self) -> Capture:
        self.calls += 1
        if not self.items:
            raise SourceOpenError("no such device")
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise item
        return item() if callable(item) else item


def shots(source: LiveSource, count: int) -> None:
    wait_until(lambda: source.stats.shots >= count, f"{count} shots")


def test_the_consumer_gets_the_newest_frame_and_sees_how_many_were_dropped(clock: ManualClock) -> None:
    capture = ScriptedCapture(clock, picture(0))
    with LiveSource(Factory(capture), INFO, PATIENT, clock) as source:
        assert isinstance(source, Source)
        assert next(source).seq == 0
        for number in range(1, 6):
            capture.push(picture(number))
        shots(source, 6)
        frame = next(source)
        assert (frame.seq, number_of(frame.image)) == (5, 5)
        assert source.stats.dropped == 4
        capture.push(picture(6))
        assert next(source).seq == 6
        assert source.stats.dropped == 4


def test_a_frame_has_the_time_of_its_grab_and_not_of_its_delivery(clock: ManualClock) -> None:
    capture = ScriptedCapture(clock, picture(0))
    with LiveSource(Factory(capture), INFO, PATIENT, clock) as source:
        grabbed = clock.now()
        clock.advance(0.75)
        assert next(source).t == grabbed
        capture.push(picture(1))
        assert next(source).t == grabbed + 0.75


def test_frames_are_normalised_and_read_only_without_a_copy_of_bgr(clock: ManualClock) -> None:
    given = picture(0)
    capture = ScriptedCapture(clock, given, np.full((20, 20), 9, np.uint8))
    with LiveSource(Factory(capture), INFO, PATIENT, clock) as source:
        shots(source, 2)
        assert next(source).image.shape == (20, 20, 3)
        last = picture(1)
        capture.push(last)
        frame = next(source)
        assert frame.image is last
        assert not frame.image.flags.writeable


def test_a_consumer_waits_for_a_frame_that_comes_later(clock: ManualClock) -> None:
    capture = ScriptedCapture(clock, picture(0))
    with LiveSource(Factory(capture), INFO, PATIENT, clock) as source:
        next(source)
        got: list[Frame] = []
        consumer = threading.Thread(target=lambda: got.append(next(source)))
        consumer.start()
        capture.push(picture(3))
        consumer.join(10)
        assert number_of(got[0].image) == 3


@pytest.mark.parametrize("end", [None, RuntimeError("driver"), SourceOpenError("gone")])
def test_after_a_loss_it_reconnects_and_goes_on(end: Any, ticking: ManualClock) -> None:
    first = ScriptedCapture(ticking, picture(0))
    second = ScriptedCapture(ticking, picture(1))
    factory = Factory(first, SourceOpenError("busy"), OSError("odd"), second)
    with LiveSource(factory, INFO, PATIENT, ticking) as source:
        next(source)
        first.push(end)
        frame = next(source)
        assert (frame.seq, number_of(frame.image)) == (1, 1)
        stats = source.stats
    assert (stats.losses, stats.reconnects, stats.last_loss) == (1, 1, Loss.ENDED)
    assert factory.calls == 4
    assert first.closed.is_set()
    assert second.closed.is_set()


class SkippingClock(ManualClock):
    """Jumps to the end of each wait of the reader."""

    def wait(self, condition: threading.Condition, timeout: float) -> None:
        if threading.current_thread().name == "livegate-camera":
            self.advance(timeout)
        else:
            super().wait(condition, timeout)


def test_pauses_between_tries_grow_and_begin_anew_after_a_new_frame() -> None:
    clock = SkippingClock()
    tries: list[float] = []
    captures = [ScriptedCapture(clock, picture(number)) for number in range(3)]
    script: list[ScriptedCapture | None] = [captures[0], *[None] * 4, captures[1], *[None] * 2, captures[2]]

    def factory() -> Capture:
        tries.append(clock.now())
        capture = script[len(tries) - 1]
        if capture is None:
            raise SourceOpenError("busy")
        return capture

    options = SourceOptions(
        backoff_start_s=1.0, backoff_max_s=4.0, reconnect_deadline_s=1e6, read_deadline_s=1e6
    )
    with LiveSource(factory, INFO, options, clock) as source:
        captures[0].push(None)
        shots(source, 2)
        captures[1].push(None)
        shots(source, 3)
    pauses = [after - before for before, after in pairwise(tries)]
    assert pauses == pytest.approx([1, 2, 4, 4, 4, 1, 2, 4])


def test_a_source_that_does_not_come_back_is_lost(ticking: ManualClock) -> None:
    capture = ScriptedCapture(ticking, picture(0))
    with LiveSource(Factory(capture), INFO, SourceOptions(), ticking) as source:
        next(source)
        capture.push(None)
        for _ in range(2):
            with pytest.raises(SourceLostError, match="camera 0 was lost for 20 s: it stopped") as caught:
                next(source)
        assert caught.value.client_code is ClientCode.INTERRUPTED
        source.close()
        assert list(source) == []


def test_identical_frames_are_not_handed_on_and_end_as_a_loss(ticking: ManualClock) -> None:
    frozen = ScriptedCapture(ticking, picture(0))
    good = ScriptedCapture(ticking, picture(1))
    options = SourceOptions(
        identical_frames_as_loss=5, read_deadline_s=1e6, open_deadline_s=1e6, reconnect_deadline_s=1e7
    )
    factory = Factory(frozen, good)
    with LiveSource(factory, INFO, options, ticking) as source:
        next(source)
        for _ in range(4):
            frozen.push(picture(0))
        shots(source, 5)
        assert factory.calls == 1
        frozen.push(picture(0))
        assert number_of(next(source).image) == 1
        assert source.stats.last_loss is Loss.FROZEN
        assert source.stats.repeats == 5


def test_a_changed_pixel_starts_the_count_of_repeats_anew(clock: ManualClock) -> None:
    capture = ScriptedCapture(clock, picture(0))
    options = SourceOptions(identical_frames_as_loss=3)
    with LiveSource(Factory(capture), INFO, options, clock) as source:
        for number in range(4):
            for _ in range(3 if number else 2):
                capture.push(picture(number))
        shots(source, 12)
        assert source.stats.losses == 0
        assert source.stats.repeats == 8


def test_a_device_that_is_still_frozen_after_reconnecting_is_lost_for_good(ticking: ManualClock) -> None:
    def frozen() -> ScriptedCapture:
        return ScriptedCapture(ticking, *[picture(0)] * 9)

    options = SourceOptions(identical_frames_as_loss=4, read_deadline_s=1e6, open_deadline_s=1e6)
    with LiveSource(Factory(*[frozen] * 10_000), INFO, options, ticking) as source:
        next(source)
        with pytest.raises(SourceFrozenError, match="frozen"):
            list(source)


def test_repeats_slower_than_the_read_deadline_are_a_loss_before_their_number_is(clock: ManualClock) -> None:
    capture = ScriptedCapture(clock, picture(0))
    options = SourceOptions(identical_frames_as_loss=1000, read_deadline_s=3.0)
    with LiveSource(Factory(capture), INFO, options, clock) as source:
        next(source)
        for count in range(2, 5):
            clock.advance(1.0)
            capture.push(picture(0))
            shots(source, count)
        wait_until(lambda: source.stats.last_loss is Loss.FROZEN, "the loss")


def test_repeats_can_be_let_through(clock: ManualClock) -> None:
    capture = ScriptedCapture(clock, picture(0))
    options = SourceOptions(identical_frames_as_loss=0)
    with LiveSource(Factory(capture), INFO, options, clock) as source:
        for count in range(1, 50):
            assert number_of(next(source).image) == 0
            capture.push(picture(0))
            shots(source, count + 1)
        assert (source.stats.losses, source.stats.repeats) == (0, 0)


def test_a_blocked_read_is_left_behind_and_its_late_frame_is_not_used(ticking: ManualClock) -> None:
    stuck = ScriptedCapture(ticking, picture(0), closable=False)
    good = ScriptedCapture(ticking, picture(1))
    with LiveSource(Factory(stuck, good), INFO, SourceOptions(reconnect_deadline_s=1e6), ticking) as source:
        next(source)
        assert number_of(next(source).image) == 1
        assert source.stats.losses >= 1
        assert stuck.closed.is_set()
        stuck.push(picture(9))
        good.push(picture(2))
        assert number_of(next(source).image) == 2


def test_an_opening_that_blocks_does_not_block_the_consumer(ticking: ManualClock) -> None:
    release = threading.Event()

    def stuck() -> Capture:
        release.wait(60)
        raise SourceOpenError("too late")

    capture = ScriptedCapture(ticking, picture(0))
    source = LiveSource(Factory(capture, *[stuck] * 9), INFO, SourceOptions(), ticking)
    next(source)
    capture.push(None)
    with pytest.raises(SourceLostError):
        next(source)
    release.set()
    source.close()


def test_a_frame_from_before_a_standstill_is_not_given_as_new(clock: ManualClock) -> None:
    stuck = ScriptedCapture(clock, picture(0), picture(1), closable=False)
    good = ScriptedCapture(clock)
    with LiveSource(Factory(stuck, good), INFO, SourceOptions(read_deadline_s=3.0), clock) as source:
        shots(source, 2)
        clock.advance(3.5)
        got: list[Frame] = []
        consumer = threading.Thread(target=lambda: got.append(next(source)))
        consumer.start()
        wait_until(lambda: source.stats.last_loss is Loss.BLOCKED, "the watchdog")
        good.push(picture(2))
        wait_until(lambda: clock.advance(0.001) or not consumer.is_alive(), "the next frame")
        stuck.push(None)
        assert number_of(got[0].image) == 2


def test_a_slow_consumer_is_no_loss(clock: ManualClock) -> None:
    capture = ScriptedCapture(clock, picture(0))
    with LiveSource(Factory(capture), INFO, SourceOptions(), clock) as source:
        for number in range(1, 4):
            next(source)
            for step in range(5):
                clock.advance(2.0)
                capture.push(picture(number * 5 + step))
            shots(source, 1 + number * 5)
        assert source.stats.losses == 0


def test_a_bad_frame_is_an_error_and_the_next_one_goes_on(clock: ManualClock) -> None:
    capture = ScriptedCapture(clock, picture(0))
    with LiveSource(Factory(capture), INFO, PATIENT, clock) as source:
        next(source)
        for bad in (np.zeros((4, 4, 3), np.uint8), np.zeros((48, 64, 3), np.float32)):
            capture.push(bad)
            with pytest.raises(FrameError):
                next(source)
        capture.push(picture(1))
        assert number_of(next(source).image) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reader_that_dies_is_noticed(ticking: ManualClock) -> None:
    class Nonsense(ScriptedCapture):
        def read(self) -> Any:
            shot = super().read()
            return "not a shot" if shot is not None and number_of(shot.image) == 9 else shot

    first = Nonsense(ticking, picture(0))
    second = ScriptedCapture(ticking, picture(1))
    with LiveSource(Factory(first, second), INFO, PATIENT, ticking) as source:
        next(source)
        first.push(picture(9))
        assert number_of(next(source).image) == 1


@pytest.mark.parametrize("problem", [SourceOpenError("camera 0 is busy"), OSError("x"), ValueError("x")])
def test_a_source_that_cannot_be_opened_says_so_at_once(problem: Exception, clock: ManualClock) -> None:
    factory = Factory(problem)
    with pytest.raises(SourceOpenError, match=r"busy|can't be opened"):
        LiveSource(factory, INFO, SourceOptions(), clock)
    assert factory.calls == 1


def test_a_source_without_a_frame_is_refused_and_given_back(clock: ManualClock) -> None:
    capture = ScriptedCapture(clock, None)
    with pytest.raises(SourceOpenError, match="gives no frame"):
        LiveSource(Factory(capture), INFO, SourceOptions(), clock)
    assert capture.closed.is_set()


def test_a_first_frame_that_does_not_come_is_a_deadline(ticking: ManualClock) -> None:
    capture = ScriptedCapture(ticking)
    with pytest.raises(SourceOpenError, match="gave no frame within 10 s"):
        LiveSource(Factory(capture), INFO, SourceOptions(), ticking)
    assert capture.closed.is_set()


def test_a_first_frame_that_is_too_large_is_refused(clock: ManualClock) -> None:
    capture = ScriptedCapture(clock, picture(0))
    with pytest.raises(FrameError, match="limit of 1000 pixels"):
        LiveSource(Factory(capture), INFO, SourceOptions(max_pixels=1000), clock)
    assert capture.closed.is_set()


def test_close_wakes_a_consumer_that_waits(clock: ManualClock) -> None:
    capture = ScriptedCapture(clock, picture(0))
    source = LiveSource(Factory(capture), INFO, PATIENT, clock)
    next(source)
    rest: list[list[Frame]] = []
    consumer = threading.Thread(target=lambda: rest.append(list(source)))
    consumer.start()
    source.close()
    consumer.join(10)
    assert rest == [[]]
    assert capture.closed.is_set()


def test_close_may_be_called_by_many_threads_at_once(clock: ManualClock) -> None:
    capture = ScriptedCapture(clock, picture(0))
    source = LiveSource(Factory(capture), INFO, PATIENT, clock)
    threads = [threading.Thread(target=source.close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert list(source) == []


def test_a_blocked_read_does_not_block_close_and_the_thread_ends_with_it(clock: ManualClock) -> None:
    capture = ScriptedCapture(clock, picture(0), closable=False)
    source = LiveSource(Factory(capture), INFO, PATIENT, clock)
    next(source)
    source.close()
    assert capture.closed.is_set()
    readers = [thread for thread in threading.enumerate() if thread.name == "livegate-camera"]
    assert [thread.daemon for thread in readers] == [True]
    capture.push(picture(1))
    wait_until(lambda: not readers[0].is_alive(), "the reader's end")
    assert list(source) == []


def test_closing_during_the_wait_to_reconnect_ends_it(clock: ManualClock) -> None:
    capture = ScriptedCapture(clock, picture(0))
    source = LiveSource(Factory(capture), INFO, PATIENT, clock)
    capture.push(None)
    wait_until(lambda: source.stats.losses == 1, "the loss")
    source.close()
    assert list(source) == []


class BlockingVideo:
    """Stands in for `cv2.VideoCapture`; its grab returns when it is told to."""

    def __init__(self) -> None:
        self.grabbing = threading.Event()
        self.go = threading.Event()
        self.released_while_grabbing = False
        self.released = threading.Event()

    def grab(self) -> bool:
        self.grabbing.set()
        self.go.wait(30)
        self.grabbing.clear()
        return True

    def get(self, _: int) -> float:
        return 40.0

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, picture(1)

    def release(self) -> None:
        self.released_while_grabbing |= self.grabbing.is_set()
        self.released.set()


def run(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def test_opencvs_capture_is_released_by_the_read_that_was_running(clock: ManualClock) -> None:
    video = BlockingVideo()
    capture = CvCapture(video, clock)  # type: ignore[arg-type]
    results: list[object] = []
    reader = run(lambda: results.append(capture.read()))
    assert video.grabbing.wait(10)
    capture.close()
    capture.close()
    assert not video.released.is_set()
    video.go.set()
    reader.join(10)
    assert results == [None]
    assert video.released.is_set()
    assert not video.released_while_grabbing
    assert capture.read() is None


def test_opencvs_capture_is_released_at_once_when_nothing_reads(clock: ManualClock) -> None:
    video = BlockingVideo()
    video.go.set()
    capture = CvCapture(video, clock)  # type: ignore[arg-type]
    shot = capture.read()
    assert shot is not None
    assert (shot.t, shot.stamp) == (clock.now(), 0.04)
    capture.close()
    assert video.released.is_set()


def test_the_drivers_time_is_taken_only_where_it_is_of_the_same_clock() -> None:
    assert capture_time(99.98, 100.0) == 99.98
    for stamp in (100.01, 99.4, 0.0, -1.0, float("nan"), float("inf"), 1.7e9):
        assert capture_time(stamp, 100.0) == 100.0
