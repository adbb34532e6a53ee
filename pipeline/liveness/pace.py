"""How long a check can go without asking the nets again.

The decision weighs an interval by how much the noise has faded in it, ``w = tanh(dt / (2 tau))``, so
frames close together hardly add to each other. Two consequences, both used by `SequentialDecision.due`:

* Frames dt apart carry ``tanh(x) / x`` of what the same stretch of video carries at any higher rate, with
  ``x = dt / (2 tau)``. That is at least ``1 - x^2 / 3``: a gap of ``2 tau sqrt(3 loss)`` loses ``loss`` at
  most.
* A frame can't weigh more than ``dt / (2 tau)`` nor say more than the calibration's bound, so there is a time
  before which no frame, whatever it says, takes the sum to a bound of the test.
"""

from __future__ import annotations

import math


def gap_s(tau_s: float, loss: float) -> float:
    """Longest time between two judged frames that loses no more than a share of the information.

    Args:
        tau_s: correlation time of the noise within a check, seconds.
        loss: share that may be lost, in [0, 1).

    >>> round(gap_s(0.5, 0.01), 3)
    0.173
    """
    return 2 * tau_s * math.sqrt(3 * loss)


def soonest_s(total: float, weight: float, goal: float, *, rho: float, tau_s: float, bound: float) -> float:
    """Time after the last judged frame before which no further frame can lift S to a goal.

    Further frames that say ``bound`` at most, with w the sum of their intervals' weights, make S at most
    ``(total + w bound) / (1 + (weight - 1 + w) rho)``; solved for the w that reaches the goal, and w taken
    for ``dt / (2 tau)``, which it never exceeds.

    Args:
        total: numerator of S as if the last ratio were ``bound``: the newest frame's takes its place.
        weight: sum of weights so far, 1 or more.
        goal: above 0; for the lower bound give ``-total`` and ``-goal``.
        rho: share of the variance that lies between checks, in (0, 1].
        tau_s: seconds.
        bound: largest ratio that one frame can give; infinity where that is not known.

    Returns:
        Seconds; 0 where it is there already, infinity where no time is long enough.

    >>> soonest_s(2.0, 1.0, 4.5, rho=0.8, tau_s=0.5, bound=math.inf)
    0.0
    >>> soonest_s(2.0, 1.0, 4.5, rho=1.0, tau_s=0.5, bound=4.4)
    inf
    """
    missing = goal * (1 + (weight - 1) * rho) - total
    gain = bound - goal * rho
    if missing <= 0 or math.isinf(bound):
        return 0.0
    return 2 * tau_s * missing / gain if gain > 0 else math.inf
