"""``report.html`` of presentation attack detection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from markupsafe import Markup

from pipeline.evaluation.curve import error_curve
from pipeline.evaluation.intervals import Rate
from pipeline.evaluation.metrics import rank
from pipeline.evaluation.outcomes import Outcome, table
from pipeline.evaluation.page import render
from pipeline.evaluation.pictures import data_url
from pipeline.evaluation.plots import (
    LIVE,
    SERIES,
    SPOOF,
    Bins,
    Line,
    Point,
    det_svg,
    histogram_svg,
    reliability_svg,
)

GALLERY: Final = 12
"""Pictures of each class: two rows on a wide screen."""
LISTED: Final = 50
"""Files named for each reason of a non-response."""
FEWEST_FOR_A_CURVE: Final = 10
"""Attacks of a species below which its DET curve would be a few steps, and is not drawn."""


def pad_page(data: dict[str, Any], outcomes: Sequence[Outcome]) -> str:
    """The page.

    Args:
        data: the report's JSON, its section ``run`` with it.
        outcomes: what it was made from.
    """
    highest = max(
        (end for rate in (*data["apcer"].values(), data["bpcer_detail"]) for end in (rate["ci95"] or [])),
        default=1.0,
    )
    return render(
        "pad.html",
        {
            "data": data,
            "det": _det(data, outcomes),
            "histogram": _histogram(data, outcomes),
            "reliability": _reliability(data),
            "scale": max(highest, 0.01),
            "attacks": _gallery(outcomes, live=False),
            "live": _gallery(outcomes, live=True),
            "silent": _silent(data, outcomes),
        },
    )


def worst(outcomes: Sequence[Outcome], *, live: bool, count: int = GALLERY) -> list[Outcome]:
    """The attacks with the highest scores, or the live ones with the lowest; wrong verdicts first."""
    scored = [o for o in outcomes if o.score is not None and o.item.live == live]
    sign = 1.0 if live else -1.0
    return sorted(scored, key=lambda o: (o.accepted == live, sign * (o.score or 0.0), o.item.name))[:count]


def _gallery(outcomes: Sequence[Outcome], *, live: bool) -> list[dict[str, Any]]:
    return [
        {"outcome": outcome, "wrong": outcome.accepted != live, "picture": data_url(outcome.item.path)}
        for outcome in worst(outcomes, live=live)
    ]


def _silent(data: dict[str, Any], outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    rows = []
    for reason, counts in data["no_response"].items():
        names = [o.item.name for o in outcomes if o.score is None and o.reason == reason]
        rows.append({"reason": reason, **counts, "names": names[:LISTED], "more": len(names) - LISTED})
    return rows


def _det(data: dict[str, Any], outcomes: Sequence[Outcome]) -> Markup | None:
    if data["det"] is None:
        return None
    columns = table(outcomes)
    scores = rank(columns.scores)
    lines = [Line("all attacks", error_curve(scores, columns.live), bold=True)]
    kinds = [name for name, rate in data["apcer"].items() if rate["n"] >= FEWEST_FOR_A_CURVE]
    if len(data["apcer"]) > 1:
        for name in kinds[: len(SERIES)]:
            rows = columns.live | (columns.species == name)
            lines.append(Line(name, error_curve(scores[rows], columns.live[rows])))
    pooled = Rate(int((columns.accepted & ~columns.live).sum()), data["n_spoof"])
    refused = Rate(int((~columns.accepted & columns.live).sum()), data["n_live"])
    point = Point("", pooled, refused)
    return Markup(det_svg(lines, [point], "the product's verdicts", "APCER, %", "BPCER, %"))  # noqa: S704


def _reliability(data: dict[str, Any]) -> Markup | None:
    whole = data["reliability"]
    if whole is None:
        return None
    lines = [_bins("all", whole, bold=True)]
    groups = [(name, group["reliability"]) for name, group in data.get("per_group", {}).items()]
    known = [(name, found) for name, found in groups if found is not None]
    if len(known) > 1:
        known.sort(key=lambda entry: -(entry[1]["n_live"] + entry[1]["n_spoof"]))
        lines += [_bins(name, found) for name, found in known[: len(SERIES)]]
    return Markup(reliability_svg(lines))  # noqa: S704


def _bins(label: str, found: dict[str, Any], *, bold: bool = False) -> Bins:
    bins = found["bins"]
    return Bins(
        label,
        [b["score"] for b in bins],
        [b["observed"] for b in bins],
        [0.5 * b["live"] / found["n_live"] + 0.5 * b["attacks"] / found["n_spoof"] for b in bins],
        [b["ci95"][0] for b in bins] if bold else (),
        [b["ci95"][1] for b in bins] if bold else (),
        bold,
    )


def _histogram(data: dict[str, Any], outcomes: Sequence[Outcome]) -> Markup:
    columns = table(outcomes)
    seen = ~np.isnan(columns.scores)
    parts = [
        ("attacks", columns.scores[seen & ~columns.live], SPOOF),
        ("live", columns.scores[seen & columns.live], LIVE),
    ]
    marks = [] if data["threshold"] is None else [(data["threshold"], "threshold")]
    return Markup(histogram_svg(parts, (0.0, 1.0), marks, "liveness score"))  # noqa: S704
