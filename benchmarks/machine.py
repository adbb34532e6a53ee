"""What a number depends on: processor, load, versions; and the cores that a process may use."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

PACKAGES: Final = ("livegate", "numpy", "opencv-python", "onnxruntime", "httpx", "scipy")
_FREQUENCY: Final = Path("/sys/devices/system/cpu/cpu0/cpufreq")


def allowed_cores() -> tuple[int, ...]:
    """Cores that this process may run on, ascending; all of them where the system can't tell."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def pin(cores: tuple[int, ...]) -> bool:
    """Hold the calling thread, and threads that it starts from now on, to some cores.

    Returns:
        False where the system can't do it.
    """
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, cores)
    return True


def load() -> float | None:
    """Processes that wanted to run, mean of the last minute; None where the system can't tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def facts() -> dict[str, Any]:
    """Machine and versions; nothing of the user, the host's name or its folders."""
    from pipeline.evaluation.facts import commit, processor  # processes that are measured don't ask for facts

    return {
        "cpu": processor(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "allowed_cores": list(allowed_cores()),
        "governor": _read(_FREQUENCY / "scaling_governor"),
        "memory_mib": _memory_mib(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": commit(),
        "niceness": os.nice(0) if hasattr(os, "nice") else None,
    }


def resident_mib() -> tuple[float, float] | None:
    """Resident memory of this process now and at its highest, MiB; None where the system can't tell."""
    text = _read(Path("/proc/self/status")) or ""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    if "VmRSS" not in fields or "VmHWM" not in fields:
        return None
    now, highest = (float(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return round(now, 2), round(highest, 2)


def _memory_mib() -> int | None:
    text = _read(Path("/proc/meminfo")) or ""
    line = next((row for row in text.splitlines() if row.startswith("MemTotal:")), None)
    return None if line is None else int(line.split()[1]) // 1024


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
