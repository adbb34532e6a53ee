"""A verification with every logger at DEBUG: nothing of the person is told, shown to the operator or kept."""

from __future__ import annotations

import base64
import gc
from pathlib import Path

import pytest

from pipeline.camera.frame import Image
from pipeline.kiosk.board import Job
from pipeline.match.person import Person

from .support import NAME, NUMBER, Camera, FakeService, make_kiosk, page_of, running


def test_nothing_of_the_person_is_logged_shown_or_written(
    person: list[Image],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    service = FakeService(99.0)
    kiosk = make_kiosk(Camera(person), service, allow_test_source=True)
    with caplog.at_level("DEBUG"), running(kiosk) as client, page_of(client) as page:
        page.until("form")
        page.fill_in(NAME, "number that can't be")
        page.fill_in()
        page.until("result")
        page.until("form")
        page.send(f'{{"type":"person","name":"{NAME}","number":"{NUMBER}"}}')  # without a tick
        while page.hear()["type"] != "closed":
            pass
        told = [client.get(path).text for path in ("/operator.json", "/operator", "/", "/healthz")]
    service.sent, ((asked, upload, consent),) = [], service.sent
    assert (asked.name, asked.cert_number) == (NAME, NUMBER)
    everything = "\n".join(
        [
            *told,
            caplog.text,
            *(str(record.args) for record in caplog.records),
            *capfd.readouterr(),
            *map(str, page.screens),
            *map(str, page.others),
            repr(Job(asked, consent)),
        ]
    )
    picture = base64.b64encode(upload.jpeg).decode()[100:160]
    secrets = {"name": NAME, "number": NUMBER, "consent": consent, "picture": picture}
    assert {what for what, value in secrets.items() if value in everything} == set()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_person_is_forgotten_after_the_check(person: list[Image]) -> None:
    def people() -> list[Person]:
        gc.collect()
        return [thing for thing in gc.get_objects() if type(thing) is Person]

    elsewhere = people()  # constants of other tests
    service = FakeService(99.0)
    kiosk = make_kiosk(Camera(person), service, allow_test_source=True)
    with running(kiosk) as client, page_of(client) as page:
        page.until("form")
        page.fill_in()
        page.until("result")
        page.until("form")
        service.sent.clear()
        assert [one for one in people() if not any(one is other for other in elsewhere)] == []


def test_the_operator_sees_codes_reasons_and_times(person: list[Image]) -> None:
    service = FakeService(10.0)
    kiosk = make_kiosk(
        Camera(person), service, allow_test_source=True, endpoint="https://user:pw@verify.example"
    )
    with running(kiosk) as client, page_of(client) as page:
        page.until("form")
        page.fill_in()
        page.until("result")
        told = client.get("/operator.json").json()
    assert (told["mode"], told["phase"], told["checks"]) == ("verify", "result", 1)
    assert told["page_connected"]
    assert (told["by_code"], told["by_reason"]) == ({"2006": 1}, {"not_same_person": 1})
    (entry,) = told["last"]
    assert set(entry) == {"time", "code", "reason", "elapsed_s", "test_source"}
    assert entry["test_source"] is True
    camera = told["camera"]
    assert (camera["state"], camera["trusted"], camera["id"]) == ("running", False, "unknown:test camera")
    assert 0 < camera["frame_rate"] < 40
    assert told["times"]["gate_frame_ms"] > 0
    assert told["times"]["preview_ms"] > 0
    assert {model["name"] for model in told["models"]} >= {"face_detector", "face_mesh", "fr_liveness"}
    assert all(len(model["sha256"]) == 64 for model in told["models"])
    assert told["settings"]["allow_test_source"] is True
    assert "pw" not in told["settings"]["endpoint"]
