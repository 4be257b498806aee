"""Turn a QDQ model into QOperator form: integer operators with scales as inputs, which need no fusion at load.

``DequantizeLinear -> operator -> QuantizeLinear`` becomes QLinearConv, QLinearMatMul (ONNX) or QGemm, QLinearAdd and so
on (domain ``com.microsoft``, onnxruntime's contrib operators). Operators that only move values run on the integers.
Scales and integers are the same; operators without integer form keep their Q/DQ pairs.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from .edit import take_place

CONTRIB = "com.microsoft"

_MOVING = frozenset("MaxPool Reshape Transpose Squeeze Unsqueeze Slice Flatten Expand Tile DepthToSpace".split())
_POOLS = {"GlobalAveragePool": "QLinearGlobalAveragePool", "AveragePool": "QLinearAveragePool"}
_UNARY = {"Sigmoid": "QLinearSigmoid", "LeakyRelu": "QLinearLeakyRelu"}
_BINARY = {"Add": "QLinearAdd", "Mul": "QLinearMul"}


def to_qoperator(model: ir.Model) -> None:
    """Rewrite ``model`` in place."""
    for node in list(model.graph):
        quantize = _only_quantize(node)
        new = _float_gemm(node) if quantize is None else _integer_node(node, quantize)
        if new is not None:
            take_place(quantize or node, new)
    RemoveUnusedNodesPass()(model)
    model.graph.opset_imports.setdefault(CONTRIB, 1)


def _integer_node(node: ir.Node, quantize: ir.Node) -> ir.Node | None:
    """The integer operator that replaces a float one, or None."""
    kind, y = node.op_type, [quantize.inputs[1], quantize.inputs[2]]
    inputs = [_integers(v) for v in node.inputs]
    if kind in _MOVING and inputs and inputs[0] is not None:
        return _moving(node, inputs[0], y)
    if not inputs or any(i is None for i in inputs):
        return None
    parts = [i for i in inputs if i is not None]
    attributes = dict(node.attributes)
    if kind == "Conv":
        added = [parts[2][0]] if len(parts) > 2 else []
        return ir.Node("", "QLinearConv", [*parts[0], *parts[1], *y, *added], attributes.values(), name=node.name)
    if kind == "Gemm":
        bias = parts[2][0] if len(parts) > 2 else None
        attributes.pop("beta", None)
        return ir.Node(CONTRIB, "QGemm", [*parts[0], *parts[1], bias, *y], attributes.values(), name=node.name)
    if kind == "MatMul":
        return ir.Node("", "QLinearMatMul", [*parts[0], *parts[1], *y], (), name=node.name)
    if kind in _BINARY:
        return ir.Node(CONTRIB, _BINARY[kind], [*parts[0], *parts[1], *y], (), name=node.name)
    if kind in _POOLS or kind in _UNARY:
        name = _POOLS.get(kind) or _UNARY[kind]
        return ir.Node(CONTRIB, name, [*parts[0], *y], attributes.values(), name=node.name)
    if kind == "Concat":
        flat = [value for part in parts for value in part]
        return ir.Node(CONTRIB, "QLinearConcat", [*y, *flat], attributes.values(), name=node.name)
    return None


def _float_gemm(node: ir.Node) -> ir.Node | None:
    """QGemm with float output for a Gemm of integers whose result is not quantized, or None."""
    parts = [_integers(v) for v in node.inputs]
    if node.op_type != "Gemm" or not parts or any(part is None for part in parts):
        return None
    a, b, *bias = [part for part in parts if part is not None]
    attributes = {name: value for name, value in node.attributes.items() if name != "beta"}
    inputs = [*a, *b, *(c[0] for c in bias)]
    return ir.Node(CONTRIB, "QGemm", inputs, attributes.values(), name=node.name)


def _moving(node: ir.Node, x: tuple[ir.Value, ir.Value, ir.Value], y: list[ir.Value | None]) -> ir.Node | None:
    if not (_equal(x[1], y[0]) and _equal(x[2], y[1])):
        return None
    return ir.Node(node.domain, node.op_type, [x[0], *node.inputs[1:]], node.attributes.values(), name=node.name)


def _integers(value: ir.Value | None) -> tuple[ir.Value, ir.Value, ir.Value] | None:
    """(integers, scale, zero_point) of a dequantized value."""
    producer = value.producer() if value is not None else None
    if producer is None or producer.op_type != "DequantizeLinear" or len(producer.inputs) < 3:
        return None
    q, scale, zero_point = producer.inputs[:3]
    return None if q is None or scale is None or zero_point is None else (q, scale, zero_point)


def _only_quantize(node: ir.Node) -> ir.Node | None:
    """The QuantizeLinear that is the only reader of a node's only output, or None."""
    if node.op_type in ("QuantizeLinear", "DequantizeLinear") or len(node.outputs) != 1:
        return None
    uses = list(node.outputs[0].uses())
    reader = uses[0].node if len(uses) == 1 and not node.outputs[0].is_graph_output() else None
    return reader if reader is not None and reader.op_type == "QuantizeLinear" else None


def _equal(a: ir.Value | None, b: ir.Value | None) -> bool:
    if a is None or b is None or a.const_value is None or b.const_value is None:
        return False
    return bool(np.array_equal(a.const_value.numpy(), b.const_value.numpy()))
