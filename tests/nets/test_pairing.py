"""Which mediapipe, numpy, protobuf and OpenCV go together (docs/adr/0003); the product never imports it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pipeline"
READ_METADATA = """
import json
from importlib.metadata import distributions, requires
import cv2, mediapipe, numpy
from google.protobuf import __version__ as protobuf
found = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in distributions()}
print(json.dumps({
    "installed": found,
    "imported": {
        "mediapipe": mediapipe.__version__, "numpy": numpy.__version__, "protobuf": protobuf,
        "cv2": cv2.__version__,
    },
    "mediapipe": requires("mediapipe"),
    "opencv": requires("opencv-contrib-python"),
}))
"""


def release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


@pytest.fixture(scope="module")
def parity(mediapipe_python: Path) -> dict[str, Any]:
    """What the parity environment has, as its own interpreter tells it."""
    command = [str(mediapipe_python), "-c", READ_METADATA]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_mediapipe_0_10_21_imports_with_numpy_1_protobuf_4_and_opencv_before_4_12(
    parity: dict[str, Any],
) -> None:
    imported = parity["imported"]
    assert imported["mediapipe"] == "0.10.21"
    assert release(imported["numpy"])[0] == 1
    assert release(imported["protobuf"])[0] == 4
    assert (4, 10) <= release(imported["cv2"]) < (4, 12)


def test_mediapipe_states_the_bounds_that_the_lock_keeps(parity: dict[str, Any]) -> None:
    wanted = parity["mediapipe"]
    assert "numpy<2" in wanted
    assert "protobuf<5,>=4.25.3" in wanted
    assert "opencv-contrib-python" in wanted, "no bound of its own: requirements/mediapipe.in sets one"
    assert not any("numpy>=2" in line for line in parity["opencv"])


def test_parity_environment_has_one_opencv(parity: dict[str, Any]) -> None:
    assert [name for name in parity["installed"] if name.startswith("opencv-")] == ["opencv-contrib-python"]


def test_extra_pins_the_last_mediapipe_without_telemetry_and_what_goes_with_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extra = project["optional-dependencies"]["mediapipe"]
    assert [line for line in extra if line.startswith("mediapipe")] == ["mediapipe==0.10.21"]
    assert any(line.startswith("numpy") and line.endswith("<2") for line in extra)
    assert any(line.startswith("opencv-python") and line.endswith("<4.12") for line in extra)
    assert not any(line.startswith("mediapipe") for line in project["dependencies"])


def test_no_lock_but_the_parity_one_has_mediapipe() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        pinned = [line for line in lock.read_text("utf-8").splitlines() if line.startswith("mediapipe==")]
        assert pinned == (["mediapipe==0.10.21 \\"] if lock.name == "mediapipe.txt" else []), lock.name


def test_no_source_file_of_the_product_imports_mediapipe() -> None:
    modules = list(PACKAGE.rglob("*.py"))
    assert len(modules) > 20
    for path in modules:
        tree = ast.parse(path.read_text("utf-8"))
        names: list[str] = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names.append(node.module or "")
            elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = ast.unparse(node.func)
                if called.endswith(("import_module", "__import__")):
                    names.append(str(node.args[0].value))
        assert not [n for n in names if n.split(".")[0] == "mediapipe"], path.relative_to(ROOT)


def test_running_the_product_loads_no_mediapipe() -> None:
    """Every module of the product imports, converts and runs a net where mediapipe can't be imported."""
    code = """
import importlib, pkgutil, sys

class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "mediapipe":
            raise AssertionError("the product imports mediapipe")

sys.meta_path.insert(0, Forbidden())
import pipeline
for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
    if not module.name.endswith("__main__") and ".migrations" not in module.name:
        importlib.import_module(module.name)
from pipeline.nets import make_session, open_store
from pipeline.nets.convert import convert
store = open_store(offline=True)
spec = store.manifest["face_detector"]
assert len(convert(spec, store.original(spec).read_bytes())) == spec.size
make_session(store.path("face_detector"))
assert not [name for name in sys.modules if name.split(".")[0] == "mediapipe"]
print("clean")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.strip().splitlines()[-1:] == ["clean"], done.stderr[-2000:]
