"""``python -m pipeline`` is ``livegate``."""

from pipeline.cli import main

main()
