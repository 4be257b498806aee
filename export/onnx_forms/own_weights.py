"""Give layers weights of their own, so that onnxruntime can turn them to uint8 if necessary.

With ``session.x64quantprecision`` onnxruntime replaces int8 weights and their zero points, one by one. It fails if two
layers share a weight or a zero point, and does not find weights outside of a loop's body:

- equal int8 weights, which the exporter writes once, are copied for each DequantizeLinear;
- each DynamicQuantizeLSTM gets zero points that nothing else reads;
- weights that a Scan's MatMulInteger multiplies with move into the Scan's body.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from .edit import add_constant

_ZERO_POINTS = {9: "weight", 11: "recurrent"}
"""Inputs of DynamicQuantizeLSTM that are zero points, with names for them."""


def own_weights(model: ir.Model) -> None:
    """Rewrite ``model`` in place."""
    for node in list(model.graph):
        if node.op_type == "DequantizeLinear":
            _own_weight(model, node)
        elif node.op_type == "DynamicQuantizeLSTM":
            _own_zero_points(model, node)
        elif node.op_type == "Scan":
            for body in _bodies(node):
                _own_products(model, body)


def _own_weight(model: ir.Model, node: ir.Node) -> None:
    shared = node.inputs[0]
    if shared is None or shared.const_value is None or shared.dtype is not ir.DataType.INT8:
        return
    if len(shared.const_value.shape) > 1 and len(list(shared.uses())) > 1:
        name = f"{node.outputs[0].name}_weight"
        node.replace_input_with(0, add_constant(model, name, shared.const_value.numpy().copy()))


def _own_zero_points(model: ir.Model, node: ir.Node) -> None:
    for index, what in _ZERO_POINTS.items():
        shared = node.inputs[index]
        if shared is not None and shared.const_value is not None:
            name = f"{node.outputs[0].name}_{what}_zero_point"
            node.replace_input_with(index, add_constant(model, name, shared.const_value.numpy().copy()))


def _bodies(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if isinstance(attribute, ir.Attr) and attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()


def _own_products(model: ir.Model, body: ir.Graph) -> None:
    for node in body:
        weight = node.inputs[1] if node.op_type == "MatMulInteger" else None
        if weight is None or weight.const_value is None or weight.name not in model.graph.initializers:
            continue
        own = ir.Value(
            name=f"{weight.name}_of_{body.inputs[0].name}",
            shape=weight.shape,
            type=weight.type,
            const_value=ir.tensor(weight.const_value.numpy(), name=f"{weight.name}_of_{body.inputs[0].name}"),
        )
        body.initializers[own.name or ""] = own
        node.replace_input_with(1, own)
