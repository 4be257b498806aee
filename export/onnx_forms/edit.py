"""Functions that edit an exported model."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir


def add_constant(model: ir.Model, name: str, value: np.ndarray) -> ir.Value:
    """A new initializer.

    Args:
        name: must be new.
        value: any dtype ONNX has.
    """
    tensor = ir.tensor(value, name=name)
    constant = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(value.shape), const_value=tensor)
    model.graph.register_initializer(constant)
    return constant


def take_place(node: ir.Node, new: ir.Node) -> None:
    """Replace ``node`` by ``new``; the output keeps name, type and shape."""
    graph, old, output = node.graph, node.outputs[0], new.outputs[0]
    assert graph is not None
    output.name, output.type, output.shape = old.name, old.type, old.shape
    graph.insert_before(node, new)
    for i, value in enumerate(graph.outputs):
        if value is old:
            graph.outputs[i] = output
    ir.convenience.replace_all_uses_with(old, output)
    graph.remove(node, safe=True)


def is_8_bit(zero_point: ir.Value | None) -> bool:
    """Whether a tensor with that zero point has 8 bits; onnxruntime has fewer kernels for 16."""
    value = zero_point.const_value if zero_point is not None else None
    return value is not None and value.dtype in (ir.DataType.UINT8, ir.DataType.INT8)
