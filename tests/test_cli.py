"""The command line as scripts rely on it: JSON lines on stdout alone, and the exit statuses."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest

from pipeline.camera.frame import Image
from pipeline.cli import main
from pipeline.cli.common import emit, run_guarded
from pipeline.demo.scene import FPS, SIZE, render_person, render_replay
from pipeline.errors import UsageError

NAME, NUMBER = "样例", "11010519491231002X"


def livegate(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("LIVEGATE_")}
    for kept in ("LIVEGATE_MODELS_DIR", "LIVEGATE_OFFLINE"):
        if kept in os.environ:
            clean[kept] = os.environ[kept]
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**clean, **environment},
        check=False,
    )


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs the command in this process: cheaper, for what needs no process of its own."""

    def run(*arguments: str | Path, **environment: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["livegate", *map(str, arguments)])
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return run


def lines(done: Done | subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def clips(astronaut: Image, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    made = {}
    for name, frames in (("person", render_person(astronaut, 45)), ("replay", render_replay(astronaut, 45))):
        made[name] = folder / f"{name}.avi"
        writer = cv2.VideoWriter(str(made[name]), cv2.VideoWriter.fourcc(*"MJPG"), FPS, SIZE)
        for frame in frames:
            writer.write(frame)
        writer.release()
    return made


@pytest.fixture
def enrolled(astronaut: Image, tmp_path: Path) -> dict[str, str]:
    people = tmp_path / "people"
    people.mkdir()
    (people / f"{NAME}_{NUMBER}.png").write_bytes(cv2.imencode(".png", astronaut)[1].tobytes())
    environment = {"LIVEGATE_DATABASE": f"sqlite:///{tmp_path / 'a.db'}"}
    done = livegate("enroll", people, "--json", **environment)
    assert done.returncode == 0, done.stderr
    assert lines(done)[0]["enrolled"] == 1
    return environment


def test_liveness_result_has_the_contract_s_form(clips: dict[str, Path]) -> None:
    done = livegate("run", clips["person"], "--mode", "liveness", "--json")
    *before, result = lines(done)
    assert done.returncode == 0, done.stderr
    assert all(event["event"] == "guidance" for event in before)
    assert {
        "event",
        "code",
        "passed",
        "mode",
        "reason",
        "liveness",
        "match",
        "frame_sha256",
        "uploaded_sha256",
    } <= set(result)
    assert (result["event"], result["code"], result["passed"], result["mode"]) == (
        "result",
        1000,
        True,
        "liveness",
    )
    assert (result["reason"], result["match"], result["uploaded_sha256"]) == (None, None, None)
    assert set(result["liveness"]) == {"passed", "score", "frames", "elapsed_ms", "cues"}
    assert 0 <= result["liveness"]["score"] <= 1
    assert len(result["frame_sha256"]) == 64


def test_verification_in_process_passes_the_enrolled_stand_in(
    clips: dict[str, Path], enrolled: dict[str, str]
) -> None:
    who = ("--name", NAME, "--cert-number", NUMBER, "--consent", "form-17", "--allow-test-source")
    done = livegate("run", clips["person"], "--mode", "verify", *who, "--json", **enrolled)
    result = lines(done)[-1]
    assert done.returncode == 0, done.stderr
    assert (result["code"], result["match"]["code"]) == (1000, 200)
    assert result["match"]["score"] >= 95
    assert result["match"]["request_id"]
    assert result["frame_sha256"] == result["uploaded_sha256"]
    assert result["test_source"] is True
    assert NUMBER not in done.stdout + done.stderr


def test_replay_does_not_pass(clips: dict[str, Path], enrolled: dict[str, str]) -> None:
    who = ("--name", NAME, "--cert-number", NUMBER, "--consent", "form-17", "--allow-test-source")
    done = livegate("run", clips["replay"], "--mode", "verify", *who, "--json", **enrolled)
    result = lines(done)[-1]
    assert (done.returncode, result["code"]) in {(3, 2006), (4, 1003)}
    assert result["passed"] is False
    assert result["uploaded_sha256"] is None
    assert result["message"]["zh"]
    assert result["message"]["en"]


def test_clip_without_the_test_switch_is_an_injected_source(
    here: Callable[..., Done], clips: dict[str, Path], enrolled: dict[str, str]
) -> None:
    who = ("--name", NAME, "--cert-number", NUMBER, "--consent", "form-17")
    done = here("run", clips["person"], "--mode", "verify", *who, "--json", **enrolled)
    assert (done.returncode, lines(done)[-1]["reason"]) == (3, "injected_source")


def test_unknown_person_is_rejected(
    here: Callable[..., Done], clips: dict[str, Path], enrolled: dict[str, str]
) -> None:
    who = ("--name", "别人", "--cert-number", NUMBER, "--consent", "form-17", "--allow-test-source")
    done = here("run", clips["person"], "--mode", "verify", *who, "--json", **enrolled)
    result = lines(done)[-1]
    assert (done.returncode, result["code"], result["reason"]) == (3, 2006, "identity_refused")


def test_dead_endpoint_is_a_network_error(here: Callable[..., Done], clips: dict[str, Path]) -> None:
    who = ("--name", NAME, "--cert-number", NUMBER, "--consent", "form-17", "--allow-test-source")
    key = {"LIVEGATE_ACCESS_KEY_ID": "id", "LIVEGATE_ACCESS_KEY_SECRET": "secret"}
    done = here(
        "run", clips["person"], "--mode", "verify", "--endpoint", "http://127.0.0.1:9", *who, "--json", **key
    )
    result = lines(done)[-1]
    assert (done.returncode, result["code"], result["reason"]) == (5, 2002, "network")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("run",),
        ("run", "CLIP", "--mode", "cloud"),
        ("run", "CLIP", "--mode", "verify", "--consent", "x"),
        ("run", "CLIP", "--mode", "verify", "--name", NAME, "--cert-number", NUMBER),
        ("run", "CLIP", "--mode", "verify", "--name", NAME),
        ("run", "CLIP", "--name", NAME, "--cert-number", NUMBER),
        ("run", "CLIP", "--no-such-flag"),
        ("score",),
        ("kiosk", "--port", "80000"),
        ("kiosk", "--mode", "cloud"),
        ("kiosk", "--host", "0.0.0.0"),
    ],
)
def test_bad_usage_ends_with_status_2_and_an_empty_stdout(
    here: Callable[..., Done], clips: dict[str, Path], arguments: tuple[str, ...]
) -> None:
    done = here(*(str(clips["person"]) if a == "CLIP" else a for a in arguments))
    assert done.returncode == 2
    if arguments:  # without any the help is shown
        assert done.stderr
        assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert NUMBER not in done.stderr


@pytest.mark.parametrize(
    "call",
    [
        ("enroll", "absent"),
        ("match", "absent_33010319900101123X.jpg", "--name", NAME, "--cert-number", NUMBER),
        ("eval", "pad", "absent", "--out", "report"),
        ("eval", "match", "absent", "--out", "report"),
        ("eval", "compare", "absent", "absent"),
        ("calibrate", "absent", "--out", "calibration.json"),
        ("score", "--manifest", "absent"),
    ],
)
def test_an_input_that_is_not_there_is_bad_usage_before_anything_is_made(
    call: tuple[str, ...], here: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = here(*call, LIVEGATE_DATABASE=f"sqlite:///{tmp_path / 'authority.db'}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no" in done.stderr or "no report" in done.stderr
    assert "33010319900101123X" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_missing_source_and_missing_models_are_results_with_status_6(
    here: Callable[..., Done], clips: dict[str, Path], tmp_path: Path
) -> None:
    done = here("run", tmp_path / "absent.mp4", "--json")
    assert (done.returncode, lines(done)[-1]["error"]) == (6, "source_open")
    done = here("run", clips["person"], "--json", LIVEGATE_MODELS_DIR=str(tmp_path / "none"))
    result = lines(done)[-1]
    assert (done.returncode, result["code"], result["error"]) == (6, 1001, "model_missing")
    assert "livegate models pull" in result["hint"]


def test_score_goes_on_past_what_can_not_be_read(
    here: Callable[..., Done], clips: dict[str, Path], astronaut: Image, tmp_path: Path
) -> None:
    picture, broken, empty = tmp_path / "face.png", tmp_path / "broken.jpg", tmp_path / "wall.png"
    cv2.imwrite(str(picture), astronaut)
    broken.write_bytes(b"\xff\xd8\xff not a picture")
    cv2.imwrite(str(empty), astronaut[400:, :200])
    unreadable = [tmp_path / "absent.png", tmp_path / "pipe"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(unreadable[1])  # nobody writes to it: opened as a file is, it would be waited for
    done = here("score", picture, broken, empty, clips["replay"], *unreadable, "--json")
    first, second, third, clip, *last = lines(done)
    assert done.returncode == 0, done.stderr
    assert list(first)[:6] == ["path", "faces", "score", "live", "reason", "ms"]
    assert (first["path"], first["faces"], first["live"], first["reason"]) == (str(picture), 1, True, None)
    assert 0 <= first["score"] <= 1
    assert (second["score"], second["live"], second["reason"]) == (None, None, "unreadable")
    assert (third["faces"], third["score"], third["reason"]) == (0, None, "no_face")
    assert clip["live"] is False
    assert clip["score"] < 0.5 < first["score"]
    assert [record["reason"] for record in last] == ["unreadable", "unreadable"]


def test_score_reads_a_manifest(here: Callable[..., Done], astronaut: Image, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), astronaut)
    table = tmp_path / "pad.tsv"
    table.write_text("path\tlabel\nface.png\tlive\nabsent.png\tspoof\n")
    first, second = lines(here("score", "--manifest", table, "--json"))
    assert first["live"] is True
    assert second["reason"] == "unreadable"
    assert here("score", "--manifest", tmp_path / "face.png").returncode == 2


def test_interrupted_run_ends_with_a_result(
    here: Callable[..., Done], astronaut: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.vision.Vision.see", interrupt)
    cv2.imwrite(str(tmp_path / "face.png"), astronaut)
    done = here("run", tmp_path / "face.png", "--mode", "liveness", "--json")
    result = lines(done)[-1]
    assert (done.returncode, result["event"], result["code"]) == (4, "result", 1003)
    assert (result["reason"], result["passed"], result["frame_sha256"]) == ("interrupted", False, None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_ended_by_a_signal_ends_with_a_result(number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a camera that never sends a picture
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/stream"
        command = [sys.executable, "-m", "pipeline", "run", url, "--mode", "liveness", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = silent.accept()  # the check waits for its first frame from now on
            with connection:
                process.send_signal(number)
                out, err = process.communicate(timeout=60)
    result = json.loads(out.splitlines()[-1])
    assert (process.returncode, result["event"], result["code"]) == (4, "result", 1003)
    assert (result["reason"], result["passed"]) == ("interrupted", False)
    assert "Traceback" not in err


def test_run_interrupted_while_the_service_is_asked_ends_as_an_answer_that_never_came(
    here: Callable[..., Done],
    clips: dict[str, Path],
    enrolled: dict[str, str],
    astronaut: Image,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.match.exchange.Exchange.post", interrupt)
    who = ("--name", NAME, "--cert-number", NUMBER, "--json")
    more = ("--mode", "verify", "--consent", "form-17", "--allow-test-source")
    done = here("run", clips["person"], *who, *more, **enrolled)
    result = lines(done)[-1]
    assert (done.returncode, result["code"], result["reason"]) == (5, 2002, "outcome_unknown")
    assert result["match"] == {"code": None, "score": None, "request_id": None}
    assert result["uploaded_sha256"] == result["frame_sha256"] is not None
    cv2.imwrite(str(tmp_path / "face.png"), astronaut)
    done = here("match", tmp_path / "face.png", *who)
    assert (done.returncode, done.stdout) == (5, "")
    assert "outcome_unknown" in done.stderr


def test_interrupted_commands_say_so_and_end_with_status_130(
    here: Callable[..., Done], astronaut: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.vision.Vision.look", interrupt)
    cv2.imwrite(str(tmp_path / "face.png"), astronaut)
    done = here("score", tmp_path / "face.png", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_progress_leaves_nothing_where_standard_error_is_no_terminal(
    here: Callable[..., Done], astronaut: Image, tmp_path: Path
) -> None:
    (tmp_path / "people").mkdir()
    cv2.imwrite(str(tmp_path / "face.png"), astronaut)
    (tmp_path / "face.png").rename(tmp_path / "people" / f"{NAME}_{NUMBER}.png")
    picture = tmp_path / "people" / f"{NAME}_{NUMBER}.png"
    assert here("score", picture, picture).stderr == ""
    done = here("enroll", tmp_path / "people", LIVEGATE_DATABASE=f"sqlite:///{tmp_path / 'a.db'}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_json_lines_are_utf_8_json_for_any_terminal_and_any_file_name(
    monkeypatch: pytest.MonkeyPatch, encoding: str, errors: str
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding, errors=errors))
    records = [{"path": os.fsdecode(b"caf\xe9 \xff.png")}, {"zh": "验证通过", "fr": "é"}]
    for record in records:
        emit(record)
    assert [json.loads(line) for line in written.getvalue().decode("utf-8").splitlines()] == records


def test_what_the_system_refuses_is_a_sentence_and_status_6(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded((tmp_path / "none" / f"{NUMBER}.jpg").read_bytes) == 6
    assert capfd.readouterr() == ("", "error system: ***.jpg: No such file or directory\n")


def test_errors_are_not_broken_over_lines(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise UsageError("word " * 100 + "end", hint="This way.")

    assert run_guarded(fail) == 2
    first, second = capfd.readouterr().err.splitlines()
    assert first.endswith("word end")
    assert second.strip() == "This way."


def test_help_of_serve_names_its_part_of_the_settings(here: Callable[..., Done]) -> None:
    assert "the part `serve` of livegate.toml" in " ".join(here("serve", "--help").stdout.split())


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "score",
        "enroll",
        "serve",
        "match",
        "init",
        "query",
        "models",
        "models pull",
        "doctor",
        "kiosk",
        "eval",
    ],
)
def test_help_explains_itself(here: Callable[..., Done], command: str) -> None:
    done = here(*command.split(), "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_doctor_and_models_tell_what_is_there(here: Callable[..., Done]) -> None:
    found = lines(here("doctor", "--json"))
    assert {"model face_detector", "model face_mesh", "keys", "endpoint"} <= {item["what"] for item in found}
    models = lines(here("models", "list", "--json"))
    assert {item["name"] for item in models} >= {"face_detector", "face_mesh", "fr_liveness", "fr_feature"}
    assert all(len(item["sha256"]) == 64 for item in models)


@pytest.fixture
def no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])


@pytest.mark.usefixtures("no_accelerator")
def test_provider_that_is_absent_is_told_and_the_check_runs_on_the_processor(
    here: Callable[..., Done], clips: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    found = [
        item for item in lines(here("doctor", "--json", "--provider", "directml")) if item["state"] == "warn"
    ]
    assert {"directml for face_detector", "directml for fr_liveness"} <= {item["what"] for item in found}
    done = here("run", clips["person"], "--mode", "liveness", "--json", "--provider", "directml")
    assert lines(done)[-1]["code"] == 1000
    assert any("directml" in message for message in (*caplog.messages, done.stderr))


@pytest.mark.usefixtures("no_accelerator")
def test_models_verify_holds_a_provider_against_the_processor(here: Callable[..., Done]) -> None:
    done = here("models", "verify", "--provider", "directml", "--json")
    assert done.returncode == 6
    assert {i["state"] for i in lines(done) if i["event"] == "provider"} == {"absent"}
    done = here("models", "verify", "--provider", "cpu", "--json")
    assert done.returncode == 0
    assert {i["difference"] for i in lines(done) if i["event"] == "provider"} == {0.0}
    assert here("models", "verify", "--provider", "abacus").returncode == 2


def test_doctor_fails_where_models_are_missing(here: Callable[..., Done], tmp_path: Path) -> None:
    done = here("doctor", "--json", LIVEGATE_MODELS_DIR=str(tmp_path))
    assert done.returncode == 6
    assert any(item["state"] == "fail" and "livegate models pull" in item["hint"] for item in lines(done))


def test_doctor_names_certificates_that_can_not_be_read(here: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    settings = {
        "LIVEGATE_MODE": "verify",
        "LIVEGATE_ENDPOINT": "https://127.0.0.1:9",
        "LIVEGATE_CA_FILE": str(tmp_path / "ca.pem"),
    }
    done = here("doctor", "--json", **settings)
    assert done.returncode == 6
    (found,) = [item for item in lines(done) if item["what"] == "endpoint"]
    assert found["state"] == "fail"
    assert "CA file" in found["detail"]
