"""Every rule against onnxruntime itself: each fusion must be predicted, and each operator left must
have this reason.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from qdq_cases import (
    Build,
    another,
    argmax,
    behind_conv,
    between_convs,
    conv_case,
    doubled,
    embedding,
    float_input,
    gemm_case,
    matmul_case,
    max_pool,
    no_zero,
    one,
    read_by,
    reshape,
    split,
    two,
    where,
    wide,
)
from qdq_models import OPSET, S8, SCALE, U8, Graph, weights

from fxpasses.audit.audit_file import audit
from fxpasses.audit.observed import original_name
from fxpasses.audit.rules import RULES

OTHER_GRID: dict[str, Any] = {"scale": 0.04}

FUSED: dict[str, tuple[Build, dict[str, int]]] = {
    "conv, no bias": (conv_case(), {"QLinearConv": 1}),
    "conv, bias on the grid": (conv_case({}), {"QLinearConv": 1}),
    "conv, bias without zero point": (conv_case({"zero": None}), {"QLinearConv": 1}),
    "conv, float bias": (conv_case("float"), {"QLinearConv": 1}),
    "conv, per tensor": (conv_case({}, axis=None), {"QLinearConv": 1}),
    "conv, weight without zero point": (conv_case({}, zero=False), {"QLinearConv": 1}),
    "conv 1d": (conv_case({}, spatial=1), {"QLinearConv": 1}),
    "conv 3d": (conv_case({}, spatial=3), {"QLinearConv": 1}),
    "conv, groups": (conv_case({}, groups=4), {"QLinearConv": 1}),
    "conv, relu": (conv_case({}, "Relu", {"zero": 0}), {"QLinearConv": 1}),
    "conv, relu6": (conv_case({}, "Clip", {"scale": 6 / 255, "zero": 0}), {"QLinearConv": 1}),
    "conv, int8, relu": (conv_case({}, "Relu", {"zero": -128}, act=S8), {"QLinearConv": 1}),
    "gemm": (gemm_case(bias={}), {"QGemm": 1}),
    "gemm, float out": (gemm_case(False, bias={}), {"QGemm": 1}),
    "gemm, float bias, quantized": (gemm_case(bias="float"), {"QGemm": 1}),
    "gemm, not transposed": (gemm_case(bias={}, axis=1, transB=0), {"QGemm": 1}),
    "gemm, alpha, no bias": (gemm_case(alpha=0.5), {"QGemm": 1}),
    "gemm, per tensor": (gemm_case(axis=None), {"QGemm": 1}),
    "gemm, relu": (gemm_case(relu=True, output_zero=0), {"QGemm": 1}),
    "gemm, float relu": (gemm_case(False, relu=True), {"QGemm": 1}),
    "matmul": (matmul_case(), {"QLinearMatMul": 1}),
    "matmul, float out": (matmul_case(False), {"MatMulIntegerToFloat": 1}),
    "matmul of activations": (matmul_case(act=True), {"QLinearMatMul": 1}),
    "matmul, relu": (matmul_case(relu=0), {"QLinearMatMul": 1}),
    "matmul, bias": (matmul_case(add="int32"), {"Reshape": 2, "QGemm": 1}),
    "matmul, bias, float out": (matmul_case(False, add="int32", shape=("N", 16)), {"QGemm": 1}),
    "matmul, float bias, quantized": (matmul_case(add="float", shape=("N", 16)), {"QGemm": 1}),
    "matmul, bias, not fixed": (matmul_case(False, "int32", ("N", 5, 16)), {"MatMulIntegerToFloat": 1}),
    "add": (two("Add", another), {"QLinearAdd": 1}),
    "mul": (two("Mul", another), {"QLinearMul": 1}),
    "mul by constants": (two("Mul", lambda g: g.dq(g.const(np.full((4, 1, 1), 9, U8)))), {"QLinearMul": 1}),
    "concat": (two("Concat", another, axis=1), {"QLinearConcat": 1}),
    "average pool": (one("AveragePool", kernel_shape=[2, 2]), {"QLinearAveragePool": 1}),
    "global average pool": (one("GlobalAveragePool", out=OTHER_GRID), {"QLinearGlobalAveragePool": 1}),
    "leaky relu": (one("LeakyRelu"), {"QLinearLeakyRelu": 1}),
    "sigmoid": (one("Sigmoid", out={"scale": 1 / 256, "zero": 0}), {"QLinearSigmoid": 1}),
    "softmax": (one("Softmax"), {"QLinearSoftmax": 1}),
    "no zero point, own scale": (no_zero("Sigmoid"), {"QLinearSigmoid": 1}),
    "where": (where(another), {"QLinearWhere": 1}),
    "where, scalar": (where(lambda g: g.const(np.float32(-3))), {"QLinearWhere": 1}),
    "split": (split({}), {"Split": 1}),
    "max pool": (max_pool(), {"MaxPool": 1}),
    "reshape": (one("Reshape", reshape), {"Reshape": 1}),
    "depth to space": (one("DepthToSpace", blocksize=2), {"DepthToSpace": 1}),
    "resize nearest": (one("Resize", doubled, mode="nearest"), {"Resize": 1}),
    "reduce max": (one("ReduceMax", axes=[2, 3]), {"ReduceMax": 1}),
    "embedding": (embedding(U8, 128), {"Gather": 1}),
    "argmax": (argmax(128), {"ArgMax": 1}),
    "pushed through max pool": (between_convs("MaxPool", kernel_shape=[2, 2]), {"QLinearConv": 2, "MaxPool": 1}),
    "pushed through identity": (between_convs("Identity"), {"QLinearConv": 2}),
    "pad folded into conv": (between_convs("Pad", lambda g: [g.ints(0, 0, 1, 1, 0, 0, 1, 1)]), {"QLinearConv": 2}),
    "pulled through reshape": (behind_conv("Reshape", reshape), {"QLinearConv": 1, "Reshape": 1}),
}  # fmt: skip

NOT_FUSED: dict[str, tuple[Build, str, str]] = {
    "conv, bias off the grid": (conv_case({"off": 1.5}), "Conv", "bias is not on the grid input scale"),
    "conv, bias of uint8": (conv_case({"dtype": U8}), "Conv", "bias is uint8, not int32"),
    "conv, bias with zero point": (conv_case({"zero": 3}), "Conv", "bias has a zero_point other than 0"),
    "conv, bias computed": (conv_case("input"), "Conv", "bias is computed in float, not an int32 DequantizeLinear"),
    "conv, relu of signed grid": (conv_case({}, "Relu"), "Conv", "Relu does not vanish: zero_point is 128, not 0"),
    "conv, relu6 of wide grid": (conv_case({}, "Clip", {"zero": 0}), "Conv", r"Clip\(0.0, 6.0\) does not van.*12.75"),
    "conv, read by Q and Tanh": (read_by("Tanh"), "Conv", "output is read 2 times.*Tanh.*one QuantizeLinear alone"),
    "conv, read by two Q": (read_by("Q"), "Conv", "output is read 2 times"),
    "conv, output of the graph": (read_by("output"), "Conv", "also an output of the graph"),
    "gemm, float bias, float out": (gemm_case(False, bias="float"), "Gemm", "bias is float.*and its output is float"),
    "gemm, bias computed": (gemm_case(bias="input"), "Gemm", "bias is computed in float"),
    "gemm, bias of uint8": (gemm_case(bias={"dtype": U8}), "Gemm", "bias is uint8, not int32"),
    "gemm, alpha": (gemm_case(bias={}, alpha=0.5), "Gemm", "it has a bias, and its alpha is 0.5, not 1"),
    "gemm, beta": (gemm_case(bias={}, beta=0.5), "Gemm", "beta is 0.5, not 1"),
    "gemm, weight axis": (gemm_case(axis=1), "Gemm", "weight is quantized along axis 1, not along its outputs"),
    "gemm, weight without zero point": (gemm_case(weight_zero=False), "Gemm", "input 1 has no zero_point"),
    "gemm, input without zero point": (gemm_case(input_zero=None), "Gemm", "input 0 has no zero_point"),
    "gemm, relu, then float": (gemm_case(False, relu=True, then="Tanh"), "Gemm", "read by Tanh 'Tanh', not by a Quant"),
    "matmul, float bias, float out": (matmul_case(False, "float"), "MatMul", "bias is float.*and its output is float"),
    "matmul, bias of uint8": (matmul_case(add="uint8"), "MatMul", "bias is uint8, not int32"),
    "matmul, relu of signed grid": (matmul_case(relu=128), "MatMul", "Relu does not vanish"),
    "bias of a matmul, not fixed": (matmul_case(add="int32", shape=("N", 5, 16)), "Add", "use Reshape, Gemm, Resh"),
    "add behind matmul in float": (matmul_case(add="activation"), "Add", "comes from MatMul 'MatMul' in float"),
    "add of float constant": (two("Add", lambda g: g.const(weights(4, 1, 1))), "Add", "1 is a float constant: store"),
    "concat with float input": (two("Concat", float_input, axis=1), "Concat", "the graph's own float input 'y'"),
    "where, constant": (where(lambda g: g.const(weights(4, 1, 1))), "Where", "input 2 is a float constant"),
    "split, other grid": (split(OTHER_GRID), "Split", "output 1: grids before and after it differ"),
    "split, unused output": (split(None), "Split", "output 1: nothing reads its output"),
    "split, float output": (split(None, raw=True), "Split", "output 1: its output leaves the graph in float"),
    "max pool, other scale": (max_pool(scale=0.04), "MaxPool", "uint8, scale 0.05.*scale 0.04"),
    "max pool, other zero point": (max_pool(zero=127), "MaxPool", "point 128 and .*point 127"),
    "max pool, no zero point": (no_zero("MaxPool", kernel_shape=[2, 2]), "MaxPool", "before it has no zero_point"),
    "reshape, other grid": (one("Reshape", reshape, OTHER_GRID), "Reshape", "grids before and after it differ"),
    "resize linear": (one("Resize", doubled, mode="linear"), "Resize", "mode 'linear' has no int8 rule"),
    "embedding of int8": (embedding(S8, 0), "Gather", "its table is int8.*use uint8"),
    "relu alone": (one("Relu"), "Relu", "Relu does not vanish: zero_point is 128, not 0"),
    "clip alone": (one("Clip", lambda g: [g.const(np.float32(-1)), g.const(np.float32(1))]), "Clip", "does not vanish"),
    "not pushed through flatten": (behind_conv("Flatten"), "Conv", "read by Flatten 'Flatten', not by a Quant"),
    "not pushed through concat": (between_convs("Concat", lambda g: [another(g)], 8, axis=1), "Conv_end", "Concat"),
    "reduce mean": (one("ReduceMean", axes=[2, 3]), "ReduceMean", "ReduceMean has no int8 rule: use GlobalAveragePool"),
    "hard sigmoid": (one("HardSigmoid"), "HardSigmoid", "HardSigmoid has no int8 rule: use Add"),
    "erf": (one("Erf"), "Erf", "^Erf has no int8 rule$"),
    "16 bits": (wide, "Sigmoid", "int16 has no kernel; only 8 bits have"),
}  # fmt: skip

LATER_OPSETS = ["conv, relu", "gemm, float out", "matmul, bias", "pushed through max pool", "split", "argmax"]


def saved(build: Build, folder: Path, opset: int = OPSET) -> Path:
    graph = Graph(opset)
    build(graph)
    path = folder / "model.onnx"
    onnx.save(graph.model(), path)
    return path


@pytest.mark.parametrize("case", FUSED)
def test_what_is_predicted_to_fuse_fuses(case: str, tmp_path: Path) -> None:
    build, int8_ops = FUSED[case]
    report = audit(saved(build, tmp_path))
    assert report.int8_ops == int8_ops
    assert (report.predicted_but_not_fused, report.fused_but_not_predicted) == ([], [])
    assert report.wrong_numbers == []
    assert report.qdq_between_int8 == []


@pytest.mark.parametrize("case", NOT_FUSED)
def test_what_stays_in_float_has_its_reason(case: str, tmp_path: Path) -> None:
    build, name, reason = NOT_FUSED[case]
    report = audit(saved(build, tmp_path))
    floats = {found.name: found.reason for found in report.float_heavy + report.float_light}
    floats = {original_name(name): why for name, why in floats.items()}
    assert re.search(reason, floats.get(name, f"{name} is not in float; {report.int8_ops}"))
    assert (report.predicted_but_not_fused, report.fused_but_not_predicted) == ([], [])


@pytest.mark.parametrize("opset", [13, 19, 21])
@pytest.mark.parametrize("case", LATER_OPSETS)
def test_the_opset_makes_no_difference(case: str, opset: int, tmp_path: Path) -> None:
    build, int8_ops = FUSED[case]
    report = audit(saved(build, tmp_path, opset))
    assert report.int8_ops == int8_ops
    assert (report.predicted_but_not_fused, report.fused_but_not_predicted) == ([], [])


def test_max_pool_has_no_rule_before_opset_12(tmp_path: Path) -> None:
    report = audit(saved(max_pool(), tmp_path, 11))
    assert [found.reason for found in report.float_light] == ["MaxPool has an int8 rule from opset 12 on"]
    assert report.fused_but_not_predicted == []


def test_every_rule_is_tried() -> None:
    """Each operator of the table is built by one of the cases above, and fused."""
    tried: set[str] = set()
    for build, _ in FUSED.values():
        graph = Graph()
        build(graph)
        tried.update(node.op_type for node in graph.nodes)
    moved_alike = {
        "Flatten",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Slice",
        "GatherElements",
        "Expand",
        "Tile",
        "ReduceMin",
    }
    assert set(RULES) - tried == moved_alike


@pytest.mark.parametrize(
    ("op", "more"),
    [
        ("Flatten", None),
        ("Transpose", None),
        ("Squeeze", (0,)),
        ("Unsqueeze", (0,)),
        ("Expand", (2, 4, 8, 8)),
        ("Tile", (1, 2, 1, 1)),
        ("ReduceMin", None),
    ],
)
def test_operators_that_only_move_integers(op: str, more: tuple[int, ...] | None, tmp_path: Path) -> None:
    def operands(graph: Graph) -> list[str]:
        return [] if more is None else [graph.ints(*more)]

    report = audit(saved(one(op, operands), tmp_path))
    assert report.ok
    assert report.int8_ops == {op: 1}


def test_scale_of_the_tests_is_that_of_the_models() -> None:
    """Biases are built for inputs of this scale; a case with another scale would test nothing."""
    graph = Graph()
    conv_case({})(graph)
    scale = next(onnx.numpy_helper.to_array(tensor) for tensor in graph.constants)
    assert float(scale) == pytest.approx(SCALE)
