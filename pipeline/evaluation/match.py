"""`evaluate_match`: pairs of pictures to a report folder."""

from __future__ import annotations

from pathlib import Path

from pipeline.evaluation.compared import Embedder, compare_pairs, write_pairs
from pipeline.evaluation.extra import need_all
from pipeline.evaluation.facts import run_facts
from pipeline.evaluation.folder import Progress, Report, prepare, run_section, write_json
from pipeline.evaluation.manifest import Listing, Pair, read_pairs
from pipeline.evaluation.match_page import match_page
from pipeline.evaluation.match_report import match_json


def evaluate_match(
    pairs: Path | Listing[Pair],
    out: Path,
    embedder: Embedder,
    *,
    threshold: float,
    command: str = "",
    progress: Progress | None = None,
) -> Report:
    """Measure comparison on labelled pairs, after ISO/IEC 19795-1:2021.

    The folder gets ``report.json``, ``report.html`` and ``scores.csv``. The page holds faces out of the
    list: keep it where the data may be kept.

    Args:
        pairs: file of a list, or what `read_pairs` read.
        out: folder to write to; made where it is not there, an older report in it is replaced.
        embedder: the product; each picture is embedded once.
        threshold: the product's score at or above which it takes two faces for one person, 0..100.
        command: how to repeat it, for the report.
        progress: called after every picture.

    Raises:
        UsageError: the list is bad, the folder can't be written, or the extra ``eval`` is not installed.
        LivegateError: the product itself failed.
    """
    need_all()
    listing = pairs if isinstance(pairs, Listing) else read_pairs(pairs)
    json_path, html_path, csv_path = prepare(out)
    compared = compare_pairs(listing.rows, embedder, progress)
    write_pairs(csv_path, compared)
    data = match_json(compared, threshold)
    data["run"] = run_section(listing, "pairs", run_facts(command, embedder.nets))
    write_json(json_path, data)
    html_path.write_text(
        match_page(data, compared, embedder.score), encoding="utf-8", errors="backslashreplace"
    )
    return Report(data, json_path, html_path, csv_path)
