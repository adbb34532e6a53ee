"""Error rates of a score against labels, with bootstrap intervals. Higher scores are more live.

APCER is the share of attacks accepted, BPCER the share of live presentations refused (ISO/IEC 30107-3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def curve(score: F64, live: NDArray[np.bool_]) -> tuple[F64, F64, F64]:
    """APCER and BPCER at every threshold, accepting at or above it; the last threshold accepts none."""
    steps = np.append(np.unique(score), np.inf)
    attack, genuine = np.sort(score[~live]), np.sort(score[live])
    apcer = 1 - np.searchsorted(attack, steps, side="left") / max(1, attack.size)
    bpcer = np.searchsorted(genuine, steps, side="left") / max(1, genuine.size)
    return apcer, bpcer, steps


def auc(score: F64, live: NDArray[np.bool_]) -> float:
    """Chance that a live presentation scores above an attack, ties counted half."""
    attack, genuine = np.sort(score[~live]), score[live]
    below = np.searchsorted(attack, genuine, side="left") + np.searchsorted(attack, genuine, side="right")
    return float(below.mean() / (2 * attack.size))


def eer(score: F64, live: NDArray[np.bool_]) -> tuple[float, float]:
    """Mean of both errors where they are nearest, and the threshold there."""
    apcer, bpcer, steps = curve(score, live)
    best = int(np.argmin(np.abs(apcer - bpcer)))
    return float(apcer[best] + bpcer[best]) / 2, float(steps[best])


def apcer_at(score: F64, live: NDArray[np.bool_], bpcer_limit: float = 0.05) -> float:
    """Smallest APCER with BPCER at most `bpcer_limit`."""
    apcer, bpcer, _ = curve(score, live)
    return float(apcer[bpcer <= bpcer_limit].min())


def interval(
    score: F64, live: NDArray[np.bool_], groups: NDArray[np.str_], rounds: int = 300, seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap interval of the EER; whole groups (subjects, or frames without one) are drawn."""
    rng = np.random.default_rng(seed)
    names = {cls: np.unique(groups[live == cls]) for cls in (True, False)}
    rows = {(cls, n): np.flatnonzero((groups == n) & (live == cls)) for cls, g in names.items() for n in g}
    out = []
    for _ in range(rounds):
        pick = np.concatenate([rows[cls, n] for cls, g in names.items() for n in rng.choice(g, len(g))])
        out.append(eer(score[pick], live[pick])[0])
    low, high = np.percentile(out, [2.5, 97.5])
    return float(low), float(high)
