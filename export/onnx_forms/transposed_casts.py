"""Keep onnxruntime from crashing on matrix products of a tensor that was transposed and then cast.

From 1.24 to at least 1.32, onnxruntime's x86 builds read through a null pointer as they open a file with such a
product, and end the process (https://github.com/microsoft/onnxruntime/issues/28392): the fusion of ``Transpose``,
``Cast`` and ``MatMul`` leaves a cast without an operator. In float16 files onnxruntime itself inserts that cast. With a
dimension of size 1 around the product the fusion does not apply; the numbers are the same.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .edit import add_constant, take_place

_BETWEEN = ("Cast", "Identity")


def part_casts_from_products(model: ir.Model) -> None:
    """Put ``Unsqueeze`` and ``Squeeze`` around each such product; ``model`` is changed in place."""
    for node in list(model.graph):
        if node.op_type == "MatMul" and node.domain == "" and _is_fused(node.inputs[0]):
            _part(model, node)


def _is_fused(value: ir.Value | None) -> bool:
    """Whether a value is a transposed tensor behind a cast, of the order that the fusion takes."""
    casts = value is not None and value.dtype is ir.DataType.FLOAT16
    producer = None if value is None else value.producer()
    while producer is not None and producer.op_type in _BETWEEN:
        casts = casts or producer.op_type == "Cast"
        source = producer.inputs[0]
        producer = None if source is None else source.producer()
    if not casts or producer is None or producer.op_type != "Transpose":
        return False
    order = list(producer.attributes.get_ints("perm", []))
    last = len(order) - 1
    return last > 1 and order in ([*range(1, last), 0, last], [*range(1, last + 1), 0])


def _part(model: ir.Model, product: ir.Node) -> None:
    name = product.outputs[0].name
    first, second = product.inputs
    assert first is not None
    axis = add_constant(model, f"{name}_apart_axis", np.array([0]))
    apart = ir.node("Unsqueeze", [first, axis])
    apart.outputs[0].name = f"{name}_apart"
    wide = ir.node("MatMul", [apart.outputs[0], second])
    wide.outputs[0].name = f"{name}_wide"
    wide.metadata_props.update(product.metadata_props)
    assert product.graph is not None
    product.graph.insert_before(product, [apart, wide])
    take_place(product, ir.node("Squeeze", [wide.outputs[0], axis]))
