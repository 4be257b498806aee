"""Q/DQ pairs around an operator, also beyond operators that onnxruntime moves them through."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from qdq_cases import reshape
from qdq_models import SCALE, Graph, conv, image, weights

from fxpasses.audit.audit_file import audit
from fxpasses.audit.edges import PUSHED_THROUGH, Edges
from fxpasses.audit.onnx_graph import Node, OnnxGraph


def edges_of(graph: Graph) -> tuple[Edges, dict[str, Node]]:
    read = OnnxGraph(graph.model())
    return Edges(read), {node.name: node for node in read.nodes}


@pytest.mark.parametrize(
    ("op", "operands", "attributes", "seen"),
    [
        ("Reshape", reshape, {}, True),
        ("Transpose", None, {}, True),
        ("Squeeze", lambda g: [g.ints(0)], {}, True),
        ("Unsqueeze", lambda g: [g.ints(0)], {}, True),
        ("Slice", lambda g: [g.ints(0), g.ints(2), g.ints(1)], {}, True),
        ("MaxPool", None, {"kernel_shape": [2, 2]}, True),
        ("Identity", None, {}, True),
        ("Dropout", None, {}, True),
        ("Flatten", None, {}, False),
        ("Relu", None, {}, False),
        ("Expand", lambda g: [g.ints(2, 4, 8, 8)], {}, False),
    ],
)
def test_a_dequantized_tensor_is_seen_through(op: str, operands: Any, attributes: dict[str, Any], seen: bool) -> None:
    graph = Graph()
    y = graph.node(op, [image(graph), *(operands(graph) if operands else [])], **attributes)
    graph.output(graph.node("Sigmoid", [y]))
    edges, nodes = edges_of(graph)
    found = edges.dequantized(nodes["Sigmoid"].input(0))
    assert found is (nodes["DequantizeLinear"] if seen else None)
    assert (edges.why_not_read(nodes["Sigmoid"], 0) is None) is seen


def test_everything_that_is_seen_through_is_tried_above() -> None:
    assert {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "MaxPool"} == PUSHED_THROUGH


def test_a_per_channel_grid_is_not_pushed() -> None:
    graph = Graph()
    weight, _ = graph.weight(weights(10, 16))
    graph.output(graph.node("MatMul", [graph.qdq(graph.input(2, 16)), graph.node("Transpose", [weight])]))
    edges, nodes = edges_of(graph)
    assert edges.why_not_read(nodes["MatMul"], 1) == (
        "input 1 comes from Transpose 'Transpose' in float, not from a DequantizeLinear"
    )


def test_why_an_input_is_not_dequantized() -> None:
    graph = Graph()
    constant, given = graph.const(weights(4)), graph.input(4)
    graph.output(graph.node("Sum", [constant, given, graph.node("Exp", [given])]))
    edges, nodes = edges_of(graph)
    assert [edges.why_not_read(nodes["Sum"], index) for index in range(3)] == [
        "input 0 is a float constant: store it as uint8 with a DequantizeLinear",
        "input 1 is the graph's own float input 'x', not a DequantizeLinear",
        "input 2 comes from Exp 'Exp' in float, not from a DequantizeLinear",
    ]


def test_where_an_output_goes() -> None:
    graph = Graph()
    x = graph.input(1, 4, 8, 8)
    graph.output(graph.qdq(graph.node("Sigmoid", [x], name="to_q")))
    graph.output(graph.node("Sigmoid", [x], name="to_output"))
    read_twice = graph.node("Sigmoid", [x], name="to_two")
    graph.output(graph.node("Exp", [read_twice]), graph.node("Neg", [read_twice]))
    graph.node("Sigmoid", [x], name="to_nobody")
    graph.output(graph.qdq(graph.node("Transpose", [graph.node("Sigmoid", [x], name="through")])))
    graph.output(graph.qdq(graph.node("Identity", [graph.node("Sigmoid", [x], name="through_identity")])))
    edges, nodes = edges_of(graph)
    found = {name: edges.written(nodes[name]) for name in nodes if nodes[name].op == "Sigmoid"}
    assert found["to_q"].quantize is nodes["QuantizeLinear"]
    assert found["through"].quantize is nodes["QuantizeLinear_2"]
    assert found["through_identity"].quantize is nodes["QuantizeLinear_3"]
    assert {name: (where.reason, where.stays_float) for name, where in found.items() if where.quantize is None} == {
        "to_output": ("its output leaves the graph in float", True),
        "to_two": (
            "its output is read 2 times (Exp 'Exp', Neg 'Neg'); one QuantizeLinear alone may read it",
            True,
        ),
        "to_nobody": ("nothing reads its output", True),
    }


@pytest.mark.parametrize(
    ("clamp", "scale", "zero", "dtype", "reason"),
    [
        ("Relu", SCALE, 0, np.uint8, None),
        ("Relu", SCALE, -128, np.int8, None),
        ("Relu", SCALE, 1, np.uint8, "zero_point is 1, not 0"),
        ("Relu", SCALE, 0, np.int8, "zero_point is 0, not -128"),
        ((0, 6), 6 / 255, 0, np.uint8, None),
        ((0, 6), 5 / 255, 0, np.uint8, None),
        ((0, 6), 6.1 / 255, 0, np.uint8, r"the integers reach \[0, 6.1\], beyond its bounds"),
        ((0, 6), 6 / 255, 1, np.uint8, "beyond its bounds"),
        ((-1, 1), 2 / 255, 128, np.uint8, "beyond its bounds"),
        ((-1, 1), 1.9 / 255, 128, np.uint8, None),
        ((None, 6), 6 / 255, 0, np.uint8, None),
        ((0, None), 6 / 255, 0, np.uint8, None),
        ((0, 5.99), 6 / 255, 0, np.uint8, None),
        ((0, 5.98), 6 / 255, 0, np.uint8, "beyond its bounds"),
    ],
)
def test_when_a_clamp_vanishes(clamp: Any, scale: float, zero: int, dtype: Any, reason: str | None) -> None:
    graph = Graph()
    operands = []
    if clamp != "Relu":
        operands = ["" if bound is None else graph.const(np.float32(bound)) for bound in clamp]
    y = graph.node("Relu" if clamp == "Relu" else "Clip", [conv(graph, image(graph)), *operands], name="clamp")
    graph.output(graph.qdq(y, scale, zero, dtype))
    edges, nodes = edges_of(graph)
    found = edges.vanishes(nodes["clamp"])
    if reason is None:
        assert found is None
        assert edges.written(nodes["Conv"]).quantize is nodes["QuantizeLinear_2"]
    else:
        assert re.search(reason, found or "vanishes")
        assert edges.written(nodes["Conv"]).reason == found


def test_a_clip_with_computed_bounds_stays() -> None:
    graph = Graph()
    graph.output(graph.qdq(graph.node("Clip", [image(graph), graph.input(name="low")]), zero=0))
    edges, nodes = edges_of(graph)
    assert edges.vanishes(nodes["Clip"]) == "its Clip does not vanish: the bounds are not constant"


def test_a_clip_of_old_opsets_has_its_bounds_in_attributes() -> None:
    graph = Graph(opset=10)
    graph.output(graph.qdq(graph.node("Clip", [image(graph)], min=0.0, max=6.0), 6 / 255, 0))
    edges, nodes = edges_of(graph)
    assert edges.vanishes(nodes["Clip"]) is None


def test_a_clamp_before_a_per_channel_grid_stays() -> None:
    graph = Graph()
    scales, zeros = graph.const(np.full(4, SCALE, np.float32)), graph.const(np.zeros(4, np.uint8))
    q = graph.node("QuantizeLinear", [graph.node("Relu", [image(graph)]), scales, zeros], axis=1)
    graph.output(graph.node("DequantizeLinear", [q, scales, zeros], axis=1))
    edges, nodes = edges_of(graph)
    assert edges.vanishes(nodes["Relu"]) == (
        "its QuantizeLinear is not per tensor in 8 or 16 bits (uint8, scale varying, zero_point 0)"
    )


def sizes_of(graph: Graph, x: str) -> str:
    """The shape of a tensor with a free batch, as exporters write it."""
    batch = graph.node("Shape", [x], start=0, end=1)
    return str(graph.node("Concat", [batch, graph.ints(4, 8, 8)], axis=0))


READERS: dict[str, tuple[str, Callable[[Graph, str], object], bool]] = {
    "input alone": ("input", lambda g, x: None, True),
    "input and a float operator": ("input", lambda g, x: g.output(g.node("Tanh", [x])), True),
    "input and its shape": ("input", lambda g, x: g.output(g.node("Shape", [x]), dtype=TensorProto.INT64), True),
    "input and an equal operator": ("input", lambda g, x: g.output(conv(g, g.qdq(moved(g, x)))), False),
    "float alone": ("float", lambda g, x: None, True),
    "float and a float operator": ("float", lambda g, x: g.output(g.node("Exp", [x])), False),
    "float and its shape": ("float", lambda g, x: g.output(g.node("Shape", [x]), dtype=TensorProto.INT64), False),
    "float that leaves the graph": ("float", lambda g, x: g.output(x), False),
    "float and sizes of itself": ("sizes", lambda g, x: None, True),
    "transposed alone": ("transposed", lambda g, x: None, True),
    "transposed and its shape": (
        "transposed",
        lambda g, x: g.output(g.node("Shape", [x]), dtype=TensorProto.INT64),
        True,
    ),
    "transposed and a float operator": ("transposed", lambda g, x: g.output(g.node("Exp", [x])), False),
    "float and what reads an equal one": ("twins", lambda g, x: None, False),
}
"""Readers of the input of a Reshape in front of a QuantizeLinear, and whether that moves ahead of it."""


def moved(graph: Graph, x: str, sizes: bool = False) -> str:
    return str(graph.node("Reshape", [x, sizes_of(graph, x) if sizes else graph.ints(-1, 4, 8, 8)]))


@pytest.mark.parametrize("case", READERS)
def test_who_else_reads_what_a_quantizer_moves_ahead_of(case: str, tmp_path: Path) -> None:
    source, others, moves = READERS[case]
    graph = Graph()
    given = graph.input("N", 4, 8, 8)
    x = given if source == "input" else graph.node("Tanh", [given])
    if source == "twins":
        graph.output(graph.node("Exp", [graph.node("Tanh", [given])]))
    if source == "transposed":
        x = graph.node("Transpose", [x], perm=[0, 1, 3, 2])
    graph.output(conv(graph, graph.qdq(moved(graph, x, source == "sizes"))))
    others(graph, x)
    onnx.save(graph.model(), tmp_path / "model.onnx")
    report = audit(tmp_path / "model.onnx")
    assert report.int8_ops.get("Reshape", 0) == (1 if moves else 0)
    assert (report.predicted_but_not_fused, report.fused_but_not_predicted) == ([], [])


def test_a_shape_of_known_sizes_is_no_reader() -> None:
    for batch, left in ((1, 1), ("N", 2)):
        graph = Graph()
        x = graph.node("Tanh", [graph.input(batch, 4, 8, 8)])
        graph.output(graph.qdq(moved(graph, x)))
        graph.output(graph.node("Shape", [x]), dtype=TensorProto.INT64)
        edges, nodes = edges_of(graph)
        assert edges.reads_alone(nodes["Reshape"]) is (left == 1)


def test_deep_branches_are_compared_without_recursion(tmp_path: Path) -> None:
    """Two equal branches are one; two that differ at their start are not. Both are longer than Python's stack."""
    for differs in (False, True):
        graph = Graph()
        given = graph.input("N", 4, 8, 8)
        ends = []
        for first in ("Tanh", "Exp" if differs else "Tanh"):
            x = graph.node(first, [given])
            for _ in range(1200):
                x = graph.node("Sigmoid", [x])
            ends.append(x)
        graph.output(graph.qdq(moved(graph, ends[0])))
        graph.output(graph.node("Exp", [ends[1]]))
        edges, nodes = edges_of(graph)
        assert edges.reads_alone(nodes["Reshape"]) is differs
