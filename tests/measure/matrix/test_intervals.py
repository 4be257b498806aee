"""Intervals of medians equal those computed by hand, and hold the true median often enough."""

from __future__ import annotations

import math
import random

import pytest

from fxpasses.measure.matrix.intervals import each_of, least_values, median_interval, ratio_interval


def test_by_hand() -> None:
    """The second and the ninth of ten values enclose the median with probability 1 - 2 * 11 / 1024 = 97.9 %."""
    found = median_interval([3, 1, 4, 10, 5, 9, 2, 6, 8, 7], 0.95)
    assert (found.median, found.low, found.high, found.values) == (5.5, 2, 9, 10)
    assert median_interval(range(1, 11), 0.98).low == 1, "98 % needs the outermost"


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_from_so_many_values_on_there_is_an_interval(confidence: float) -> None:
    least = least_values(confidence)
    assert median_interval(range(least), confidence).low == 0
    assert least == 2 or median_interval(range(least - 1), confidence).low is None


@pytest.mark.parametrize("count", [6, 11, 20, 41])
def test_it_holds_the_median_as_often_as_it_says(count: int) -> None:
    """The distribution is skewed. A share of 0.95 in 600 draws has a deviation of 0.009; three below it is 0.923."""
    generator, held = random.Random(count), 0
    for _ in range(600):
        found = median_interval([generator.expovariate(1.0) for _ in range(count)], 0.95)
        assert found.low is not None and found.high is not None
        held += found.low <= math.log(2) <= found.high
    assert held / 600 > 0.923


def test_all_rows_together_need_more_confidence_of_each() -> None:
    assert each_of(10, 0.95) == pytest.approx(0.995)
    assert each_of(0, 0.95) == 0.95


def test_unpaired_medians() -> None:
    """The true ratio is 2; bootstrap intervals of 40 values each hold it nearly always."""
    generator, held = random.Random(1), 0
    for _ in range(40):
        slow = [2 * generator.lognormvariate(0.0, 0.1) for _ in range(40)]
        found = ratio_interval(slow, [generator.lognormvariate(0.0, 0.1) for _ in range(40)], 0.95)
        assert found.low is not None and found.high is not None and 1.7 < found.low < found.high < 2.3
        held += found.low <= 2 <= found.high
    assert held >= 33
    assert ratio_interval([2.0, 2.1], [1.0, 1.1], 0.95).low is None, "two values tell nothing"
