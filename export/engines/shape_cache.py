"""Keep one object (a kernel) for each input shape seen often, two at most; rare shapes share the first object."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

KEPT = 2
"""Number of shapes with an object of their own."""
REPEATS = 3
"""Calls after which a shape gets its own object; they must be consecutive if another shape has to be dropped."""
REMEMBERED = 64
"""Number of shapes whose calls are counted; beyond it all counts restart."""


class ByShape(Generic[T]):
    """Gives every input shape the object made for it, or the first object.

    Several threads may call it at once; at worst each of them makes an object.

    Args:
        first: object for the first shape, and for all rare shapes.
        again: makes another object from the first.

    Attributes:
        kept: objects by shape; a direct look-up here is fastest.
    """

    def __init__(self, first: T, again: Callable[[T], T]) -> None:
        self._first, self._again = first, again
        self.kept: dict[Hashable, T] = {}
        self._last: tuple[Hashable, int] = (None, 0)
        self._calls: dict[Hashable, int] = {}

    def of(self, shape: Hashable) -> T:
        """The object for an input of this shape."""
        if shape in self.kept or not self.kept:
            return self.kept.setdefault(shape, self._first)
        if self._count(shape) < REPEATS:
            return self._first
        self.kept[shape] = own = self._again(self._first)
        for old in list(self.kept)[:-KEPT]:
            self.kept.pop(old, None)
        return own

    def _count(self, shape: Hashable) -> int:
        """Number of calls with a shape so far; consecutive ones only, if there is no room for another object."""
        last, times = self._last
        self._last = (shape, times + 1 if shape == last else 1)
        if len(self._calls) >= REMEMBERED:
            self._calls.clear()
        self._calls[shape] = calls = self._calls.get(shape, 0) + 1
        return calls if len(self.kept) < KEPT else self._last[1]
