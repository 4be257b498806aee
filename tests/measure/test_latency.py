"""Statistics of times, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from fxpasses.measure.latency import BenchResult, Cell, percentile, summary

SAME = 1e-12
"""Tolerance for the interpolation of numpy, which computes in doubles, too."""


@pytest.mark.parametrize("count", [1, 2, 7, 100])
@pytest.mark.parametrize("percent", [0, 25, 50, 90, 99, 100])
def test_percentiles_interpolate_as_numpy_does(count: int, percent: int) -> None:
    values = np.random.default_rng(count).lognormal(size=count)
    assert percentile(values.tolist(), percent) == pytest.approx(np.percentile(values, percent), rel=SAME)


def test_summary() -> None:
    times = [1.0, 2.0, 3.0, 6.0]
    found = summary(times, batch=4)
    assert found["mean_ms"] == 3.0
    assert found["std_ms"] == pytest.approx(np.std(times, ddof=1), rel=SAME)
    assert found["items_per_s"] == pytest.approx(4000 / 3, rel=SAME)
    assert found["runs"] == 4


def test_one_time_has_no_spread() -> None:
    assert summary([2.0], batch=1)["std_ms"] == 0.0


def test_ratios_are_paired_by_round() -> None:
    cell = Cell(1, 1, {"slow": [(40, 44, 400), (400, 440, 480)], "fast": [(10, 11, 900), (100, 110, 120)]})
    ratio = BenchResult([cell], {"slow": ("torch", "fp32"), "fast": ("torch", "int8")}).ratio("slow", "fast")
    assert (ratio.median, ratio.q25, ratio.q75, ratio.rounds) == (4.0, 4.0, 4.0, 2)
