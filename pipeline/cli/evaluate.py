"""``livegate eval``: reports on labelled data."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from pipeline.cli.common import build_settings, emit, stderr, stdout
from pipeline.cli.models import JsonOption

if TYPE_CHECKING:
    from pipeline.evaluation import Comparison, Report

app = typer.Typer(help="Reports on labelled data: attacks, pairs, two runs.", no_args_is_help=True)

OutOption = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Folder for report.json, report.html and scores.csv. The page holds pictures from the data.",
    ),
]


@app.command()
def pad(
    manifest: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST",
            help="TSV with the header `path label species subject group`; label is live or spoof, paths are "
            "relative to the file, subject and group may be left out.",
        ),
    ],
    out: OutOption,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Liveness net, or nets with commas, instead of the settings'."),
    ] = None,
    json_lines: JsonOption = False,
) -> None:
    """Measure attack detection after ISO/IEC 30107-3: errors per species, worst first, with exact intervals.

    Verdicts are the product's own at its own threshold; nothing is fitted to the data. A file that can't be
    read or shows no face is a non-response: not accepted, and told apart. Nothing is sent anywhere.
    """
    from pipeline.evaluation import evaluate_pad, read_manifest
    from pipeline.evaluation.extra import need_all
    from pipeline.score import FileScorer

    need_all()
    settings = build_settings(nets=model)
    listing = read_manifest(manifest)  # a wrong list is told of before the nets are loaded
    scorer = FileScorer(settings)
    with CountedBar("scoring") as advance:
        report = evaluate_pad(listing, out, scorer, command=_command(), progress=advance)
    _end(report, json_lines, _pad_rows(report.data))


@app.command()
def match(
    pairs: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS", help="TSV with the header `a b same`; same is 0 or 1, paths are relative to it."
        ),
    ],
    out: OutOption,
    json_lines: JsonOption = False,
) -> None:
    """Measure comparison after ISO/IEC 19795-1: FMR and FNMR at the product's scores, and what they prove.

    The pictures go the authority's own way: detector, mesh, alignment, embedding. Nothing is sent anywhere.
    """
    from pipeline.evaluation import ProductEmbedder, evaluate_match, read_pairs
    from pipeline.evaluation.extra import need_all
    from pipeline.nets import open_store

    need_all()
    settings = build_settings()
    listing = read_pairs(pairs)
    embedder = ProductEmbedder(open_store(settings.models_dir, offline=settings.offline))
    with CountedBar("embedding") as advance:
        report = evaluate_match(
            listing,
            out,
            embedder,
            threshold=settings.match_threshold,
            command=_command(),
            progress=advance,
        )
    _end(report, json_lines, _match_rows(report.data))


@app.command("compare")
def compare_command(
    first: Annotated[Path, typer.Argument(metavar="A", help="Folder that `livegate eval pad` wrote.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another, on the same data.")],
    json_lines: JsonOption = False,
) -> None:
    """Compare two runs of `eval pad`, file by file, and tell whether the difference can be chance."""
    from pipeline.evaluation import compare

    found = compare(first, second)
    if json_lines:
        emit({"event": "comparison", **found.to_json()})
    else:
        _show_comparison(found)


class CountedBar:
    """Progress on standard error."""

    def __init__(self, what: str) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=stderr,
            transient=True,
            disable=not stderr.is_terminal,
        )
        self._task = self._bar.add_task(what, total=None)

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is."""
        self._bar.update(self._task, completed=done, total=total)

    def __enter__(self) -> CountedBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _command() -> str:
    """The command line as given; no option of these commands holds a secret."""
    return shlex.join(["livegate", *sys.argv[1:]])


def _end(report: Report, json_lines: bool, rows: list[tuple[str, str, str]]) -> None:
    if json_lines:
        body = {key: value for key, value in report.data.items() if key != "det"}
        emit({"event": "report", "json": str(report.json), "html": str(report.html), **body})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("measure", "value", "95 %"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    stdout.print(table)
    for note in report.data["notes"]:
        stderr.print(f"note: {note}", highlight=False, markup=False)
    stdout.print(str(report.html), highlight=False, markup=False, soft_wrap=True)


def _pad_rows(data: dict[str, Any]) -> list[tuple[str, str, str]]:
    rows = [
        (f"APCER {name} ({row['accepted']}/{row['n']})", _pct(row["value"]), _ends(row["ci95"]))
        for name, row in data["apcer"].items()
    ]
    bootstrap = data["bootstrap"] or {}
    live = data["bpcer_detail"]
    return [
        *rows,
        (f"BPCER ({live['errors']}/{live['n']})", _pct(data["bpcer"]), _ends(data["bpcer_ci95"])),
        ("ACER", _pct(data["acer"]), ""),
        ("no response", str(data["n_no_response"]), ""),
        ("EER, from this data", _pct(data["eer"]), _ends(bootstrap.get("eer"))),
        ("BPCER at APCER 5 %, from this data", _pct(data["bpcer_at_apcer_5"]), ""),
        ("AUC", "-" if data["auc"] is None else f"{data['auc']:.4f}", ""),
    ]


def _match_rows(data: dict[str, Any]) -> list[tuple[str, str, str]]:
    rows = []
    for mark, row in data["at_score"].items():
        for name in ("fmr", "fnmr"):
            rate = row[name]
            label = f"{name.upper()} at score {mark} ({rate['errors']}/{rate['n']})"
            rows.append((label, _pct(rate["value"]), _ends(rate["ci95"])))
    enrol = data["failure_to_enrol"]
    return [
        *rows,
        (f"failure to enrol ({enrol['errors']}/{enrol['n']})", _pct(enrol["value"]), _ends(enrol["ci95"])),
        ("EER, from this data", _pct(data["eer"]), _ends((data["bootstrap"] or {}).get("eer"))),
    ]


def _show_comparison(found: Comparison) -> None:
    stdout.print(
        f"{found.common} presentations in both, {found.only_a} only in A, {found.only_b} only in B",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("errors on", "A", "B", "wrong in A only", "in B only", "p (McNemar)"):
        table.add_column(column)
    for verdict in found.verdicts:
        table.add_row(
            f"{verdict.name} ({verdict.a.n})",
            _pct(verdict.a.value),
            _pct(verdict.b.value),
            str(verdict.only_a),
            str(verdict.only_b),
            f"{verdict.p:.2g}",
        )
    stdout.print(table)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("measure", "A", "B", "B - A", "95 %"):
        table.add_column(column)
    for difference in found.differences:
        interval = difference.interval
        table.add_row(
            difference.name,
            f"{difference.a:.4f}",
            f"{difference.b:.4f}",
            f"{difference.b - difference.a:+.4f}",
            "-" if interval is None else f"{interval.low:+.4f} to {interval.high:+.4f}",
        )
    stdout.print(table)


def _pct(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.2f} %"


def _ends(ends: list[float] | None) -> str:
    return "-" if ends is None else f"{ends[0] * 100:.2f} to {ends[1] * 100:.2f} %"
