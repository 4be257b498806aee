"""Confidence intervals of a median, and of the ratio of two.

Paired measurements: the order-statistic interval (the inverted sign test). Of ``n`` values in order, the ``k``-th
smallest and the ``k``-th largest enclose the median of what they are drawn from with probability
``1 - 2 P(Binomial(n, 1/2) < k)``, whatever their distribution; ``k`` is the largest that keeps the confidence asked
for. Reference: W. J. Conover, Practical Nonparametric Statistics, 3rd ed., Wiley 1999, section 3.2.

Two series that were not measured in turns: the percentile bootstrap of the ratio of their medians, both drawn again
with replacement, from a fixed seed. Reference: B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap, Chapman &
Hall 1993, chapter 13.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ..latency import percentile

BOOTSTRAP_DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """A median, and bounds of the distribution's median; they are None if there are too few values."""

    median: float
    low: float | None
    high: float | None
    values: int


def median_interval(values: Sequence[float], confidence: float) -> Interval:
    """The median of values and its order-statistic interval."""
    ordered, k = sorted(values), _rank(len(values), confidence)
    median = statistics.median(ordered)
    if k == 0:
        return Interval(median, None, None, len(ordered))
    return Interval(median, ordered[k - 1], ordered[-k], len(ordered))


def _rank(count: int, confidence: float) -> int:
    """The largest ``k`` with ``2 P(Binomial(count, 1/2) < k) <= 1 - confidence``; 0 where there is none."""
    below, k = 0.0, 0
    while k < (count + 1) // 2:
        below += math.comb(count, k) / 2**count
        if 2 * below > 1 - confidence:
            break
        k += 1
    return k


def least_values(confidence: float) -> int:
    """The least number of values that give an interval: the least ``n`` with ``2 / 2**n <= 1 - confidence``."""
    return max(2, math.ceil(1 - math.log2(1 - confidence)))


def each_of(count: int, confidence: float) -> float:
    """The confidence that each of ``count`` intervals needs so that all hold together (Bonferroni)."""
    return 1 - (1 - confidence) / max(count, 1)


def ratio_interval(slow: Sequence[float], fast: Sequence[float], confidence: float) -> Interval:
    """The ratio of two medians of unpaired values, and its bootstrap interval."""
    generator = random.Random(0)
    drawn = [
        statistics.median(generator.choices(slow, k=len(slow)))
        / statistics.median(generator.choices(fast, k=len(fast)))
        for _ in range(BOOTSTRAP_DRAWS)
    ]
    tail = 100 * (1 - confidence) / 2
    low, high = percentile(drawn, tail), percentile(drawn, 100 - tail)
    count = min(len(slow), len(fast))
    ratio = statistics.median(slow) / statistics.median(fast)
    if count < least_values(confidence):
        return Interval(ratio, None, None, count)
    return Interval(ratio, low, high, count)
