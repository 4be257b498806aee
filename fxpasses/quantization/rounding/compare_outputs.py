"""Measure the error of each output of a layer after the activation that follows it.

Comparing sums before the activation would also count errors that ReLU removes, so outputs are compared after the
activation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, fx

from ...graph.cuts import part
from ...graph.shapes import shape_of
from ..int8.int8_calls import LAYER_FUNCTIONS
from .learned_integers import dequantize_straight_through, float_name, quantize_straight_through

VALUES = 1 << 25
"""Largest number of values of one tensor in the comparison; early layers have many positions in few samples."""
FEWEST = 4
"""Fewest samples in the comparison, for any tensor size."""
ENOUGH = 512
"""Fewest values per output for errors of single outputs; with fewer all outputs of a layer get the mean error."""
PIECE = 16
"""Number of samples run at a time through the layers before."""


class OutputErrors:
    """Callable that compares one layer of a trainable twin, in its current state, with the float layer.

    Args:
        exact, integer: a block in float, and its trainable twin.
        layer, node: the layer in both.
        float_in, int8_in: their inputs: samples that are not used for learning.
    """

    def __init__(
        self,
        exact: fx.GraphModule,
        integer: fx.GraphModule,
        layer: fx.Node,
        node: fx.Node,
        float_in: Sequence[Tensor],
        int8_in: Sequence[Tensor],
    ) -> None:
        read, behind, wanted = node.args[0], *_behind(exact, layer, node)
        assert isinstance(read, fx.Node) and callable(node.target)  # a layer is a function here
        samples = max(FEWEST, VALUES // max(_values(wanted), _values(layer.all_input_nodes[0])))
        self.inputs = _run(integer, read, [x[:samples] for x in int8_in])
        self.wanted = _run(exact, wanted, [x[:samples] for x in float_in])
        self.rest = part(integer, [read], behind)
        outputs = LAYER_FUNCTIONS[node.target].channel_axis % self.wanted.dim()
        self.others = [d for d in range(self.wanted.dim()) if d != outputs]

    @torch.no_grad()
    def __call__(self) -> Tensor:
        """Mean square error of each output, float32 ``[C_out]``; the mean over all outputs if there are few values."""
        found: Tensor = self.rest(self.inputs)
        error = (found - self.wanted).square_().mean(self.others)
        return error if found.numel() >= ENOUGH * error.numel() else error.mean().expand_as(error)


def _behind(exact: fx.GraphModule, layer: fx.Node, node: fx.Node) -> tuple[fx.Node, fx.Node]:
    """The layer's rounded result and the same in float; the sums themselves if they are not rounded."""
    rounded = _only_user(node, quantize_straight_through)
    floats = None if rounded is None else _only_user(rounded, dequantize_straight_through)
    named = {n.name: n for n in exact.graph.nodes}
    if floats is None or float_name(floats) not in named:
        return node, layer
    return floats, named[float_name(floats)]


def _only_user(node: fx.Node, function: object) -> fx.Node | None:
    users = list(node.users)
    return users[0] if len(users) == 1 and users[0].target is function else None


def _values(node: fx.Node) -> int:
    """Number of values in one sample."""
    return max(1, math.prod((shape_of(node) or (1,))[1:]))


def _run(gm: fx.GraphModule, result: fx.Node, inputs: Sequence[Tensor]) -> Tensor:
    """The value of ``result`` for these inputs of the graph."""
    run = part(gm, [n for n in gm.graph.nodes if n.op == "placeholder"], result)
    with torch.no_grad():
        return torch.cat([run(*piece) for piece in zip(*(x.split(PIECE) for x in inputs), strict=True)])
