"""What a calibration leaves on disk: the file, and the rows that were not fitted on."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pipeline.calibrate.site import check_split
from pipeline.errors import UsageError
from pipeline.evaluation.manifest import Listing, Presentation
from pipeline.liveness.site import SiteFile


def check_rows(listing: Listing[Presentation], file: SiteFile) -> list[Presentation]:
    """Rows of the manifest that nothing was fitted on: what `livegate eval pad` may be run on."""
    chosen = check_split(listing.rows, file.provenance.seed) if file.provenance.fit else frozenset()
    return [row for row in listing.rows if row.subject not in chosen]


def write_site_file(file: SiteFile, path: Path) -> None:
    """Write the file in one step.

    Raises:
        UsageError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.new")
        draft.write_text(file.model_dump_json(indent=1) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise UsageError(
            f"{path.name} can't be written: {type(error).__name__}", hint="Name a file in a folder of yours."
        ) from None


def write_check_rows(rows: Iterable[Presentation], path: Path) -> None:
    """Write rows as a manifest beside anything, its paths relative to itself.

    Raises:
        UsageError: it can't be written.
    """
    lines = ["path\tlabel\tspecies\tsubject\tgroup"]
    for row in rows:
        place = os.path.relpath(row.path, path.absolute().parent)
        label = "live" if row.live else "spoof"
        lines.append("\t".join([place, label, row.species, row.subject, row.group]))
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path.name} can't be written: {type(error).__name__}", hint="Name a file in a folder of yours."
        ) from None
