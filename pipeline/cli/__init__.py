"""The livegate command."""

from __future__ import annotations

import os
import sys


def keep_plugins_out() -> None:
    """Let no plug-in of an installed package see what pydantic checks; looking for them takes time, too.

    To be called before anything imports pydantic. A library must not decide this for its host, so only the
    command does.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def main() -> None:
    """Entry point of ``livegate`` and ``python -m pipeline``."""
    keep_plugins_out()
    from pipeline.cli.app import app
    from pipeline.cli.common import run_guarded

    sys.exit(run_guarded(app))
