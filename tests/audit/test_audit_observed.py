"""Results that onnxruntime writes after optimizing: integer operators, float ones, and the Q/DQ left."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from qdq_cases import Build, conv_case, gemm_case, matmul_case, one
from qdq_models import Graph, conv, conv_net, image, weights

from fxpasses.audit.observed import (
    Leftover,
    Reasons,
    count_integer_operators,
    float_operators,
    leftovers,
    named_model,
    optimized_by_onnxruntime,
    original_name,
)
from fxpasses.audit.onnx_graph import Node, OnnxGraph
from fxpasses.errors import InputError


def optimized(model: onnx.ModelProto, folder: Path) -> OnnxGraph:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return optimized_by_onnxruntime(path, threads=1)


def built(build: Build) -> onnx.ModelProto:
    graph = Graph()
    build(graph)
    return graph.model()


def left(build: Build, folder: Path, reasons: dict[str, str] | None = None) -> list[Leftover]:
    model = built(build)
    return leftovers(optimized(model, folder), Reasons(OnnxGraph(model), reasons or {}))


def test_the_integer_operators_of_a_good_network(tmp_path: Path) -> None:
    graph = optimized(conv_net(), tmp_path)
    assert count_integer_operators(graph) == {
        "QLinearConv": 2,
        "QLinearAdd": 1,
        "MaxPool": 1,
        "QLinearConcat": 1,
        "QLinearGlobalAveragePool": 1,
        "Flatten": 1,
        "QGemm": 1,
    }
    assert float_operators(graph) == []


@pytest.mark.parametrize(
    ("build", "floats"),
    [
        (conv_case({}, "Relu"), ["FusedConv"]),
        (matmul_case(False), []),
        (gemm_case(False, bias="float"), ["Gemm"]),
        (one("Erf"), ["Erf"]),
    ],
)
def test_float_operators(build: Build, floats: list[str], tmp_path: Path) -> None:
    assert [node.op for node in float_operators(optimized(built(build), tmp_path))] == floats


def test_entrance_and_exit_are_expected(tmp_path: Path) -> None:
    enter, leave = left(conv_case({}), tmp_path)
    assert enter == Leftover(
        "QuantizeLinear",
        "QuantizeLinear",
        ("input",),
        ("QLinearConv 'Conv'",),
        False,
        "the graph enters the integers here",
    )
    assert leave == Leftover(
        "DequantizeLinear",
        "DequantizeLinear_4",
        ("QLinearConv 'Conv'",),
        ("output",),
        False,
        "the graph leaves the integers here",
    )


def test_float_before_the_entrance_and_behind_the_exit_is_expected(tmp_path: Path) -> None:
    def build(graph: Graph) -> None:
        scaled = graph.node("Sub", [graph.input(1, 4, 8, 8), graph.const(weights(4, 1, 1))])
        graph.output(graph.node("Erf", [graph.qdq(conv(graph, graph.qdq(scaled)))]))

    assert [found.between_int8 for found in left(build, tmp_path)] == [False, False]


def test_a_float_stretch_between_integers(tmp_path: Path) -> None:
    def build(graph: Graph) -> None:
        x = graph.qdq(conv(graph, image(graph)))
        graph.output(graph.qdq(conv(graph, graph.qdq(graph.node("Erf", [graph.node("Neg", [x])])))))

    found = {one.name: one for one in left(build, tmp_path, {"Erf": "Erf has no int8 rule", "Neg": "no rule either"})}
    assert [one.between_int8 for one in found.values()].count(True) == 2
    dequantize, quantize = found["DequantizeLinear_4"], found["QuantizeLinear_3"]
    assert dequantize == Leftover(
        "DequantizeLinear",
        "DequantizeLinear_4",
        ("QLinearConv 'Conv'",),
        ("Neg 'Neg'",),
        True,
        "Neg 'Neg': no rule either",
    )
    assert quantize.reason == "Erf has no int8 rule"
    assert (quantize.before, quantize.after) == (("Erf 'Erf'",), ("QLinearConv 'Conv_2'",))


def test_integers_without_a_dequantize_linear_count_too(tmp_path: Path) -> None:
    """MatMulIntegerToFloat gives floats by itself; a QuantizeLinear after it stands between integers."""

    def build(graph: Graph) -> None:
        weight, _ = graph.weight(weights(16, 7), axis=1)
        y = graph.node("MatMul", [graph.qdq(graph.input(1, 5, 16)), weight])
        graph.output(graph.qdq(graph.node("Softmax", [graph.qdq(graph.node("Erf", [y]))])))

    assert [(one.op, one.between_int8) for one in left(build, tmp_path)] == [
        ("QuantizeLinear", False),
        ("QuantizeLinear", True),
        ("DequantizeLinear", False),
    ]


def test_a_pair_with_other_parameters(tmp_path: Path) -> None:
    def build(graph: Graph) -> None:
        q = graph.node(
            "Pad", [graph.q(graph.input(1, 4, 8, 8)), graph.ints(0, 0, 1, 1, 0, 0, 1, 1), graph.const(np.uint8(0))]
        )
        graph.output(graph.qdq(conv(graph, graph.qdq(graph.dq(q, 0.07)))))

    between = [one.reason for one in left(build, tmp_path) if one.between_int8]
    assert between == ["a DequantizeLinear meets a QuantizeLinear with other parameters"] * 2


def test_weights_of_a_float_operator_are_no_activations(tmp_path: Path) -> None:
    found = [one for one in left(gemm_case(False, bias="float"), tmp_path) if one.op == "DequantizeLinear"]
    assert [one.between_int8 for one in found] == [False, False]
    by_reason = {one.reason: one for one in found}
    weight = by_reason.pop("the weights or table of Gemm 'Gemm', which computes in float")
    assert re.match("constant 'constant", weight.before[0])
    assert set(by_reason) == {"the graph leaves the integers here"}


def test_reasons_by_name_by_output_or_none() -> None:
    graph = Graph()
    x = graph.input(4)
    graph.output(graph.node("HardSwish", [x], name="activation"))
    read = OnnxGraph(graph.model())
    reasons = Reasons(read, {"activation": "no rule"})
    [node] = read.nodes
    assert reasons.of(node, read) == "no rule"
    unnamed = Node("Mul", "", "", ("x",), node.outputs, {})
    assert reasons.of(unnamed, read) == "no rule"
    stranger = Node("Exp", "", "", ("x",), ("elsewhere",), {})
    assert reasons.of(stranger, read) == "onnxruntime made it from another operator that computes in float"


def test_the_parts_of_an_operator_have_its_reason(tmp_path: Path) -> None:
    """onnxruntime writes HardSwish as HardSigmoid and Mul, without names."""
    model = built(one("HardSwish"))
    graph = optimized(model, tmp_path)
    reasons = Reasons(OnnxGraph(model), {"HardSwish": "HardSwish has no int8 rule"})
    found = {node.op: reasons.of(node, graph) for node in float_operators(graph)}
    assert found == dict.fromkeys(("HardSigmoid", "Mul"), "HardSwish has no int8 rule")
    assert {one.reason for one in leftovers(graph, reasons) if one.between_int8} == {"HardSwish has no int8 rule"}


@pytest.mark.parametrize(
    "name", ["/layer/conv", "/layer/conv/MatMulAddFusion", "/layer/conv/MatMulScaleFusion/", "fused /layer/conv"]
)
def test_names_are_found_again(name: str) -> None:
    assert original_name(name) == "/layer/conv"


def test_a_file_with_names_is_used_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(conv_net(), path)
    read, named = named_model(path, tmp_path / "unused")
    assert named == path
    assert OnnxGraph(read).nodes[-1].name == "Gemm"


def test_a_file_without_names_gets_a_copy_with_names(tmp_path: Path) -> None:
    model = conv_net()
    for node in model.graph.node:
        node.name = "same" if node.op_type == "Conv" else ""
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    before = path.read_bytes()
    (tmp_path / "scratch").mkdir()
    copy, named = named_model(path, tmp_path / "scratch")
    assert named.parent == tmp_path / "scratch"
    assert path.read_bytes() == before
    names = [node.name for node in OnnxGraph(copy).nodes]
    assert len(set(names)) == len(names)
    assert "" not in names
    assert {node.name for node in OnnxGraph(onnx.load(named)).nodes} == set(names)


def test_what_onnxruntime_refuses(tmp_path: Path) -> None:
    graph = Graph()
    graph.output(graph.node("Nonsense", [graph.input(1)]))
    path = tmp_path / "model.onnx"
    onnx.save(graph.model(), path)
    with pytest.raises(InputError, match=r"(?s)refuses .*model.onnx.*Nonsense"):
        optimized_by_onnxruntime(path, threads=1)
