"""Plots of liveness results for docs/pad-results: curves only, never a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS: Final = ("#1f6f8b", "#c0803a", "#7d4fb3", "#2a8a86", "#a3486f", "#5f6b3a")
GRID: Final = "#dddddd"


@dataclass(frozen=True, slots=True)
class Curve:
    """One line with optional exact intervals.

    Attributes:
        label: for the legend.
        values: one for each tick; None leaves a gap.
        low, high: ends of the intervals, or empty.
        dashed: drawn thin and dashed.
    """

    label: str
    values: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One small plot.

    Attributes:
        title: above it.
        ticks: names of the points on the horizontal axis, evenly spaced.
        curves: its lines.
        x_label: name of the axis.
    """

    title: str
    ticks: Sequence[str]
    curves: Sequence[Curve]
    x_label: str


def draw_panels(panels: Sequence[Panel], path: Path, title: str, columns: int = 3) -> Path:
    """Shares in percent over the strengths of what was done to the pictures: an SVG with a panel for each."""
    from matplotlib.figure import Figure

    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.7 * columns, 3.0 * rows + 0.9), layout="constrained")
    grid: Any = figure.subplots(rows, columns, squeeze=False, sharey=True)
    cells = list(grid.flat)
    for axes, panel in zip(cells, panels, strict=False):
        x = list(range(len(panel.ticks)))
        for number, curve in enumerate(panel.curves):
            colour = COLOURS[number % len(COLOURS)]
            y = [float("nan") if v is None else 100 * v for v in curve.values]
            axes.plot(
                x,
                y,
                color=colour,
                marker="o",
                markersize=3,
                linewidth=1.0 if curve.dashed else 1.6,
                linestyle="--" if curve.dashed else "-",
                label=curve.label,
            )
            if curve.low:
                low = [float("nan") if v is None else 100 * v for v in curve.low]
                high = [float("nan") if v is None else 100 * v for v in curve.high]
                axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
        axes.set_xticks(x, panel.ticks, fontsize=8)
        axes.set_ylim(-2, 102)
        axes.set_title(panel.title, fontsize=9)
        axes.set_xlabel(panel.x_label, fontsize=8)
        axes.tick_params(axis="y", labelsize=8)
        axes.grid(color=GRID, linewidth=0.6)
    for axes in cells[len(panels) :]:
        axes.set_axis_off()
    for row in grid:
        row[0].set_ylabel("%", fontsize=8)
    handles, labels = cells[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), fontsize=8)
    figure.suptitle(title, fontsize=9)
    return save(figure, path)


def draw_reliability(parts: Mapping[str, Sequence[Any]], path: Path, title: str, columns: int = 3) -> Path:
    """Reliability plots side by side: observed share over score, with exact intervals and counts' widths.

    Args:
        parts: name to `pipeline.evaluation.reliability.Bin` in order.
        path: SVG to write.
        title: above all.
        columns: panels in a row.
    """
    from matplotlib.figure import Figure

    rows = -(-len(parts) // columns)
    figure = Figure(figsize=(3.2 * columns, 3.1 * rows + 0.5), layout="constrained")
    grid: Any = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    cells = list(grid.flat)
    for axes, (name, bins) in zip(cells, parts.items(), strict=False):
        axes.plot([0, 1], [0, 1], color="#8a8f98", linewidth=0.8, linestyle="--")
        x, y = [b.score for b in bins], [b.observed for b in bins]
        low = [max(0.0, b.observed - b.interval.low) for b in bins]
        high = [max(0.0, b.interval.high - b.observed) for b in bins]
        axes.errorbar(
            x, y, yerr=[low, high], color=COLOURS[0], fmt="o", markersize=3.5, capsize=2, linewidth=1
        )
        for b in bins:
            axes.annotate(
                f"{b.live}/{b.attacks}",
                (b.score, b.observed),
                xytext=(4, 4 if b.observed < 0.1 else -8),
                textcoords="offset points",
                fontsize=6,
                color="#555555",
            )
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.03, 1.03)
        axes.set_title(name, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(color=GRID, linewidth=0.6)
    for axes in cells[len(parts) :]:
        axes.set_axis_off()
    figure.supxlabel("score; beside the points: live / attacks", fontsize=8)
    figure.supylabel("share live, classes alike in weight", fontsize=8)
    figure.suptitle(title, fontsize=9)
    return save(figure, path)


def save(figure: Figure, path: Path) -> Path:
    """Write an SVG that is the same for the same numbers."""
    import matplotlib as mpl

    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "livegate", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata={"Date": None})
    return path
