"""The gate end to end, with the real nets on frames rendered from the packaged portrait."""

from __future__ import annotations

import itertools
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline import ClientCode, Gate, Guidance, Person, Reason, Result, Settings, SyntheticSource
from pipeline.camera.frame import Frame, Image, pixel_sha256
from pipeline.demo.scene import render_person, render_replay
from pipeline.errors import (
    AnswerError,
    ConsentError,
    GatewayError,
    MatchError,
    ModelMissingError,
    NetworkError,
    OutcomeUnknownError,
    ServiceError,
    SourceLostError,
    UsageError,
)
from pipeline.liveness.session import Session
from pipeline.match.client import MatchResult
from pipeline.match.encode import Upload
from pipeline.result import MatchOutcome, UploadInterrupted
from pipeline.vision import Vision

PERSON = Person("样例", "11010519491231002X")
CONSENT = "form-17"
FRAMES = 60


class FakeService:
    """Answers ``match`` with a score or an error, and keeps what it was sent."""

    def __init__(self, answer: float | Exception = 99.0) -> None:
        self.answer = answer
        self.uploads: list[Upload] = []
        self.consents: list[str] = []
        self.closed = False

    def match(self, person: Person, upload: Upload, consent: str) -> MatchResult:
        self.uploads.append(upload)
        self.consents.append(consent)
        if isinstance(self.answer, Exception):
            raise self.answer
        return MatchResult(200, self.answer, "4EF9AEE5-288F-4176-8110-00EDC91A614E")

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="session")
def stand_in(astronaut: Image) -> list[Image]:
    return list(render_person(astronaut, FRAMES))


@pytest.fixture(scope="session")
def replay(astronaut: Image) -> list[Image]:
    return list(render_replay(astronaut, FRAMES))


@pytest.fixture(autouse=True)
def no_file_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def verify_gate(service: FakeService, **settings: object) -> Gate:
    return Gate(Settings(mode="verify", allow_test_source=True, **settings), service=service)


def test_liveness_mode_passes_the_stand_in_and_sends_nothing(stand_in: list[Image]) -> None:
    with Gate(Settings(mode="liveness")) as gate:
        result = gate.check(SyntheticSource(stand_in))
    assert (result.code, result.passed, result.reason) == (ClientCode.PASSED, True, None)
    assert result.liveness is not None
    assert result.liveness.passed
    assert result.liveness.frames >= 3
    assert result.match is None
    assert result.uploaded_sha256 is None
    assert result.frame_sha256 in {pixel_sha256(image) for image in stand_in}


def test_simulated_replay_does_not_pass_and_is_never_sent(replay: list[Image]) -> None:
    service = FakeService()
    with verify_gate(service) as gate:
        result = gate.check(SyntheticSource(replay), person=PERSON, consent=CONSENT)
    assert result.code in {ClientCode.REJECTED, ClientCode.INTERRUPTED}
    assert result.liveness is not None
    assert result.liveness.score < 0.5
    assert result.frame_sha256 is None
    assert service.uploads == []


def test_pixels_sent_are_the_pixels_judged(stand_in: list[Image]) -> None:
    service = FakeService(99.0)
    with verify_gate(service) as gate:
        result = gate.check(SyntheticSource(stand_in), person=PERSON, consent=CONSENT)
    assert result.code is ClientCode.PASSED
    assert result.match is not None
    assert (result.match.code, result.match.score) == (200, 99.0)
    assert result.test_source
    assert service.consents == [CONSENT]
    (upload,) = service.uploads
    assert upload.pixel_sha256 == result.frame_sha256 == result.uploaded_sha256
    judged = next(image for image in stand_in if pixel_sha256(image) == upload.pixel_sha256)
    decoded = cv2.imdecode(np.frombuffer(upload.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    distances = [np.abs(decoded.astype(int) - image).mean() for image in stand_in]
    nearest = stand_in[int(np.argmin(distances))]
    assert nearest is judged


def test_file_or_synthetic_frames_lead_to_no_upload_without_the_test_switch(stand_in: list[Image]) -> None:
    service = FakeService()
    with Gate(Settings(mode="verify"), service=service) as gate:
        source = SyntheticSource(stand_in)
        result = gate.check(source, person=PERSON, consent=CONSENT)
    assert (result.code, result.reason) == (ClientCode.REJECTED, Reason.INJECTED_SOURCE)
    assert source.closed
    assert service.uploads == []


def test_a_pinned_gate_takes_no_other_source_in_any_mode(stand_in: list[Image]) -> None:
    pinned = {"pinned_camera": "usb:046d:0825:3F2A", "allow_test_source": True}
    for mode in ("liveness", "verify"):
        service = FakeService()
        settings = Settings(mode=mode, **pinned)
        with Gate(settings, service=service if mode == "verify" else None) as gate:
            call = {"person": PERSON, "consent": CONSENT} if mode == "verify" else {}
            result = gate.check(SyntheticSource(stand_in), **call)
        assert (result.code, result.reason) == (ClientCode.REJECTED, Reason.INJECTED_SOURCE)
        assert result.hint is not None
        assert "pinned" in result.hint
        assert service.uploads == []


class FakeDisplay:
    """Shows everything, and remembers it; or declines."""

    def __init__(self, *, declines: bool = False) -> None:
        self.shown: list[tuple[int, int, int]] = []
        self._declines = declines

    def show(self, rgb: tuple[int, int, int]) -> bool:
        self.shown.append(rgb)
        return not self._declines


def test_a_gate_with_a_flash_passes_nobody_without_a_display(stand_in: list[Image]) -> None:
    with Gate(Settings(flash=True)) as gate:
        result = gate.check(SyntheticSource(stand_in))
    assert (result.code, result.reason) == (ClientCode.INTERRUPTED, Reason.NO_FLASH_PROOF)


def test_a_face_that_does_not_answer_to_the_flash_ends_undecided(stand_in: list[Image]) -> None:
    display = FakeDisplay()
    with Gate(Settings(flash=True)) as gate:
        result = gate.check(SyntheticSource(itertools.cycle(stand_in), fps=15), display=display)
    assert result.code is not ClientCode.PASSED
    assert result.reason in {Reason.NO_FLASH_PROOF, Reason.INJECTED_SOURCE}
    assert len(set(display.shown)) > 8
    red, green, blue = display.shown[-1]
    assert red == green == blue


def test_declining_the_colours_ends_undecided_at_once(stand_in: list[Image]) -> None:
    display = FakeDisplay(declines=True)
    with Gate(Settings(flash=True)) as gate:
        result = gate.check(SyntheticSource(stand_in), display=display)
    assert (result.code, result.reason) == (ClientCode.INTERRUPTED, Reason.NO_FLASH_PROOF)
    assert len(display.shown) == 2


def test_a_display_without_a_flash_is_refused(stand_in: list[Image]) -> None:
    with Gate(Settings()) as gate, pytest.raises(UsageError, match="display"):
        gate.check(SyntheticSource(stand_in), display=FakeDisplay())


@pytest.mark.parametrize("consent", [None, "", "  "])
def test_no_consent_no_frame(consent: str | None) -> None:
    def frames() -> Iterator[Image]:
        pytest.fail("a frame was read")
        yield

    with verify_gate(FakeService()) as gate, pytest.raises(ConsentError):
        gate.check(SyntheticSource(frames()), person=PERSON, consent=consent)


def test_calls_that_contradict_the_mode_are_refused(stand_in: list[Image]) -> None:
    with Gate(Settings(mode="liveness")) as gate, pytest.raises(UsageError, match="liveness"):
        gate.check(SyntheticSource(stand_in), person=PERSON)
    with verify_gate(FakeService()) as gate, pytest.raises(UsageError, match="person"):
        gate.check(SyntheticSource(stand_in), consent=CONSENT)
    with pytest.raises(UsageError, match="liveness"):
        Gate(Settings(mode="liveness"), service=FakeService())


@pytest.mark.parametrize(
    ("answer", "code", "reason"),
    [
        (95.0, 1000, None),
        (94.99, 2006, Reason.NOT_SAME_PERSON),
        (0.0, 2006, Reason.NOT_SAME_PERSON),
        (NetworkError("refused"), 2002, Reason.NETWORK),
        (OutcomeUnknownError("no answer"), 2002, Reason.OUTCOME_UNKNOWN),
        (AnswerError("garbage"), 1001, Reason.SERVICE_ERROR),
        (ServiceError("Code 402", service_code=402), 1001, Reason.QUOTA),
        (ServiceError("Code 403", service_code=403), 1001, Reason.NOT_PERMITTED),
        (ServiceError("Code 500", service_code=500), 1001, Reason.SERVICE_ERROR),
        (ServiceError("no", service_code=400, sub_code="Z8105"), 2006, Reason.IDENTITY_REFUSED),
        (ServiceError("no", service_code=400, sub_code="Z1146"), 2006, Reason.NOT_SAME_PERSON),
        (
            GatewayError("no", gateway_code="SignatureDoesNotMatch", http_status=400),
            1001,
            Reason.SERVICE_ERROR,
        ),
    ],
)
def test_answers_of_the_service_become_codes(
    stand_in: list[Image], answer: float | MatchError, code: int, reason: Reason | None
) -> None:
    with verify_gate(FakeService(answer)) as gate:
        result = gate.check(SyntheticSource(stand_in), person=PERSON, consent=CONSENT)
    assert (int(result.code), result.reason) == (code, reason)
    assert result.passed == (code == 1000)
    assert result.liveness is not None
    assert result.liveness.passed


def test_ctrl_c_while_the_service_is_asked_leaves_the_outcome_unknown(
    stand_in: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    service = FakeService()
    monkeypatch.setattr(service, "match", interrupt)
    with verify_gate(service) as gate, pytest.raises(KeyboardInterrupt) as caught:
        gate.check(SyntheticSource(stand_in), person=PERSON, consent=CONSENT)
    assert isinstance(caught.value, UploadInterrupted)
    result = caught.value.result
    assert (int(result.code), result.reason, result.error) == (
        2002,
        Reason.OUTCOME_UNKNOWN,
        "outcome_unknown",
    )
    assert result.match == MatchOutcome(None, None, None)
    assert result.uploaded_sha256 == result.frame_sha256 is not None


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: rng.integers(120, 124, (480, 640, 3), dtype=np.uint8),
        lambda rng: rng.integers(0, 256, (480, 640, 3), dtype=np.uint8),
    ],
    ids=["grey wall", "noise"],
)
def test_nothing_to_judge_ends_undecided(make: Callable[[np.random.Generator], Image]) -> None:
    rng = np.random.default_rng(1)
    with Gate(Settings(mode="liveness")) as gate:
        result = gate.check(SyntheticSource(make(rng) for _ in range(150)))
    assert (result.code, result.reason) == (ClientCode.INTERRUPTED, Reason.NO_FACE)


def test_empty_source_does_not_pass() -> None:
    with Gate(Settings(mode="liveness")) as gate:
        result = gate.check(SyntheticSource([]))
    assert result.code is ClientCode.INTERRUPTED
    assert not result.passed


def test_single_picture_proves_nothing(stand_in: list[Image]) -> None:
    with Gate(Settings(mode="liveness")) as gate:
        result = gate.check(SyntheticSource(stand_in[:1]))
    assert result.code is ClientCode.INTERRUPTED


def test_frozen_picture_does_not_pass(stand_in: list[Image]) -> None:
    with Gate(Settings(mode="liveness")) as gate:
        result = gate.check(SyntheticSource(itertools.repeat(stand_in[0], 150)))
    assert (result.code, result.reason) == (ClientCode.INTERRUPTED, Reason.FROZEN_SOURCE)


def test_second_face_in_view_does_not_pass(stand_in: list[Image]) -> None:
    def doubled(image: Image) -> Image:
        half = cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA)
        out = np.full_like(image, 90)
        out[120:360, :320] = half
        out[120:360, 320:] = half[:, ::-1]
        return out

    with Gate(Settings(mode="liveness")) as gate:
        result = gate.check(SyntheticSource(doubled(image) for image in stand_in))
    assert (result.code, result.reason) == (ClientCode.INTERRUPTED, Reason.SEVERAL_FACES)


def test_lost_source_is_interrupted(stand_in: list[Image]) -> None:
    def frames() -> Iterator[Image]:
        yield stand_in[0]
        raise SourceLostError("gone")

    with Gate(Settings(mode="liveness")) as gate:
        result = gate.check(SyntheticSource(frames()))
    assert (result.code, result.reason, result.error) == (1003, Reason.SOURCE_LOST, "source_lost")


def test_fault_of_ours_denies_and_tells_no_data(caplog: pytest.LogCaptureFixture) -> None:
    def frames() -> Iterator[Image]:
        raise RuntimeError("11010519491231002X")
        yield

    service = FakeService()
    with caplog.at_level("DEBUG"), verify_gate(service) as gate:
        result = gate.check(SyntheticSource(frames()), person=PERSON, consent=CONSENT)
    assert (result.code, result.reason) == (ClientCode.SYSTEM_ERROR, Reason.SYSTEM_ERROR)
    assert "RuntimeError" in caplog.text
    assert "11010519491231002X" not in caplog.text
    assert service.uploads == []


def test_a_service_that_fails_in_a_way_of_its_own_leaves_the_outcome_unknown(
    stand_in: list[Image], caplog: pytest.LogCaptureFixture
) -> None:
    service = FakeService(RuntimeError("11010519491231002X"))
    with caplog.at_level("DEBUG"), verify_gate(service) as gate:
        result = gate.check(SyntheticSource(stand_in), person=PERSON, consent=CONSENT)
    assert (result.code, result.reason, result.error) == (2002, Reason.OUTCOME_UNKNOWN, "outcome_unknown")
    assert result.uploaded_sha256 == result.frame_sha256
    assert len(service.uploads) == 1
    assert "RuntimeError" in caplog.text
    assert "11010519491231002X" not in caplog.text


def test_a_service_that_refuses_before_it_sends_is_a_fault_of_the_call(stand_in: list[Image]) -> None:
    with verify_gate(FakeService(UsageError("no consent"))) as gate:
        result = gate.check(SyntheticSource(stand_in), person=PERSON, consent=CONSENT)
    assert (result.code, result.reason) == (ClientCode.SYSTEM_ERROR, Reason.SYSTEM_ERROR)


def test_leaving_early_closes_the_source_and_sends_nothing(stand_in: list[Image]) -> None:
    service = FakeService()
    source = SyntheticSource(stand_in)
    with verify_gate(service) as gate:
        events = gate.events(source, person=PERSON, consent=CONSENT)
        assert isinstance(next(events), Guidance)
        events.close()  # type: ignore[attr-defined]
        assert source.closed
        assert service.uploads == []
        again = gate.check(SyntheticSource(stand_in), person=PERSON, consent=CONSENT)
        assert again.passed


def test_one_gate_runs_one_check_at_a_time(stand_in: list[Image]) -> None:
    with Gate(Settings(mode="liveness")) as gate:
        first = gate.events(SyntheticSource(stand_in))
        next(first)
        with pytest.raises(UsageError, match="already"):
            gate.check(SyntheticSource(stand_in))
        first.close()  # type: ignore[attr-defined]
        assert gate.check(SyntheticSource(stand_in)).passed


def test_events_end_with_one_result(stand_in: list[Image]) -> None:
    with Gate(Settings(mode="liveness")) as gate:
        events = list(gate.events(SyntheticSource(stand_in)))
    assert [type(event) for event in events[:-1]] == [Guidance] * (len(events) - 1)
    assert isinstance(events[-1], Result)
    progress = [event.progress for event in events if isinstance(event, Guidance)]
    assert all(0 <= value <= 1 for value in progress)


def test_source_that_reuses_its_buffer_can_not_change_what_was_judged(stand_in: list[Image]) -> None:
    buffer = np.zeros_like(stand_in[0])

    def frames() -> Iterator[Frame]:
        for k, image in enumerate(stand_in):
            buffer[...] = image
            yield Frame(buffer.view(), t=k / 30, seq=k)
            buffer[...] = 0

    service = FakeService()
    with verify_gate(service) as gate:
        result = gate.check(SyntheticSource(frames()), person=PERSON, consent=CONSENT)
    assert result.passed
    assert result.uploaded_sha256 in {pixel_sha256(image) for image in stand_in}


def test_what_vision_sees_are_the_pixels_that_are_judged(
    stand_in: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, judged = [], []
    see, observe = Vision.see, Session.observe
    monkeypatch.setattr(Vision, "see", lambda self, frame, **k: seen.append(frame) or see(self, frame, **k))
    monkeypatch.setattr(
        Session, "observe", lambda self, frame, view: judged.append(frame) or observe(self, frame, view)
    )
    with Gate(Settings(mode="liveness")) as gate:
        gate.check(SyntheticSource(stand_in[:3]))
    assert len(seen) == 3
    for before, after in zip(seen, judged, strict=True):
        assert before is after
        with pytest.raises(ValueError, match="WRITEABLE"):
            before.image.setflags(write=True)


def test_missing_model_refuses_to_start(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError) as caught:
        Gate(Settings(mode="liveness", models_dir=tmp_path / "empty", offline=True))
    assert "livegate models pull" in caught.value.hint


def test_gate_closes_its_service() -> None:
    service = FakeService()
    with verify_gate(service):
        pass
    assert service.closed


def test_liveness_mode_opens_no_socket_and_builds_no_http_object() -> None:
    script = textwrap.dedent(
        """
        import sys

        def hook(event, args):
            if event.startswith("socket."):
                raise SystemExit(f"socket: {event}")

        sys.addaudithook(hook)
        import cv2
        from pipeline import Gate, Settings, SyntheticSource
        from pipeline.demo.scene import render_person
        from pipeline.nets import open_store

        portrait = cv2.imread(str(open_store().path("sample_astronaut")))
        with Gate(Settings(mode="liveness")) as gate:
            result = gate.check(SyntheticSource(render_person(portrait, 60)))
        print(result.code.value, "httpx" in sys.modules, "sqlalchemy" in sys.modules)
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("1000 False False", 0), done.stderr
