"""`FlashVerdict`: what a response proves, and the bounds for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from pipeline.liveness.flash.geometry import Relief, relief
from pipeline.liveness.flash.response import Response

State = Literal["proved", "unproved", "contradicted", "not_used"]

SIGNIFICANT: Final = 0.001
"""Largest p-value of a proof: what does not depend on the nonce is taken for an answer at most once in a
thousand runs, whatever it is; the null is exact."""
LEAST_SIZE: Final = 0.02
"""Smallest relative response of a proof, F / A. Below it the screen is too weak for the light around."""
RING_SHARE: Final = 0.5
"""Largest response of the background as a share of the face's: what fills the frame and answers as one is a
sheet or a screen. A wall that stands at 1.4 times the face's distance answers half as much."""
RELIEF: Final = 5.0
"""Smallest F ratio of a head, see `geometry`."""
SPREAD: Final = 0.06
"""And the smallest relative change of the response that its normals explain."""
GLOSS: Final = 0.4
"""Largest slope of the response over darkness. Of 34 simulated heads 33 stay at it or below."""
CLEAN: Final = 0.8
"""Share of the colour signals that read-off codes must explain before they count as another sequence."""
WRONG: Final = 0.25
"""And the share of their symbols that differ from the shown ones."""


@dataclass(frozen=True, slots=True)
class FlashVerdict:
    """How a run ended.

    Attributes:
        state: ``proved``: a head answered to these very colours. ``unproved``: it did not, or too weakly to
            tell. ``contradicted``: it answered cleanly to other colours. ``not_used``: no colours were shown.
        why: a few words for the operator.
        p: p-value of the response; NaN where nothing was fitted.
        size, ring_size, delay_s: see `Response`.
        relief, spread, gloss: see `Relief`.
        frames: frames that were used.
    """

    state: State
    why: str
    p: float = math.nan
    size: float = math.nan
    ring_size: float = math.nan
    delay_s: float = math.nan
    relief: float = math.nan
    spread: float = math.nan
    gloss: float = math.nan
    frames: int = 0

    @classmethod
    def without(cls, state: State, why: str) -> FlashVerdict:
        """A run that ended before anything could be fitted."""
        return cls(state, why)


def judge_response(response: Response | None) -> FlashVerdict:
    """What a response proves. Nothing that is missing or no number proves anything.

    Args:
        response: of `fit_response`.
    """
    if response is None:
        return FlashVerdict.without("unproved", "too few frames, or nothing to compare the face with")
    shape = relief(response.points, response.places, response.normals, response.light)
    state, why = _judge(response, shape)
    return FlashVerdict(
        state,
        why,
        response.p,
        response.size,
        response.ring_size,
        response.delay_s,
        shape.ratio,
        shape.spread,
        shape.gloss,
        response.frames,
    )


def _judge(response: Response, shape: Relief) -> tuple[State, str]:
    if not response.p <= SIGNIFICANT:
        if response.clean >= CLEAN and response.wrong >= WRONG:
            return "contradicted", "the face answers to another sequence"
        return "unproved", "no answer to the colours"
    if not response.size >= LEAST_SIZE:
        return "unproved", "the answer is too weak"
    if not abs(response.ring_size) <= RING_SHARE * response.size:
        return "unproved", "the background answers like the face"
    if not shape.gloss <= GLOSS:
        return "unproved", "the answer lies on a glossy surface"
    if not (shape.ratio >= RELIEF and shape.spread >= SPREAD):
        return "unproved", "the answer does not follow the shape of a head"
    return "proved", "a head answered"
