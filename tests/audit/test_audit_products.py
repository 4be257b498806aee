"""Biases of matrix products: the Add that belongs to a MatMul, and the distance of a bias from the grid."""

from __future__ import annotations

import pytest
from onnx import TensorProto
from qdq_cases import Build, conv_case, gemm_case, matmul_case
from qdq_models import Graph, weights

from fxpasses.audit.edges import Edges
from fxpasses.audit.onnx_graph import Node, OnnxGraph
from fxpasses.audit.product_rules import bias_add, bias_scale_error, following_bias, why_not_factor


def edges_of(build: Build) -> tuple[Edges, dict[str, Node]]:
    graph = Graph()
    build(graph)
    read = OnnxGraph(graph.model())
    return Edges(read), {node.name: node for node in read.nodes}


@pytest.mark.parametrize(
    ("shape", "merged"),
    [((5, 16), True), (("N", 16), True), ((1, 5, 16), True), (("N", 5, 16), False), ((1, "L", 16), False)],
)
def test_a_bias_is_merged_if_the_shape_allows(shape: tuple[int | str, ...], merged: bool) -> None:
    edges, nodes = edges_of(matmul_case(add="int32", shape=shape))
    assert following_bias(edges, nodes["MatMul"]) is nodes["Add"]
    assert bias_add(edges, nodes["MatMul"]) is (nodes["Add"] if merged else None)


def not_alone(graph: Graph) -> None:
    weight, scales = graph.weight(weights(16, 7), axis=1)
    y = graph.node("MatMul", [graph.qdq(graph.input(5, 16)), weight])
    graph.output(graph.node("Add", [y, graph.bias(scales)]), graph.node("Erf", [y]))


def leaves_the_graph(graph: Graph) -> None:
    weight, scales = graph.weight(weights(16, 7), axis=1)
    y = graph.node("MatMul", [graph.qdq(graph.input(5, 16)), weight])
    graph.output(graph.node("Add", [y, graph.bias(scales)]), y)


def matrix_bias(graph: Graph) -> None:
    weight, _ = graph.weight(weights(16, 7), axis=1)
    y = graph.node("MatMul", [graph.qdq(graph.input(5, 16)), weight])
    graph.output(graph.node("Add", [y, graph.const(weights(5, 7))]))


@pytest.mark.parametrize(
    "build",
    [not_alone, leaves_the_graph, matrix_bias, matmul_case(), matmul_case(add="activation"), matmul_case(act=True)],
)
def test_other_sums_are_no_bias(build: Build) -> None:
    edges, nodes = edges_of(build)
    assert following_bias(edges, nodes["MatMul"]) is None


@pytest.mark.parametrize(("off", "error"), [(1.0, 0.0), (1.01, 0.01), (0.5, 0.5)])
def test_distance_of_a_bias_from_the_grid(off: float, error: float) -> None:
    edges, nodes = edges_of(conv_case({"off": off}))
    grid = edges.grid_read(nodes["Conv"].input(2))
    assert grid is not None
    assert bias_scale_error(edges, nodes["Conv"], grid) == pytest.approx(error, abs=1e-6)


def test_a_scale_that_is_computed_is_at_no_distance() -> None:
    def build(graph: Graph) -> None:
        scale = graph.input(name="scale")
        integers = graph.input(2, 16, name="q", dtype=TensorProto.UINT8)
        weight, scales = graph.weight(weights(10, 16))
        x = graph.node("DequantizeLinear", [integers, scale])
        graph.output(graph.node("Gemm", [x, weight, graph.bias(scales)], transB=1))

    edges, nodes = edges_of(build)
    grid = edges.grid_read(nodes["Gemm"].input(2))
    assert grid is not None
    assert bias_scale_error(edges, nodes["Gemm"], grid) is None


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (gemm_case(alpha=0.5), None),
        (gemm_case(bias={}, alpha=1.0), None),
        (gemm_case(bias={}, alpha=0.5), "it has a bias, and its alpha is 0.5, not 1"),
        (gemm_case(bias={}, beta=2.0), "it has a bias, and its beta is 2, not 1"),
    ],
)
def test_factors_matter_with_a_bias_only(build: Build, reason: str | None) -> None:
    _, nodes = edges_of(build)
    assert why_not_factor(nodes["Gemm"]) == reason
