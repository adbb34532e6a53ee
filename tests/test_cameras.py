"""Several cameras on one set of nets: fair turns, deadlines of their own, and nobody waits for a slow one."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline import Cameras, ClientCode, Guidance, Person, Reason, Result, Settings, SyntheticSource
from pipeline.camera.frame import Frame, Image
from pipeline.demo.scene import render_person, render_replay
from pipeline.errors import ConsentError, MatchError, UsageError
from pipeline.loaded import Turn
from pipeline.match.client import MatchResult
from pipeline.match.encode import Upload

PERSON = Person("样例", "11010519491231002X")
WAIT_S = 60


@pytest.fixture(scope="module")
def person(astronaut: Image) -> list[Image]:
    return list(render_person(astronaut, 30))


@pytest.fixture(scope="module")
def replay(astronaut: Image) -> list[Image]:
    return list(render_replay(astronaut, 60))


@pytest.fixture(autouse=True)
def no_file_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Stuck(SyntheticSource):
    """Gives its frames and then nothing until it is released; closing it frees nobody."""

    def __init__(self, frames: list[Image]) -> None:
        super().__init__(frames)
        self.release = threading.Event()

    def __next__(self) -> Frame:
        try:
            return super().__next__()
        except StopIteration:
            self.release.wait(WAIT_S)
            raise


def results(cameras: Cameras) -> dict[str, Result]:
    return {name: event for name, event in cameras.events() if isinstance(event, Result)}


def test_turns_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    turn, order = Turn(), []

    def take(name: int) -> None:
        with turn:
            order.append(name)

    threads = []
    with turn:
        for name in range(8):
            threads.append(threading.Thread(target=take, args=(name,)))
            threads[-1].start()
            while turn.waiting <= name:
                time.sleep(0.001)
    for thread in threads:
        thread.join(WAIT_S)
    assert order == list(range(8))
    assert turn.waiting == 0


def test_busy_cameras_get_equal_shares() -> None:
    turn, taken, stop = Turn(), Counter[int](), threading.Event()
    gate = threading.Barrier(4)

    def hog(name: int) -> None:
        gate.wait(WAIT_S)
        while not stop.is_set():
            with turn:
                taken[name] += 1
                if sum(taken.values()) >= 400:
                    stop.set()
                while turn.waiting < 3 and not stop.is_set():
                    time.sleep(0)  # the others ask before it is given back

    threads = [threading.Thread(target=hog, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert min(taken.values()) >= 99


def test_turn_is_given_back_after_an_error() -> None:
    turn = Turn()
    with pytest.raises(ValueError, match="inside"), turn:
        raise ValueError("inside")
    with turn:
        assert turn.waiting == 0


def test_each_camera_gets_its_own_verdict(person: list[Image], replay: list[Image]) -> None:
    with Cameras(Settings(mode="liveness")) as cameras:
        for number in range(3):
            cameras.start(f"person {number}", SyntheticSource(person))
        cameras.start("replay", SyntheticSource(replay))
        found = results(cameras)
        assert cameras.running == ()
    assert set(found) == {"person 0", "person 1", "person 2", "replay"}
    for number in range(3):
        assert found[f"person {number}"].code is ClientCode.PASSED
    assert not found["replay"].passed


def test_stuck_camera_delays_nobody_and_is_given_up(
    person: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.cameras.GRACE_S", 0.1)
    stuck = Stuck(person[:1])
    order = []
    with Cameras(Settings(mode="liveness"), deadline_s=8) as cameras:
        cameras.start("stuck", stuck)
        for number in range(2):
            cameras.start(f"busy {number}", SyntheticSource(person))
        for name, event in cameras.events():
            if isinstance(event, Result):
                order.append((name, event.code))
        assert cameras.running == ()
    stuck.release.set()
    assert order[-1] == ("stuck", ClientCode.INTERRUPTED)
    assert dict(order[:-1]) == {"busy 0": ClientCode.PASSED, "busy 1": ClientCode.PASSED}


def test_frames_after_the_deadline_lead_to_no_upload(person: list[Image]) -> None:
    service = FakeService()
    stuck = Stuck(person[:1])
    with Cameras(Settings(mode="verify", allow_test_source=True), service=service) as cameras:
        cameras.start("lane", stuck, person=PERSON, consent="form-17")
        cameras.close()
        stuck._frames = iter(person)  # they come after all
        stuck.release.set()
        (result,) = results(cameras).values()
    assert (result.code, result.reason) == (ClientCode.INTERRUPTED, Reason.INTERRUPTED)
    assert service.uploads == []
    assert service.closed


class QuickGate:
    """A gate that needs one frame, waits to be let on, and asks the service."""

    go: threading.Event
    waits: threading.Event

    def __init__(self, settings: Settings, *, service: FakeService | None, nets: object) -> None:
        time.sleep(0.05)
        self.service = service

    def events(self, source: Iterator[Frame], **_: object) -> Iterator[Guidance | Result]:
        next(source)
        self.waits.set()
        self.go.wait(WAIT_S)
        try:
            if self.service is not None:
                self.service.match(PERSON, object(), "form-17")  # type: ignore[arg-type]
        except MatchError:
            yield Result(ClientCode.SYSTEM_ERROR, "verify", Reason.SYSTEM_ERROR)
            return
        yield Result(ClientCode.PASSED, "liveness", None)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> type[QuickGate]:
    monkeypatch.setattr("pipeline.cameras.GRACE_S", 0.05)
    monkeypatch.setattr("pipeline.cameras.Gate", QuickGate)
    monkeypatch.setattr("pipeline.cameras.LoadedNets", lambda settings: None)
    QuickGate.go, QuickGate.waits = threading.Event(), threading.Event()
    return QuickGate


def ended(name: str = "camera lane") -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(WAIT_S)


FRAMES = [np.zeros((32, 32, 3), np.uint8)]


def test_a_check_that_was_given_up_uploads_nothing_any_more(quick: type[QuickGate]) -> None:
    service = FakeService()
    with Cameras(Settings(mode="verify"), service=service) as cameras:
        cameras.start("lane", SyntheticSource(FRAMES), person=PERSON, consent="form-17")
        assert quick.waits.wait(WAIT_S)
        cameras.close()
        quick.go.set()
        ended()
        (result,) = results(cameras).values()
    assert (result.code, result.reason) == (ClientCode.INTERRUPTED, Reason.INTERRUPTED)
    assert service.uploads == []


def test_a_check_given_up_while_its_upload_is_under_way_ends_as_unknown(quick: type[QuickGate]) -> None:
    service = SlowService()
    quick.go.set()
    with Cameras(Settings(mode="verify"), service=service) as cameras:
        cameras.start("lane", SyntheticSource(FRAMES), person=PERSON, consent="form-17")
        assert service.begun.wait(WAIT_S)
        cameras.close()
        (result,) = results(cameras).values()
        service.release.set()
        ended()
    assert (result.code, result.reason) == (ClientCode.NETWORK_ERROR, Reason.OUTCOME_UNKNOWN)
    assert result.error == "outcome_unknown"


def test_of_two_starts_at_once_under_one_name_one_is_refused(quick: type[QuickGate]) -> None:
    quick.go.set()
    refused: list[UsageError] = []
    with Cameras(Settings(mode="liveness")) as cameras:

        def start() -> None:
            try:
                cameras.start("lane", SyntheticSource(FRAMES))
            except UsageError as error:
                refused.append(error)

        quick.go.clear()
        threads = [threading.Thread(target=start) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        quick.go.set()
        told = [event for _, event in cameras.events() if isinstance(event, Result)]
    assert (len(refused), len(told)) == (1, 1)


def test_camera_is_free_again_after_its_result(person: list[Image]) -> None:
    with Cameras(Settings(mode="liveness")) as cameras:
        cameras.start("lane", SyntheticSource(person))
        with pytest.raises(UsageError, match="running already"):
            cameras.start("lane", SyntheticSource(person))
        done = 0
        for _, event in again(cameras, person):
            done += isinstance(event, Result) and event.passed
    assert done == 3


def again(cameras: Cameras, person: list[Image]) -> Iterator[tuple[str, Guidance | Result]]:
    left = 2
    for name, event in cameras.events():
        yield name, event
        if isinstance(event, Result) and left:
            left -= 1
            cameras.start(name, SyntheticSource(person))


def test_wrong_calls_are_refused_before_a_frame_is_read(person: list[Image]) -> None:
    source = SyntheticSource(person)
    with Cameras(Settings(mode="verify", allow_test_source=True), service=FakeService()) as cameras:
        with pytest.raises(ConsentError):
            cameras.start("lane", source, person=PERSON)
        assert cameras.running == ()
    with pytest.raises(UsageError):
        Cameras(Settings(mode="liveness"), deadline_s=0)


class FakeService:
    """Answers ``match`` and keeps what it was sent."""

    def __init__(self) -> None:
        self.uploads: list[Upload] = []
        self.closed = False

    def match(self, person: Person, upload: Upload, consent: str) -> MatchResult:
        self.uploads.append(upload)
        return MatchResult(200, 99.0, "4EF9AEE5-288F-4176-8110-00EDC91A614E")

    def close(self) -> None:
        self.closed = True


class SlowService(FakeService):
    """Takes an upload and answers once it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.release = threading.Event(), threading.Event()

    def match(self, person: Person, upload: Upload, consent: str) -> MatchResult:
        self.begun.set()
        self.release.wait(WAIT_S)
        return super().match(person, upload, consent)
