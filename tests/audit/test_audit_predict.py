"""Verdicts from the rules alone: operators that are removed, fused to others, or left in Q/DQ pairs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from qdq_cases import Build, between_convs, conv_case, gemm_case, matmul_case, one
from qdq_models import SCALE, Graph, conv, conv_net, image, weights

from fxpasses.audit.onnx_graph import OnnxGraph
from fxpasses.audit.predict import Verdict, double_pairs, own_quantization, predict


def verdicts(build: Build) -> dict[str, Verdict]:
    graph = Graph()
    build(graph)
    return predict(OnnxGraph(graph.model()))


def test_a_good_network() -> None:
    found = predict(OnnxGraph(conv_net()))
    fates = {name: (verdict.fate, verdict.becomes) for name, verdict in found.items()}
    assert fates == {
        "Conv": ("int8", "QLinearConv"),
        "Relu": ("gone", ""),
        "Conv_2": ("int8", "QLinearConv"),
        "Add": ("int8", "QLinearAdd"),
        "MaxPool": ("int8", "MaxPool"),
        "Concat": ("int8", "QLinearConcat"),
        "GlobalAveragePool": ("int8", "QLinearGlobalAveragePool"),
        "Flatten": ("int8", "Flatten"),
        "Gemm": ("int8", "QGemm"),
    }
    assert [verdict.trouble for verdict in found.values() if verdict.trouble] == []
    assert str(found["Conv"]) == "Conv 'Conv'"


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (matmul_case(add="int32"), "Add"),
        (between_convs("Identity"), "Identity"),
        (between_convs("Dropout"), "Dropout"),
        (between_convs("Pad", lambda g: [g.ints(0, 0, 1, 1, 0, 0, 1, 1)]), "Pad"),
        (conv_case({}, "Relu", {"zero": 0}), "Relu"),
    ],
)
def test_operators_that_go(build: Build, name: str) -> None:
    assert verdicts(build)[name] == Verdict(name, name, "gone")


@pytest.mark.parametrize(
    "operands",
    [
        lambda g: [g.ints(0, 0, 1, 1, 0, 0, 1, 1), g.const(np.float32(1))],  # not zero
        lambda g: [g.ints(0, 0, 1, 1, 0, 0, 1, 1), g.input(name="fill")],  # not known
    ],
)
def test_a_pad_with_something_else_than_zero_stays(operands: Any) -> None:
    found = verdicts(between_convs("Pad", operands))
    assert found["Pad"].reason == (
        "Pad has no int8 rule: pad the integers themselves, between QuantizeLinear and DequantizeLinear, "
        "with the zero_point"
    )
    assert found["Conv_end"].fate == "float"


def per_channel_input(graph: Graph) -> None:
    scales, zeros = graph.const(np.full(4, SCALE, np.float32)), graph.const(np.full(4, 128, np.uint8))
    q = graph.node("QuantizeLinear", [graph.input(1, 4, 8, 8), scales, zeros], axis=1)
    graph.output(graph.qdq(conv(graph, graph.node("DequantizeLinear", [q, scales, zeros], axis=1))))


def float_weight(graph: Graph) -> None:
    graph.output(graph.qdq(graph.node("Conv", [image(graph), graph.const(weights(4, 4, 3, 3))])))


def matmul_axis_0(graph: Graph) -> None:
    weight, _ = graph.weight(weights(16, 7), axis=0)
    graph.output(graph.qdq(graph.node("MatMul", [graph.qdq(graph.input(1, 5, 16)), weight])))


@pytest.mark.parametrize(
    ("build", "trouble"),
    [
        (conv_case({"off": 1.005}), "its own scale is ignored"),
        (gemm_case(bias={"off": 1.5}), "its own scale is ignored"),
        (gemm_case(bias={"zero": 3}), "zero_point other than 0, which is ignored"),
        (conv_case(axis=1), "quantized along axis 1; QLinearConv takes the scales for axis 0"),
        (matmul_axis_0, "along axis 0, not along its outputs: it fails when it runs"),
        (per_channel_input, "input is quantized per channel: the integer operator fails when it runs"),
        (float_weight, "its weight is float: onnxruntime quantizes it itself, per tensor"),
    ],
)
def test_what_is_fused_to_something_else(build: Build, trouble: str) -> None:
    [found] = verdicts(build).values()
    assert found.fate == "int8"
    assert re.search(trouble, found.trouble or "")


@pytest.mark.parametrize("build", [conv_case({}), gemm_case(bias={}), gemm_case(bias={"off": 1.00001}), matmul_case()])
def test_what_is_fused_to_the_same(build: Build) -> None:
    assert {verdict.trouble for verdict in verdicts(build).values()} == {None}


def graph_of(build: Build) -> OnnxGraph:
    graph = Graph()
    build(graph)
    return OnnxGraph(graph.model())


def pairs(second_scale: float) -> Build:
    def build(graph: Graph) -> None:
        graph.output(graph.qdq(conv(graph, graph.qdq(image(graph), second_scale))))

    return build


def test_double_pairs_on_different_grids_are_found() -> None:
    [found] = double_pairs(graph_of(pairs(0.07)))
    assert found == (
        "QuantizeLinear 'QuantizeLinear' and QuantizeLinear 'QuantizeLinear_2' follow one another on different grids; "
        "onnxruntime rounds once, not twice"
    )
    assert double_pairs(graph_of(pairs(SCALE))) == []
    assert double_pairs(graph_of(conv_case({}))) == []


def test_reading_integers_on_another_grid_is_no_double_pair() -> None:
    def relabelled(graph: Graph) -> None:
        q = graph.q(graph.input(1, 4, 8, 8))
        graph.output(graph.qdq(conv(graph, graph.dq(q, 0.1, 0))))

    assert double_pairs(graph_of(relabelled)) == []


def test_float_biases_that_onnxruntime_rounds_itself_are_found() -> None:
    [found] = own_quantization(graph_of(conv_case("float")))
    assert "Conv 'Conv' has a float bias; onnxruntime rounds it to int32 itself" in found
    for other in (conv_case({}), gemm_case(False, bias="float"), one("Sigmoid")):
        assert own_quantization(graph_of(other)) == []


def test_integer_operators_have_no_verdict() -> None:
    def padded_integers(graph: Graph) -> None:
        q = graph.q(graph.input(1, 4, 8, 8))
        padded = graph.node("Pad", [q, graph.ints(0, 0, 1, 1, 0, 0, 1, 1), graph.const(np.uint8(128))])
        graph.output(graph.dq(padded))

    assert verdicts(padded_integers) == {}
