"""``livegate score``."""

import typer


def score() -> None:
    """Placeholder."""
    raise typer.Exit(2)
