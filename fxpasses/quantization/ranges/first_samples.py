"""The first samples of calibration data, for steps that need few, without losing them to those that need all."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...errors import InputError
from ...signature.examples import tensors_in

_END = object()


def first_samples(batches: Iterable[Any], samples: int) -> tuple[list[Any], Iterable[Any]]:
    """Whole batches from the beginning with at least so many samples, or all there are; and all batches, for one run.

    Args:
        batches: may be an iterator; no more than the first batches are held.
    """
    rest = iter(batches_of(batches))
    first: list[Any] = []
    while sum(map(samples_of, first)) < samples and (batch := next(rest, _END)) is not _END:
        first.append(batch)
    return first, _released(deque(first), rest)


def batches_of(batches: Iterable[Any]) -> Iterable[Any]:
    """The batches, which must be something to go through.

    Raises:
        InputError: they are None, or anything else that is no iterable.
    """
    given: Any = batches  # of callers that nobody type-checks
    if isinstance(given, Iterable) or hasattr(given, "__getitem__"):
        return batches
    raise InputError(
        f"calibration data of type {type(batches).__name__}",
        why="it is no list, loader or generator of batches",
        fix="pass a list of tensors [B, ...] as the example inputs, or a DataLoader: fx.quantize(model, x, [x])",
    )


def _released(first: deque[Any], rest: Iterator[Any]) -> Iterator[Any]:
    """All of them; none is held for longer than until it is asked for."""
    while first:
        yield first.popleft()
    yield from rest


def samples_of(batch: Any) -> int:
    """How many samples a batch has, as far as dimension 0 of its first tensor tells."""
    return next((len(x) for x in tensors_in(dict(batch) if isinstance(batch, Mapping) else batch) if x.dim()), 1)
