"""A report for the eye: a table on the terminal, and plots beside the JSON."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.plots import draw_cases, draw_series
from benchmarks.report import Report


def table(report: Report) -> str:
    """Cases, numbers, comparisons, targets, and what was not run."""
    width = max((len(case.name) for case in report.cases), default=10)
    lines = [f"{'':{width}} {'median':>9} {'IQR':>8} {'p95':>9} {'p99':>9} {'cpu':>8}   n"]
    for case in report.cases:
        marks = case.marks
        cpu = "" if case.cpu_ms is None else f"{case.cpu_ms:.3f}"
        found = "" if case.found in (None, 1.0) else f"  found {case.found:.1%}"
        told = f"  {case.note}" if case.name.startswith("gate") else ""
        lines.append(
            f"{case.name:{width}} {marks.median:9.3f} {marks.iqr:8.3f} {marks.p95:9.3f} {marks.p99:9.3f} "
            f"{cpu:>8} {marks.n:4d} {case.unit}{found}{told}"
        )
    lines.append("")
    lines += [f"{n.name}: {n.value:.2f} {n.unit}{f' ({n.note})' if n.note else ''}" for n in report.numbers]
    lines += [
        f"{c.over} / {c.under}: {c.ratio:.2f} times [{c.low:.2f}, {c.high:.2f}]" for c in report.comparisons
    ]
    lines.append("")
    lines += [
        f"{'met   ' if t.met else 'MISSED'} {t.name}: {t.value:.2f} {t.unit}, wanted {t.wanted}"
        for t in report.targets
    ]
    lines += [f"{entry.name}: {entry.reason}" for entry in report.not_run]
    if report.trial:
        lines.append(f"a trial: fewer repeats than the contract asks for ({report.protocol.repeats})")
    lines.append(
        f"load {report.load_before} before and {report.load_after} after, {report.seconds:.0f} seconds"
    )
    return "\n".join(lines)


def plot(path: Path) -> list[Path]:
    """Draw a report's plots beside it, as SVG.

    Args:
        path: of the report.

    Returns:
        The files written; none where matplotlib (``livegate[eval]``) is not installed.

    Raises:
        ValueError: it is no report.
    """
    report = Report.read(path)
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        print("no plots: matplotlib is not installed (pip install 'livegate[eval]')")
        return []
    mpl.use("Agg")
    stem = path.with_suffix("")
    written = []
    for group in dict.fromkeys(case.group for case in report.cases):
        cases = [case for case in report.cases if case.group == group]
        if len(cases) > 1:
            name = "-".join("".join(c if c.isalnum() else " " for c in group).split())
            written.append(draw_cases(cases, report, group, Path(f"{stem}.{name}.svg")))
    curves = []
    for series in report.series:
        kind = "memory" if len(report.series) == 1 else "-".join(re.findall(r"\w+", series.name))
        curves.append(draw_series(series, report, Path(f"{stem}.{kind}.svg")))
    return written + curves
