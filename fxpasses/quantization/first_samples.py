"""The first samples of calibration data, for steps that need few, without losing them to those that need all."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..examples import tensors_in


def first_samples(batches: Iterable[Any], samples: int) -> tuple[list[Any], Iterable[Any]]:
    """Whole batches from the beginning with at least so many samples, or all there are; and all batches, for one run.

    Args:
        batches: may be an iterator; no more than the first batches are held.
    """
    rest = iter(batches)
    first: list[Any] = []
    while sum(map(samples_of, first)) < samples and (batch := next(rest, None)) is not None:
        first.append(batch)
    return first, _released(deque(first), rest)


def _released(first: deque[Any], rest: Iterator[Any]) -> Iterator[Any]:
    """All of them; none is held for longer than until it is asked for."""
    while first:
        yield first.popleft()
    yield from rest


def samples_of(batch: Any) -> int:
    """How many samples a batch has, as far as dimension 0 of its first tensor tells."""
    return next((len(x) for x in tensors_in(dict(batch) if isinstance(batch, Mapping) else batch) if x.dim()), 1)
