"""A whole verification in process, with every logger at DEBUG: nothing of the person or the key is told."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import pytest

from pipeline import Gate, Person, Settings, SyntheticSource
from pipeline.camera.frame import Image
from pipeline.cli import main
from pipeline.demo.scene import render_person
from pipeline.match.encode import Upload

NAME, NUMBER, SECRET, CONSENT = "欧阳样例", "11010519491231002X", "hush-hush-secret-value", "form-of-ouyang"


@pytest.fixture
def database(astronaut: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    people = tmp_path / "people"
    people.mkdir()
    (people / f"{NAME}_{NUMBER}.png").write_bytes(cv2.imencode(".png", astronaut)[1].tobytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIVEGATE_DATABASE", f"sqlite:///{tmp_path / 'a.db'}")
    monkeypatch.setenv("LIVEGATE_ACCESS_KEY_ID", "privacy-test")
    monkeypatch.setenv("LIVEGATE_ACCESS_KEY_SECRET", SECRET)
    monkeypatch.setattr("sys.argv", ["livegate", "enroll", str(people), "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return tmp_path / "a.db"


def test_no_log_repr_or_database_holds_personal_data(
    astronaut: Image,
    database: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[Upload] = []

    def spy(upload: Upload, *_: object) -> None:
        sent.append(upload)

    with caplog.at_level("DEBUG"), Gate(Settings(mode="verify", allow_test_source=True)) as gate:
        service = gate._service
        assert service is not None
        match = service.match
        monkeypatch.setattr(service, "match", lambda p, u, c: (spy(u), match(p, u, c))[1])
        person = Person(NAME, NUMBER)
        result = gate.check(SyntheticSource(render_person(astronaut, 60)), person=person, consent=CONSENT)
        shown = [repr(value) for value in (gate, gate.settings, person, result, *sent)]
    assert result.passed
    (upload,) = sent
    told = "\n".join(
        [*shown, caplog.text, *(str(record.args) for record in caplog.records), *capfd.readouterr()]
    )
    picture = base64.b64encode(upload.jpeg).decode()
    secrets = {
        "name": NAME,
        "number": NUMBER,
        "secret": SECRET,
        "consent": CONSENT,
        "picture": picture[100:160],
    }
    assert {what for what, value in secrets.items() if value in told} == set()
    stored = b"".join(path.read_bytes() for path in database.parent.glob("a.*") if path.suffix != ".key")
    for value in (NAME, NUMBER, SECRET):
        assert value.encode() not in stored
    assert upload.jpeg[200:260] not in stored
