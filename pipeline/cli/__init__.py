"""The livegate command."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of ``livegate`` and ``python -m pipeline``."""
    try:
        from pipeline.cli.app import app
        from pipeline.cli.common import run_guarded
    except KeyboardInterrupt:  # before there is anything to end
        sys.exit(130)
    sys.exit(run_guarded(app))
