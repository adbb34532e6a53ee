"""``livegate calibrate``: a site's own recordings to a calibration file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pipeline.cli.common import build_settings, emit, stderr, stdout
from pipeline.cli.evaluate import CountedBar
from pipeline.cli.models import JsonOption

if TYPE_CHECKING:
    from pipeline.liveness.site import Counted, SiteFile


def calibrate(
    manifest: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST",
            help="TSV with the header `path label species subject group`, as for `livegate eval pad`: "
            "pictures and videos, every row with a subject. A video is one presentation, pictures of one "
            "subject, species and group are one together.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The calibration file to write, JSON without faces.")
    ],
    nets: Annotated[
        str | None, typer.Option(help="Liveness nets with commas between, instead of the settings'.")
    ] = None,
    target_apcer: Annotated[
        float | None, typer.Option(help="Wanted share of attacks accepted; at most 0.05.")
    ] = None,
    target_bpcer: Annotated[float | None, typer.Option(help="Wanted share of live people refused.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split by subject.")] = 0,
    check_out: Annotated[
        Path | None,
        typer.Option(
            metavar="TSV", help="Also write the rows that nothing was fitted on, for `livegate eval pad`."
        ),
    ] = None,
    json_lines: JsonOption = False,
) -> None:
    """Fit the decision to recordings of your own cameras, light, people and attacks.

    Half of the people are fitted on (score to likelihood ratio, thresholds, correlation of frames), the other
    half is measured with exact 95 % intervals. Use the file with the setting `calibration`
    (LIVEGATE_CALIBRATION=FILE, or in livegate.toml): gate, `score` and `eval pad` then refuse to start with
    other nets than these. It can't make the gate looser than the shipped calibration at an APCER of 5 %.

    It takes about 120 attacks and 60 live presentations, each of ten people or more: without any error, 59
    attacks are the fewest that can show an APCER of 5 % (rule of three), and only half of them are measured.
    With live recordings alone the shipped line stays and only the share of people refused is checked. Nothing
    is sent anywhere; the file names no person and no folder.
    """
    from pipeline.calibrate import (
        CalibrateOptions,
        calibrate_site,
        check_rows,
        read_recordings,
        refuse_unnamed,
        write_check_rows,
        write_site_file,
    )
    from pipeline.evaluation import read_manifest
    from pipeline.evaluation.extra import need
    from pipeline.liveness.passive import PassiveScorer
    from pipeline.liveness.site import marks
    from pipeline.nets import open_store
    from pipeline.vision import Vision

    need("scipy.stats")
    settings = build_settings(nets=nets, target_apcer=target_apcer, target_bpcer=target_bpcer)
    listing = read_manifest(manifest)
    refuse_unnamed(listing.rows)
    store = open_store(settings.models_dir, offline=settings.offline)
    scorer = PassiveScorer.load(store, settings.nets)
    mesh = "face_mesh_478" if settings.mesh == "accurate" else "face_mesh"
    vision = Vision(store, mesh=mesh, detect_every=settings.detect_every)
    with CountedBar("scoring") as advance:
        recordings = read_recordings(listing.rows, vision, scorer, progress=advance)
    file = calibrate_site(
        listing,
        recordings,
        scorer.calibration,
        marks({name: store.path(name) for name in settings.nets}),
        CalibrateOptions(
            target_apcer=settings.target_apcer,
            target_bpcer=settings.target_bpcer,
            deadline_s=settings.deadline_s,
            seed=seed,
        ),
    )
    write_site_file(file, out)
    if check_out is not None:
        write_check_rows(check_rows(listing, file), check_out)
    if json_lines:
        emit({"event": "calibration", "file": str(out), **file.model_dump(mode="json")})
    else:
        _show(file, out)


def _show(file: SiteFile, out: Path) -> None:
    """The check part for people: attacks worst first, then live people."""
    check = file.provenance.check
    table = Table(box=None, pad_edge=False, header_style="bold", title="the part that was not fitted")
    for column in ("measure", "errors", "share", "exact 95 %", "people", "exact 95 % over people"):
        table.add_column(column, overflow="fold")
    for name, counted in check.apcer.items():
        table.add_row(f"APCER {name}", *_cells(counted))
    table.add_row("BPCER, not passed", *_cells(check.bpcer))
    table.add_row("  of them refused", *_cells(check.refused))
    stdout.print(table)
    stdout.print(
        f"llr = {file.slope} x log-odds {file.intercept:+}, bound {file.bound}, rho {file.rho}, "
        f"tau {file.tau_s} s, targets APCER {file.target_apcer:.2%}, BPCER {file.target_bpcer:.2%}",
        highlight=False,
    )
    for note in file.provenance.notes:
        stderr.print(f"note: {note}", highlight=False, markup=False)
    stdout.print(str(out), highlight=False, markup=False, soft_wrap=True)


def _cells(counted: Counted) -> tuple[str, ...]:
    share = "-" if not counted.n else f"{counted.errors / counted.n:.1%}"
    return (
        f"{counted.errors}/{counted.n}",
        share,
        _ends(counted.ci95),
        f"{counted.subjects_with_errors}/{counted.subjects}",
        _ends(counted.subjects_ci95),
    )


def _ends(ends: tuple[float, float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:.1%} to {ends[1]:.1%}"
