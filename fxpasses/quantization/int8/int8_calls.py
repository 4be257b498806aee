"""Read a QUANTIZED graph as integer operations: what every engine lowers, and what parity compares.

``dequantize -> operator [-> clamp] -> quantize`` is one :class:`Int8Call`; a linear layer on integers whose result is
not quantized is a :class:`FloatResult`. All other nodes compute in float and are not changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from ...graph.edit import clip_bounds, only_reader, operator_of
from ...graph.meta_keys import DTYPE
from ...graph.operator_table import VOCABULARY
from ...graph.operators import Operator, Trait
from ..numbers import ops
from ..numbers.pair_sums import is_pair_safe
from ..numbers.qparams import IntType, QParams
from .plan import shares_scale, tensors_of, why_no_integer_form

LAYER_FUNCTIONS: dict[Callable[..., Any], Operator] = {
    getattr(F, name): op for name, op in VOCABULARY.by_name.items() if op.weight_axis is not None
}
"""The operators of layers by function. Layers are function calls in a QUANTIZED graph: their weights are computed."""


@dataclass(frozen=True)
class LayerIntegers:
    """Buffers of a layer: int8 weight, float32 scale along ``axis``, int32 bias ``[C_out]`` or None."""

    weight: Tensor
    weight_scale: Tensor
    axis: int
    bias: Tensor | None

    def is_pair_safe(self, groups: int) -> bool:
        """Whether kernels that add pairs of products in 16 bits compute the layer exactly."""
        return is_pair_safe(self.weight, self.axis, groups)


@dataclass(frozen=True)
class Int8Call:
    """One operator on integers.

    Attributes:
        operator: the operator.
        node: the float node of the QUANTIZED graph.
        output: the ``quantize`` node that holds its result; all messages and files use its name for the call.
        inputs: the ``quantize`` nodes (or int8 constants) it reads.
        x: parameters of each input.
        y: parameters of the output.
        clamp: (low, high) of a clamp before ``quantize``, if it is tighter than the range of the integers.
        layer: the integers of a layer; None for other operators.
    """

    operator: Operator
    node: fx.Node
    output: fx.Node
    inputs: tuple[fx.Node, ...]
    x: tuple[QParams, ...]
    y: QParams
    clamp: tuple[float, float] | None = None
    layer: LayerIntegers | None = None

    @property
    def name(self) -> str:
        return self.output.name

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.node.kwargs)

    @property
    def shares_scale(self) -> bool:
        return shares_scale(self.node, self.operator) and self.x[0] == self.y

    @property
    def is_pair_safe(self) -> bool:
        """Whether kernels that add pairs of products in 16 bits compute this call exactly; True without weights."""
        return self.layer is None or self.layer.is_pair_safe(int(self.settings.get("groups", 1)))


def layer_of(call: Int8Call) -> LayerIntegers:
    """The integers of a call that is a layer."""
    assert call.layer is not None
    return call.layer


@dataclass(frozen=True)
class FloatResult:
    """A linear layer on integers that gives floats: ``float(acc) * (s_x * s_w)``, each rounded once to float32.

    ``acc`` is the exact sum including the bias. onnxruntime's QGemm and every engine here compute this formula: their
    floats are bit-equal as long as sums stay below 2**24.

    Attributes:
        operator: the operator.
        node: the float node of the QUANTIZED graph.
        input: the ``quantize`` node it reads.
        x: parameters of the input.
        layer: the integers of the layer.
    """

    operator: Operator
    node: fx.Node
    input: fx.Node
    x: QParams
    layer: LayerIntegers

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def is_pair_safe(self) -> bool:
        """Whether kernels that add pairs of products in 16 bits compute this layer exactly."""
        return self.layer.is_pair_safe(groups=1)

    @property
    def scale(self) -> Tensor:
        """Value of one integer step of each output's sum: float32 ``[C_out]``."""
        return torch.tensor(self.x.scale, dtype=torch.float32) * self.layer.weight_scale


def find_float_results(gm: fx.GraphModule) -> dict[fx.Node, FloatResult]:
    """The layers of a QUANTIZED graph that take integers and give floats, by their node, in graph order."""
    rounded = {call.node for call in find_int8_calls(gm).values()}
    found = (_match_float_result(gm, node) for node in gm.graph.nodes if node not in rounded)
    return {result.node: result for result in found if result is not None}


def _match_float_result(gm: fx.GraphModule, node: fx.Node) -> FloatResult | None:
    operator = LAYER_FUNCTIONS.get(node.target) if callable(node.target) else None
    if operator is None or Trait.GIVES_FLOATS not in operator.traits:
        return None
    read = _integers_of_layer(gm, node)
    if read is None:
        return None
    source, x, layer = read
    return FloatResult(operator, node, source, x, layer)


def find_int8_calls(gm: fx.GraphModule) -> dict[fx.Node, Int8Call]:
    """All integer operations of a QUANTIZED graph, by their ``quantize`` node, in graph order."""
    calls = (_match(gm, node) for node in gm.graph.nodes if node.target is ops.quantize)
    return {call.output: call for call in calls if call is not None}


def qparams_of(node: fx.Node) -> QParams:
    """Parameters of a ``quantize`` or ``dequantize`` node."""
    scale, zero_point = node.args[1], node.args[2]
    dtype = node.args[3] if node.target is ops.quantize else None
    if dtype is None:
        source = node.args[0]
        assert isinstance(source, fx.Node)
        dtype = source.args[3] if source.target is ops.quantize else source.meta.get(DTYPE, torch.uint8)
    assert isinstance(scale, float) and isinstance(zero_point, int) and isinstance(dtype, torch.dtype)
    limits = torch.iinfo(dtype)
    return QParams(scale, zero_point, IntType(dtype, limits.min, limits.max))


def _match(gm: fx.GraphModule, quantize: fx.Node) -> Int8Call | None:
    node, clamp = quantize.args[0], None
    assert isinstance(node, fx.Node)
    bounds = clip_bounds(gm, node)
    inner = node.args[0] if bounds is not None else None
    if isinstance(inner, fx.Node) and inner.target is not ops.dequantize and only_reader(node) is quantize:
        node, clamp = inner, bounds
    operator = LAYER_FUNCTIONS.get(node.target) if callable(node.target) else None
    if operator is not None:
        return _layer_call(gm, quantize, node, operator, clamp)
    operator = operator_of(gm, node)
    if node.op != "call_function" or operator is None or why_no_integer_form(node, operator):
        return None  # a float node between integer nodes
    ordered = tensors_of(node)
    if not ordered or any(n.target is not ops.dequantize for n in ordered):
        return None
    return Int8Call(
        operator,
        node,
        quantize,
        tuple(n.all_input_nodes[0] for n in ordered),
        tuple(qparams_of(n) for n in ordered),
        qparams_of(quantize),
        clamp,
    )


def _layer_call(
    gm: fx.GraphModule, quantize: fx.Node, node: fx.Node, operator: Operator, clamp: tuple[float, float] | None
) -> Int8Call | None:
    read = _integers_of_layer(gm, node)
    if read is None:
        return None
    source, x, layer = read
    return Int8Call(operator, node, quantize, (source,), (x,), qparams_of(quantize), clamp, layer)


def _integers_of_layer(gm: fx.GraphModule, node: fx.Node) -> tuple[fx.Node, QParams, LayerIntegers] | None:
    """The integers that a layer reads, their parameters, and the layer's own integers; None if one of them is float."""
    x, weight, bias = (*node.args, None)[:3]
    if not (isinstance(x, fx.Node) and x.target is ops.dequantize and _is_integer_weight(weight)):
        return None
    assert isinstance(weight, fx.Node)
    axis = weight.args[2]
    assert isinstance(axis, int)
    layer = LayerIntegers(
        _buffer(gm, weight.args[0]),
        _buffer(gm, weight.args[1]),
        axis,
        _buffer(gm, bias.args[0]) if isinstance(bias, fx.Node) else None,
    )
    return x.all_input_nodes[0], qparams_of(x), layer


def _is_integer_weight(node: object) -> bool:
    return isinstance(node, fx.Node) and node.target is ops.dequantize_per_channel


def _buffer(gm: fx.GraphModule, node: object) -> Tensor:
    assert isinstance(node, fx.Node) and node.op == "get_attr"
    path, _, name = str(node.target).rpartition(".")
    value = getattr(gm.get_submodule(path), name)
    assert isinstance(value, Tensor)
    return value
