"""Plots of a report by matplotlib: spread of each case of a group, and curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.report import Case, Report, Series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OURS: Final = "#1f6f8b"
THEIRS: Final = "#c0803a"
FLOOR: Final = "#8a8f98"


def colour(case: Case) -> str:
    """Ours, a floor or a peer's."""
    if case.ours:
        return OURS
    return FLOOR if "floor: " in case.name else THEIRS


def draw_cases(cases: Sequence[Case], report: Report, title: str, path: Path) -> Path:
    """Quartiles as a box, the median in it, whiskers from the least to p95, a point at p99.

    Args:
        cases: of one group.
        report: what they are from.
        title: the group's name.
        path: SVG to write.
    """
    from matplotlib.figure import Figure

    shown = sorted(cases, key=lambda case: case.marks.median, reverse=True)
    figure = Figure(figsize=(10, 1.1 + 0.34 * len(shown)), layout="constrained")
    axes = figure.subplots()
    axes.set_axisbelow(True)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    for row, case in enumerate(shown):
        marks, tint = case.marks, colour(case)
        axes.plot([marks.min, marks.p95], [row, row], color=tint, linewidth=1.2)
        axes.barh(row, marks.iqr, left=marks.p25, height=0.55, color=tint, alpha=0.45)
        axes.plot([marks.median] * 2, [row - 0.32, row + 0.32], color=tint, linewidth=2.2)
        axes.plot(marks.p99, row, ".", color=tint, markersize=5)
        axes.annotate(
            f"{marks.median:.3g}",
            (max(marks.p99, marks.p95), row),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    prefix = f"{title}: "
    axes.set_yticks(range(len(shown)), [case.name.removeprefix(prefix) for case in shown], fontsize=8)
    if shown[-1].marks.min > 0 and shown[0].marks.p99 > 30 * shown[-1].marks.median:
        axes.set_xscale("log")
    else:
        axes.set_xlim(left=0)
    axes.set_xlabel(f"{shown[0].unit}; box: quartiles, whisker: least to p95, point: p99", fontsize=8)
    axes.set_title(f"{title}\n{_under(report)}", fontsize=9)
    return _save(figure, path)


def draw_series(series: Series, report: Report, path: Path) -> Path:
    """One curve from zero upwards."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(series.x, series.y, color=OURS)
    axes.set_ylim(0, 1.15 * max(series.y))
    axes.set_xlabel(series.x_unit)
    axes.set_ylabel(series.y_unit)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_title(f"{series.name}\n{_under(report)}", fontsize=9)
    return _save(figure, path)


def _under(report: Report) -> str:
    """Where and when, in a line."""
    facts = report.machine
    kind = "trial, " if report.trial else ""
    return (
        f"{kind}{report.date[:10]}, {facts.get('cpu')}, {facts.get('cores')} cores, "
        f"load {report.load_before} before, {report.load_after} after"
    )


def _save(figure: Figure, path: Path) -> Path:
    """Write an SVG that is the same for the same numbers."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "livegate", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata={"Date": None})
    return path
