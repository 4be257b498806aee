"""One of a thing for each shape of input that keeps coming."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

KEPT = 2
"""Shapes that have their own."""
REPEATS = 3
"""Calls that make a shape one of those; in a row, if another has to go."""
REMEMBERED = 64
"""Shapes whose calls are counted before all counts start anew."""


class ByShape(Generic[T]):
    """Gives every shape of input the thing made for it, or the first.

    Several threads may ask at once: at worst both make one.

    Args:
        first: for the first shape, and for all that come seldom.
        again: makes another of the first.

    Attributes:
        kept: by shape; where time counts, look here before asking.
    """

    def __init__(self, first: T, again: Callable[[T], T]) -> None:
        self._first, self._again = first, again
        self.kept: dict[Hashable, T] = {}
        self._last: tuple[Hashable, int] = (None, 0)
        self._calls: dict[Hashable, int] = {}

    def of(self, shape: Hashable) -> T:
        """What to use for an input of this shape."""
        if shape in self.kept or not self.kept:
            return self.kept.setdefault(shape, self._first)
        if self._count(shape) < REPEATS:
            return self._first
        self.kept[shape] = own = self._again(self._first)
        for old in list(self.kept)[:-KEPT]:
            self.kept.pop(old, None)
        return own

    def _count(self, shape: Hashable) -> int:
        """How often a shape has come, in a row if there is no room for it."""
        last, times = self._last
        self._last = (shape, times + 1 if shape == last else 1)
        if len(self._calls) >= REMEMBERED:
            self._calls.clear()
        self._calls[shape] = calls = self._calls.get(shape, 0) + 1
        return calls if len(self.kept) < KEPT else self._last[1]
