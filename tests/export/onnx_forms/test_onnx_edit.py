"""Editing an exported model."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from fxpasses.export.onnx_forms.edit import add_constant, take_place


@pytest.fixture
def model() -> ir.Model:
    """``y = Relu(x)``, ``z = Abs(y)``; both are outputs."""
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([2]))
    relu = ir.node("Relu", [x])
    relu.outputs[0].name, relu.outputs[0].type, relu.outputs[0].shape = "y", x.type, x.shape
    absolute = ir.node("Abs", [relu.outputs[0]])
    absolute.outputs[0].name = "z"
    outputs = [relu.outputs[0], absolute.outputs[0]]
    return ir.Model(ir.Graph([x], outputs, nodes=[relu, absolute], opset_imports={"": 18}), ir_version=10)


def test_a_constant_is_an_initializer_with_type_and_shape(model: ir.Model) -> None:
    value = add_constant(model, "c", np.array([1, 2], dtype=np.int64))
    assert model.graph.initializers["c"] is value
    assert (value.dtype, value.shape) == (ir.DataType.INT64, ir.Shape([2]))
    assert value.const_value is not None
    assert value.const_value.numpy().tolist() == [1, 2]


def test_what_takes_a_place_has_its_name_type_readers_and_is_an_output(model: ir.Model) -> None:
    relu, absolute = list(model.graph)
    new = ir.node("Neg", [model.graph.inputs[0]])
    take_place(relu, new)
    assert [n.op_type for n in model.graph] == ["Neg", "Abs"]
    y = new.outputs[0]
    assert (y.name, y.dtype, y.shape) == ("y", ir.DataType.FLOAT, ir.Shape([2]))
    assert absolute.inputs[0] is y
    assert model.graph.outputs[0] is y
