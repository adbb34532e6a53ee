"""Drawings for reports: SVG whose colours are CSS variables, so that they follow light and dark pages."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.curve import ErrorCurve
from pipeline.evaluation.extra import need
from pipeline.evaluation.intervals import F64, Rate
from pipeline.evaluation.numbers import deviate, thinned

INK, FAINT = "#010101", "#020202"
LIVE, SPOOF = "#030303", "#040404"
SERIES: Final = ("#050501", "#050502", "#050503", "#050504", "#050505")
_VARIABLES: Final = {
    INK: "--ink",
    FAINT: "--rule",
    LIVE: "--good",
    SPOOF: "--bad",
    **{colour: f"--c{number}" for number, colour in enumerate(SERIES, 1)},
}
"""Stand-ins that matplotlib draws with, and the CSS variable that takes each one's place."""

TICKS: Final = np.array(
    [1e-5, 1e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99]
)
SIZE: Final = (4.7, 4.2)
"""Inches at 72 points: about the width of a telephone, so that letters are as large as the page's there."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One curve of a DET plot.

    Attributes:
        label: for the legend.
        curve: its points.
        bold: the one that matters.
    """

    label: str
    curve: ErrorCurve
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Bins:
    """The bins of one set in a reliability plot.

    Attributes:
        label: for the legend.
        score, observed: mean score of each bin and the share of live presentations in it.
        share: how much of the set is in each, in [0, 1]: the area of its point.
        low, high: the exact interval's ends; empty for none.
        bold: the one that matters.
    """

    label: str
    score: Sequence[float]
    observed: Sequence[float]
    share: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """One operating point of a DET plot, with exact intervals as its arms.

    Attributes:
        label: written beside it; "" writes nothing.
        x, y: rates on the two axes.
    """

    label: str
    x: Rate
    y: Rate


def det_svg(lines: Sequence[Line], points: Sequence[Point], legend: str, x_label: str, y_label: str) -> str:
    """DET plot: both error rates on normal-deviate axes, where normal scores make straight lines.

    ISO/IEC 19795-1 and 30107-3 recommend it over ROC. A rate of 0 is drawn on the axis' lower edge.

    Args:
        lines: curves; at most one for each of `SERIES` beside the bold one.
        points: operating points.
        legend: what these are.
        x_label: what the false-accept rate is called.
        y_label: what the false-reject rate is called.
    """
    figure, axes = _figure()
    x_low, x_high = _range([line.curve.false_accept for line in lines], [p.x for p in points])
    y_low, y_high = _range([line.curve.false_reject for line in lines], [p.y for p in points])
    colours = iter(SERIES)
    for line in lines:
        keep = thinned(line.curve)
        axes.plot(
            _axis(line.curve.false_accept[keep], x_low, x_high),
            _axis(line.curve.false_reject[keep], y_low, y_high),
            color=INK if line.bold else next(colours, FAINT),
            linewidth=2.0 if line.bold else 1.2,
            label=line.label,
            zorder=4 if line.bold else 3,
        )
    ends = np.array([max(x_low, y_low), min(x_high, y_high)])
    if ends[0] < ends[1]:
        diagonal = deviate(ends, 1e-6)
        axes.plot(diagonal, diagonal, color=FAINT, linewidth=0.8, linestyle=(0, (3, 3)), zorder=1)
    for number, point in enumerate(points):
        if point.x.value is None or point.y.value is None:
            continue
        x = _axis(np.array([point.x.value]), x_low, x_high)
        y = _axis(np.array([point.y.value]), y_low, y_high)
        axes.errorbar(
            x,
            y,
            xerr=_arms(point.x, x, x_low, x_high),
            yerr=_arms(point.y, y, y_low, y_high),
            fmt="o",
            color=SPOOF,
            ecolor=SPOOF,
            elinewidth=1.0,
            capsize=2.5,
            markersize=5,
            label=legend if number == 0 else None,
            zorder=5,
            clip_on=False,
        )
        axes.annotate(
            point.label,
            (x[0], y[0]),
            xytext=(5, 5),
            textcoords="offset points",
            color=SPOOF,
            fontsize=8.5,
            zorder=6,
        )
    _deviate_ticks(axes.xaxis, axes.set_xlim, x_low, x_high)
    _deviate_ticks(axes.yaxis, axes.set_ylim, y_low, y_high)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(True, color=FAINT, linewidth=0.5)
    _legend(axes)
    return _svg(figure, "det")


def histogram_svg(
    parts: Sequence[tuple[str, F64, str]],
    bounds: tuple[float, float],
    marks: Sequence[tuple[float, str]],
    x_label: str,
) -> str:
    """Score histograms, each as a share of its class on a logarithmic axis: the tails are what matters.

    Args:
        parts: name, scores without NaN, and colour of each class.
        bounds: first and last edge.
        marks: thresholds to draw, with their names.
        x_label: name of the score.
    """
    figure, axes = _figure()
    edges = np.linspace(*bounds, 41)
    # logarithms are taken here: the library's own logarithmic axis sets 30 hidden labels in mathematics
    floor = float(np.log10(0.6 / max(1, *(scores.size for _, scores, _ in parts))))
    for name, scores, colour in parts:
        if not scores.size:
            continue
        counts = np.histogram(np.clip(scores, *bounds), edges)[0]
        with np.errstate(divide="ignore"):
            share = np.maximum(np.log10(counts / scores.size), floor)
        label = f"{name} ({scores.size})"
        axes.stairs(share, edges, baseline=floor, fill=True, color=colour, alpha=0.18, linewidth=0)
        axes.stairs(share, edges, baseline=floor, color=colour, linewidth=1.4, label=label)
    for value, name in marks:
        if bounds[0] <= value <= bounds[1]:
            axes.axvline(value, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
            axes.annotate(
                name,
                (value, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                color=INK,
                fontsize=8,
            )
    axes.set_ylim(floor, 0.8)
    axes.set_xlim(*bounds)
    decades = np.arange(np.ceil(floor), 1)
    axes.set_yticks(decades, [percent(10.0**decade) for decade in decades])
    axes.set_xlabel(x_label)
    axes.set_ylabel("share of the class")
    axes.grid(True, color=FAINT, linewidth=0.5)
    _legend(axes)
    return _svg(figure, "histogram")


def reliability_svg(lines: Sequence[Bins]) -> str:
    """Reliability plot: what was observed against what scores said; on the diagonal they mean it.

    Args:
        lines: at most one for each of `SERIES` beside the bold one.
    """
    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.0, linestyle=(0, (3, 3)), zorder=1)
    colours = iter(SERIES)
    for line in lines:
        colour = INK if line.bold else next(colours, FAINT)
        if line.low:
            at = np.array(line.observed)
            arms = np.array([at - np.array(line.low), np.array(line.high) - at])
            axes.errorbar(
                line.score,
                at,
                yerr=np.maximum(arms, 0.0),
                fmt="none",
                ecolor=colour,
                elinewidth=1.0,
                capsize=2.5,
                zorder=4,
            )
        # no line: between bins that hold little it would draw what nobody saw
        axes.scatter(
            line.score,
            line.observed,
            s=8 + 90 * np.array(line.share),
            color=colour,
            label=line.label,
            zorder=5 if line.bold else 3,
            alpha=1.0 if line.bold else 0.75,
            linewidths=0,
            clip_on=False,
        )
    ticks = np.linspace(0, 1, 6)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks, [percent(value) for value in ticks])
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("score")
    axes.set_ylabel("live, both classes alike in weight")
    axes.grid(True, color=FAINT, linewidth=0.5)
    if axes.get_legend_handles_labels()[0]:
        legend = axes.legend(frameon=False, fontsize=8.5, labelcolor=INK, loc="upper left", handlelength=1.6)
        for handle in legend.legend_handles:
            handle.set_sizes([24])
    return _svg(figure, "reliability")


def percent(value: float) -> str:
    """A rate as a short percentage: 0.001 %, 0.5 %, 20 %."""
    return f"{value * 100:.6f}".rstrip("0").rstrip(".") + " %"


def _figure() -> tuple[Any, Any]:
    figure = need("matplotlib.figure").Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    for side, spine in axes.spines.items():
        spine.set_color(FAINT)
        spine.set_visible(side in ("left", "bottom"))
    axes.tick_params(colors=INK, labelsize=9, length=3)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.set_axisbelow(True)
    return figure, axes


def _legend(axes: Any) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8.5, labelcolor=INK, loc="upper right", handlelength=1.6)


def _range(rates: Sequence[F64], marked: Sequence[Rate]) -> tuple[float, float]:
    """Ends of an axis, both of them ticks: below what can be resolved, above what the eye needs."""
    inside = np.concatenate([rate[(rate > 0) & (rate < 1)] for rate in rates] or [np.empty(0)])
    known = [rate.value for rate in marked if rate.value]
    least = min([float(inside.min()) if inside.size else 0.01, *known])
    most = max([0.4, *known])
    low = TICKS[max(0, int(np.searchsorted(TICKS, least * 0.9)) - 1)]
    high = TICKS[min(TICKS.size - 1, int(np.searchsorted(TICKS, most)))]
    return float(min(low, 0.05)), float(high)


def _axis(rates: F64, low: float, high: float) -> F64:
    return deviate(np.clip(rates, low, high), 1e-6)


def _arms(rate: Rate, at: F64, low: float, high: float) -> F64:
    interval = rate.interval
    if interval is None:
        return np.zeros((2, 1))
    ends = _axis(np.array([interval.low, interval.high]), low, high)
    arms: F64 = np.maximum(np.array([[at[0] - ends[0]], [ends[1] - at[0]]]), 0.0)
    return arms


def _deviate_ticks(axis: Any, limit: Any, low: float, high: float) -> None:
    shown: NDArray[np.float64] = TICKS[(low <= TICKS) & (high >= TICKS)]
    if shown.size > 8:
        shown = shown[~np.isin(shown, [2e-3, 5e-3, 0.02, 0.6, 0.95])]
    axis.set_ticks(deviate(shown, 1e-6), [f"{value * 100:g}" for value in shown])
    limit(*deviate(np.array([low, high]), 1e-6))


def _svg(figure: Any, salt: str) -> str:
    """SVG element, text as text, identifiers that repeat from run to run, colours as CSS variables."""
    matplotlib = need("matplotlib")
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": "sans-serif"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    for pattern in (
        r"<metadata>.*?</metadata>",
        r"<defs>\s*<style.*?</defs>",
        r"font-family: .*?sans-serif; ",
    ):
        text = re.sub(pattern, "", text, count=0, flags=re.DOTALL)
    used = set(re.findall(r"#([\w.-]+)", text))
    text = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", text)
    return re.sub(r'(<svg [^>]*?)width="[^"]*" height="[^"]*"', r'\1role="img"', text, count=1)
