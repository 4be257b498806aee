"""Tidying an exported model gives what onnxscript's own optimizer gives."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from int8_files import exported
from onnxscript import optimizer
from tiny_graphs import captured, quantized

import fxpasses
from fxpasses.export.onnx_writer.simplify import RULES, simplify

NETS = [
    ("conv_bn_relu", False),
    *(
        pytest.param(name, is_float, marks=pytest.mark.slow)
        for name in ("conv_bn_relu", "residual_block", "embedding_linear")
        for is_float in (True, False)
    ),
]


@pytest.mark.parametrize(("name", "is_float"), NETS)
def test_it_is_what_the_optimizer_makes(name: str, is_float: bool) -> None:
    graph = fxpasses.fuse(captured(name)) if is_float else quantized(name)
    ours = exported(graph)
    with patch("fxpasses.export.onnx_writer.simplify.simplify", optimizer.optimize_ir):
        assert exported(graph) == ours


def test_constants_are_folded_and_what_is_unread_goes() -> None:
    text = """<ir_version: 10, opset_import: ["" : 18]> net (float[N, 4] x) => (float[N, 4] y)
    <float[1] one = {1.0}, float[1] two = {2.0}> {
        three = Add(one, two)
        unread = Mul(x, two)
        cast = Cast<to = 1>(x)
        turned = Transpose<perm = [0, 1]>(cast)
        y = Mul(turned, three)
    }"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    simplify(model)
    assert [node.op_type for node in model.graph] == ["Mul"]
    (read,) = [v for v in model.graph.initializers.values() if v.const_value is not None and v.uses()]
    assert read.const_value is not None and read.const_value.numpy().tolist() == [3.0]


def test_two_limits_of_one_tensor_are_two() -> None:
    text = """<ir_version: 10, opset_import: ["" : 18]> net (float[N, 4] x) => (float[N, 4] y)
    <float a = {-2.0}, float b = {2.0}, float c = {-1.0}, float d = {1.0}> {
        above_a = Max(x, a)
        wide = Min(above_a, b)
        above_c = Max(x, c)
        narrow = Min(above_c, d)
        y = Add(wide, narrow)
    }"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    simplify(model)
    assert [node.op_type for node in model.graph] == ["Clip", "Clip", "Add"]
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.array([[-3.0, -1.5, 0.5, 3.0]], dtype=np.float32)
    assert session.run(None, {"x": x})[0].tolist() == [[-3.0, -2.5, 1.0, 3.0]]


@pytest.mark.parametrize(("ending", "rule"), [(end, rule) for end, rules in RULES.items() for rule in rules], ids=str)
def test_rules_are_looked_up_by_the_node_a_match_ends_with(ending: str, rule: Any) -> None:
    assert rule._target_pattern.output_node.op_identifier()[1] == ending  # nothing public says it


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("flat = Flatten<axis = 1>(x)\n y = Reshape(flat, wide)", ["Reshape"]),
        ("low = Max(x, a)\n clipped = Min(low, b)\n y = Relu(clipped)", ["Clip"]),
        ("low = Relu(x)\n y = Relu(low)", ["Relu"]),
    ],
    ids=["flatten", "min and max", "relu"],
)
def test_what_a_rule_makes_meets_the_rules_for_it(text: str, left: list[str]) -> None:
    net = """<ir_version: 10, opset_import: ["" : 18]> net (float[2, 4] x) => (float[M, K] y)
    <float a = {-2.0}, float b = {2.0}, int64[2] wide = {1, 8}> { %s }"""
    model = ir.from_proto(onnx.parser.parse_model(net % text))
    simplify(model)
    assert [node.op_type for node in model.graph] == left


def test_a_graph_that_no_rule_is_for() -> None:
    text = """<ir_version: 10, opset_import: ["" : 18]> net (float[N, 4] x) => (float[N, 4] y) { y = Sigmoid(x) }"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    simplify(model)
    assert [node.op_type for node in model.graph] == ["Sigmoid"]
