"""Statistics on samples that were taken in blocks: summaries, ratios of medians, a rank test, growth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

RESAMPLES: Final = 2000
CONFIDENCE: Final = 0.95


class Summary(NamedTuple):
    """Marks of one sample, in its unit; quantiles by linear interpolation (Hyndman and Fan, 1996, type 7)."""

    n: int
    mean: float
    min: float
    p25: float
    median: float
    p75: float
    p95: float
    p99: float
    max: float

    @property
    def iqr(self) -> float:
        """Distance of the quartiles."""
        return self.p75 - self.p25


class Ratio(NamedTuple):
    """Ratio of two medians with the bounds of its 95 % interval."""

    ratio: float
    low: float
    high: float


def summarise(values: Sequence[float]) -> Summary:
    """Summarise a sample.

    Raises:
        ValueError: it is empty or holds what is no finite number.
    """
    sample = _sample(values)
    marks = np.percentile(sample, [0, 25, 50, 75, 95, 99, 100])
    low, p25, median, p75, p95, p99, high = (float(mark) for mark in marks)
    return Summary(len(sample), float(sample.mean()), low, p25, median, p75, p95, p99, high)


def median_ratio(
    over: Sequence[float],
    under: Sequence[float],
    *,
    block: int = 1,
    paired: bool = False,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Ratio:
    """How many times larger the median of one sample is than that of another.

    The interval is the percentile bootstrap's. What is drawn are whole blocks of successive values, because
    values of one block share a state of the machine (Kunsch, The Jackknife and the Bootstrap for General
    Stationary Observations, 1989).

    Args:
        over: sample in the numerator, in the order in which it was taken.
        under: sample in the denominator.
        block: length of a block; a shorter rest at the end is a block too.
        paired: both samples were taken block by block in turn, so blocks are drawn together.
        seed: of the draws.
        resamples: number of draws.

    Raises:
        ValueError: a sample is empty or not positive, or pairs differ in length.
    """
    a, b = _sample(over), _sample(under)
    if a.min() <= 0 or b.min() <= 0:
        raise ValueError("a ratio needs positive values")
    if paired and len(a) != len(b):
        raise ValueError(f"pairs must be equally many, not {len(a)} and {len(b)}")
    rng = np.random.default_rng(seed)
    rows_a = _draw(len(a), block, rng, resamples)
    rows_b = rows_a if paired else _draw(len(b), block, rng, resamples)
    draws = np.median(a[rows_a], axis=1) / np.median(b[rows_b], axis=1)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(draws, [tail, 100 - tail])
    return Ratio(float(np.median(a) / np.median(b)), float(low), float(high))


def rank_test(a: Sequence[float], b: Sequence[float], *, block: int = 1) -> float:
    """Two-sided p of the test of Mann and Whitney (1947) on the medians of blocks.

    Medians of blocks, because the test wants independent values and those of one block are not.

    Args:
        a: one sample in the order in which it was taken.
        b: the other.
        block: length of a block.
    """
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(block_medians(a, block), block_medians(b, block)).pvalue)


def block_medians(values: Sequence[float], block: int) -> F64:
    """Median of each block of successive values; a shorter rest counts as one."""
    sample = _sample(values)
    return np.array([np.median(sample[i : i + block]) for i in range(0, len(sample), block)])


def growth(x: Sequence[float], y: Sequence[float]) -> float:
    """Slope of y over x: the median of the slopes of all pairs (Theil, 1950; Sen, 1968).

    Raises:
        ValueError: fewer than two different x.
    """
    at, value = _sample(x), _sample(y)
    i, j = np.triu_indices(len(at), k=1)
    apart = at[j] != at[i]
    if len(at) != len(value) or not apart.any():
        raise ValueError("a slope needs pairs with two different x at least")
    i, j = i[apart], j[apart]
    return float(np.median((value[j] - value[i]) / (at[j] - at[i])))


def _sample(values: Sequence[float]) -> F64:
    sample = np.asarray(values, np.float64)
    if sample.ndim != 1 or sample.size == 0 or not np.isfinite(sample).all():
        raise ValueError("a sample must hold one finite number at least, and nothing else")
    return sample


def _draw(length: int, block: int, rng: np.random.Generator, resamples: int) -> NDArray[np.intp]:
    """Index rows (resamples, length): blocks drawn with replacement, cut to the sample's length."""
    if block < 1:
        raise ValueError("a block holds one value at least")
    block = min(block, length)
    starts = np.arange(0, length, block)
    chosen = rng.choice(starts, size=(resamples, len(starts)))
    # the last block may be short: what would reach beyond the end is taken from its beginning
    rows = chosen[:, :, None] + np.arange(block) % (length - chosen)[:, :, None]
    return np.asarray(rows.reshape(resamples, -1)[:, :length], dtype=np.intp)
