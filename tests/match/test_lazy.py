"""Liveness mode imports this room without an HTTP library, and the gate never sees the hand path."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline

PACKAGE = Path(pipeline.__file__).parent
HTTP = {"httpx", "httpcore", "h11", "anyio", "requests", "urllib3", "http.client"}


@pytest.mark.parametrize(
    "module",
    [
        "pipeline.match",
        "pipeline.match.person",
        "pipeline.match.encode",
        "pipeline.match.reason",
        "pipeline.match.rules",
        "pipeline.match.results",
        "pipeline.protocol.answers",
        "pipeline.protocol.signing",
    ],
)
def test_importing_this_imports_no_http_library(module: str) -> None:
    script = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert module in loaded
    assert not loaded & HTTP


def test_no_module_but_the_command_lines_imports_the_hand_path() -> None:
    users = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            )
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{name}" for name in names] + [str(node.module)]
            if any(name.startswith("pipeline.match.by_hand") for name in names):
                users.add(path.relative_to(PACKAGE).parts[0])
    assert users <= {"cli"}
