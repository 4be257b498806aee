"""Growth of ratios from step to step."""

from __future__ import annotations

from itertools import pairwise

import pytest

import fxpasses as fx
from fxpasses.pruning import schedule_ratios


def test_one_shot() -> None:
    assert schedule_ratios("one-shot", 0.5, 3) == (0.5, 0.5, 0.5)


def test_iterative_prunes_the_same_share_of_what_is_left() -> None:
    ratios = (0.0, *schedule_ratios("iterative", 0.875, 3))
    kept = [1 - r for r in ratios]
    assert [b / a for a, b in pairwise(kept)] == pytest.approx([0.5] * 3)


def test_cubic_is_zhu_and_guptas() -> None:
    final, initial = 0.8, 0.2
    expected = [final + (initial - final) * (1 - t / 4) ** 3 for t in (1, 2, 3, 4)]
    assert schedule_ratios("cubic", final, 4, initial=initial) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("linear", 0.5, 2), "schedule 'linear'"),
        (("cubic", 1.0, 2), "ratio 1.0"),
        (("cubic", 0.5, 0), "0 steps"),
    ],
)
def test_bad_schedules(arguments: tuple[object, ...], error: str) -> None:
    with pytest.raises(fx.InputError, match=error):
        schedule_ratios(*arguments)  # type: ignore[arg-type]


def test_falling() -> None:
    with pytest.raises(fx.InputError, match=r"from 0\.9 to 0\.5"):
        schedule_ratios("cubic", 0.5, 2, initial=0.9)
