"""Rewrite linear layers over more than two dimensions in the form that onnxruntime computes in int8 with the bias.

``MatMul`` and ``Add`` leave the sum in float: the bias is added and the result quantized in two more passes. Its int8
``QGemm`` does all three in one, but takes rows: integers are reshaped to rows, multiplied, and reshaped back. If the
result is not quantized, QGemm gives floats.

There is no such kernel for 16-bit activations. From 1.32 on onnxruntime turns a Gemm with int8 weights into a
MatMulNBits of 8 bits, which rounds the activations to bytes, unless its weight is stored as ``[N, K]``.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .edit import add_constant, is_8_bit, take_place


def rows_to_gemm(model: ir.Model, matmul: ir.Node) -> None:
    """Rewrite ``MatMul(x, w) + b`` on int8 as ``Reshape, Gemm, Reshape``, with a QuantizeLinear in between."""
    found = _Linear.of(matmul)
    if found is None:
        return
    name, last = matmul.name or "", found.last
    rows = ir.node("Reshape", [found.integers, add_constant(model, f"{name}_to_rows", _sizes([-1, found.width]))])
    x = ir.node("DequantizeLinear", [rows.outputs[0], *found.x.inputs[1:]])
    transposed = {} if is_8_bit(found.x.inputs[2]) else {"transB": 1}
    weight = _stored_by_outputs(model, matmul) if transposed else matmul.inputs[1]
    product = ir.node("Gemm", [x.outputs[0], weight, *found.bias], transposed, name=name)
    made = [rows, x, product]
    if last.op_type == "QuantizeLinear":
        made.append(ir.node("QuantizeLinear", [product.outputs[0], *last.inputs[1:]], last.attributes))
    result = made[-1].outputs[0]
    back = ir.node("Reshape", [result, add_constant(model, f"{name}_from_rows", _sizes(found.shape))])
    for node, what in zip(made, ("rows", "rows_float", "product", "product_int8"), strict=False):
        node.outputs[0].name = f"{name}_{what}"
    model.graph.insert_before(last, made)
    take_place(last, back)


def _stored_by_outputs(model: ir.Model, matmul: ir.Node) -> ir.Value:
    """A product's weight ``[K, N]``, dequantized from integers stored as ``[N, K]``."""
    value = matmul.inputs[1]
    dequantize = value.producer() if value is not None else None
    stored = dequantize.inputs[0] if dequantize is not None else None
    assert dequantize is not None and stored is not None and stored.const_value is not None
    integers = add_constant(model, f"{matmul.name}_weight", np.ascontiguousarray(stored.const_value.numpy().T))
    axis = {"axis": 1 - dequantize.attributes.get_int("axis", 1)}
    weight = ir.node("DequantizeLinear", [integers, *dequantize.inputs[1:]], axis)
    weight.outputs[0].name = f"{matmul.name}_weight_float"
    model.graph.insert_before(matmul, weight)
    return weight.outputs[0]


class _Linear:
    """A linear layer on integers, found by its MatMul; ``last`` adds its bias or quantizes its result."""

    def __init__(self, x: ir.Node, bias: list[ir.Value], last: ir.Node, shape: list[int], width: int) -> None:
        self.x, self.bias, self.last, self.shape, self.width = x, bias, last, shape, width

    @property
    def integers(self) -> ir.Value | None:
        return self.x.inputs[0]

    @classmethod
    def of(cls, matmul: ir.Node) -> _Linear | None:
        x, w = (v.producer() if v is not None else None for v in matmul.inputs[:2])
        if x is None or w is None or (x.op_type, w.op_type) != ("DequantizeLinear",) * 2:
            return None
        weight = w.inputs[0].const_value if w.inputs[0] is not None else None
        shape = _fixed_shape(matmul.outputs[0])
        if weight is None or len(weight.shape) != 2 or shape is None:
            return None
        bias, last, after = [], matmul, _only_reader(matmul)
        if after is not None and after.op_type == "Add":
            bias = [v for v in after.inputs if v is not None and _is_bias(v)]
            last = after if bias else last
        quantize = _only_reader(last)
        if quantize is not None and quantize.op_type == "QuantizeLinear":
            last = quantize
        return cls(x, bias, last, shape, len(weight.numpy()))


def _is_bias(value: ir.Value) -> bool:
    """Whether a value is a dequantized vector of integers, which a Gemm always takes as bias."""
    dequantize = value.producer()
    stored = dequantize.inputs[0] if dequantize is not None and dequantize.op_type == "DequantizeLinear" else None
    return stored is not None and stored.const_value is not None and len(stored.const_value.shape) == 1


def _only_reader(node: ir.Node) -> ir.Node | None:
    """The only reader of a node's output; None with several readers, or if it is an output of the graph."""
    uses = list(node.outputs[0].uses())
    return uses[0].node if len(uses) == 1 and not node.outputs[0].is_graph_output() else None


def _fixed_shape(value: ir.Value) -> list[int] | None:
    """Sizes of a value with -1 for the batch; None for fewer than three dimensions, or with other unknown sizes."""
    if value.shape is None or len(value.shape) < 3:
        return None
    sizes = [d if isinstance(d, int) else -1 for d in value.shape]
    return sizes if sizes.count(-1) <= 1 and 0 not in sizes else None


def _sizes(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.int64)
