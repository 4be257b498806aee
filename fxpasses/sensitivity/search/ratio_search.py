"""Finds the largest pruning ratio that keeps accuracy, by bisection; every evaluation is counted and stored.

Bisection assumes that accuracy falls as the ratio grows. That is mostly so, but not always on few images, or if pruning
regularizes. So all evaluations together are checked, and the result says if accuracy was better at a larger ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from fxpasses.errors import InputError

DropAt = Callable[[float], float]
"""Function that returns the points of accuracy lost at a ratio."""

DEFAULT_TOLERANCE = 0.01
HIGHEST = 0.99
_NOISE_POINTS = 1e-9


@dataclass(frozen=True)
class RatioSearch:
    """Result of a search.

    Attributes:
        ratio: the largest that holds, to within the tolerance; 0 if none does.
        drop: points lost at it.
        evaluations: number of evaluations of this search.
        tried: (ratio, drop) of all known points, ascending.
        is_monotone: whether no drop was smaller, by more than the noise, than one at a smaller ratio.
        next_failing: the smallest ratio known to lose too much; None if none does.
    """

    ratio: float
    drop: float
    evaluations: int
    tried: tuple[tuple[float, float], ...]
    is_monotone: bool
    next_failing: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "ratio": self.ratio,
            "drop": self.drop,
            "evaluations": self.evaluations,
            "tried": [{"ratio": ratio, "drop": drop} for ratio, drop in self.tried],
            "is_monotone": self.is_monotone,
            "next_failing": self.next_failing,
        }


def largest_ratio(
    drop_at: DropAt,
    max_drop: float,
    *,
    tolerance: float = DEFAULT_TOLERANCE,
    highest: float = HIGHEST,
    known: Mapping[float, float] | None = None,
    noise: float = 0.0,
) -> RatioSearch:
    """Bisect for the largest ratio in [0, ``highest``] that loses at most ``max_drop`` points.

    Args:
        drop_at: returns the points lost at a ratio; called once for each ratio tried.
        max_drop: the budget, in points.
        tolerance: largest distance of the answer to a ratio that fails, or to ``highest``.
        highest: largest ratio considered.
        known: drops by ratio that need not be measured again, as from a scan.
        noise: standard error of a drop, in points: a smaller decrease does not count as non-monotone.

    Raises:
        InputError: the budget is negative, or tolerance or ``highest`` are not in (0, 1).
    """
    _check(max_drop, tolerance, highest)
    tried = {0.0: 0.0, **(known or {})}
    measured = 0

    def holds(ratio: float) -> bool:
        nonlocal measured
        if ratio not in tried:
            tried[ratio] = drop_at(ratio)
            measured += 1
        return tried[ratio] <= max_drop + _NOISE_POINTS

    failing = sorted(ratio for ratio in tried if not holds(ratio))
    below = max(ratio for ratio in tried if ratio <= (failing[0] if failing else highest) and holds(ratio))
    above = failing[0] if failing else highest
    if not failing and holds(highest):
        below = highest
    while above - below > tolerance * (1 + 1e-9):
        middle = round((below + above) / 2, 6)
        below, above = (middle, above) if holds(middle) else (below, middle)
    ordered = sorted(tried.items())
    return RatioSearch(
        ratio=below,
        drop=tried[below],
        evaluations=measured,
        tried=tuple(ordered),
        is_monotone=_is_monotone([drop for _, drop in ordered], noise),
        next_failing=None if below == highest else above,
    )


def ratios_within(curves: Mapping[str, Mapping[float, float]], max_drop: float) -> dict[str, float]:
    """Ratio of each layer at which its curve of drops crosses a budget, interpolated between known points."""
    return {path: _crossing({0.0: 0.0, **curve}, max_drop) for path, curve in curves.items()}


def largest_ratios(
    curves: Mapping[str, Mapping[float, float]],
    drop_of: Callable[[Mapping[str, float]], float],
    max_drop: float,
    *,
    steps: int = 7,
    noise: float = 0.0,
) -> tuple[dict[str, float], RatioSearch]:
    """Ratios for the whole net from the curves of its layers; all layers get the same budget.

    The budget of the layers is bisected until the net, with all layers pruned, loses at most ``max_drop``. The search
    runs over shares of four times the net's budget, because the layers together can lose less than the sum of their own
    losses, or more.

    Returns:
        Ratio by layer, and the search over the share.
    """
    most = 4.0 * max_drop

    def drop_at(share: float) -> float:
        return drop_of({path: r for path, r in ratios_within(curves, share * most).items() if r > 0})

    search = largest_ratio(drop_at, max_drop, tolerance=0.5**steps, highest=1.0 - 0.5**steps, noise=noise)
    return ratios_within(curves, search.ratio * most), search


def _crossing(curve: Mapping[float, float], budget: float) -> float:
    points = sorted(curve.items())
    for (before, low), (after, high) in pairwise(points):
        if high > budget + _NOISE_POINTS:
            share = 0.0 if high <= low else max(0.0, (budget - low) / (high - low))
            return round(before + share * (after - before), 4)
    return points[-1][0]


def _is_monotone(drops: Sequence[float], noise: float) -> bool:
    return all(drop >= max(drops[:i], default=drop) - noise - _NOISE_POINTS for i, drop in enumerate(drops))


def _check(max_drop: float, tolerance: float, highest: float) -> None:
    if max_drop < 0:
        raise InputError(f"max_drop {max_drop}", why="a budget is not negative", fix="give points, such as 2.0")
    for name, value in (("tolerance", tolerance), ("highest", highest)):
        if not 0 < value < 1:
            raise InputError(f"{name} {value}", why="it is a share between 0 and 1", fix="use 0.01 or the like")
