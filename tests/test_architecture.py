"""The rooms' order, held by reading the imports of every module."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "pipeline"

ALLOWED = {
    "camera": {"camera"},
    "nets": {"nets"},
    "protocol": {"protocol"},
    "vision": {"vision", "camera", "nets"},
    "liveness": {"liveness", "vision", "camera", "nets"},
    "addresses": set(),
    "signals": set(),
    "match": {"match", "addresses", "protocol", "liveness", "camera"},
    "gateway": {"gateway", "addresses", "signals", "protocol", "vision", "camera", "nets"},
    "evidence": {"evidence", "gateway"},
    "evaluation": {"evaluation", "gateway", "vision", "camera"},
    "calibrate": {"calibrate", "evaluation", "liveness", "vision", "camera"},
    "device": {"device", "gate", "result", "service", "match", "protocol", "camera"},
    "kiosk": {
        "kiosk",
        "addresses",
        "signals",
        "gate",
        "loaded",
        "result",
        "service",
        "match",
        "protocol",
        "liveness",
        "camera",
    },
}
"""Room (a folder, or one module) -> rooms whose modules it may import. `errors`, `reasons` and `settings` are
everybody's."""
COMMON = {"errors", "reasons", "settings", "__version__"}
MEETING_PLACES = {
    "gate",
    "cameras",
    "loaded",
    "score",
    "service",
    "cli",
    "demo",
    "__init__",
    "__main__",
    "result",
}
"""Modules at the top that may see several rooms; only ``device`` and ``kiosk`` come after them."""


def imported_rooms(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= (
                {f"{node.module}.{alias.name}" for alias in node.names}
                if node.module == "pipeline"
                else set()
            )
            names.add(node.module or "")
    return {name.split(".")[1] for name in names if name.startswith("pipeline.")}


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_room_imports_only_rooms_before_it(room: str) -> None:
    folder = PACKAGE / room
    modules = list(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    assert modules
    for path in modules:
        wrong = imported_rooms(path) - ALLOWED[room] - COMMON
        assert not wrong, f"{path.relative_to(PACKAGE)} imports {sorted(wrong)}"


def test_every_module_belongs_to_a_room_or_a_meeting_place() -> None:
    tops = {
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert tops == set(ALLOWED) | COMMON - {"__version__"} | MEETING_PLACES


def test_the_kiosk_is_the_last_room_and_only_the_command_line_imports_it() -> None:
    users = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if "kiosk" in imported_rooms(path) and path.relative_to(PACKAGE).parts[0] != "kiosk"
    }
    assert users == {"cli"}


def test_picture_by_hand_is_for_the_command_line_only() -> None:
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "by_hand" in path.read_text(encoding="utf-8")
    }
    assert {name for name in users if not name.startswith(("match/", "cli/"))} == set()


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("pipeline", ("httpx", "sqlalchemy", "starlette", "uvicorn", "mediapipe", "onnx")),
        ("pipeline.gate", ("httpx", "sqlalchemy", "starlette", "uvicorn", "mediapipe")),
        ("pipeline.match.person", ("httpx",)),
        ("pipeline.kiosk", ("httpx", "sqlalchemy", "pipeline.gateway")),
        ("pipeline.cli.app", ("numpy", "cv2", "onnxruntime", "httpx", "sqlalchemy")),
    ],
)
def test_import_stays_light(module: str, absent: tuple[str, ...]) -> None:
    script = f"import {module}, sys; print(','.join(n for n in {absent!r} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_public_face_is_what_all_says() -> None:
    import pipeline

    assert sorted(pipeline.__all__) == list(pipeline.__all__)
    for name in pipeline.__all__:
        assert getattr(pipeline, name) is not None
