"""What a graph costs without some of its channels, counted from shapes before anything is removed.

Multiply-accumulates are those of convolutions, linear layers and matrix products for one input of the batch; bytes are
those of parameters and buffers as they are stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, fx, nn

from ..graph_edit import operator_name
from ..shapes import shape_of
from .channel_plan import Removal
from .labels import Dim

_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class Cost:
    """Parameters (each counted once), their bytes and those of buffers, and multiply-accumulates for one input."""

    params: int
    size_bytes: int
    macs: int


def cost_of(removal: Removal) -> Cost:
    """What is left once the channels of ``removal`` are gone; see :meth:`Removal.none` for all of it."""
    gm = removal.dependencies.gm
    params = size_bytes = 0
    for tensor in {id(t): t for t in (*gm.parameters(), *gm.buffers())}.values():
        left = math.prod(_left(removal, tensor, axis) for axis in range(tensor.dim()))
        size_bytes += left * tensor.element_size()
        params += left * isinstance(tensor, nn.Parameter)
    return Cost(params, size_bytes, sum(macs for _, macs in macs_by_node(removal)))


def macs_by_node(removal: Removal) -> Iterator[tuple[fx.Node, int]]:
    """Every node that multiplies and accumulates, and how often it does for one input of the batch."""
    gm, labels = removal.dependencies.gm, removal.dependencies.labelling.of
    for node in gm.graph.nodes:
        shape = shape_of(node)
        if shape is None:
            continue
        kept = [removal.kept_size(dim, size) for dim, size in zip(labels[node], shape, strict=True)]
        if node.op == "call_module":
            layer = gm.get_submodule(str(node.target))
            if isinstance(layer, _WEIGHTED):
                inner = [_left(removal, layer.weight, axis) for axis in range(1, layer.weight.dim())]
                yield node, math.prod(inner) * math.prod(kept[1:])
            elif isinstance(layer, _TRANSPOSED):
                source = node.args[0]
                given = _kept_shape(removal, source) if isinstance(source, fx.Node) else []
                inner = [_left(removal, layer.weight, axis) for axis in range(1, layer.weight.dim())]
                yield node, math.prod(inner) * math.prod(given[1:])
        elif operator_name(gm, node) == "matmul" and isinstance(node.args[0], fx.Node):
            contracted = _kept_shape(removal, node.args[0])[-1]
            yield node, contracted * math.prod(kept) // shape[0]


def _kept_shape(removal: Removal, node: fx.Node) -> list[int]:
    labels: tuple[Dim, ...] = removal.dependencies.labelling.of.get(node, ())
    return [removal.kept_size(dim, size) for dim, size in zip(labels, shape_of(node) or (), strict=True)]


def _left(removal: Removal, tensor: Tensor, axis: int) -> int:
    dim = removal.dependencies.labelling.parameters.get((id(tensor), axis))
    return removal.kept_size(dim, tensor.shape[axis])
