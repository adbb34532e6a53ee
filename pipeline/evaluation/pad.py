"""`evaluate_pad`: a scorer over a manifest to a report folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pipeline.evaluation.extra import need_all
from pipeline.evaluation.facts import run_facts
from pipeline.evaluation.folder import Progress, Report, prepare, run_section, write_json
from pipeline.evaluation.manifest import Listing, Presentation, read_manifest
from pipeline.evaluation.outcomes import Scorer, judge, open_writer
from pipeline.evaluation.pad_page import pad_page
from pipeline.evaluation.pad_report import pad_json

FITTED: Final = (
    "The site calibration in use was fitted on half of this very list: these rates flatter it. Measure "
    "on the rows that `livegate calibrate --check-out` wrote."
)


def evaluate_pad(
    manifest: Path | Listing[Presentation],
    out: Path,
    scorer: Scorer,
    *,
    command: str = "",
    progress: Progress | None = None,
) -> Report:
    """Measure presentation attack detection on labelled data, after ISO/IEC 30107-3:2023.

    The folder gets ``report.json``, ``report.html`` and ``scores.csv``. The page holds faces out of the
    manifest: keep it where the data may be kept.

    Args:
        manifest: file of a manifest, or what `read_manifest` read.
        out: folder to write to; made where it is not there, an older report in it is replaced.
        scorer: the product.
        command: how to repeat it, for the report.
        progress: called after every presentation.

    Raises:
        UsageError: the manifest is bad, the folder can't be written, or the extra ``eval`` is not installed.
        LivegateError: the product itself failed.
    """
    need_all()
    listing = manifest if isinstance(manifest, Listing) else read_manifest(manifest)
    json_path, html_path, csv_path = prepare(out)
    outcomes = []
    with open_writer(csv_path) as writer:
        for done, item in enumerate(listing.rows, 1):
            outcome = judge(scorer, item)
            outcomes.append(outcome)
            writer.write(outcome)
            if progress is not None:
                progress(done, len(listing.rows))
    data = pad_json(outcomes, scorer.threshold)
    fitted_on = getattr(getattr(scorer, "calibration", None), "manifest_sha256", None)
    if fitted_on == listing.sha256:
        data["notes"].insert(0, FITTED)
    data["run"] = run_section(listing, "manifest", run_facts(command, scorer.nets))
    data["run"]["calibration"] = "shipped" if fitted_on is None else f"site, fitted on list {fitted_on}"
    write_json(json_path, data)
    html_path.write_text(pad_page(data, outcomes), encoding="utf-8", errors="backslashreplace")
    return Report(data, json_path, html_path, csv_path)
