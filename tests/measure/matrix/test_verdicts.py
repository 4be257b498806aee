"""Verdicts from intervals, and changes of verdicts between two matrices."""

from __future__ import annotations

from typing import Any

import pytest

from fxpasses.measure.matrix.intervals import Interval
from fxpasses.measure.matrix.verdicts import FASTER, NO_DIFFERENCE, SLOWER, changes, verdict


@pytest.mark.parametrize(
    ("low", "high", "margin", "said"),
    [
        (1.04, 1.2, 0.03, FASTER),
        (1.02, 1.2, 0.03, NO_DIFFERENCE),
        (1.04, 1.2, 0.10, NO_DIFFERENCE),
        (0.8, 0.96, 0.03, SLOWER),
        (0.8, 0.98, 0.03, NO_DIFFERENCE),
        (0.5, 2.0, 0.03, NO_DIFFERENCE),
        (None, None, 0.03, NO_DIFFERENCE),
    ],
)
def test_verdict(low: float | None, high: float | None, margin: float, said: str) -> None:
    assert verdict(Interval(1.5, low, high, 20), margin) == said


def _row(name: str, said: str) -> dict[str, Any]:
    return {"name": name, "batch": 1, "threads": 2, "device": "CPU", "verdict": said}


def test_only_the_opposite_is_a_flip() -> None:
    before = [_row("a", FASTER), _row("b", FASTER), _row("c", SLOWER), _row("gone", SLOWER)]
    after = [_row("a", SLOWER), _row("b", NO_DIFFERENCE), _row("c", SLOWER), _row("new", FASTER)]
    found = changes(before, after)
    assert [(str(change), change.is_flip) for change in found] == [
        ("a, batch 1, threads 2, CPU: faster before, slower now", True),
        ("b, batch 1, threads 2, CPU: faster before, no difference shown now", False),
    ]
