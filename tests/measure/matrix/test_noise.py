"""A machine is called noisy by the ratios of the baseline to itself."""

from __future__ import annotations

from fxpasses.measure.matrix.noise import noise_of
from fxpasses.measure.matrix.verdicts import MARGIN

QUIET = [0.99, 1.0, 1.01, 1.0, 0.995, 1.005, 1.002, 0.998, 1.0, 1.01]


def test_a_quiet_machine() -> None:
    found = noise_of(QUIET, 0.95)
    assert found.why is None and found.margin == MARGIN and found.spread < 0.01


def test_a_baseline_that_differs_from_itself() -> None:
    found = noise_of([1.2 * ratio for ratio in QUIET], 0.95)
    assert found.why is not None and "differs from itself by up to 21 %" in found.why
    assert 0.2 < found.margin < 0.22, "only larger differences count"


def test_a_scatter_that_has_the_right_middle() -> None:
    half = [0.8, 0.85, 0.9, 0.98, 0.99, 0.999, 1.0, 1.001, 1.01, 1.02, 1.1, 1.15, 1.2]
    found = noise_of([*half, *[1.0] * 4, *[0.7, 1.3] * 4], 0.5)
    assert found.why is not None and "scatter by" in found.why
