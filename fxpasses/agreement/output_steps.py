"""The size of one step of each output, in which differences between runtimes are counted."""

from __future__ import annotations

from torch import Tensor, fx

from fxpasses.graph.edit import operator_of
from fxpasses.graph.operators import Scaling, Trait
from fxpasses.graph.shapes import is_float_tensor
from fxpasses.quantization.int8.int8_calls import qparams_of
from fxpasses.quantization.numbers import ops
from fxpasses.signature.outputs import output_tensors


def output_lsbs(gm: fx.GraphModule) -> list[float | None]:
    """The scale of each output, of joined ones the largest; None for a float output."""
    return [_scale_of(gm, output.node) for output in output_tensors(gm)]


def _scale_of(gm: fx.GraphModule, node: fx.Node) -> float | None:
    if node.target is ops.dequantize:
        return qparams_of(node).scale
    operator = operator_of(gm, node)
    if operator is None:
        return None
    joins = Trait.JOINS in operator.traits and Trait.BY_VALUE not in operator.traits
    if not (joins or operator.scaling is Scaling.SHARED):
        return None
    scales = [_scale_of(gm, source) for source in node.all_input_nodes if is_float_tensor(source)]
    known = [scale for scale in scales if scale is not None]
    return max(known) if known and len(known) == len(scales) else None


def lsb_of(scale: float | None, output: Tensor) -> float:
    """Size of one LSB of an output: its scale; for a float output a 255th of its range."""
    if scale is not None:
        return scale
    finite = output[output.isfinite()]
    return float(finite.max() - finite.min()) / 255 or 1.0 if finite.numel() else 1.0
