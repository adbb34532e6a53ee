"""The livegate command."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of ``livegate`` and ``python -m pipeline``."""
    from pipeline.cli.app import app
    from pipeline.cli.common import run_guarded

    sys.exit(run_guarded(app))
