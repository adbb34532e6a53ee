"""What is before the kiosk's camera: a stand-in for a person, a simulated replay, nobody."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.camera.frame import Image
from pipeline.demo.scene import FPS, SIZE, render_person, render_replay


@pytest.fixture(autouse=True)
def no_file_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def short_goodbyes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.kiosk.server.GOODBYE_S", 0.05)


@pytest.fixture(scope="session")
def moving(astronaut: Image) -> list[Image]:
    """A stand-in, for checks that last: what begins again sooner is refused as a loop."""
    return list(render_person(astronaut, 150))


@pytest.fixture(scope="session")
def person(moving: list[Image]) -> list[Image]:
    """The same to and fro, a third of a second long: decided soon wherever a check begins."""
    return moving[:6] + moving[5:0:-1]


@pytest.fixture(scope="session")
def replay(astronaut: Image) -> list[Image]:
    return list(render_replay(astronaut, 30))


@pytest.fixture(scope="session")
def nobody() -> list[Image]:
    rng = np.random.default_rng(1)
    return [rng.integers(100, 140, (480, 640, 3), np.uint8) for _ in range(5)]


@pytest.fixture(scope="session")
def clips(
    moving: list[Image], replay: list[Image], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("kiosk clips")
    made = {}
    for name, frames in (("person", moving[:60]), ("replay", replay)):
        made[name] = folder / f"{name}.avi"
        writer = cv2.VideoWriter(str(made[name]), cv2.VideoWriter.fourcc(*"MJPG"), FPS, SIZE)
        for frame in frames:
            writer.write(frame)
        writer.release()
    return made
