"""``python -m pipeline.demo``: gateway, enrolment, two checks and a report, started and stopped in one go."""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import cv2
from rich.console import Console

from pipeline.camera import open_source
from pipeline.camera.frame import Image
from pipeline.demo.report import Chapter, annotate, write_report
from pipeline.demo.scene import FPS, SIZE, render_person, render_replay
from pipeline.errors import ClientCode, LivegateError
from pipeline.nets import open_store
from pipeline.vision import Vision

NAME, CERT_NUMBER = "样例", "11010519491231002X"
"""A made-up person; the number is the well-known specimen with a right check digit."""
SECONDS = 4
console = Console(stderr=True)


def main() -> int:
    """Run the demonstration; 0 when the stand-in passed and the simulated replay did not."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="folder for clips and report")
    out = Path(parser.parse_args().out).resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)

    with console.status("rendering two clips from one portrait ..."):
        portrait = _portrait()
        person = _write_clip(out / "person.avi", render_person(portrait, SECONDS * FPS))
        replay = _write_clip(out / "replay.avi", render_replay(portrait, SECONDS * FPS))
        people = out / "people"
        people.mkdir()
        (people / f"{NAME}_{CERT_NUMBER}.jpg").write_bytes(cv2.imencode(".jpg", portrait)[1].tobytes())

    environment = _environment(out)
    _livegate(["enroll", str(people)], environment)
    with _gateway(environment) as url:
        console.print(f"embedded gateway listening at {url}", highlight=False)
        chapters = [
            _chapter("A stand-in for a person (simulated), verification", person, url, environment),
            _chapter("A telephone held to the camera (simulated), verification", replay, url, environment),
        ]
    console.print("embedded gateway stopped")

    cv2.imwrite(str(out / "annotated.jpg"), chapters[0].picture)
    report = out / "report.html"
    write_report(report, chapters, _facts())
    for chapter in chapters:
        sys.stdout.write(json.dumps(chapter.result, ensure_ascii=False) + "\n")
    console.print(f"report: {report}\npicture: {out / 'annotated.jpg'}", highlight=False)
    passed, refused = (chapter.result["code"] for chapter in chapters)
    console.print(f"verdict: stand-in {passed}, simulated replay {refused}", highlight=False)
    return (
        0 if passed == ClientCode.PASSED and refused in (ClientCode.REJECTED, ClientCode.INTERRUPTED) else 1
    )


def _portrait() -> Image:
    image = cv2.imread(str(open_store().path("sample_astronaut")), cv2.IMREAD_COLOR)
    if image is None:
        raise LivegateError(
            "the sample portrait can't be read", hint="Run `livegate models pull --group sample`."
        )
    return cast(Image, image)


def _write_clip(path: Path, frames: Iterable[Image]) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, SIZE)
    writer.set(cv2.VIDEOWRITER_PROP_QUALITY, 95)
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def _environment(out: Path) -> dict[str, str]:
    """Variables for the commands: a database and a key of this demonstration alone."""
    return {
        **os.environ,
        "LIVEGATE_DATABASE": f"sqlite:///{out / 'authority.db'}",
        "LIVEGATE_ACCESS_KEY_ID": "demo-" + secrets.token_hex(6),
        "LIVEGATE_ACCESS_KEY_SECRET": secrets.token_urlsafe(24),
        "NO_PROXY": "127.0.0.1,localhost",
    }


def _livegate(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=False,
    )


@contextmanager
def _gateway(environment: dict[str, str]) -> Iterator[str]:
    """``livegate serve`` on a free port of the loopback interface, stopped at the end."""
    command = [sys.executable, "-m", "pipeline", "serve", "--host", "127.0.0.1", "--port", "0", "--json"]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    try:
        line = server.stdout.readline() if server.stdout else ""
        if not line:
            raise LivegateError("the embedded gateway did not start", hint="Its own message stands above.")
        yield str(json.loads(line)["url"])
    finally:
        server.terminate()
        try:
            server.wait(timeout=15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        if server.stdout:
            server.stdout.close()


def _chapter(title: str, clip: Path, url: str, environment: dict[str, str]) -> Chapter:
    """One ``livegate run`` in verify mode, with the picture that belongs to its verdict."""
    arguments = ["run", str(clip), "--mode", "verify", "--endpoint", url, "--consent", "demo-consent-1"]
    switches = ["--allow-test-source", "--json"]
    console.print(f"livegate run {clip.name} --mode verify --endpoint {url} ...", highlight=False)
    done = _livegate([*arguments, "--name", NAME, "--cert-number", CERT_NUMBER, *switches], environment)
    lines = done.stdout.splitlines()
    if not lines:
        raise LivegateError("the run printed no result", hint="Its own message stands above.")
    result = json.loads(lines[-1])
    picture, note = _picture(clip, result)
    shown = ["livegate", *arguments, "--name", "...", "--cert-number", "...", *switches]
    return Chapter(title, " ".join(shown).replace(str(clip), clip.name), result, picture, note)


def _picture(clip: Path, result: dict[str, Any]) -> tuple[Image, str]:
    """The frame whose digest the result carries, found again in the clip; else the clip's middle."""
    wanted = result["uploaded_sha256"] or result["frame_sha256"]
    frames = list(open_source(str(clip)))
    chosen = next((frame for frame in frames if frame.sha256() == wanted), None)
    note = "No frame passed; this is the middle of the clip."
    if chosen is not None:
        note = f"Frame {chosen.seq}: the pixels judged and, by their SHA-256, the pixels sent."
    elif wanted is not None:
        raise LivegateError("no frame of the clip has the digest of the result")
    frame = chosen or frames[len(frames) // 2]
    view = Vision(open_store()).look(frame.image)
    caption = f"{result['code']} {result['reason'] or 'passed'}"
    return annotate(frame.image, view, passed=result["passed"], caption=caption), note


def _facts() -> dict[str, str]:
    packages = ("livegate", "numpy", "opencv-python", "onnxruntime", "httpx")
    return {"python": platform.python_version(), "machine": platform.platform()} | {
        name: version(name) for name in packages
    }


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LivegateError as error:
        console.print(f"{error.message}. {error.hint}", markup=False, highlight=False)
        sys.exit(1)
