"""From cosine similarity to the service's score, 0..100, with published error rates at its marks.

The vendor's sister products publish a false-accept rate of 1 % at score 60, 0.1 % at 80, 0.01 % at 90 and
0.001 % at 95. Each step of ten halves what is missing to 100, so the same law gives 20 at 10 % and 0 at 21 %;
between its marks the score is linear in the cosine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np


@dataclass(frozen=True, slots=True)
class Mark:
    """One measured point of the map.

    Attributes:
        far: false-accept rate: share of pairs of different people at or above ``cosine``.
        cosine: similarity in [-1, 1].
        score: what it is called, 0..100.
    """

    far: float
    cosine: float
    score: float


MARKS: Final = (
    Mark(10**-0.678, 0.0823, 0.0),
    Mark(1e-1, 0.1298, 20.0),
    Mark(1e-2, 0.2440, 60.0),
    Mark(1e-3, 0.3364, 80.0),
    Mark(1e-4, 0.4176, 90.0),
    Mark(1e-5, 0.5028, 95.0),
)
"""Measured for ``fr_feature`` aligned by ``face_mesh`` on 816 people, 615,102 impostor pairs, and checked on
782 other people; command: ``python -m benchmarks.score_map``. Counts, intervals, and what this does not prove
(the last mark rests on 6 pairs, and people who look alike are accepted more often): docs/adr/0007."""

_COSINES: Final = np.array([*(mark.cosine for mark in MARKS), 1.0])
_SCORES: Final = np.array([*(mark.score for mark in MARKS), 100.0])


def cosine_of(score: float) -> float:
    """Similarity from which a score is reached: the inverse of `score_of`."""
    return float(np.interp(score, _SCORES, _COSINES))


def score_of(cosine: float) -> float:
    """Score of a similarity.

    Args:
        cosine: dot product of two unit embeddings; values outside [-1, 1] by rounding are taken as its ends.

    Returns:
        0..100 in steps of 0.01, rounded down so that no score reaches a mark that its cosine does not.
    """
    score = float(np.interp(cosine, _COSINES, _SCORES))
    return float(np.floor(score * 100 + 1e-9) / 100)
