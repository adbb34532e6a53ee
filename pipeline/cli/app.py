"""The command line put together; each command lives in a module of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline import __version__
from pipeline.cli import (
    by_hand,
    calibrate,
    doctor,
    evaluate,
    evidence,
    gateway,
    keys,
    kiosk,
    models,
    run,
    score,
)
from pipeline.cli.common import set_up_logging, stdout
from pipeline.cli.quiet import READERS, libraries_silent

app = typer.Typer(
    name="livegate",
    help="A camera gate: decides on this machine whether a live person stands before the camera, and only "
    "then asks an identity service who it is.\n\n"
    "Settings: flags over LIVEGATE_* variables over livegate.toml. Secrets come from the environment or "
    "from a file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        stdout.print(f"livegate {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Log what livegate does, and what the libraries it uses say, to stderr."
        ),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of every command."""
    if not verbose and context.invoked_subcommand in READERS:
        context.with_resource(libraries_silent())
    set_up_logging(verbose)


app.command("run")(run.run)
app.command("score")(score.score)
app.command("calibrate")(calibrate.calibrate)
app.command("enroll")(gateway.enroll)
app.command("serve")(gateway.serve)
app.command("match")(by_hand.match)
app.command("init")(by_hand.init)
app.command("query")(by_hand.query)
app.add_typer(models.app, name="models")
app.command("doctor")(doctor.doctor)
app.command("kiosk")(kiosk.kiosk)
app.add_typer(evaluate.app, name="eval")
app.add_typer(evidence.app, name="evidence")
app.add_typer(keys.app, name="keys")
