"""Packed convolutions for the shapes of input that keep coming.

Packed weights of oneDNN keep the primitive of their first call, for its shape and number of threads (PyTorch,
``aten/src/ATen/native/quantized/cpu/OnednnUtils.h``, ``PrimitiveCacheKey``). Of any other shape every call builds a
primitive anew, 25 to 50 us, more than many a layer takes: a net that saw a batch of 8 first would for good be 1.4 times
slower at a batch of 1. So a shape that comes again and again gets packed weights of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Key = tuple[torch.Size, int]
"""Input shape and number of threads."""

KEPT = 2
"""Shapes with packed weights of their own; each costs memory, some three times the int8 weights."""
REPEATS = 3
"""Calls in a row that make a shape one of those: the last, smaller batch of a data set does not drive others out."""


class PackedShapes:
    """Gives packed weights for a shape of input.

    Several threads may ask at once: at worst both pack.

    Args:
        packed: weights that no call has seen yet.
        again: packs what packed weights hold once more.
    """

    def __init__(self, packed: Any, again: Callable[[Any], Any]) -> None:
        self._first, self._again = packed, again
        self._kept: dict[Key, Any] = {}
        self._last: tuple[Key | None, int] = (None, 0)

    def of(self, shape: torch.Size) -> Any:
        """The packed weights to call with an input of this shape."""
        key = (shape, torch.get_num_threads())
        packed = self._kept.get(key)
        return self._of_another(key) if packed is None else packed

    def _of_another(self, key: Key) -> Any:
        kept = self._kept
        if not kept:
            self._kept = {key: self._first}
            return self._first
        last, times = self._last
        self._last = (key, times + 1 if key == last else 1)
        if self._last[1] < REPEATS:
            return self._first
        fresh = self._again(self._first)
        self._kept = dict([*list(kept.items())[-(KEPT - 1) :], (key, fresh)])
        return fresh
