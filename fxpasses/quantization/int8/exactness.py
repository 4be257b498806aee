"""Distance of each node of a QUANTIZED graph from rounding ties: the proof of bit-equality.

The margin of a node is a lower bound, in output steps, of the distance between any unsaturated exact result and the
nearest tie. Above :data:`~fxpasses.quantization.numbers.tie_free.MARGIN` every engine rounds to the same integer. Nodes
that compute in float have no bound: libraries may differ in the last bit of ``exp``, which can change the rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import fx

from ...errors import GraphError
from ...graph.operators import Scaling, Trait
from ...graph.shapes import is_float_tensor
from ..numbers import ops
from ..numbers.tie_free import MARGIN, distance_to_tie, simplest_fraction, smallest_margin
from .int8_calls import FloatResult, Int8Call, find_float_results, find_int8_calls
from .scales import table_of, window_size


@dataclass(frozen=True)
class Margin:
    """Distance of one integer tensor from a rounding tie, and the reason if it is too small."""

    node: str
    distance: float
    why: str = ""

    @property
    def is_proof(self) -> bool:
        return self.distance >= MARGIN


def margins(gm: fx.GraphModule) -> list[Margin]:
    """The margin of every integer tensor of a QUANTIZED graph, in graph order."""
    calls = find_int8_calls(gm)
    found = []
    for node in gm.graph.nodes:
        if node.target is not ops.quantize:
            continue
        call = calls.get(node)
        if call is not None:
            found.append(_margin_of(call))
        elif _is_entrance(node):
            found.append(Margin(node.name, math.inf))
        else:
            found.append(Margin(node.name, 0.0, f"{node.all_input_nodes[0].name} is computed in float"))
    return found


def unsafe_layers(gm: fx.GraphModule) -> list[str]:
    """Names of the layers of a QUANTIZED graph whose weights can saturate kernels that add product pairs in 16 bits.

    Such kernels run on x86 CPUs without VNNI; see :mod:`fxpasses.quantization.numbers.pair_sums`.
    """
    layers: list[Int8Call | FloatResult] = [*find_int8_calls(gm).values(), *find_float_results(gm).values()]
    return [layer.name for layer in layers if not layer.is_pair_safe]


def require_exact(gm: fx.GraphModule, *, pair_safe: bool = False) -> None:
    """Raise GraphError, naming the first node for which bit-equality of all engines cannot be shown.

    Args:
        gm: a QUANTIZED graph.
        pair_safe: also refuse layers whose sums of two products can saturate 16 bits.
    """
    unsafe = unsafe_layers(gm) if pair_safe else []
    if unsafe:
        raise GraphError(
            f"node {unsafe[0]!r}" + (f", and {len(unsafe) - 1} more" if unsafe[1:] else ""),
            why="exact=True, and two of its weights add up to more than 128: kernels of CPUs without VNNI saturate",
            fix='convert it anew with QuantConfig(target="x86-avx2"), or drop exact',
            step="convert",
        )
    open_ones = [m for m in margins(gm) if not m.is_proof]
    if not open_ones:
        return
    first = open_ones[0]
    others = f", and {len(open_ones) - 1} more: {', '.join(m.node for m in open_ones[1:6])}" if open_ones[1:] else ""
    raise GraphError(
        f"node {first.node!r}{others}",
        why=f"exact=True, and engines may round here in different ways: {first.why}",
        fix="drop exact, or keep those nodes out of the int8 graph (Override(match=..., keep_float=True))",
        step="convert",
    )


def _is_entrance(quantize: fx.Node) -> bool:
    """Whether a ``quantize`` node reads an input or constant: a single division, which every engine rounds alike."""
    return quantize.all_input_nodes[0].op in ("placeholder", "get_attr")


def _margin_of(call: Int8Call) -> Margin:
    traits = call.operator.traits
    if call.shares_scale:
        return Margin(call.name, math.inf)
    if call.layer is not None:
        return _of_layer(call)
    if call.operator.elementwise:
        return _of_table(call)
    if Trait.JOINS in traits:
        return _of_ratios(call, [x.scale / call.y.scale for x in call.x])
    if Trait.MULTIPLIES in traits:
        factor = math.prod(x.scale for x in call.x) / call.y.scale / window_size(call.node, call.operator.name)
        return _of_ratios(call, [factor])
    return Margin(call.name, 0.0, f"{call.operator} is computed in float")


def _of_layer(call: Int8Call) -> Margin:
    assert call.layer is not None
    distance = smallest_margin(call.x[0].scale * call.layer.weight_scale.double() / call.y.scale)
    if Trait.FLOAT_SUMS in call.operator.traits:
        return Margin(call.name, 0.0, "onnxruntime computes transposed convolutions in float")
    return Margin(call.name, distance, "" if distance >= MARGIN else "a channel's multiplier is too small for a margin")


def _of_ratios(call: Int8Call, ratios: list[float]) -> Margin:
    """Margin of a sum of terms with these ratios; it exists if their common denominator is odd."""
    common = math.lcm(*(simplest_fraction(r, 2.0**-22).denominator for r in ratios))
    if common % 2 == 0:
        return Margin(call.name, 0.0, f"its scales are in a ratio with an even denominator ({Fraction(1, common)})")
    return Margin(call.name, 0.5 / common, "" if 0.5 / common >= MARGIN else "its scales have no small common unit")


def _of_table(call: Int8Call) -> Margin:
    if call.operator.scaling is Scaling.FLOAT:
        return Margin(call.name, 0.0, f"{call.operator} is computed in float")
    steps = table_of(call.node, call.x[0]).double() / call.y.scale
    inside = (steps + call.y.zero_point > call.y.grid.low - 1) & (steps + call.y.zero_point < call.y.grid.high + 1)
    distance = float(torch.where(inside, distance_to_tie(steps), 0.5).min())
    return Margin(call.name, distance, "" if distance >= MARGIN else "one of its 256 results is next to a tie")


def float_islands(gm: fx.GraphModule) -> list[str]:
    """Names of the float nodes between integer nodes."""
    calls = {c.node for c in find_int8_calls(gm).values()} | find_float_results(gm).keys()
    return [
        n.name
        for n in gm.graph.nodes
        if n.op in ("call_function", "call_module")
        and n.target not in ops.QUANTIZING
        and n not in calls
        and is_float_tensor(n)
    ]
