"""Types, grids, makers and readers of an ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from qdq_models import Graph, image, weights

from fxpasses.audit import onnx_graph as audit_graph
from fxpasses.audit.onnx_graph import BOOL, FLOAT, INT8, INT16, INT32, INT64, UINT8, OnnxGraph


def graph_of(
    *nodes: onnx.NodeProto, constants: dict[str, Any] | None = None, inputs: dict[str, int] | None = None
) -> OnnxGraph:
    tensors = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    values = [helper.make_tensor_value_info(name, kind, None) for name, kind in (inputs or {"x": FLOAT}).items()]
    out = helper.make_tensor_value_info(nodes[-1].output[0], FLOAT, None)
    return OnnxGraph(helper.make_model(helper.make_graph(list(nodes), "graph", values, [out], tensors)))


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (helper.make_node("Relu", ["x"], ["y"]), {"y": FLOAT}),
        (helper.make_node("QuantizeLinear", ["x", "s"], ["y"]), {"y": UINT8}),
        (helper.make_node("QuantizeLinear", ["x", "s", "i8"], ["y"]), {"y": INT8}),
        (helper.make_node("QuantizeLinear", ["x", "s"], ["y"], output_dtype=INT16), {"y": INT16}),
        (helper.make_node("DequantizeLinear", ["u8", "s"], ["y"]), {"y": FLOAT}),
        (helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "ys", "yz"]), {"y": UINT8, "ys": FLOAT, "yz": UINT8}),
        (helper.make_node("Shape", ["x"], ["y"]), {"y": INT64}),
        (helper.make_node("Greater", ["x", "s"], ["y"]), {"y": BOOL}),
        (helper.make_node("Cast", ["x"], ["y"], to=INT32), {"y": INT32}),
        (helper.make_node("ConstantOfShape", ["n"], ["y"]), {"y": FLOAT}),
        (helper.make_node("Where", ["b", "u8", "u8"], ["y"]), {"y": UINT8}),
        (helper.make_node("MaxPool", ["u8"], ["y", "at"]), {"y": UINT8, "at": INT64}),
        (helper.make_node("Dropout", ["x"], ["y", "mask"]), {"y": FLOAT, "mask": BOOL}),
        (helper.make_node("MatMulInteger", ["u8", "i8"], ["y"]), {"y": INT32}),
        (helper.make_node("QLinearConv", ["u8", "s", "u8", "i8", "s", "i8", "s", "u8"], ["y"]), {"y": UINT8}),
        (helper.make_node("QLinearAdd", ["i8", "s", "i8", "i8", "s", "i8", "s", "i8"], ["y"]), {"y": INT8}),
        (helper.make_node("QLinearConcat", ["s", "u8", "u8", "s", "u8"], ["y"]), {"y": UINT8}),
        (helper.make_node("QGemm", ["u8", "s", "u8", "i8", "s", "i8", "", "s", "u8"], ["y"]), {"y": UINT8}),
        (helper.make_node("QGemm", ["u8", "s", "u8", "i8", "s", "i8"], ["y"]), {"y": FLOAT}),
        (helper.make_node("Mystery", ["unknown"], ["y"]), {"y": 0}),
    ],
)
def test_types_of_outputs(node: onnx.NodeProto, expected: dict[str, int]) -> None:
    constants = {"s": np.float32(1), "u8": np.uint8(1), "i8": np.int8(1), "n": np.array([2]), "b": np.bool_(True)}
    graph = graph_of(node, constants=constants)
    assert {name: graph.types[name] for name in expected} == expected


def test_types_follow_the_graph() -> None:
    graph = graph_of(
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("Transpose", ["q"], ["t"]),
        helper.make_node("DequantizeLinear", ["t", "s", "z"], ["d"]),
        helper.make_node("Relu", ["d"], ["r"]),
        constants={"s": np.float32(1), "z": np.int8(0)},
    )
    assert graph.is_quantized("t")
    assert graph.is_float("r")
    by_op = {node.op: node for node in graph.nodes}
    assert [graph.computes_on_integers(node) for node in by_op.values()] == [False, True, False, False]
    assert [graph.computes_in_float(node) for node in by_op.values()] == [False, False, False, True]


def test_makers_and_readers_each_once() -> None:
    graph = graph_of(helper.make_node("Relu", ["x"], ["a"], name="relu"), helper.make_node("Mul", ["a", "a"], ["y"]))
    relu, square = graph.nodes
    assert graph.producer["a"] is relu
    assert graph.readers("a") == [square]
    assert graph.readers("y") == []
    assert (graph.inputs, graph.outputs) == ({"x"}, {"y"})
    assert [str(node) for node in graph.nodes] == ["Relu 'relu'", "Mul"]
    assert (relu.input(0), relu.input(3)) == ("x", "")
    assert list(graph.of("Mul")) == [square]


def test_constant_nodes_are_constants() -> None:
    tensor = onnx.numpy_helper.from_array(np.array([1, 2], np.float32))
    graph = graph_of(helper.make_node("Constant", [], ["c"], value=tensor), helper.make_node("Add", ["x", "c"], ["y"]))
    assert [node.op for node in graph.nodes] == ["Add"]
    value = graph.value("c")
    assert value is not None
    assert value.tolist() == [1, 2]
    assert graph.shape("c") == (2,)
    assert graph.value("x") is None
    assert graph.shape("x") is None


def test_an_initializer_listed_as_input_is_a_constant() -> None:
    """Files of IR version 3 list every initializer among the inputs."""
    add = helper.make_node("Add", ["x", "c"], ["y"])
    graph = graph_of(add, constants={"c": np.float32(1)}, inputs={"x": FLOAT, "c": FLOAT})
    assert graph.inputs == {"x"}


def test_bodies_are_counted() -> None:
    out = helper.make_tensor_value_info("t", FLOAT, None)
    body = helper.make_graph([helper.make_node("Relu", ["x"], ["t"])], "body", [], [out])
    graph = graph_of(helper.make_node("If", ["b"], ["y"], then_branch=body, else_branch=body))
    assert graph.bodies == 1


def test_grids() -> None:
    build = Graph()
    x = image(build)
    weight, scales = build.weight(weights(4, 4, 3, 3))
    build.output(build.qdq(build.node("Conv", [x, weight]), 0.1, None))
    graph = OnnxGraph(build.model())
    activation, of_weight = list(graph.of("DequantizeLinear"))[:2]
    grid = graph.grid(activation)
    assert (grid.type, grid.per_tensor, grid.zero) == (UINT8, True, 128)
    assert str(grid) == "uint8, scale 0.05, zero_point 128"
    per_channel = graph.grid(of_weight)
    assert (per_channel.type, per_channel.per_tensor, per_channel.axis) == (INT8, False, 0)
    assert per_channel.scale is not None
    assert np.array_equal(per_channel.scale, scales)
    assert str(per_channel) == "int8, scale varying, zero_point 0"
    unsaid = graph.grid(list(graph.of("QuantizeLinear"))[-1])
    assert (unsaid.zero_point, unsaid.zero, unsaid.type) == (None, 0, UINT8)


def test_a_computed_scale_is_not_known() -> None:
    graph = graph_of(helper.make_node("QuantizeLinear", ["x", "s"], ["q"]), inputs={"x": FLOAT, "s": FLOAT})
    grid = graph.grid(graph.nodes[0])
    assert grid.scale is None
    assert not grid.per_tensor
    assert not grid.same_as(grid)


def test_grids_are_the_same_if_integers_mean_the_same() -> None:
    def grid(scale: float, zero: int | None, dtype: Any = np.uint8) -> audit_graph.Grid:
        build = Graph()
        build.output(build.q(build.input(2), scale, zero, dtype), dtype=TensorProto.UINT8)
        graph = OnnxGraph(build.model())
        return graph.grid(graph.nodes[0])

    assert grid(0.1, 3).same_as(grid(0.1, 3))
    assert grid(0.1, None).same_as(grid(0.1, 0))
    assert not grid(0.1, 3).same_as(grid(0.1, 4))
    assert not grid(0.1, 3).same_as(grid(0.10000001, 3))
    assert not grid(0.1, 3).same_as(grid(0.1, 3, np.int8))


def test_opset_and_metadata() -> None:
    build = Graph(opset=19)
    build.output(build.node("Relu", [build.input(2)]))
    graph = OnnxGraph(build.model(**{"fxpasses.target": "x86"}))
    assert graph.opset == 19
    assert graph.metadata == {"fxpasses.target": "x86"}


def test_dimensions_are_inferred_without_the_weights() -> None:
    build = Graph()
    x = build.input("N", 16, name="dynamic")
    large = build.const(np.zeros((16, 700), np.float32))
    y = build.node("MatMul", [x, large])
    z = build.node("MatMul", [build.input(3, 16, name="fixed"), large])
    build.output(y, z)
    graph = OnnxGraph(build.model())
    assert graph.dimensions[y] == (None, 700)
    assert graph.dimensions[large] == (16, 700)
    assert [graph.has_fixed_shape(tensor) for tensor in (x, y, z, large, "absent")] == [False, False, True, True, False]


def test_dimensions_that_contradict_one_another_are_unknown() -> None:
    build = Graph()
    product = build.node("MatMul", [build.input(2, 3), build.const(weights(4, 5))])
    build.output(product)
    assert product not in OnnxGraph(build.model()).dimensions
