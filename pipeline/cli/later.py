"""Commands of the contract that are not available yet: they say so and end with status 2."""

from __future__ import annotations

import typer

from pipeline.errors import UsageError

PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True}


def not_available(name: str) -> UsageError:
    """The error that such a command ends with."""
    return UsageError(f"`livegate {name}` is not available yet", hint="The README lists what is.")


def kiosk() -> None:
    """The browser kiosk: not available yet."""
    raise not_available("kiosk")


evidence_app = typer.Typer(help="Sealed evidence pictures: not available yet.", no_args_is_help=True)


@evidence_app.command("keygen", context_settings=PASS_THROUGH)
def keygen() -> None:
    """Make a key pair: not available yet."""
    raise not_available("evidence keygen")


@evidence_app.command("list", context_settings=PASS_THROUGH)
def list_sealed() -> None:
    """List sealed pictures: not available yet."""
    raise not_available("evidence list")


@evidence_app.command("export", context_settings=PASS_THROUGH)
def export() -> None:
    """Open sealed pictures with the private key: not available yet."""
    raise not_available("evidence export")


@evidence_app.command("purge", context_settings=PASS_THROUGH)
def purge() -> None:
    """Remove what is past its retention: not available yet."""
    raise not_available("evidence purge")
