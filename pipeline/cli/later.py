"""Commands of the contract that are not available yet: they say so and end with status 2."""

from __future__ import annotations

from pipeline.errors import UsageError

PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True}


def not_available(name: str) -> UsageError:
    """The error that such a command ends with."""
    return UsageError(f"`livegate {name}` is not available yet", hint="The README lists what is.")


def kiosk() -> None:
    """The browser kiosk: not available yet."""
    raise not_available("kiosk")
