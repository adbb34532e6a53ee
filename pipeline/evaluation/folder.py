"""The folder that a report is written to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.camera.names import shown_path
from pipeline.errors import UsageError
from pipeline.evaluation.manifest import Listing

Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is."""

REPORT_JSON: Final = "report.json"
REPORT_HTML: Final = "report.html"
SCORES_CSV: Final = "scores.csv"
_HINT: Final = "Name a folder that can be written to; it is made where it is not there."


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """A report on disk.

    Attributes:
        data: what `json` holds.
        json: the numbers.
        html: the page, with pictures from the list.
        csv: one row for each presentation or pair.
    """

    data: dict[str, Any]
    json: Path
    html: Path
    csv: Path


def prepare(out: Path) -> tuple[Path, Path, Path]:
    """Make the folder and take an older report out of it, so that no half of one is left beside a new one.

    Returns:
        Paths of the JSON file, the page and the table.

    Raises:
        UsageError: it can't be made or written to.
    """
    paths = (out / REPORT_JSON, out / REPORT_HTML, out / SCORES_CSV)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path in paths:
            path.unlink(missing_ok=True)
        paths[2].touch()
    except (OSError, ValueError) as error:
        raise UsageError(f"{_shown(out)} can't be written to: {type(error).__name__}", hint=_HINT) from None
    return paths


def _shown(folder: Path) -> str:
    """Name of a folder; ``.`` and ``/`` have none of their own."""
    return shown_path(folder if folder.name not in ("", "..") else folder.resolve()) or str(folder)


def run_section(listing: Listing[Any], key: str, facts: dict[str, Any]) -> dict[str, Any]:
    """The report's section on how it was made: `facts.run_facts` and the list."""
    return {
        **facts,
        key: {
            "name": listing.name,
            "sha256": listing.sha256,
            "rows": len(listing.rows) + listing.repeated,
            "repeated": listing.repeated,
        },
    }


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write the numbers; NaN and infinity have no place in them.

    What is no character, in a file name that is not UTF-8, becomes JSON's own escape of it.
    """
    text = json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_json(folder: Path, kind: str) -> dict[str, Any]:
    """Read a report back.

    Raises:
        UsageError: there is none, or it is of another kind.
    """
    path = folder / REPORT_JSON
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError(f"{_shown(folder)} holds no report that can be read", hint=_READ_HINT) from None
    if not isinstance(data, dict) or data.get("kind") != kind:
        raise UsageError(f"{_shown(folder)} holds no {kind} report", hint=_READ_HINT)
    return data


_READ_HINT: Final = "Name the folder that `livegate eval ... --out` wrote."
