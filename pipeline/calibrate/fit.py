"""Pure parts of a calibration: the line, the split by subject, and what the decision says of log-odds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.liveness.decision import DecisionLimits
from pipeline.liveness.evidence import VerdictState

F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]

_EPSILON_S: Final = 1e-6


def fit_line(log_odds: F64, live: Flags, weights: F64) -> tuple[float, float]:
    """Platt's calibration with the prior removed.

    Logistic regression by Newton's method on targets (n1 + 1) / (n1 + 2) and 1 / (n0 + 2) (J. Platt, 1999).
    Each class is given the same total weight, so that the prior is out of it.

    Args:
        log_odds: float64 (n,).
        live: bool (n,), both classes in it.
        weights: float64 (n,), 0 or above, only their ratio within a class counts.

    Returns:
        Slope and intercept of the log-likelihood ratio of live over spoof.
    """
    weights = weights.astype(np.float64).copy()
    for side in (False, True):
        weights[live == side] /= weights[live == side].sum()
    n1, n0 = int(live.sum()), int((~live).sum())
    target = np.where(live, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))
    design = np.column_stack([log_odds, np.ones_like(log_odds)])
    line = np.zeros(2)
    for _ in range(200):
        p = 1 / (1 + np.exp(-np.clip(design @ line, -500, 500)))
        gradient = design.T @ (weights * (p - target))
        curvature = (design * (weights * p * (1 - p))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        line -= step * min(1.0, 2 / (float(np.abs(step).max()) + 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return float(line[0]), float(line[1])


def split(people: Iterable[tuple[str, bool, bool]], seed: int) -> frozenset[str]:
    """Subjects that are fitted on; the others are checked.

    People who are in the list live, as attacks, or both are shuffled and dealt out in turn, each kind on its
    own, so that both parts get their share of each. Whoever is odd goes to the fit.

    Args:
        people: subject, whether there are live presentations, whether there are attacks.
        seed: of the shuffle.
    """
    rng = np.random.default_rng(seed)
    kinds: dict[tuple[bool, bool], list[str]] = {}
    for name, has_live, has_attacks in sorted(people):
        kinds.setdefault((has_live, has_attacks), []).append(name)
    chosen: list[str] = []
    turn = 0
    for kind in sorted(kinds):
        for i in rng.permutation(len(kinds[kind])):
            if turn % 2 == 0:
                chosen.append(kinds[kind][i])
            turn += 1
    return frozenset(chosen)


def sums(t: F64, llr: F64, limits: DecisionLimits) -> F64:
    """The decision's sum S after each judged frame, see `pipeline.liveness.decision`: float64 (k,)."""
    weights = np.zeros_like(llr)
    weights[1:] = np.tanh(np.diff(np.maximum.accumulate(t)) / (2 * limits.tau_s))
    between = np.zeros_like(llr)
    between[1:] = weights[1:] * (llr[:-1] + llr[1:]) / 2
    summed = (llr[:1] + llr) / 2 + np.cumsum(between)
    return np.asarray(summed / (1 + np.cumsum(weights) * limits.rho))


def clip_verdict(t: F64, llr: F64, start: float, limits: DecisionLimits) -> VerdictState:
    """What the sequential decision ends with on a video's judged frames, cues and vetoes left aside.

    Args:
        t: float64 (k,), times of judged frames, seconds.
        llr: float64 (k,), their ratios.
        start: time of the video's first frame.
        limits: bounds, floors, correlation, deadline.
    """
    if not llr.size:
        return "undecided"
    total = sums(t, llr, limits)
    count = np.arange(1, llr.size + 1)
    enough = (count >= limits.min_frames) & (t - t[0] >= limits.min_time_s - _EPSILON_S)
    late = t - start >= limits.deadline_s - _EPSILON_S
    refused = enough & (total <= limits.lower)
    passed = enough & (total >= limits.upper) & (np.maximum.accumulate(llr) > 0) & ~late
    ended = refused | late | passed
    if not ended.any():
        return "undecided"
    first = int(np.argmax(ended))
    if refused[first]:
        return "spoof"
    return "live" if passed[first] else "undecided"


def lasting_verdict(llr: F64, limits: DecisionLimits) -> VerdictState:
    """What a check of frames like these pictures tends to: S of ever more frames is ``mean(llr) / rho``."""
    if not llr.size:
        return "undecided"
    total = float(llr.mean()) / limits.rho
    if total <= limits.lower:
        return "spoof"
    return "live" if total >= limits.upper else "undecided"
