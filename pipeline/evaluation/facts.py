"""With what a report was made, so that it can be made again."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import pipeline

PACKAGES: Final = ("numpy", "opencv-python", "onnxruntime", "scipy", "matplotlib")


def run_facts(command: str, models: Sequence[str]) -> dict[str, Any]:
    """Date, command, versions and machine; nothing of the user, the host's name or its folders.

    Args:
        command: the command line as it should be repeated.
        models: names of the nets that were used.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "livegate": pipeline.__version__,
        "commit": commit(),
        "models": list(models),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": processor(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def commit(root: Path | None = None) -> str | None:
    """Commit of the checkout that the package runs from, ``-dirty`` behind it where files differ from it.

    Args:
        root: the checkout; the folder above the package if left out.

    Returns:
        40 hex digits, or None where the package is not run from a checkout or git is not there.
    """
    root = root or Path(pipeline.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    head = _git(root, "rev-parse", "HEAD")
    if head is None:
        return None
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return f"{head}-dirty" if changed or changed is None else head


def processor() -> str:
    """Name of the processor, or its architecture."""
    if sys.platform == "linux":
        try:
            lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
