"""Two reports side by side: what became slower, what faster, and what is noise."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.report import Case, Report
from benchmarks.samples import Ratio, median_ratio, rank_test

ALPHA: Final = 0.01
"""Chance of calling at least one of all cases changed where none is (Holm, 1979)."""
TOLERANCE: Final = 0.03
"""A change below this share is nobody's regression, however certain it is."""
DEPENDS_ON: Final = ("cpu", "cores", "allowed_cores", "governor", "python")
"""Facts of the machine that must agree for numbers to be comparable."""


@dataclass(frozen=True, slots=True)
class Change:
    """One case in both reports.

    Attributes:
        name: of the case.
        unit: of both medians.
        before: median in the first report.
        after: median in the second.
        ratio: after over before, with its 95 % interval from blocks drawn anew.
        p: of the rank test on block medians.
        verdict: ``slower``, ``faster`` or ``same``; for a case where higher is better the words keep their
            sense: slower is worse.
    """

    name: str
    unit: str
    before: float
    after: float
    ratio: Ratio
    p: float
    verdict: str


def changes(before: Report, after: Report, *, tolerance: float = TOLERANCE) -> list[Change]:
    """Compare the cases that both reports have.

    A case has changed where three things hold: the rank test's p stands Holm's correction over all cases at
    `ALPHA`, the interval of the ratio does not hold 1, and the ratio is off by more than ``tolerance``.

    Args:
        before: the report to compare with.
        after: the one in question.
        tolerance: share that counts for nothing.
    """
    old = {case.name: case for case in before.cases}
    pairs = [(old[case.name], case) for case in after.cases if case.name in old]
    measured = [_measure(a, b) for a, b in pairs]
    certain = holm([p for _, p in measured], ALPHA)
    return [
        Change(b.name, b.unit, a.marks.median, b.marks.median, ratio, p, _verdict(b, ratio, sure, tolerance))
        for (a, b), (ratio, p), sure in zip(pairs, measured, certain, strict=True)
    ]


def holm(p: list[float], alpha: float) -> list[bool]:
    """Which of several tests stand the step-down correction of Holm (1979)."""
    stands = [False] * len(p)
    for rank, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if p[index] > alpha / (len(p) - rank):
            break
        stands[index] = True
    return stands


def differences(before: Report, after: Report) -> list[str]:
    """What about both runs differs so that their numbers should not be compared, in words."""
    found = []
    for name in DEPENDS_ON:
        a, b = before.machine.get(name), after.machine.get(name)
        if a != b:
            found.append(f"{name}: {a} and {b}")
    a, b = (report.protocol.model_dump(exclude={"repeats"}) for report in (before, after))
    found += [f"protocol, {name}: {a[name]} and {b[name]}" for name in a if a[name] != b[name]]
    for report, which in ((before, "first"), (after, "second")):
        if report.trial:
            found.append(f"the {which} is a trial of {report.protocol.repeats} repeats")
        cores = len(report.machine.get("allowed_cores") or [0])
        if report.load_before is not None and report.load_before > 0.5 * cores:
            found.append(f"the {which} ran on a busy machine, load {report.load_before} before it")
    return found


def add_command(commands: Any) -> None:
    """Add ``compare`` to the command line."""
    parser: argparse.ArgumentParser = commands.add_parser("compare", help="what changed between two reports")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="share that counts for nothing")
    parser.add_argument(
        "--force", action="store_true", help="compare what should not be compared, and say so"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison.

    Returns:
        1 where one of our own cases became slower, 3 where the reports should not be compared, else 0.

    Raises:
        ValueError: a file is no report, or the reports share no case.
    """
    before, after = Report.read(arguments.before), Report.read(arguments.after)
    reasons = differences(before, after)
    for reason in reasons:
        print(f"! {reason}")
    if reasons and not arguments.force:
        print("! not compared; --force compares all the same")
        return 3
    found = changes(before, after, tolerance=arguments.tolerance)
    if not found:
        raise ValueError("the reports share no case")
    width = max(len(change.name) for change in found)
    for change in sorted(found, key=lambda c: -c.ratio.ratio):
        ratio = f"{change.ratio.ratio:6.3f} [{change.ratio.low:.3f}, {change.ratio.high:.3f}]"
        mark = {"slower": "REGRESSION", "faster": "better", "same": ""}[change.verdict]
        print(
            f"{change.name:{width}} {change.before:9.3f} -> {change.after:9.3f} {change.unit} {ratio} "
            f"p {change.p:.1e} {mark}"
        )
    old, new = ({case.name for case in report.cases} for report in (before, after))
    for name in sorted(old - new):
        print(f"! only in the first: {name}")
    for name in sorted(new - old):
        print(f"! only in the second: {name}")
    ours = {case.name for case in after.cases if case.ours}
    return int(any(change.verdict == "slower" and change.name in ours for change in found))


def _measure(a: Case, b: Case) -> tuple[Ratio, float]:
    if a.unit != b.unit:
        raise ValueError(f"{a.name} is in {a.unit} here and in {b.unit} there")
    if min(*a.samples, *b.samples) <= 0:
        return Ratio(1.0, 1.0, 1.0), 1.0
    block = max(a.block, b.block)
    return median_ratio(b.samples, a.samples, block=block), rank_test(b.samples, a.samples, block=block)


def _verdict(case: Case, ratio: Ratio, sure: bool, tolerance: float) -> str:
    if not sure or ratio.low <= 1 <= ratio.high or abs(ratio.ratio - 1) <= tolerance:
        return "same"
    return "slower" if (ratio.ratio > 1) == (case.better == "lower") else "faster"
