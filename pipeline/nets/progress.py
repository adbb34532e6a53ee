"""How pulling tells what it does."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told of each step; rich can draw it, and `SILENT` ignores it."""

    def start(self, name: str, message: str, total: int | None) -> None:
        """A step begins.

        Args:
            name: what it is about: a model or a package.
            message: a sentence for people.
            total: bytes to come, or None where that is not known.
        """

    def advance(self, name: str, done: int) -> None:
        """So many bytes are done in all."""

    def finish(self, name: str) -> None:
        """The step is over, whatever its outcome."""


class _Silent:
    def start(self, name: str, message: str, total: int | None) -> None:
        """Ignored."""

    def advance(self, name: str, done: int) -> None:
        """Ignored."""

    def finish(self, name: str) -> None:
        """Ignored."""


SILENT: Progress = _Silent()
