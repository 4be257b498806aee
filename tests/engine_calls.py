"""Calls of single integer operators, and the comparison of their results, for tests of engines."""

from __future__ import annotations

from functools import cache

import torch
from tiny_graphs import quantize_net, quantized
from tiny_nets.net import TinyNet
from torch import Tensor, fx, nn

from fxpasses.export.engines import quint8
from fxpasses.export.torch_int8 import to_torch
from fxpasses.graph.shapes import shape_of
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.int8_calls import Int8Call, find_int8_calls
from fxpasses.quantization.numbers import ops

INTEGERS = QuantConfig(float_results=False)
"""Settings with rounded logits, so that every result is an integer tensor."""


def random_integers(call: Int8Call, seed: int, extreme: bool = False) -> list[Tensor]:
    """Random integers of the inputs' shapes: any value of the grid, or only its ends."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for node, x in zip(call.inputs, call.x, strict=True):
        shape = shape_of(node)
        assert shape is not None
        q = torch.randint(x.grid.low, x.grid.high + 1, shape, generator=generator)
        if extreme:
            q = torch.where(q > x.zero_point, x.grid.high, x.grid.low)
        made.append(q.to(x.grid.dtype))
    return made


@cache
def engine(name: str, config: QuantConfig, which: str) -> nn.Module:
    return to_torch(quantized(name, config), which)


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def same_outputs(gm: fx.GraphModule, a: list[Tensor], b: list[Tensor]) -> bool:
    """Whether the outputs of two engines for a graph are equal, behind float operators but for their last bits.

    Torch's exponentials give other last bits at the end of a tensor in memory, and of each thread's part of it, so that
    layout and threads matter, on CPUs with long vectors the more.
    """
    if all(node.target is ops.dequantize for node in gm.graph.output_node().all_input_nodes):
        return same(a, b)
    return len(a) == len(b) and all(torch.allclose(x, y, rtol=2.0**-21, atol=0) for x, y in zip(a, b, strict=True))


def as_integers(q: Tensor) -> Tensor:
    return quint8.as_bytes(q)


def call_of(net: TinyNet, operator: str, config: QuantConfig = INTEGERS) -> Int8Call:
    return next(c for c in find_int8_calls(quantize_net(net, config)).values() if c.operator.name == operator)


IMAGE = (2, 5, 9, 7)
