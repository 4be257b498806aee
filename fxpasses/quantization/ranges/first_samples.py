"""The first samples of calibration data, for steps that need few; later steps still get all samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...errors import InputError
from ...signature.examples import tensors_in

_END = object()


def first_samples(batches: Iterable[Any], samples: int) -> tuple[list[Any], Iterable[Any]]:
    """Whole batches from the beginning with at least this number of samples (or all), and all batches for one run.

    Args:
        batches: may be an iterator; only the first batches are kept in memory.
    """
    rest = iter(batches_of(batches))
    first: list[Any] = []
    while sum(map(samples_of, first)) < samples and (batch := next(rest, _END)) is not _END:
        first.append(batch)
    return first, _released(deque(first), rest)


def batches_of(batches: Iterable[Any]) -> Iterable[Any]:
    """The batches, after a check that they are iterable.

    Raises:
        InputError: they are None, or anything else that is not iterable.
    """
    given: Any = batches  # callers need not use a type checker
    if isinstance(given, Iterable) or hasattr(given, "__getitem__"):
        return batches
    raise InputError(
        f"calibration data of type {type(batches).__name__}",
        why="it is no list, loader or generator of batches",
        fix="pass a list of tensors [B, ...] as the example inputs, or a DataLoader: fx.quantize(model, x, [x])",
    )


def _released(first: deque[Any], rest: Iterator[Any]) -> Iterator[Any]:
    """Yield all batches; each is kept only until it is requested."""
    while first:
        yield first.popleft()
    yield from rest


def samples_of(batch: Any) -> int:
    """Number of samples in a batch: the size of dimension 0 of its first tensor."""
    return next((len(x) for x in tensors_in(dict(batch) if isinstance(batch, Mapping) else batch) if x.dim()), 1)
