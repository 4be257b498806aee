"""Cost of a graph without some of its channels, counted from shapes before anything is removed.

Multiply-accumulates are those of :mod:`fxpasses.macs`, for one input of the batch; bytes are those of parameters and
buffers as they are stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, fx, nn

from ... import macs
from ...graph.shapes import shape_of
from ..dependencies.labels import Dim
from .channel_plan import Removal


@dataclass(frozen=True)
class Cost:
    """Parameters (each counted once), their bytes and those of buffers, and multiply-accumulates for one input."""

    params: int
    size_bytes: int
    macs: int


def cost_of(removal: Removal) -> Cost:
    """Cost of the graph after a removal; use :meth:`Removal.none` for the cost of the whole graph."""
    gm = removal.dependencies.gm
    params = size_bytes = 0
    for tensor in {id(t): t for t in (*gm.parameters(), *gm.buffers())}.values():
        left = math.prod(_left(removal, tensor, axis) for axis in range(tensor.dim()))
        size_bytes += left * tensor.element_size()
        params += left * isinstance(tensor, nn.Parameter)
    return Cost(params, size_bytes, sum(count for _, count in macs_by_node(removal)))


def macs_by_node(removal: Removal) -> Iterator[tuple[fx.Node, int]]:
    """Every node that multiplies and accumulates, with its number of multiply-accumulates for one
    input of the batch.
    """
    return macs.macs_by_node(removal.dependencies.gm, _SizesLeft(removal))


@dataclass(frozen=True)
class _SizesLeft:
    """Shapes after a removal."""

    removal: Removal

    def of(self, node: fx.Node) -> list[int]:
        shape = shape_of(node) or ()
        dims: tuple[Dim, ...] = self.removal.dependencies.labelling.of.get(node, ())
        if len(dims) != len(shape):
            return list(shape)
        return [self.removal.kept_size(dim, size) for dim, size in zip(dims, shape, strict=True)]

    def of_parameter(self, tensor: Tensor) -> list[int]:
        return [_left(self.removal, tensor, axis) for axis in range(tensor.dim())]


def _left(removal: Removal, tensor: Tensor, axis: int) -> int:
    dim = removal.dependencies.labelling.parameters.get((id(tensor), axis))
    return removal.kept_size(dim, tensor.shape[axis])
