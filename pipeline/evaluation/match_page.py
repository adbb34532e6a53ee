"""``report.html`` of comparison."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from markupsafe import Markup

from pipeline.evaluation.compared import Compared
from pipeline.evaluation.curve import error_curve
from pipeline.evaluation.intervals import F64, Rate
from pipeline.evaluation.page import render
from pipeline.evaluation.pictures import data_url
from pipeline.evaluation.plots import LIVE, SPOOF, Line, Point, det_svg, histogram_svg

GALLERY: Final = 12
LISTED: Final = 50
LOWEST: Final = -0.3
"""Left end of the histogram; pairs below are drawn in its first bar."""


def match_page(data: dict[str, Any], compared: Compared, score: Callable[[float], float]) -> str:
    """The page.

    Args:
        data: the report's JSON, its section ``run`` with it.
        compared: what it was made from.
        score: similarity to the product's score.
    """
    pictures: dict[Path, str | None] = {}
    return render(
        "match.html",
        {
            "data": data,
            "det": _det(data, compared),
            "histogram": _histogram(data, compared, score),
            "false_matches": _gallery(data, compared, pictures, same=False),
            "false_non_matches": _gallery(data, compared, pictures, same=True),
            "failed": _failed(compared),
            "fmr_scale": _scale(data, "fmr"),
            "fnmr_scale": _scale(data, "fnmr"),
        },
    )


def worst(compared: Compared, *, same: bool, count: int = GALLERY) -> list[int]:
    """Rows of different people with the highest cosines, or of the same person with the lowest."""
    rows = np.flatnonzero((compared.same == same) & ~np.isnan(compared.cosines))
    order = np.argsort(compared.cosines[rows] * (1 if same else -1), kind="stable")
    return [int(row) for row in rows[order[:count]]]


def cosine_of(score: Callable[[float], float], mark: float) -> float | None:
    """The lowest cosine that reaches a score, by halving; None where none does."""
    low, high = -1.0, 1.0
    if score(high) < mark:
        return None
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if score(middle) >= mark else (middle, high)
    return high


def _gallery(
    data: dict[str, Any], compared: Compared, pictures: dict[Path, str | None], *, same: bool
) -> list[dict[str, Any]]:
    entries = []
    for row in worst(compared, same=same):
        pair = compared.pairs[row]
        for path in (pair.path_a, pair.path_b):
            if path not in pictures:
                pictures[path] = data_url(path)
        accepted = bool(compared.scores[row] >= data["threshold"])
        entries.append(
            {
                "pair": pair,
                "cosine": float(compared.cosines[row]),
                "score": float(compared.scores[row]),
                "accepted": accepted,
                "wrong": accepted != same,
                "pictures": (pictures[pair.path_a], pictures[pair.path_b]),
            }
        )
    return entries


def _scale(data: dict[str, Any], name: str) -> float:
    ends = [float(end) for row in data["at_score"].values() for end in row[name]["ci95"] or []]
    return max([0.001, *ends])


def _failed(compared: Compared) -> list[dict[str, Any]]:
    names = {path: name for p in compared.pairs for path, name in ((p.path_a, p.a), (p.path_b, p.b))}
    rows = []
    for reason in sorted(set(compared.failed.values())):
        found = sorted(names[path] for path, why in compared.failed.items() if why == reason)
        rows.append(
            {"reason": reason, "count": len(found), "names": found[:LISTED], "more": len(found) - LISTED}
        )
    return rows


def _det(data: dict[str, Any], compared: Compared) -> Markup | None:
    if data["det"] is None:
        return None
    made = ~np.isnan(compared.cosines)
    lines = [Line("all comparisons", error_curve(compared.cosines[made], compared.same[made]), bold=True)]
    points = [Point(mark, _rate(row["fmr"]), _rate(row["fnmr"])) for mark, row in data["at_score"].items()]
    return Markup(det_svg(lines, points, "the product's scores", "FMR, %", "FNMR, %"))  # noqa: S704


def _rate(row: dict[str, Any]) -> Rate:
    return Rate(row["errors"], row["n"])


def _histogram(data: dict[str, Any], compared: Compared, score: Callable[[float], float]) -> Markup:
    made = ~np.isnan(compared.cosines)
    parts: list[tuple[str, F64, str]] = [
        ("different people", compared.cosines[made & ~compared.same], SPOOF),
        ("same person", compared.cosines[made & compared.same], LIVE),
    ]
    found = [(cosine_of(score, float(mark)), mark) for mark in data["at_score"]]
    marks = [(cosine, mark) for cosine, mark in found if cosine is not None]
    svg = histogram_svg(parts, (LOWEST, 1.0), marks, "cosine; dashed: the product's scores")
    return Markup(svg)  # noqa: S704
