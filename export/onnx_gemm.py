"""Linear layers over more than two dimensions, the way onnxruntime has them in int8 with their bias.

``MatMul`` and ``Add`` leave the sum in float: the bias is added and the result quantized in two more passes over it.
Its int8 ``QGemm`` does all three in one, but takes rows: integers are reshaped to rows, multiplied, and reshaped back.

Activations of 16 bits have no such kernel. There onnxruntime from 1.32 on takes a Gemm by int8 weights for a
MatMulNBits of 8 bits, which rounds the activations to bytes; one whose weight is stored ``[N, K]`` it leaves alone.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .onnx_edit import add_constant, is_8_bit, take_place


def rows_to_gemm(model: ir.Model, matmul: ir.Node) -> None:
    """``Quantize(MatMul(x, w) + b)`` on int8 becomes ``Reshape, Gemm, Quantize, Reshape``; anything else stays."""
    found = _Linear.of(matmul)
    if found is None:
        return
    name, before = matmul.name or "", found.quantize
    rows = ir.node("Reshape", [found.integers, add_constant(model, f"{name}_to_rows", _sizes([-1, found.width]))])
    x = ir.node("DequantizeLinear", [rows.outputs[0], *found.x.inputs[1:]])
    transposed = {} if is_8_bit(found.x.inputs[2]) else {"transB": 1}
    weight = _stored_by_outputs(model, matmul) if transposed else matmul.inputs[1]
    product = ir.node("Gemm", [x.outputs[0], weight, *found.bias], transposed, name=name)
    quantized = ir.node("QuantizeLinear", [product.outputs[0], *before.inputs[1:]], before.attributes)
    back = ir.node("Reshape", [quantized.outputs[0], add_constant(model, f"{name}_from_rows", _sizes(found.shape))])
    for node, what in ((rows, "rows"), (x, "rows_float"), (product, "product"), (quantized, "product_int8")):
        node.outputs[0].name = f"{name}_{what}"
    model.graph.insert_before(before, [rows, x, product, quantized])
    take_place(before, back)


def _stored_by_outputs(model: ir.Model, matmul: ir.Node) -> ir.Value:
    """The weight of a product, ``[K, N]``, dequantized from integers stored ``[N, K]``."""
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
    """A linear layer between integers, found by its MatMul."""

    def __init__(self, x: ir.Node, bias: list[ir.Value], quantize: ir.Node, shape: list[int], width: int) -> None:
        self.x, self.bias, self.quantize, self.shape, self.width = x, bias, quantize, shape, width

    @property
    def integers(self) -> ir.Value | None:
        return self.x.inputs[0]

    @classmethod
    def of(cls, matmul: ir.Node) -> _Linear | None:
        x, w = (v.producer() if v is not None else None for v in matmul.inputs[:2])
        after = _only_reader(matmul)
        if x is None or w is None or after is None or (x.op_type, w.op_type) != ("DequantizeLinear",) * 2:
            return None
        weight = w.inputs[0].const_value if w.inputs[0] is not None else None
        if weight is None or len(weight.shape) != 2:
            return None
        bias: list[ir.Value] = []
        if after.op_type == "Add":
            other = next((v for v in after.inputs if v is not matmul.outputs[0]), None)
            if other is None or other.shape is None or len(other.shape) != 1:
                return None
            bias, after = [other], _only_reader(after)
        shape = _fixed_shape(matmul.outputs[0])
        if after is None or after.op_type != "QuantizeLinear" or shape is None:
            return None
        return cls(x, bias, after, shape, len(weight.numpy()))


def _only_reader(node: ir.Node) -> ir.Node | None:
    uses = list(node.outputs[0].uses())
    return uses[0].node if len(uses) == 1 else None


def _fixed_shape(value: ir.Value) -> list[int] | None:
    """Its sizes with -1 for the batch; None for two dimensions, or where another size is not known."""
    if value.shape is None or len(value.shape) < 3:
        return None
    sizes = [d if isinstance(d, int) else -1 for d in value.shape]
    return sizes if sizes.count(-1) <= 1 and 0 not in sizes else None


def _sizes(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.int64)
