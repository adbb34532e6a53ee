"""Packages of the extra ``eval``: imported where they are used, so that the gate runs without them."""

from __future__ import annotations

import importlib
from types import ModuleType

from pipeline.errors import UsageError

NEEDED = ("scipy.stats", "matplotlib.figure")


def need(module: str) -> ModuleType:
    """Import a module of the extra.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UsageError(
            f"reports on labelled data need {module.partition('.')[0]}, which is not installed",
            hint='pip install "livegate[eval]"',
        ) from None


def need_all() -> None:
    """Import every module of the extra, before a long run is begun.

    Raises:
        UsageError: one is not installed.
    """
    for module in NEEDED:
        need(module)
