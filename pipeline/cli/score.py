"""``livegate score``: the passive score of pictures and clips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from pipeline.cli.common import ProviderOption, build_settings, emit, stderr, stdout
from pipeline.errors import UsageError


def score(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="Pictures, videos, folders of frames.")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="TSV", help="Table with a column `path`, relative to the table; scored too."),
    ] = None,
    nets: Annotated[
        str | None, typer.Option(help="Liveness nets with commas between, instead of the settings'.")
    ] = None,
    provider: ProviderOption = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="One JSON object per line on standard output.")
    ] = False,
) -> None:
    """Tell how live each picture or clip looks: a score in [0, 1], higher is more live.

    A picture's score is the calibrated posterior of one frame, a clip's that of the whole check. Scores are
    comparable across inputs. What can't be read gets none and the run goes on. Nothing is sent anywhere.
    """
    from pipeline.score import FileScorer

    paths = list(files or [])
    if manifest is not None:
        from pipeline.evaluation import read_paths

        paths += read_paths(manifest)
    if not paths:
        raise UsageError("nothing to score: name files or give --manifest TSV")
    scorer = FileScorer(build_settings(nets=nets, provider=provider))
    with Progress(console=stderr, transient=True, disable=len(paths) < 2 or not stderr.is_terminal) as bar:
        for path in bar.track(paths, description="scoring"):
            record = scorer.score(path)
            if json_lines:
                emit(record.to_json())
            else:
                value = "-" if record.score is None else f"{record.score:.3f}"
                word = record.reason or "live"
                stdout.print(f"{value:>6}  {word:<14} {path}", markup=False, highlight=False)
