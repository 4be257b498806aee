"""Numbers of values of tensors for one sample, wherever the batch is.

With the batch in front, a tensor's size is divided by it. With others, as ``[T, B, C]``, the graph runs once more on
twice as many samples, with tensors that have sizes and no data: what is added is of the samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch._subclasses.fake_tensor import FakeTensorMode

from ..graph.shapes import shape_of
from ..macs import batch_of
from ..signature.examples import examples_of, with_tensors
from ..signature.samples import batch_dims


def values_of_one(gm: fx.GraphModule) -> Callable[[fx.Node], int]:
    """The function from a node to the number of values in its tensor for one sample; 0 if it is no tensor."""
    batch = batch_of(gm)
    if all(dim in (0, None) for dim in batch_dims(gm)):
        return lambda node: _in_front(shape_of(node), batch)
    doubled = _Numbers(gm)
    dims = iter(batch_dims(gm))

    def twice(spec: tuple[tuple[int, ...], torch.dtype]) -> Tensor:
        dim = next(dims)
        return torch.empty([2 * size if d == dim else size for d, size in enumerate(spec[0])], dtype=spec[1])

    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        doubled.run(*with_tensors(examples_of(gm), twice))

    def values(node: fx.Node) -> int:
        shape = shape_of(node)
        number = 0 if shape is None else math.prod(shape)
        added = doubled.found.get(node.name, number) - number
        return added // batch if added > 0 else number

    return values


def _in_front(shape: tuple[int, ...] | None, batch: int) -> int:
    return 0 if shape is None else math.prod(shape) // (batch if shape[:1] == (batch,) else 1)


class _Numbers(fx.Interpreter):
    """The number of values of each tensor, by the name of its node."""

    def __init__(self, gm: fx.GraphModule) -> None:
        super().__init__(gm)
        self.found: dict[str, int] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.found[n.name] = result.numel()
        return result
