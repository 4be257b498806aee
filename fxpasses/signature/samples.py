"""The samples of a batch along any dimension: their number, the first of them, and pieces of the batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, fx
from torch.utils import _pytree as pytree

from .examples import examples_of, is_spec, tensors_in
from .free_sizes import BATCH, free_sizes


def batch_dims(gm: fx.GraphModule) -> tuple[int | None, ...]:
    """The batch dimension of each input tensor; None for a tensor without samples."""
    return tuple(next((d for d, name in dims.items() if name == BATCH), None) for dims in free_sizes(gm).inputs)


def output_batch_dims(gm: fx.GraphModule) -> tuple[int | None, ...]:
    """The batch dimension of each output; None for an output without samples, none if they are not known."""
    return tuple(next((d for d, name in dims.items() if name == BATCH), None) for dims in free_sizes(gm).outputs)


def is_fixed_batch(gm: fx.GraphModule) -> bool:
    """Whether some input of a graph has no samples along dimension 0: such batches are not split or joined."""
    return not all(map(is_spec, examples_of(gm))) or any(d != 0 for d in batch_dims(gm))


def count_samples(gm: fx.GraphModule, inputs: tuple[Any, ...]) -> int:
    """Number of samples in a batch; 1 if no input has a batch dimension."""
    for x, dim in zip(tensors_in(inputs), batch_dims(gm), strict=True):
        if dim is not None:
            return int(x.shape[dim])
    return 1


def first_of(gm: fx.GraphModule, inputs: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    """The first samples of a batch; the whole batch if it cannot be split."""
    return _narrowed(gm, inputs, 0, min(count, count_samples(gm, inputs)))


def pieces_of(gm: fx.GraphModule, inputs: tuple[Any, ...], step: int) -> Iterator[tuple[Any, ...]]:
    """A batch in pieces of ``step`` samples; whole if it cannot be split."""
    samples = count_samples(gm, inputs)
    if step >= samples:
        yield inputs
        return
    for first in range(0, samples, step):
        yield _narrowed(gm, inputs, first, min(step, samples - first))


def _narrowed(gm: fx.GraphModule, inputs: tuple[Any, ...], first: int, count: int) -> tuple[Any, ...]:
    dims = iter(batch_dims(gm))

    def narrow(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        dim = next(dims)
        return x if dim is None else x.narrow(dim, first, count)

    narrowed: tuple[Any, ...] = pytree.tree_map(narrow, inputs)
    return narrowed
