"""The SDK on a scripted gate: one callback, cancelling, one verification at a time, and what is attested."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import ClientCode, Guidance, Person, Reason, Result, Settings, SyntheticSource
from pipeline.camera import DeviceIdentity, Frame, SourceInfo
from pipeline.device import App, DeviceSdk, installation, open_installation
from pipeline.device.channel import AttestedService, camera_of
from pipeline.device.metainfo import os_version
from pipeline.errors import ConsentError, MatchError, SourceOpenError, UsageError
from pipeline.gate import Gate
from pipeline.gateway.devices import read_version
from pipeline.liveness.livepass import _mint, seal
from pipeline.match.client import MatchResult
from pipeline.match.encode import Upload, encode_upload
from pipeline.protocol.attestation import open_attestation, read_token

TRAITS = {"machine_id": "m", "board": "b", "cpu": "c", "network": "n", "disk": "d", "system": "s"}
APP = App("till", "1.2")
PERSON = Person("样例", "11010519491231002X")
QUERY_ID = "0123456789abcdef" * 2
CAMERA = DeviceIdentity(
    "video0", 0, "Cam", "usb", "uvcvideo", "046d", "0825", "SERIAL-1", "1-1", physical=True, reason="real"
)
DEVICE = SourceInfo("device", "camera 0", live=True, trusted=True, reason="real", identity=CAMERA)


class FakeClient:
    """Keeps what it is sent; answers when it is let."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.closed = 0
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def match(self, person: Person, upload: Upload, consent: str, **more: Any) -> MatchResult:
        self.sent.append({"upload": upload, "consent": consent, **more})
        self.entered.set()
        assert self.go_on.wait(10)
        return MatchResult(200, 99.0, None)

    def close(self) -> None:
        self.closed += 1


class FakeGate:
    """Yields guidance for each frame of the source, then sends an upload and ends as scripted."""

    settings = Settings(mode="verify")

    def __init__(self, service: AttestedService) -> None:
        self.service = service
        self.end: Result | Exception = Result(ClientCode.PASSED, "verify", None)
        self.running = threading.Lock()

    validate = Gate.validate

    def events(self, source: Any, *, person: Any, consent: Any) -> Iterator[Guidance | Result]:
        with self.running:
            for frame in source:
                yield Guidance(None, 0.5, frame.t, None)
            if isinstance(self.end, Exception):
                raise self.end
            if self.end.code is ClientCode.PASSED:
                try:
                    self.service.match(person, upload(), consent)
                except MatchError as error:
                    yield Result(ClientCode.SYSTEM_ERROR, "verify", Reason.SYSTEM_ERROR, error=error.code)
                    return
            yield self.end

    def close(self) -> None:
        self.service.close()


def upload() -> Upload:
    image = np.full((120, 160, 3), 90, np.uint8)
    return encode_upload(_mint(seal(Frame(image, t=0.0, seq=0)), session_id="s", score=0.9, minted_at=1.0))


def frames(count: int = 2) -> SyntheticSource:
    return SyntheticSource([np.full((64, 64, 3), i, np.uint8) for i in range(count)])


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(installation._SCRYPT, "n", 2)

    class Kit:
        install = open_installation(tmp_path / "device.json", traits=lambda: TRAITS)
        client = FakeClient()
        service = AttestedService(client, install, APP, clock=lambda: 1234.5)
        gate = FakeGate(service)
        sdk = DeviceSdk(gate, service, install, APP)  # type: ignore[arg-type]

        def verify(self, source: Any = None, **more: Any) -> tuple[Any, list[Any]]:
            heard: list[Any] = []
            handle = self.sdk.verify(
                more.pop("query_id", QUERY_ID),
                more.pop("callback", heard.append),
                person=PERSON,
                consent=more.pop("consent", "form-17"),
                source=frames() if source is None else source,
                **more,
            )
            return handle, heard

    return Kit()


def test_a_verification_ends_in_one_callback_with_the_gates_code(kit: Any) -> None:
    source, guidance = frames(3), []
    handle, heard = kit.verify(source, on_guidance=guidance.append)
    response = handle.wait(10)
    assert heard == [response]
    assert (response.code, response.reason, response.query_id) == (ClientCode.PASSED, None, QUERY_ID)
    assert source.closed
    assert len(guidance) == 3


@pytest.mark.parametrize(
    ("end", "code", "reason"),
    [
        (Result(ClientCode.REJECTED, "verify", Reason.SPOOF_SCREEN), 2006, Reason.SPOOF_SCREEN),
        (Result(ClientCode.INTERRUPTED, "verify", Reason.UNDECIDED), 1003, Reason.UNDECIDED),
        (Result(ClientCode.NETWORK_ERROR, "verify", Reason.NETWORK), 2002, Reason.NETWORK),
        (Result(ClientCode.SYSTEM_ERROR, "verify", Reason.SERVICE_ERROR), 1001, Reason.SERVICE_ERROR),
        (RuntimeError("a fault"), 1001, Reason.SYSTEM_ERROR),
    ],
)
def test_each_code_of_the_mobile_sdks_is_told(kit: Any, end: Any, code: int, reason: Reason) -> None:
    kit.gate.end = end
    handle, heard = kit.verify()
    assert handle.wait(10) == heard[0]
    assert [(int(response.code), response.reason) for response in heard] == [(code, reason)]
    assert kit.client.sent == []


def test_a_source_that_can_not_be_opened_is_1001(kit: Any, monkeypatch: Any) -> None:
    def broken(*_: object, **__: object) -> None:
        raise SourceOpenError("no such camera")

    monkeypatch.setattr("pipeline.device.sdk.open_source", broken)
    handle, heard = kit.verify(5)
    handle.wait(10)
    assert [response.code for response in heard] == [ClientCode.SYSTEM_ERROR]


def test_the_upload_carries_session_and_attestation(kit: Any) -> None:
    handle, _ = kit.verify()
    handle.wait(10)
    (sent,) = kit.client.sent
    assert sent["query_id"] == QUERY_ID
    opened = open_attestation(sent["attestation"])
    assert opened is not None
    said, key = opened
    assert key == kit.install.public
    assert said.query_id == QUERY_ID
    assert said.device_id == kit.sdk.device_id
    assert (said.app, said.app_version, said.at) == ("till", "1.2", 1234)
    assert said.frame_sha256 == sent["upload"].pixel_sha256
    assert said.picture_sha256 == hashlib.sha256(sent["upload"].jpeg).hexdigest()
    assert (said.camera.kind, said.camera.trusted) == ("synthetic", False)


def test_a_camera_is_told_by_a_digest_without_its_serial_number(kit: Any) -> None:
    camera = camera_of(DEVICE, kit.install, trusted=True)
    assert (camera.kind, camera.bus, camera.model, camera.trusted) == ("device", "usb", "046d:0825", True)
    assert "SERIAL-1" not in str(camera)
    assert camera == camera_of(DEVICE, kit.install, trusted=True)
    other = SourceInfo("device", "camera 1", live=True, trusted=False, reason="unknown")
    assert camera_of(other, kit.install, trusted=False).id != camera.id


def test_an_upload_outside_a_verification_or_a_second_one_is_refused(kit: Any) -> None:
    with pytest.raises(MatchError):
        kit.service.match(PERSON, upload(), "form-17")
    handle, _ = kit.verify()
    handle.wait(10)
    with pytest.raises(MatchError):
        kit.service.match(PERSON, upload(), "form-17")
    assert len(kit.client.sent) == 1


# cancelling


class Endless(SyntheticSource):
    """Gives frames until it is closed."""

    def __init__(self) -> None:
        super().__init__(itertools.repeat(np.zeros((64, 64, 3), np.uint8)))


def test_cancelling_ends_it_with_1003_and_sends_nothing(kit: Any) -> None:
    seen, source = threading.Event(), Endless()
    handle, heard = kit.verify(source, on_guidance=lambda _: seen.set())
    assert seen.wait(10)
    handle.cancel()
    handle.cancel()
    assert handle.wait(10).code is ClientCode.INTERRUPTED
    assert [(response.code, response.reason) for response in heard] == [(1003, Reason.INTERRUPTED)]
    assert source.closed
    assert kit.client.sent == []
    assert not kit.gate.running.locked()


def test_cancelling_between_verdict_and_upload_sends_nothing(kit: Any, monkeypatch: Any) -> None:
    handles: list[Any] = []
    begin = kit.service.begin

    def cancelled_late(errand: Any) -> None:
        begin(errand)
        errand.cancelled.set()

    monkeypatch.setattr(kit.service, "begin", cancelled_late)
    handle, heard = kit.verify(frames(0))
    handles.append(handle)
    assert handle.wait(10).code is ClientCode.INTERRUPTED
    assert (len(heard), kit.client.sent) == (1, [])


def test_cancelling_once_the_upload_runs_tells_what_came_of_it(kit: Any) -> None:
    kit.client.go_on.clear()
    handle, heard = kit.verify()
    assert kit.client.entered.wait(10)
    handle.cancel()
    kit.client.go_on.set()
    assert handle.wait(10).code is ClientCode.PASSED
    assert len(heard) == 1


def test_cancelling_afterwards_changes_nothing(kit: Any) -> None:
    handle, heard = kit.verify()
    response = handle.wait(10)
    handle.cancel()
    assert (handle.wait(0), heard) == (response, [response])


# one at a time


def test_a_second_verification_is_refused_while_one_runs(kit: Any) -> None:
    kit.client.go_on.clear()
    first, _ = kit.verify()
    assert kit.client.entered.wait(10)
    refused: list[Any] = []
    with pytest.raises(UsageError, match="runs already"):
        kit.verify(callback=refused.append)
    kit.client.go_on.set()
    assert first.wait(10) is not None
    assert refused == []
    second, heard = kit.verify()
    assert second.wait(10) == heard[0]


def test_the_next_one_may_begin_in_the_callback(kit: Any) -> None:
    handles: list[Any] = []
    done = threading.Event()

    def again(_: Any) -> None:
        handles.append(kit.verify(callback=lambda _: done.set())[0])

    kit.verify(callback=again)
    assert done.wait(10)
    assert len(kit.client.sent) == 2


def test_a_failing_callback_and_failing_guidance_break_nothing(kit: Any, caplog: Any) -> None:
    def failing(_: Any) -> None:
        raise ValueError("11010519491231002X")

    handle, _ = kit.verify(callback=failing, on_guidance=failing)
    assert handle.wait(10).code is ClientCode.PASSED
    assert "callback failed" in caplog.text
    assert "11010519491231002X" not in caplog.text
    assert kit.verify()[0].wait(10) is not None


@pytest.mark.parametrize("query_id", ["", "x" * 32, "A" * 32, "0" * 31])
def test_a_query_id_of_another_form_is_refused(kit: Any, query_id: str) -> None:
    with pytest.raises(UsageError):
        kit.verify(query_id=query_id)


def test_without_consent_nothing_begins(kit: Any) -> None:
    source = frames()
    with pytest.raises(ConsentError):
        kit.verify(source, consent=" ")
    assert kit.verify()[0].wait(10).code is ClientCode.PASSED


def test_closing_cancels_and_waits_and_refuses_what_comes_later(kit: Any) -> None:
    source = Endless()
    handle, heard = kit.verify(source)
    kit.sdk.close()
    kit.sdk.close()
    assert handle.wait(0) is not None
    assert [response.code for response in heard] == [ClientCode.INTERRUPTED]
    assert source.closed
    assert kit.client.closed >= 1
    with pytest.raises(UsageError, match="closed"):
        kit.verify()


# metainfo


def test_metainfo_has_the_names_of_the_mobile_sdks_and_nothing_of_the_machine(kit: Any) -> None:
    fields = json.loads(kit.sdk.get_meta_info())
    device = {"deviceType", "osVersion", "deviceModel", "apdidToken"}
    assert set(fields) == device | {"zimVer", "appVersion", "appName", "bioMetaInfo"}
    assert all(isinstance(value, str) for value in fields.values())
    assert (fields["appName"], fields["appVersion"]) == ("till", "1.2")
    assert read_token(fields["apdidToken"]) == kit.install.public
    from pipeline.device import read_traits

    found = read_traits()
    for name in ("machine_id", "network", "disk"):
        assert not found[name] or found[name] not in kit.sdk.get_meta_info()


def test_versions_can_be_read_by_the_gateways_rules(kit: Any) -> None:
    assert read_version(os_version()) is not None
    assert read_version(json.loads(kit.sdk.get_meta_info())["zimVer"]) is not None


@pytest.mark.parametrize("values", [("", "1"), ("till", ""), ("应用", "1"), ("x" * 65, "1"), ("a\n", "1")])
def test_an_app_that_can_not_be_told_is_refused(values: tuple[str, str]) -> None:
    with pytest.raises(UsageError):
        App(*values)


def test_reprs_hold_nothing_secret(kit: Any) -> None:
    handle, _ = kit.verify()
    handle.wait(10)
    assert PERSON.name not in repr(handle)
    assert kit.install.key.private_bytes_raw().hex() not in repr(kit.install)
