"""The samples of a batch, wherever its inputs have them: how many there are, the first of them, and pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, fx
from torch.utils import _pytree as pytree

from .examples import examples_of, is_spec, tensors_in
from .free_sizes import BATCH, free_sizes


def batch_dims(gm: fx.GraphModule) -> tuple[int | None, ...]:
    """The dimension of each input tensor that is the batch; None for one that has no samples of its own."""
    return tuple(next((d for d, name in dims.items() if name == BATCH), None) for dims in free_sizes(gm).inputs)


def is_fixed_batch(gm: fx.GraphModule) -> bool:
    """Whether some input of a graph has no samples along dimension 0: such batches are not taken apart or joined."""
    return not all(map(is_spec, examples_of(gm))) or any(d != 0 for d in batch_dims(gm))


def count_samples(gm: fx.GraphModule, inputs: tuple[Any, ...]) -> int:
    """How many samples a batch has; one where no input has a batch."""
    for x, dim in zip(tensors_in(inputs), batch_dims(gm), strict=True):
        if dim is not None:
            return int(x.shape[dim])
    return 1


def first_of(gm: fx.GraphModule, inputs: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    """The first samples of a batch; all of it where it has none to take."""
    return _narrowed(gm, inputs, 0, min(count, count_samples(gm, inputs)))


def pieces_of(gm: fx.GraphModule, inputs: tuple[Any, ...], step: int) -> Iterator[tuple[Any, ...]]:
    """A batch in pieces of so many samples; whole where it cannot be taken apart."""
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
