"""Activations of fewer than 8 bits: a clamp before the layers that read them.

The tensor after the clamp has its own scale and uses ``2**bits`` levels of the 8-bit grid. Every engine implements the
clamp as a table of 256 results or fewer, so no engine, file or check needs to support other widths. Other operators
that read the tensor (a residual sum, a pool) read it with 8 bits. During training the clamp does nothing and the
fake-quantize module after it clamps, so that its range can change; bounds are written when the graph is frozen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, fx

from ...graph.shapes import carried_meta
from ...quantization.config import LARGEST_BITS
from ...quantization.numbers import ops
from ...quantization.numbers.qparams import IntType, QParams
from ..layer_bits import LayerBits

NO_BOUND = 3e38
"""Larger than every value of a float32 network that works; infinity would make the clamp an identity to passes."""


def put_narrow_reads(gm: fx.GraphModule, bits: Mapping[str, LayerBits]) -> dict[str, int]:
    """Insert the clamps into a FLOAT graph, in place; return the bits of each by its name."""
    made: dict[tuple[fx.Node, int], fx.Node] = {}
    for node in list(gm.graph.nodes):
        width = bits[node.name].input if node.name in bits else LARGEST_BITS
        if width == LARGEST_BITS:
            continue
        source = node.args[0]
        assert isinstance(source, fx.Node)
        if (source, width) not in made:
            made[source, width] = _clamp_behind(gm, source, width)
        node.replace_input_with(source, made[source, width])
    gm.graph.lint()
    gm.recompile()
    return {clamp.name: width for (_, width), clamp in made.items()}


def _clamp_behind(gm: fx.GraphModule, source: fx.Node, width: int) -> fx.Node:
    with gm.graph.inserting_after(source):
        bounds: dict[str, Any] = {"min": -NO_BOUND, "max": NO_BOUND}
        node = gm.graph.create_node("call_function", torch.clamp, (source,), bounds, name=f"{source.name}_bits{width}")
    node.meta = carried_meta(source)
    return node


def unbounded(x: Tensor) -> Tensor:
    """Identity that replaces a clamp during training."""
    return x


def drop_bounds(gm: fx.GraphModule, names: Iterable[str]) -> None:
    """Make clamps compute the identity, in place, until :func:`set_bounds` makes them clamps again."""
    wanted = set(names)
    for node in gm.graph.nodes:
        if node.name in wanted:
            node.target, node.kwargs = unbounded, {}


def narrow_grid(bits: int, container: IntType, *, symmetric: bool, has_negative: bool) -> IntType:
    """The integers of ``bits`` bits on an 8-bit grid; they start at zero if zero points are 0 and
    nothing is negative.
    """
    if bits == LARGEST_BITS:
        return container
    levels = (1 << bits) - 1
    if not symmetric:
        return IntType(container.dtype, 0, levels)
    return (
        IntType(container.dtype, -(levels // 2), levels // 2) if has_negative else IntType(container.dtype, 0, levels)
    )


def set_bounds(node: fx.Node, q: QParams) -> None:
    """Write the range of a narrow grid into its clamp.

    If the grid's low end is that of the 8-bit grid, saturation replaces the lower bound. With a bound of zero there,
    the layer before would absorb the clamp.
    """
    low, high = q.range
    node.target = torch.clamp
    node.kwargs = {"min": low - (q.scale if q.grid.low == 0 and q.zero_point == 0 else 0.0), "max": high}


def settle_bounds(int8: fx.GraphModule, narrow: Mapping[str, IntType]) -> None:
    """Update the bounds in a QUANTIZED graph whose scales have changed a little."""
    for node in int8.graph.nodes:
        if node.name in narrow:
            quantize = next(user for user in node.users if user.target is ops.quantize)
            _, scale, zero_point, _ = quantize.args
            assert isinstance(scale, float) and isinstance(zero_point, int)
            set_bounds(node, QParams(scale, zero_point, narrow[node.name]))
    int8.recompile()
