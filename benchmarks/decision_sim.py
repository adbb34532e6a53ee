"""The sequential decision on checks drawn from its own model, with two ways to weigh their frames.

    python -m benchmarks.decision_sim

A check's ratios are one value, the between-check share rho of their variance, plus noise that fades with the
correlation time tau, both as measured for the default nets; means of +-m and variances of 2 m, which is what
a calibrated ratio has where both kinds are normal. Ratios are clipped to the calibration's bound. Each check
has 4 s of 30 frames a second, all judged. Simulated: what it says holds where the model does.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.calibrate.fit import sums
from pipeline.liveness.calibration import load_calibration
from pipeline.liveness.decision import DecisionLimits
from pipeline.liveness.judge import JudgeSettings

F64 = NDArray[np.float64]

CHECKS: Final = 200_000
MEANS: Final = (2.0, 3.0, 5.0)
FPS: Final = 30
NEVER: Final = 10**6


def draw(rng: np.random.Generator, mean: float, limits: DecisionLimits, count: int) -> F64:
    """Ratios of simulated checks: float64 (checks, frames)."""
    fading = math.exp(-1 / (FPS * limits.tau_s))
    noise = np.empty((CHECKS, count))
    noise[:, 0] = rng.standard_normal(CHECKS)
    for k in range(1, count):
        noise[:, k] = fading * noise[:, k - 1] + math.sqrt(1 - fading**2) * rng.standard_normal(CHECKS)
    variance = 2 * abs(mean)
    own = mean + math.sqrt(variance * limits.rho) * rng.standard_normal((CHECKS, 1))
    return np.clip(own + math.sqrt(variance * (1 - limits.rho)) * noise, -limits.bound, limits.bound)


def first_heavy(ratios: F64, limits: DecisionLimits) -> F64:
    """S where each frame has the weight of the interval before it, and the first one a weight of 1."""
    weight = math.tanh(1 / (2 * FPS * limits.tau_s))
    weights = np.full(ratios.shape[1], weight)
    weights[0] = 1.0
    return np.asarray(np.cumsum(weights * ratios, axis=1) / (1 + (np.cumsum(weights) - 1) * limits.rho))


def least_squares(ratios: F64, limits: DecisionLimits) -> F64:
    """S as the decision has it."""
    t = np.arange(ratios.shape[1]) / FPS
    return np.stack([sums(t, row, limits) for row in ratios])


def main() -> None:
    """Print a line for each mean, kind of check and way."""
    settings = JudgeSettings()
    limits = settings.limits(load_calibration(settings.nets))
    count, floor = round(limits.deadline_s * FPS), round(limits.min_time_s * FPS)
    rng = np.random.default_rng(0)
    for mean in MEANS:
        for kind, sign in (("attack", -1), ("live", 1)):
            ratios = draw(rng, sign * mean, limits, count)
            for name, way in (("first heavy", first_heavy), ("least squares", least_squares)):
                total = way(ratios, limits)[:, floor:]
                passed, refused = total >= limits.upper, total <= limits.lower
                at_pass = np.where(passed.any(axis=1), passed.argmax(axis=1), NEVER)
                at_refusal = np.where(refused.any(axis=1), refused.argmax(axis=1), NEVER)
                right = at_pass < at_refusal if sign > 0 else at_refusal < at_pass
                took = np.minimum(at_pass, at_refusal)[right] / FPS + limits.min_time_s
                print(
                    f"mean {mean:g} {kind:6} {name:13} accepted {np.mean(at_pass < at_refusal):.2%}, "
                    f"rejected {np.mean(at_refusal < at_pass):.2%}, right verdicts within "
                    f"{np.median(took):.2f} s (50 %) and {np.percentile(took, 95):.2f} s (95 %)"
                )


if __name__ == "__main__":
    main()
