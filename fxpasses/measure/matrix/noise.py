"""Check that the machine is quiet enough for comparisons: the baseline is measured under two names (an A/A test).

Criterion: the machine is noisy if the interval of the baseline's paired ratio to itself is not inside the margin of
a verdict (a verdict would report a difference where there is none), or if the middle half of these ratios spans more
than ``MOST_SPREAD``. Reference for A/A tests: R. Kohavi et al., Controlled experiments on the web, Data Mining and
Knowledge Discovery 18 (2009), section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..latency import percentile
from .intervals import Interval, median_interval
from .verdicts import MARGIN

MOST_SPREAD = 0.10
"""Largest distance between quartiles of a quiet machine; there, the ratios of a net with itself span 1 to 3 %."""


@dataclass(frozen=True)
class Noise:
    """Ratios of the baseline's times to its own at one setting.

    Attributes:
        interval: interval of the median ratio.
        spread: distance from the lower to the upper quartile of the ratios.
        margin: smallest difference that a verdict at this setting reports.
        why: the reason why the machine is noisy, as a sentence; None if it is not.
    """

    interval: Interval
    spread: float
    margin: float
    why: str | None


def noise_of(ratios: Sequence[float], confidence: float) -> Noise:
    """Assess the paired ratios of the baseline to itself."""
    interval = median_interval(ratios, confidence)
    low, high = interval.low or min(ratios), interval.high or max(ratios)
    bias = max(high, 1 / low) - 1
    spread = percentile(list(ratios), 75) - percentile(list(ratios), 25)
    why = None
    if bias > MARGIN:
        why = f"the baseline differs from itself by up to {100 * bias:.0f} %: only larger differences count here"
    elif spread > MOST_SPREAD:
        why = f"the ratios of the baseline to itself scatter by {100 * spread:.0f} % from quartile to quartile"
    return Noise(interval, spread, max(MARGIN, bias), why)
